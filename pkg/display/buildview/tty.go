package buildview

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
)

const (
	// tick is the time between two pictures.
	tick = 100 * time.Millisecond
	fps  = int(time.Second / tick)
	// defaultWidth is that of a terminal that does not tell.
	defaultWidth = 80
)

// tty shows a picture that changes in its place, on a terminal. Show only notes
// what happened: the picture is made of it some times in a second, however much
// that is.
type tty struct {
	*results
	file    *os.File
	profile colorprofile.Profile

	mu     sync.Mutex
	screen *screen

	// program draws the picture, from the first event to the last, and done is
	// closed when it has ended.
	program *tea.Program
	done    chan struct{}
	ended   bool
}

func newTTY(results *results, file *os.File) *tty {
	return &tty{results: results, file: file, profile: profile(os.Environ()), screen: newScreen(time.Now)}
}

// profile is what colors the terminal has, as its environment says: asking the
// terminal, or tmux, would take time.
func profile(environment []string) colorprofile.Profile {
	found := colorprofile.Env(environment)
	noColor := func(variable string) bool {
		value, is := strings.CutPrefix(variable, "NO_COLOR=")
		return is && value != ""
	}
	if slices.ContainsFunc(environment, noColor) {
		return min(found, colorprofile.ASCII)
	}
	return found
}

func (v *tty) Show(e event.Event) {
	if v.ended {
		return
	}
	v.apply(e)
	if e.Type == event.Finished {
		v.end()
		v.finished(e.Result)
		return
	}
	if v.program == nil {
		v.start()
	}
}

func (v *tty) apply(e event.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.screen.apply(e)
}

func (v *tty) frame(width, height int, spinner string) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.screen.frame(width, height, spinner)
}

func (v *tty) start() {
	// No input and no signals: Ctrl-C reaches the program's own handler, and the
	// terminal is not asked anything, as its answer would not be read.
	v.program = tea.NewProgram(&drawing{tty: v}, tea.WithInput(nil), tea.WithoutSignalHandler(),
		tea.WithOutput(&canvas{v.file}), tea.WithFPS(fps), tea.WithColorProfile(v.profile))
	v.done = make(chan struct{})
	resumed := make(chan os.Signal, 1)
	notifyResumed(resumed)
	go func() {
		defer signal.Stop(resumed)
		for {
			select {
			case <-v.done:
				return
			case <-resumed:
				v.program.Send(resume{})
			}
		}
	}()
	go func() {
		defer close(v.done)
		// A terminal that went away takes nothing, and the build goes on.
		_, _ = v.program.Run()
	}()
}

// Close ends the picture and leaves the record.
func (v *tty) Close() error {
	v.end()
	return v.results.Close()
}

func (v *tty) end() {
	if v.ended {
		return
	}
	v.ended = true
	if v.program != nil {
		v.program.Send(lastPicture{})
		<-v.done
	}
	width, _, err := term.GetSize(int(v.file.Fd()))
	if err != nil || width <= 0 {
		width = defaultWidth
	}
	if lines := v.screen.record(width); len(lines) > 0 {
		out := &colorprofile.Writer{Forward: v.file, Profile: v.profile}
		if runtime.GOOS == "windows" {
			// Bubble Tea has put the console back as it was, and by default it does
			// not understand colors.
			out.Profile = colorprofile.NoTTY
		}
		// One write: nothing comes between.
		_, _ = io.WriteString(out, strings.Join(lines, "\n")+"\n")
	}
}

// canvas is a terminal on which each picture begins at the left edge, where the
// one before has left the cursor: what is typed meanwhile, ^C above all, moves it.
// Bubble Tea hides the cursor while it draws; here it stays, so that the shell has
// it even if the program is killed in the middle of that.
//
// tmux takes an erasure that starts in the top left corner for one of the whole screen, and
// keeps the picture before it in its history (its option scroll-on-clear). So the line is
// erased first, and then what is behind its first column.
type canvas struct{ *os.File }

// eraseBelow finds an erasure from the left edge on, behind a move to it.
var eraseBelow = regexp.MustCompile(`(\r(?:\x1b\[\d*A)?)\x1b\[0?J`)

func (w *canvas) Write(data []byte) (int, error) {
	drawn := append([]byte{'\r'}, data...)
	for _, sequence := range []string{ansi.ResetModeTextCursorEnable, ansi.SetModeTextCursorEnable} {
		drawn = bytes.ReplaceAll(drawn, []byte(sequence), nil)
	}
	drawn = eraseBelow.ReplaceAll(drawn, []byte("${1}\x1b[K\x1b[C\x1b[J\r"))
	if _, err := w.File.Write(drawn); err != nil {
		return 0, fmt.Errorf("draw: %w", err)
	}
	return len(data), nil
}

type (
	ticked struct{}
	// resume draws the picture below what the shell wrote while the program was
	// stopped.
	resume struct{}
	// lastPicture takes the picture away, for the record to take its place.
	lastPicture struct{}
)

// drawing is the picture as Bubble Tea's model.
type drawing struct {
	tty           *tty
	width, height int
	// rows is the height of the pictures so far: one that grew and shrank with
	// every line would flicker.
	rows  int
	count int
	gone  bool
}

func (d *drawing) Init() tea.Cmd { return next() }

func next() tea.Cmd {
	return tea.Tick(tick, func(time.Time) tea.Msg { return ticked{} })
}

func (d *drawing) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case ticked:
		d.count++
		return d, next()
	case tea.WindowSizeMsg:
		d.width, d.height, d.rows = msg.Width, msg.Height, 0
	case resume:
		// Bubble Tea begins as many lines above the cursor as the picture has.
		_, _ = io.WriteString(d.tty.file, strings.Repeat("\n", d.rows))
		return d, tea.ClearScreen
	case lastPicture:
		d.gone = true
		return d, tea.Quit
	}
	return d, nil
}

func (d *drawing) View() tea.View {
	if d.gone {
		return picture(nil)
	}
	spinner := []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}
	lines := d.tty.frame(d.width, d.height-1, spinner[d.count%len(spinner)])
	d.rows = max(d.rows, len(lines))
	for len(lines) < d.rows {
		lines = append(lines, "")
	}
	return picture(lines)
}
