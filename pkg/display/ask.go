package display

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// CanAsk says whether somebody who sees out answers on in.
func CanAsk(in io.Reader, out io.Writer) bool {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return false
	}
	seen, ok := out.(*os.File)
	return ok && term.IsTerminal(int(seen.Fd()))
}

// Ask writes prompt and returns the line that is typed, without spaces around it.
// The end of the input is an empty answer. When ctx ends first, the reading goes
// on in the background until the program ends: only for its last questions.
func Ask(ctx context.Context, in io.Reader, out io.Writer, prompt string) (string, error) {
	fmt.Fprint(out, prompt)
	type answer struct {
		text string
		err  error
	}
	typed := make(chan answer, 1)
	go func() {
		text, err := readLine(in)
		typed <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(out)
		return "", ctx.Err()
	case answer := <-typed:
		return answer.text, answer.err
	}
}

// readLine takes no byte beyond the line: what follows may be the next answer.
func readLine(in io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); ; {
		n, err := in.Read(one)
		if n == 1 && one[0] != '\n' {
			line = append(line, one[0])
			continue
		}
		if n == 1 || errors.Is(err, io.EOF) {
			return strings.TrimSpace(string(line)), nil
		}
		if err != nil {
			return "", fmt.Errorf("read the answer: %w", err)
		}
	}
}
