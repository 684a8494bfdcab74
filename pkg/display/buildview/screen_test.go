package buildview

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
)

var sizes = []struct{ width, height int }{{100, 30}, {60, 15}, {40, 10}, {20, 4}, {1, 1}}

// play applies events in their own time and calls look after each.
func play(events []event.Event, look func(*screen, event.Event)) *screen {
	var now time.Time
	s := newScreen(func() time.Time { return now })
	for _, e := range events {
		now = e.Time
		s.apply(e)
		if look != nil {
			look(s, e)
		}
	}
	return s
}

func TestFrameFits(t *testing.T) {
	for name, events := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			play(events, func(s *screen, e event.Event) {
				for _, size := range sizes {
					frame := s.frame(size.width, size.height, "*")
					if len(frame) > size.height {
						t.Errorf("%dx%d: %d lines after %s of %s", size.width, size.height, len(frame), e.Type, e.Phase)
					}
					for _, line := range frame {
						if width := ansi.StringWidth(line); width > size.width || strings.ContainsAny(line, "\n\r\t") {
							t.Errorf("%dx%d: a line of %d columns: %q", size.width, size.height, width, line)
						}
					}
				}
			})
		})
	}
}

// TestFrames shows what a person sees: of each build the moments at which it
// waits, half of its log, and what stays.
func TestFrames(t *testing.T) {
	for name, events := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			logs := 0
			for _, e := range events {
				if e.Type == event.Log {
					logs++
				}
			}
			var pictures strings.Builder
			seen, uploads := 0, 0
			s := play(events, func(s *screen, e event.Event) {
				switch {
				case e.Type == event.Log:
					if seen++; seen != logs/2 {
						return
					}
				case e.Type == event.PhaseUpdated && e.Phase == event.Upload:
					if uploads++; uploads != 20 {
						return
					}
				case e.Type != event.Waiting:
					return
				}
				for _, size := range sizes[:3] {
					fmt.Fprintf(&pictures, "--- %d columns, %d lines\n", size.width, size.height)
					for _, line := range s.frame(size.width, size.height, "*") {
						fmt.Fprintln(&pictures, ansi.Strip(line))
					}
				}
			})
			fmt.Fprintln(&pictures, "--- what stays")
			for _, line := range s.record(100) {
				fmt.Fprintln(&pictures, ansi.Strip(line))
			}
			golden(t, name+".tty.txt", pictures.String())
		})
	}
}

// TestFrameOfALongLog holds that a log of any length costs what a short one does.
func TestFrameOfALongLog(t *testing.T) {
	s := play(recorded(t)["good"][:8], nil)
	long := strings.Repeat("x", 1<<20)
	for i := range 100_000 {
		s.apply(event.Event{Type: event.Log, Phase: event.Build, Source: "build", Message: fmt.Sprintf("line %d", i)})
	}
	if got := ansi.Strip(strings.Join(s.frame(80, 24, "*"), "\n")); !strings.HasSuffix(got, "│ line 99998\n  │ line 99999") {
		t.Errorf("the newest lines are not there:\n%s", got)
	}
	for range logRows * 3 {
		s.apply(event.Event{Type: event.Log, Phase: event.Build, Source: "build", Message: long})
	}
	kept := 0
	for _, line := range s.log.last(1 << 30) {
		kept += len(line.text)
	}
	if kept > logRows*2*maxLine {
		t.Errorf("%d bytes of log are kept", kept)
	}
}

