package buildview

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

const (
	// logRows is how many lines of log are shown while a stage is under way, and
	// fewLogRows how many come before other things on a low terminal.
	logRows    = 10
	fewLogRows = 3
	// noticeRows is how many notices are shown meanwhile; in the end all are.
	noticeRows = 2
	maxNotices = 50
	// waitRows is how many lines a reason to wait, and the advice, each take.
	waitRows = 3
	// maxPhrase is how wide the line of a stage gets without its time, and minBar
	// and maxBar its progress bar. aside is what the mark and the time take.
	maxPhrase = 72
	minBar    = 8
	maxBar    = 24
	aside     = 11
	// narrow is where what can be done without is left out.
	narrow = 60
)

// screen is what there is to be seen of a build. It knows no terminal.
type screen struct {
	now func() time.Time

	app, namespace, run string
	stages              []stage
	// current is the stage under way or the last that was, or -1.
	current int
	log     ring
	waiting *event.Event
	notices []string
	// finished is the last event.
	finished *event.Event
}

// stage is the line of one.
type stage struct {
	name  event.Phase
	begun time.Time
	// state is empty until the stage has ended.
	state   event.State
	seconds float64
	message string

	transfer    *event.Transfer
	instruction *event.Instruction
}

func (s *stage) underway() bool { return s.state == "" && !s.begun.IsZero() }

func newScreen(now func() time.Time) *screen {
	return &screen{now: now, current: -1, log: newRing(logRows * 2)}
}

// apply takes in what happened.
func (s *screen) apply(e event.Event) {
	if e.App != "" {
		s.app, s.namespace = e.App, e.Namespace
	}
	if e.Run != "" {
		s.run = e.Run
	}
	switch e.Type {
	case event.Planned:
		s.plan(e.Phases)
	case event.PhaseStarted:
		s.log.clear()
		s.waiting = nil
		s.stage(e.Phase).begun = s.now()
	case event.PhaseUpdated:
		stage := s.stage(e.Phase)
		stage.transfer, stage.message = e.Transfer, e.Message
	case event.PhaseEnded:
		s.waiting = nil
		stage := s.stage(e.Phase)
		stage.state, stage.seconds, stage.message = e.State, e.DurationSeconds, e.Message
	case event.InstructionStarted:
		s.waiting = nil
		s.stage(e.Phase).instruction = e.Instruction
	case event.Log:
		s.waiting = nil
		if text := lastState(e.Message); !e.Chatter && strings.TrimSpace(text) != "" {
			s.log.add(logged{e.Source, text})
		}
	case event.Waiting:
		s.waiting = &e
	case event.Notice:
		if len(s.notices) < maxNotices {
			s.notices = append(s.notices, notice(e))
		}
	case event.Finished:
		s.waiting, s.finished = nil, &e
	case event.RunCreated:
	}
}

// plan takes over which stages will take place; what is known of them stays.
func (s *screen) plan(names []event.Phase) {
	before := s.stages
	s.stages, s.current = nil, -1
	// What has taken place is not undone by another plan.
	for _, known := range before {
		if known.state != "" && !slices.Contains(names, known.name) {
			s.stages = append(s.stages, known)
		}
	}
	for _, name := range names {
		planned := stage{name: name}
		if i := slices.IndexFunc(before, func(known stage) bool { return known.name == name }); i >= 0 {
			planned = before[i]
		}
		s.stages = append(s.stages, planned)
		if !planned.begun.IsZero() {
			s.current = len(s.stages) - 1
		}
	}
}

// notice is what there is to know, warnings in the color of what is waited for.
func notice(e event.Event) string {
	text := display.OneLine(e.Message)
	if e.Reason == warning {
		return colored(ansi.Yellow, "warning: "+text)
	}
	return text
}

// stage returns that of the name, which becomes the current one.
func (s *screen) stage(name event.Phase) *stage {
	for i := range s.stages {
		if s.stages[i].name == name {
			s.current = i
			return &s.stages[i]
		}
	}
	s.stages = append(s.stages, stage{name: name})
	s.current = len(s.stages) - 1
	return &s.stages[s.current]
}

