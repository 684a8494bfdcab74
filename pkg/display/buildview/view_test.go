package buildview

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// recorded are the builds of testdata, in their names.
func recorded(t *testing.T) map[string][]event.Event {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recorded builds: %v", err)
	}
	builds := map[string][]event.Event{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var events []event.Event
		lines := bufio.NewScanner(bytes.NewReader(content))
		for lines.Scan() {
			var e event.Event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			events = append(events, e)
		}
		builds[strings.TrimSuffix(filepath.Base(path), ".jsonl")] = events
	}
	return builds
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestPlain(t *testing.T) {
	for name, events := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			var now time.Time
			v := newPlain(&results{out: &out}, &errOut, func() time.Time { return now })
			for _, e := range events {
				now = e.Time
				v.Show(e)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(errOut.String()+out.String(), "\x1b\r\t\x07") {
				t.Error("a control character is left")
			}
			golden(t, name+".plain.txt", errOut.String()+"--- standard output\n"+out.String())
		})
	}
}

// TestJSON holds the schema to what is documented: the recorded lines come out as
// they were.
func TestJSON(t *testing.T) {
	for name, events := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile("testdata/" + name + ".jsonl")
			if err != nil {
				t.Fatal(err)
			}
			var out, errOut bytes.Buffer
			v, err := New(JSON, &out, &errOut)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				v.Show(e)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if errOut.Len() > 0 {
				t.Errorf("standard error has %q", errOut.String())
			}
		})
	}
}

func TestQuiet(t *testing.T) {
	for name, want := range map[string]string{
		"good":               "sha256:d0569846172b26ac82c2a08f0f835d0caede8dee341f05d123087333090a3ae4\n",
		"superseded":         "",
		"failing-dockerfile": "",
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			v, err := New(Quiet, &out, &errOut)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range recorded(t)[name] {
				v.Show(e)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			if out.String() != want || errOut.Len() > 0 {
				t.Errorf("got %q and %q, want %q and nothing", out.String(), errOut.String(), want)
			}
		})
	}
}

func TestNew(t *testing.T) {
	for mode, want := range map[Mode]error{"fancy": ErrUnknownMode, "": ErrUnknownMode, TTY: ErrNoTerminal, Auto: nil, Plain: nil} {
		v, err := New(mode, io.Discard, io.Discard)
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", mode, err, want)
		}
		if _, ok := v.(*plain); ok != (want == nil) {
			t.Errorf("%q: got a %T", mode, v)
		}
	}
}

func TestInCI(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "1": true, "woodpecker": true, "false": false, "0": false, "": false} {
		t.Setenv("CI", value)
		if got := InCI(); got != want {
			t.Errorf("CI=%q: got %v", value, got)
		}
	}
}

func TestProfile(t *testing.T) {
	for name, test := range map[string]struct {
		environment []string
		want        colorprofile.Profile
	}{
		"256 colors":        {[]string{"TERM=xterm-256color"}, colorprofile.ANSI256},
		"all colors":        {[]string{"TERM=xterm-256color", "COLORTERM=truecolor"}, colorprofile.TrueColor},
		"none wanted":       {[]string{"TERM=xterm-256color", "NO_COLOR=1"}, colorprofile.ASCII},
		"none in any words": {[]string{"TERM=xterm-256color", "NO_COLOR=yes please"}, colorprofile.ASCII},
		"an empty wish":     {[]string{"TERM=xterm-256color", "NO_COLOR="}, colorprofile.ANSI256},
		"dumb":              {[]string{"TERM=dumb", "NO_COLOR=1"}, colorprofile.NoTTY},
	} {
		if got := profile(test.environment); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestErrorOfWriting(t *testing.T) {
	for _, mode := range []Mode{Plain, JSON, Quiet} {
		v, err := New(mode, full{}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		v.Show(event.Event{Type: event.Finished, Result: &event.Result{State: event.Succeeded, Image: "r/app@sha256:1", Digest: "sha256:1"}})
		if err := v.Close(); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("%s: got %v", mode, err)
		}
		if err := v.Close(); err != nil {
			t.Errorf("%s: the second Close says %v", mode, err)
		}
	}
}

// TestPlainSaysSeldomHowFar plays an upload of ten minutes in which something
// happens four times in a second, and another that is over at once.
func TestPlainSaysSeldomHowFar(t *testing.T) {
	for name, test := range map[string]struct {
		took  time.Duration
		lines int
	}{
		"slow": {10 * time.Minute, 59}, // every ten seconds
		"fair": {50 * time.Second, 9},  // every ten per cent
		"fast": {900 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var errOut bytes.Buffer
			now := time.Unix(0, 0)
			v := newPlain(&results{out: io.Discard}, &errOut, func() time.Time { return now })
			v.Show(event.Event{Type: event.PhaseStarted, Phase: event.Upload})
			const total, every = 1 << 30, 250 * time.Millisecond
			for past := every; past <= test.took; past += every {
				now = time.Unix(0, 0).Add(past)
				v.Show(event.Event{
					Type: event.PhaseUpdated, Phase: event.Upload,
					Transfer: &event.Transfer{Bytes: int64(total * past.Seconds() / test.took.Seconds()), Total: total},
				})
			}
			if got := strings.Count(errOut.String(), "\n"); got != test.lines {
				t.Errorf("got %d lines, want %d:\n%s", got, test.lines, errOut.String())
			}
		})
	}
}

func TestEnded(t *testing.T) {
	for _, test := range []struct {
		stage   event.Phase
		state   event.State
		message string
		want    string
	}{
		{event.Build, event.Succeeded, "", "Built the image"},
		{event.Rollout, event.Succeeded, "3 of 3 replicas ready", "Rolled out: 3 of 3 replicas ready"},
		{event.Pack, event.Succeeded, "Packed 7 files", "Packed 7 files"},
		{event.Build, event.Failed, "exit code 1", "Building"},
		{event.Deploy, event.Superseded, "", "Deploying, superseded"},
		{event.Build, event.Canceled, "", "Building, canceled"},
		{"bake", event.Succeeded, "done", "bake: done"},
	} {
		if got := ended(test.stage, test.state, test.message); got != test.want {
			t.Errorf("%v: got %q", test, got)
		}
	}
}

func TestSize(t *testing.T) {
	for _, test := range []struct {
		now, before int64
		want        string
	}{
		{52_000_000, 0, "52 MB"},
		{52_000_000, 50_800_000, "52 MB (+1.2 MB since the last release)"},
		{52_000_000, 53_000_000, "52 MB (-1.0 MB since the last release)"},
		{52_000_000, 52_000_000, "52 MB (as the last release)"},
	} {
		if got := size(test.now, test.before); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestLogLine(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"  10%\r  50%\r 100%\r", "[build]  100%"},
		{"windows\r\n", "[build] windows"},
		{"", "[build]"},
		{strings.Repeat("x", 2*maxLine), "[build] " + strings.Repeat("x", maxLine)},
	} {
		if got := LogLine("build", test.text, false); got != test.want {
			t.Errorf("%q: got %q", test.text, got)
		}
		if got := ansi.Strip(LogLine("build", test.text, true)); got != test.want {
			t.Errorf("%q: in color got %q", test.text, got)
		}
	}
	for source, want := range map[string]string{"build": "\x1b[34m[build]\x1b[m x", "apply": "\x1b[36m[apply]\x1b[m x"} {
		if got := LogLine(source, "x", true); got != want {
			t.Errorf("got %q, want the color that it always has, %q", got, want)
		}
	}
}
