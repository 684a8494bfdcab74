package display

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestSteps(t *testing.T) {
	at := time.Unix(0, 0)
	for name, test := range map[string]struct {
		terminal bool
		want     string
	}{
		"elsewhere": {false, "between\n✓ First done  1.5s\n✗ Doing second  1m01s\n"},
		"on a terminal": {true, "\r\x1b[K… Doing first\r\x1b[K… 50%\r\x1b[Kbetween\n\r\x1b[K… 50%\r\x1b[K✓ First done  1.5s\n" +
			"\r\x1b[K… Doing second\r\x1b[K✗ Doing second  1m01s\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			now := at
			steps := &Steps{out: &out, terminal: test.terminal, now: func() time.Time { return now }}
			done := steps.Start("Doing first")
			steps.Update("50%")
			steps.Print("bet\x1b[31mween")
			now = now.Add(1500 * time.Millisecond)
			done("First done", nil)
			done = steps.Start("Doing second")
			now = now.Add(61 * time.Second)
			done("Second done", errors.New("no"))
			if got := out.String(); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 files", 1: "1 file", 2: "2 files"} {
		if got := Count(n, "file"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	if got := Bytes(12_300_000); got != "12 MB" {
		t.Errorf("Bytes = %q", got)
	}
}

func TestAsk(t *testing.T) {
	in := strings.NewReader("  yes \nno\nlast")
	var out bytes.Buffer
	for _, want := range []string{"yes", "no", "last", ""} {
		if got, err := Ask(t.Context(), in, &out, "? "); err != nil || got != want {
			t.Errorf("answer is %q, %v, want %q", got, err, want)
		}
	}
	if got := out.String(); got != "? ? ? ? " {
		t.Errorf("prompts are %q", got)
	}
	silent, typing := io.Pipe()
	defer typing.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Ask(ctx, silent, &out, "? "); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted question ends with %v", err)
	}
	if CanAsk(in, &out) {
		t.Error("a buffer is not a terminal")
	}
}