// frame is the picture while the build is under way, in at most height lines of
// at most width columns each. The stage under way and the reason to wait come
// first, then a few lines of the log, the other stages, and the rest of the log.
func (s *screen) frame(width, height int, spinner string) []string {
	if width <= 0 || height <= 0 {
		return nil
	}
	room := height
	take := func(wanted int) int {
		got := max(min(wanted, room), 0)
		room -= got
		return got
	}
	stages := take(min(len(s.stages), 1))
	wait := s.wait(width)
	wait = wait[:take(len(wait))]
	log := s.log.last(logRows)
	rows := 0
	if room > 1 && len(log) > 0 {
		// One line more says whose they are.
		rows = take(1+min(len(log), fewLogRows)) - 1
	} else {
		log = nil
	}
	stages += take(len(s.stages) - stages)
	header := take(1)
	notices := take(min(len(s.notices), noticeRows))
	rows += take(len(log) - rows)
	// A blank line sets off what is below the stages.
	gap := 0
	if rows+len(wait) > 0 {
		gap = take(1)
	}

	var lines []string
	if header > 0 {
		lines = append(lines, s.header())
	}
	first := s.firstOf(stages)
	for i := range stages {
		lines = append(lines, s.line(&s.stages[first+i], width, spinner))
	}
	lines = append(lines, s.notices[len(s.notices)-notices:]...)
	if gap > 0 {
		lines = append(lines, "")
	}
	lines = append(lines, wait...)
	lines = append(lines, tail(log[len(log)-rows:])...)
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], width, "…")
	}
	return lines
}

// firstOf returns where n stages begin that are around the current one.
func (s *screen) firstOf(n int) int {
	return max(min(s.current-n/2, len(s.stages)-n), 0)
}

func (s *screen) header() string {
	if s.app == "" {
		return bold("build")
	}
	text := bold(display.Sanitize(s.app))
	if s.namespace != "" {
		text += faint(" in " + display.Sanitize(s.namespace))
	}
	if s.run != "" {
		text += faint(", run " + display.Sanitize(s.run))
	}
	return text
}

// line is that of a stage: a mark, what goes on or went on, and the time.
func (s *screen) line(stage *stage, width int, spinner string) string {
	room := max(min(width-aside, maxPhrase), 1)
	todo, doing, _ := words(stage.name)
	switch {
	case stage.underway():
		took := s.now().Sub(stage.begun)
		return row(colored(ansi.Cyan, spinner), s.live(stage, doing, room), faint(ticking(took)), room)
	case stage.state == "":
		return faint("· " + todo)
	}
	phrase, took := ended(stage.name, stage.state, stage.message), faint(duration(stage.seconds))
	switch mark := endMark(stage.state); stage.state {
	case event.Succeeded:
		return row(colored(ansi.Green, mark), phrase, took, room)
	case event.Canceled, event.Superseded:
		return row(colored(ansi.Yellow, mark), phrase, took, room)
	default:
		return row(colored(ansi.Red, mark), bold(phrase), took, room)
	}
}

func row(mark, phrase, took string, room int) string {
	phrase = ansi.Truncate(phrase, room, "…")
	gap := room - ansi.StringWidth(phrase) + aside - 3 - ansi.StringWidth(took)
	return mark + " " + phrase + strings.Repeat(" ", max(gap, 1)) + took
}

// ticking is a time that goes on: without tenths it is calm.
func ticking(took time.Duration) string {
	if took < time.Minute {
		return fmt.Sprintf("%ds", int(took.Seconds()))
	}
	return display.Seconds(took)
}

// live says how far a stage is.
func (s *screen) live(stage *stage, doing string, room int) string {
	switch {
	case stage.instruction != nil:
		return instruction(stage.instruction, doing, room)
	case stage.transfer != nil:
		return transfer(stage.transfer, doing, room)
	case stage.message != "":
		return doing + "  " + faint(display.OneLine(stage.message))
	}
	return doing
}

// instruction is the one that is being carried out.
func instruction(at *event.Instruction, doing string, room int) string {
	head := fmt.Sprintf("%s %d/%d  ", doing, at.Number, at.Total)
	end := ""
	if room+aside >= narrow {
		end = fmt.Sprintf("  line %d", at.Line)
	}
	if at.Cached {
		end += "  cached"
	}
	text := ansi.Truncate(display.OneLine(at.Text), max(room-len(head)-len(end), 1), "…")
	return head + colored(ansi.Cyan, text) + faint(end)
}

// transfer is how much has been read or sent, with a bar where there is room.
func transfer(at *event.Transfer, doing string, room int) string {
	text := transferred(at)
	if at.Total <= 0 {
		return doing + "  " + faint(text)
	}
	bar := min(room-len(doing)-len(text)-4, maxBar)
	if bar < minBar {
		// The rate is what can be done without.
		text = transferred(&event.Transfer{Bytes: at.Bytes, Total: at.Total})
		bar = min(room-len(doing)-len(text)-4, maxBar)
	}
	if bar < minBar {
		return doing + "  " + faint(text)
	}
	filled := min(max(int(at.Bytes*int64(bar)/at.Total), 0), bar)
	return doing + "  " + colored(ansi.Cyan, strings.Repeat("━", filled)) + faint(strings.Repeat("─", bar-filled)) + "  " + faint(text)
}

