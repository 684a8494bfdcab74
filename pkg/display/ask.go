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

// CanAsk reports whether in and out are a terminal, where a person can answer a question.
func CanAsk(in io.Reader, out io.Writer) bool {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return false
	}
	seen, ok := out.(*os.File)
	return ok && term.IsTerminal(int(seen.Fd()))
}

// Ask prints prompt and returns the line that the user types, without the white space around
// it. It returns an empty answer at the end of the input. If ctx ends first, Ask returns its
// error and leaves a goroutine that reads on in, so ask nothing after that.
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

// AskHidden is Ask without an echo on the terminal of in. It keeps white space around the line.
func AskHidden(ctx context.Context, in io.Reader, out io.Writer, prompt string) (string, error) {
	file, ok := in.(*os.File)
	if !ok {
		return "", errors.New("ask without an echo: the input is not a terminal")
	}
	before, err := term.GetState(int(file.Fd()))
	if err != nil {
		return "", fmt.Errorf("ask without an echo: %w", err)
	}
	fmt.Fprint(out, prompt)
	defer fmt.Fprintln(out)
	type answer struct {
		text []byte
		err  error
	}
	typed := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(int(file.Fd()))
		typed <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		_ = term.Restore(int(file.Fd()), before)
		return "", ctx.Err()
	case answer := <-typed:
		if answer.err != nil {
			return "", fmt.Errorf("read the answer: %w", answer.err)
		}
		return string(answer.text), nil
	}
}

// readLine reads no byte beyond the line, because the next answer may follow.
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
