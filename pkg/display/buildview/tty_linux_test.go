package buildview

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sys/unix"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
)

// terminalOf returns a terminal of that size, and a function that closes it and
// returns all that was written to it.
func terminalOf(t *testing.T, width, height uint16) (terminal *os.File, written func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		terminal.Close()
		master.Close()
	})
	var output bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		// It ends with an error when the terminal's last user is gone.
		_, _ = io.Copy(&output, master)
	}()
	return terminal, func() string {
		terminal.Close()
		<-read
		return output.String()
	}
}

// TestCanvas checks what tmux sees when a picture that starts on the first row gets lower: no
// erasure from the corner, which it keeps in its history.
func TestCanvas(t *testing.T) {
	terminal, written := terminalOf(t, 80, 24)
	n, err := (&canvas{terminal}).Write([]byte("\x1b[Ja\r\x1b[3A\x1b[?25l\x1b[Jb\x1b[Jc\x1b[?25h"))
	if err != nil || n != 29 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if got, want := written(), "\r\x1b[K\x1b[C\x1b[J\ra\r\x1b[3A\x1b[K\x1b[C\x1b[J\rb\x1b[Jc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTTY(t *testing.T) {
	for name, test := range map[string]struct {
		build         string
		environment   map[string]string
		stays, stdout []string
		colors        bool
	}{
		"a good build": {
			"good", nil,
			[]string{"✓ Built image", "✓ Rolled out: 3 of 3 replicas ready", "Done in 21.3s"},
			[]string{"image  127.0.0.1:5180/default/mountains@sha256:d0569846172b", "url    http://10.89.0.2:30854\n"},
			true,
		},
		"without colors": {"good", map[string]string{"NO_COLOR": "1"}, []string{"Done in 21.3s"}, []string{"image  "}, false},
		"a failing one": {
			"failing-dockerfile", nil,
			[]string{"✗ Building", "  8 | >>> RUN pip install --no-cache-dir \\", "│ ERROR: No matching distribution", "build: exit code 1", "Failed after"},
			nil, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TERM", "xterm-256color")
			t.Setenv("CI", "")
			t.Setenv("NO_COLOR", "")
			for variable, value := range test.environment {
				t.Setenv(variable, value)
			}
			terminal, written := terminalOf(t, 80, 24)
			var out bytes.Buffer
			v, err := New(Auto, &out, terminal)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range recorded(t)[test.build] {
				v.Show(e)
			}
			for range 2 {
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
			}
			output := written()
			plain := ansi.Strip(output)
			for _, want := range test.stays {
				if !strings.Contains(plain, want) {
					t.Errorf("%q is not there in %q", want, plain)
				}
			}
			if test.stdout == nil && out.Len() > 0 {
				t.Errorf("standard output has %q", out.String())
			}
			for _, want := range test.stdout {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not there in standard output %q", want, out.String())
				}
			}
			if got := strings.Contains(output, "\x1b[32m"); got != test.colors {
				t.Errorf("green is used: %v, want %v", got, test.colors)
			}
			leavesTheTerminalAlone(t, output)
		})
	}
}

// TestTTYDraws holds that the picture is there before the build has ended, that
// an early Close leaves the record in its place, and that nothing is shown then.
func TestTTYDraws(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	terminal, written := terminalOf(t, 80, 24)
	drawn := make(chan struct{})
	v := newTTY(&results{out: io.Discard}, terminal)
	var seconds time.Duration
	v.screen.now = func() time.Time {
		// The picture asks for the time, of each running stage.
		if seconds++; seconds == 3 {
			close(drawn)
		}
		return time.Unix(0, 0).Add(seconds * time.Second)
	}
	v.Show(event.Event{Type: event.Planned, App: "app", Namespace: "default", Phases: event.Phases()})
	v.Show(event.Event{Type: event.PhaseStarted, Phase: event.Pack})
	<-drawn
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v.Show(event.Event{Type: event.PhaseStarted, Phase: event.Upload})
	output := written()
	if plain := ansi.Strip(output); !strings.Contains(plain, "– Packing") || strings.Contains(plain, "Uploading") {
		t.Errorf("got %q", plain)
	}
	leavesTheTerminalAlone(t, output)
}

// leavesTheTerminalAlone holds that the terminal is asked nothing and that nothing
// is set there, the cursor's visibility included: whatever ends the program, the
// shell has the terminal as it was.
func leavesTheTerminalAlone(t *testing.T, output string) {
	t.Helper()
	for at := range len(output) {
		if output[at] != '\x1b' {
			continue
		}
		// What moves the cursor, erases, scrolls and colors.
		sequence, _, size, _ := ansi.DecodeSequence(output[at:], ansi.NormalState, nil)
		if strings.Contains(sequence, "?") || !strings.ContainsAny(sequence[size-1:], "mABCDGHJKXPLMdSTb") {
			t.Errorf("%q is written", sequence)
		}
	}
}