func TestRing(t *testing.T) {
	r := newRing(3)
	for i, want := range []string{"0", "0 1", "0 1 2", "1 2 3", "2 3 4", "3 4 5", "4 5 6"} {
		r.add(logged{text: fmt.Sprint(i)})
		var got []string
		for _, line := range r.last(9) {
			got = append(got, line.text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("after %d: got %q, want %q", i, got, want)
		}
	}
	if last := r.last(1); len(last) != 1 || last[0].text != "6" {
		t.Errorf("the last one is %v", last)
	}
	if r.clear(); len(r.last(9)) > 0 {
		t.Error("something is left")
	}
}

// TestWaitingEnds says what ends a reason to wait: that something goes on.
func TestWaitingEnds(t *testing.T) {
	for e, want := range map[event.Type]bool{
		event.Log: true, event.InstructionStarted: true, event.PhaseStarted: true, event.PhaseEnded: true,
		event.PhaseUpdated: false, event.Notice: false,
	} {
		s := newScreen(time.Now)
		s.apply(event.Event{Type: event.PhaseStarted, Phase: event.Build})
		s.apply(event.Event{Type: event.Waiting, Phase: event.Build, Reason: "Unschedulable", Message: "no memory", Advice: "free some"})
		shown := func() bool {
			text := strings.Join(s.frame(80, 20, "*"), "\n")
			return strings.Contains(text, "waiting: Unschedulable: no memory") && strings.Contains(text, "hint: free some")
		}
		if !shown() {
			t.Fatal("the reason is not shown")
		}
		s.apply(event.Event{Type: e, Phase: event.Build, Instruction: &event.Instruction{Number: 1, Total: 1, Line: 1, Text: "FROM scratch"}})
		if shown() == want {
			t.Errorf("%s: shown is %v", e, !want)
		}
	}
}

// TestRecordOfAnEarlyEnd is of a program that is interrupted before it knows how
// the build ended.
func TestRecordOfAnEarlyEnd(t *testing.T) {
	events := recorded(t)["good"]
	for i, e := range events {
		if e.Type == event.Log {
			events = events[:i]
			break
		}
	}
	got := ansi.Strip(strings.Join(play(events, nil).record(80), "\n"))
	if !strings.Contains(got, "– Building") || strings.Contains(got, "not done") {
		t.Errorf("got:\n%s", got)
	}
}

func TestDrawing(t *testing.T) {
	v := &tty{screen: newScreen(time.Now)}
	d := &drawing{tty: v}
	show := func() (string, *tea.Cursor) {
		view := d.View()
		if view.AltScreen || !view.DisableBracketedPasteMode || view.MouseMode != tea.MouseModeNone {
			t.Error("the terminal is set to something")
		}
		if got := strings.Count(view.Content, "\n"); view.Cursor == nil || view.Cursor.X != 0 || view.Cursor.Y != got {
			t.Errorf("the cursor is at %v of %d lines", view.Cursor, got)
		}
		return view.Content, view.Cursor
	}
	d.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	v.screen.apply(event.Event{Type: event.Planned, App: "app", Phases: event.Phases()})
	v.screen.apply(event.Event{Type: event.PhaseStarted, Phase: event.Build})
	for range 20 {
		v.screen.apply(event.Event{Type: event.Log, Phase: event.Build, Source: "build", Message: "text"})
	}
	_, high := show()
	v.screen.apply(event.Event{Type: event.PhaseStarted, Phase: event.Push})
	if _, cursor := show(); cursor.Y != high.Y {
		t.Errorf("the picture shrinks from %d lines to %d", high.Y, cursor.Y)
	}
	d.Update(tea.WindowSizeMsg{Width: 80, Height: 8})
	if _, cursor := show(); cursor.Y > 7 {
		t.Errorf("the picture has %d lines on a terminal of 8", cursor.Y)
	}
	one, _ := show()
	d.Update(ticked{})
	if two, _ := show(); one == two {
		t.Error("the spinner stands still")
	}
	d.Update(lastPicture{})
	if content, _ := show(); content != "" {
		t.Errorf("after the end there is still %q", content)
	}
}

func TestAnotherPlanKeepsWhatIsKnown(t *testing.T) {
	s := newScreen(func() time.Time { return time.Unix(1, 0) })
	s.apply(event.Event{Type: event.Planned, Phases: event.Phases()})
	s.apply(event.Event{Type: event.PhaseStarted, Phase: event.Pack})
	s.apply(event.Event{Type: event.PhaseEnded, Phase: event.Pack, State: event.Succeeded, Message: "Packed 3 files", DurationSeconds: 2})
	s.apply(event.Event{Type: event.Planned, Phases: []event.Phase{event.Pack, event.Queue, event.Deploy}})
	s.apply(event.Event{Type: event.PhaseStarted, Phase: event.Queue})
	var got []event.Phase
	for _, stage := range s.stages {
		got = append(got, stage.name)
	}
	if want := []event.Phase{event.Pack, event.Queue, event.Deploy}; !slices.Equal(got, want) {
		t.Errorf("stages are %v, want %v", got, want)
	}
	if pack := s.stages[0]; pack.state != event.Succeeded || pack.message != "Packed 3 files" || pack.seconds != 2 {
		t.Errorf("what has been packed is forgotten: %+v", pack)
	}
	if s.current != 1 || !s.stages[1].running() {
		t.Errorf("the running stage is %d", s.current)
	}
}

// TestHeaderKeepsTheRun checks that the name of the run stays whole in every terminal that
// has room for it, and that a phrase uses the width of a wide one.
func TestHeaderKeepsTheRun(t *testing.T) {
	s := newScreen(time.Now)
	s.apply(event.Event{Type: event.RunCreated, App: "mountains", Namespace: "a-long-namespace", Run: "mountains-wrc5x"})
	for width, want := range map[int]string{
		100: "mountains in a-long-namespace, run mountains-wrc5x",
		40:  "mountains, run mountains-wrc5x",
		25:  "run mountains-wrc5x",
	} {
		if got := ansi.Strip(s.header(width)); got != want {
			t.Errorf("in %d columns: got %q, want %q", width, got, want)
		}
	}
	long := "Built image " + strings.Repeat("x", 100)
	s.apply(event.Event{Type: event.PhaseStarted, Phase: event.Build})
	s.apply(event.Event{Type: event.PhaseEnded, Phase: event.Build, State: event.Succeeded, Message: long})
	if got := ansi.Strip(strings.Join(s.record(160), "\n")); !strings.Contains(got, long) {
		t.Errorf("in 160 columns: got %q", got)
	}
}
