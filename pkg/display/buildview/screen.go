package buildview

import (
	"cmp"
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
	// logRows is the number of log lines shown while a phase runs; fewLogRows of them
	// come before other things if the terminal is low.
	logRows    = 10
	fewLogRows = 3
	// noticeRows is the number of notices shown during the build; the record has all.
	noticeRows = 2
	maxNotices = 50
	// waitRows is the number of lines of a reason to wait, and of the advice.
	waitRows = 3
	// minBar and maxBar are the widths of a progress bar, aside the width of the mark
	// and the time of a phase.
	minBar = 8
	maxBar = 24
	aside  = 11
	// slowRows is how many instructions the record has of a phase: the slowest of those
	// that took slowSeconds.
	slowRows    = 3
	slowSeconds = 1
	// narrow is the width below which details are left out.
	narrow = 60
)

// screen is the content of the view. It knows no terminal.
type screen struct {
	now func() time.Time

	app, namespace, run string
	// usual is how long the last runs of the app took; zero if that is not known.
	usual  time.Duration
	stages []stage
	// current is the phase that runs, or the last that ran, or -1.
	current int
	log     ring
	waiting *event.Event
	notices []string
	// finished is the last event.
	finished *event.Event
}

// stage is a phase with its progress.
type stage struct {
	name    event.Phase
	started time.Time
	// state is empty until the stage has ended.
	state   event.State
	seconds float64
	message string

	transfer    *event.Transfer
	instruction *event.Instruction
	// since is when the instruction, or what message says, began.
	since time.Time
	// slow are the instructions that took long.
	slow []took
}

// took is an instruction with its time.
type took struct {
	instruction event.Instruction
	seconds     float64
}

func (s *stage) running() bool { return s.state == "" && !s.started.IsZero() }

func newScreen(now func() time.Time) *screen {
	return &screen{now: now, current: -1, log: newRing(logRows * 2)}
}