// wait is why nothing goes on, and what to do.
func (s *screen) wait(width int) []string {
	if s.waiting == nil {
		return nil
	}
	reason, advice := waiting(s.waiting)
	var lines []string
	if reason != "" {
		for _, line := range wrapped("waiting: "+reason, width) {
			lines = append(lines, colored(ansi.Yellow, line))
		}
	}
	if advice != "" {
		lines = append(lines, wrapped("hint: "+advice, width)...)
	}
	return lines
}

// wrapped is a text below a stage, of at most waitRows lines.
func wrapped(text string, width int) []string {
	const indent = "  "
	width = max(width-len(indent), 1)
	lines := strings.Split(ansi.Wrap(text, width, ""), "\n")
	if len(lines) > waitRows {
		rest := strings.Join(lines[waitRows-1:], " ")
		lines = append(lines[:waitRows-1], ansi.Truncate(rest, width, "…"))
	}
	for i := range lines {
		lines[i] = indent + strings.TrimRight(lines[i], " ")
	}
	return lines
}

// tail is a piece of a log below the name of the newest line's source; the
// color at the edge says whose the others are.
func tail(log []logged) []string {
	if len(log) == 0 {
		return nil
	}
	source := log[len(log)-1].source
	lines := []string{"  " + colored(sourceColor(source), display.Sanitize(source))}
	for _, line := range log {
		lines = append(lines, "  "+colored(sourceColor(line.source), "│")+" "+display.SanitizeLog(line.text, true))
	}
	return lines
}

// record is what stays on the terminal: of each stage how it ended, what was said
// beside, and of a failure where and after what.
func (s *screen) record(width int) []string {
	var lines, skipped []string
	if len(s.stages) > 0 || s.app != "" {
		lines = append(lines, ansi.Truncate(s.header(), width, "…"))
	}
	for i := range s.stages {
		stage := &s.stages[i]
		if stage.underway() {
			// The view was closed before its time.
			_, doing, _ := words(stage.name)
			room := max(min(width-aside, maxPhrase), 1)
			lines = append(lines, row(colored(ansi.Yellow, "–"), doing, faint(display.Seconds(s.now().Sub(stage.begun))), room))
			continue
		}
		if stage.state == "" {
			todo, _, _ := words(stage.name)
			skipped = append(skipped, strings.ToLower(todo))
			continue
		}
		lines = append(lines, s.line(stage, width, ""))
	}
	if len(skipped) > 0 && s.finished != nil && s.finished.State != event.Succeeded {
		lines = append(lines, faint("· not done: "+strings.Join(skipped, ", ")))
	}
	for _, text := range s.notices {
		lines = append(lines, ansi.Wrap(text, width, ""))
	}
	if s.finished == nil {
		return lines
	}
	if failed := s.failed(); len(failed) > 0 {
		lines = append(append(append(lines, ""), failed...), "")
	}
	for i, line := range summary(s.finished.Result) {
		if i == 0 {
			line = bold(ansi.Wrap(line, width, ""))
		}
		lines = append(lines, line)
	}
	return lines
}

// failed is where it failed, and the last that was written there.
func (s *screen) failed() []string {
	failure := s.finished.Failure
	lines := excerpt(failure, paint{func(text string) string { return colored(ansi.Red, text) }, faint})
	if failure == nil {
		return nil
	}
	log := make([]logged, len(failure.Log))
	for i, text := range failure.Log {
		log[i] = logged{failure.Step, lastState(text)}
	}
	if len(log) == 0 && s.finished.Result != nil && s.finished.Result.State == event.Failed {
		log = s.log.last(logRows)
	}
	lines = append(lines, tail(log)...)
	for _, line := range exit(failure) {
		lines = append(lines, "  "+line)
	}
	return lines
}

// picture is a frame for Bubble Tea. The cursor stays visible, on a line of its
// own below: whatever ends the program, the shell goes on there.
func picture(lines []string) tea.View {
	return tea.View{
		Content: strings.Join(append(lines, ""), "\n"),
		// This shape is the terminal's own, which its user chose.
		Cursor:                    &tea.Cursor{Position: tea.Position{Y: len(lines)}, Shape: -1},
		DisableBracketedPasteMode: true,
	}
}