// apply updates the screen with an event.
func (s *screen) apply(e event.Event) {
	if e.App != "" {
		s.app, s.namespace = e.App, e.Namespace
	}
	if e.Run != "" {
		s.run = e.Run
	}
	if e.UsualSeconds > 0 {
		s.usual = time.Duration(e.UsualSeconds * float64(time.Second))
	}
	switch e.Type {
	case event.Planned:
		s.plan(e.Phases)
	case event.PhaseStarted:
		s.log.clear()
		s.waiting = nil
		s.stage(e.Phase).started = s.now()
	case event.PhaseUpdated:
		stage := s.stage(e.Phase)
		if e.Message != stage.message {
			stage.since = s.now()
		}
		stage.transfer, stage.message = e.Transfer, e.Message
	case event.PhaseEnded:
		s.waiting = nil
		stage := s.stage(e.Phase)
		stage.state, stage.seconds, stage.message = e.State, e.DurationSeconds, e.Message
	case event.InstructionStarted:
		s.waiting = nil
		stage := s.stage(e.Phase)
		stage.instruction, stage.message, stage.since = e.Instruction, "", s.now()
	case event.InstructionEnded:
		s.stage(e.Phase).remember(e.Instruction, e.DurationSeconds)
	case event.Log:
		s.waiting = nil
		if text := lastState(e.Message); !e.Chatter && !e.Folded && strings.TrimSpace(text) != "" {
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

// plan sets the phases. What is known of a phase stays.
func (s *screen) plan(names []event.Phase) {
	before := s.stages
	s.stages, s.current = nil, -1
	// A phase that has ended stays, whatever the plan.
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
		if !planned.started.IsZero() {
			s.current = len(s.stages) - 1
		}
	}
}

// notice returns a notice as a line, with a colored mark for a warning.
func notice(e event.Event) string {
	text := display.OneLine(e.Message)
	if e.Reason == warning {
		return colored(ansi.Magenta, "warning:") + " " + text
	}
	return text
}

// stage returns the stage with a name and makes it the current one.
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

// frame returns the picture during the build, in at most height lines of at most width
// columns. If there is little room, the running phase and the reason to wait come first,
// then a few lines of the log, the other phases, and the rest of the log.
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
	now := take(len(s.doing()))
	wait := s.wait(width)
	wait = wait[:take(len(wait))]
	log := s.log.last(logRows)
	rows := 0
	if room > 1 && len(log) > 0 {
		// One more line names the source.
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
		lines = append(lines, s.header(width))
	}
	first := s.firstOf(stages)
	for i := range stages {
		lines = append(lines, s.line(&s.stages[first+i], width, spinner))
		if first+i == s.current && now > 0 {
			lines = append(lines, s.doing()...)
		}
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

// firstOf returns the first of n stages around the current one.
func (s *screen) firstOf(n int) int {
	return max(min(s.current-n/2, len(s.stages)-n), 0)
}

// header names the app and the run. In a narrow terminal the app and the namespace give
// way, so that the name of the run, which other commands take, stays whole.
func (s *screen) header(width int) string {
	if s.app == "" {
		return bold("build")
	}
	app, run := display.Sanitize(s.app), display.Sanitize(s.run)
	text := bold(app)
	if s.namespace != "" {
		text += faint(" in " + display.Sanitize(s.namespace))
	}
	if run == "" {
		return text
	}
	if s.usual > 0 && s.finished == nil {
		if more := text + faint(", run "+run+", usually "+ticking(s.usual)); ansi.StringWidth(more) <= width {
			return more
		}
	}
	if whole := text + faint(", run "+run); ansi.StringWidth(whole) <= width {
		return whole
	}
	if short := bold(app) + faint(", run "+run); ansi.StringWidth(short) <= width {
		return short
	}
	return faint("run " + run)
}

// line returns the line of a stage: a mark, a phrase, and the time.
func (s *screen) line(stage *stage, width int, spinner string) string {
	room := max(width-aside, 1)
	todo, doing, _ := words(stage.name)
	switch {
	case stage.running():
		took := s.now().Sub(stage.started)
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

// doing returns the line below a running stage that has an instruction: what the engine does
// for it, and since when.
func (s *screen) doing() []string {
	if s.current < 0 {
		return nil
	}
	stage := &s.stages[s.current]
	if !stage.running() || stage.instruction == nil {
		return nil
	}
	what := "running"
	if stage.message != "" {
		what = display.OneLine(stage.message)
	}
	return []string{faint("  " + what + ", " + ticking(s.now().Sub(stage.since)))}
}

// remember keeps an instruction that took long.
func (s *stage) remember(instruction *event.Instruction, seconds float64) {
	if instruction == nil || instruction.Line == 0 || seconds < slowSeconds {
		return
	}
	s.slow = append(s.slow, took{*instruction, seconds})
	slices.SortStableFunc(s.slow, func(a, b took) int { return cmp.Compare(b.seconds, a.seconds) })
	s.slow = s.slow[:min(len(s.slow), slowRows)]
}

// slowest returns the instructions of a stage that took long, in their order.
func (s *screen) slowest(stage *stage, width int) []string {
	slow := slices.Clone(stage.slow)
	slices.SortStableFunc(slow, func(a, b took) int { return cmp.Compare(a.instruction.Number, b.instruction.Number) })
	room := max(width-aside, 1)
	var lines []string
	for _, one := range slow {
		text := faint(fmt.Sprintf("line %d  %s", one.instruction.Line, written(&one.instruction)))
		lines = append(lines, row(" ", " "+text, faint(duration(one.seconds)), room))
	}
	return lines
}

// ticking returns a running time, without tenths.
func ticking(took time.Duration) string {
	if took < time.Minute {
		return fmt.Sprintf("%ds", int(took.Seconds()))
	}
	return display.Seconds(took)
}

// live returns the progress of a running stage.
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

// instruction returns the running instruction, shortened to room columns.
func instruction(at *event.Instruction, doing string, room int) string {
	head := fmt.Sprintf("%s %d/%d  ", doing, at.Number, at.Total)
	end := ""
	if room+aside >= narrow && at.Line > 0 {
		end = fmt.Sprintf("  line %d", at.Line)
	}
	if at.Cached {
		end += "  cached"
	}
	text := ansi.Truncate(written(at), max(room-len(head)-len(end), 1), "…")
	return head + colored(ansi.Cyan, text) + faint(end)
}

// transfer returns how much has been read or sent, with a bar if there is room.
func transfer(at *event.Transfer, doing string, room int) string {
	text := transferred(at)
	if at.Total <= 0 {
		return doing + "  " + faint(text)
	}
	bar := min(room-len(doing)-len(text)-4, maxBar)
	if bar < minBar {
		// The rate gives way first.
		text = transferred(&event.Transfer{Bytes: at.Bytes, Total: at.Total})
		bar = min(room-len(doing)-len(text)-4, maxBar)
	}
	if bar < minBar {
		return doing + "  " + faint(text)
	}
	filled := min(max(int(at.Bytes*int64(bar)/at.Total), 0), bar)
	return doing + "  " + colored(ansi.Cyan, strings.Repeat("━", filled)) + faint(strings.Repeat("─", bar-filled)) + "  " + faint(text)
}

// wait returns why the build waits, and what to do.
func (s *screen) wait(width int) []string {
	if s.waiting == nil {
		return nil
	}
	reason, advice := waiting(s.waiting)
	var lines []string
	if reason != "" {
		for _, line := range wrapped("waiting: "+reason, width) {
			lines = append(lines, colored(ansi.Magenta, line))
		}
	}
	if advice != "" {
		lines = append(lines, wrapped("hint: "+advice, width)...)
	}
	return lines
}

// wrapped returns an indented text of at most waitRows lines.
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

// tail returns log lines below the source of the newest one. The color at the edge marks
// the source of each line.
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

// record returns what stays on the terminal: the result of each phase, all notices, and
// of a failure the place and the last log lines.
func (s *screen) record(width int) []string {
	var lines, skipped []string
	if len(s.stages) > 0 || s.app != "" {
		lines = append(lines, ansi.Truncate(s.header(width), width, "…"))
	}
	for i := range s.stages {
		stage := &s.stages[i]
		if stage.running() {
			// The view was closed early.
			_, doing, _ := words(stage.name)
			room := max(width-aside, 1)
			lines = append(lines, row(colored(ansi.Yellow, "–"), doing, faint(display.Seconds(s.now().Sub(stage.started))), room))
			continue
		}
		if stage.state == "" {
			todo, _, _ := words(stage.name)
			skipped = append(skipped, strings.ToLower(todo))
			continue
		}
		lines = append(lines, s.line(stage, width, ""))
		lines = append(lines, s.slowest(stage, width)...)
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
		if line = ansi.Wrap(line, width, ""); i == 0 {
			line = bold(line)
		}
		lines = append(lines, line)
	}
	return lines
}

// failed returns the place of a failure and the last log lines.
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

// picture returns a frame for Bubble Tea. The cursor stays visible, on a line of its own
// below: whatever ends the program, the shell continues there.
func picture(lines []string) tea.View {
	return tea.View{
		Content: strings.Join(append(lines, ""), "\n"),
		// The shape that the user has chosen.
		Cursor:                    &tea.Cursor{Position: tea.Position{Y: len(lines)}, Shape: -1},
		DisableBracketedPasteMode: true,
	}
}
