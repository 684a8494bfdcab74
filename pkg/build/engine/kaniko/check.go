package kaniko

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// Rows returns the rows of the table, as they are for a version of Kaniko.
func (Engine) Rows(version string) []engine.Row {
	all := table()
	rows := make([]engine.Row, 0, len(all))
	for i := range all {
		rows = append(rows, all[i].at(version).describe(&all[i]))
	}
	return rows
}

// Check compares a Dockerfile with the table. The rows run in their order, each on what the
// rows before it have rewritten.
func (Engine) Check(version string, source engine.Source) (engine.Conformance, error) {
	p := newPass(source)
	if len(p.targets) == 0 {
		return p.result()
	}
	all := table()
	for i := range all {
		state := all[i].at(version)
		if state.check == nil {
			continue
		}
		p.row, p.remedy = all[i].id, state.remedy
		state.check(p)
		if err := p.apply(); err != nil {
			return engine.Conformance{}, fmt.Errorf("rewrite %s for the build: %s: %w", source.Dockerfile.Path, p.row, err)
		}
	}
	return p.result()
}

// pass is a check of one Dockerfile.
type pass struct {
	source engine.Source
	// targets are the numbers of the stages that are built.
	targets []string
	// row and remedy are those of the row that is checked.
	row, remedy string
	// file is what the rows so far have made of the Dockerfile, lines are its lines, and
	// origin are the numbers of the user's lines that they stand for.
	file   *dockerfile.Dockerfile
	lines  []string
	origin []int
	edits  []edit
	// files are those of the build context, once they were asked for.
	files map[string]fs.FileMode
	found engine.Conformance
	// nameTarget reports that Kaniko needs the name of the stage that is built.
	nameTarget bool
}

// edit replaces the lines from first to last, from 1, by others.
type edit struct {
	first, last int
	lines       []string
}

func newPass(source engine.Source) *pass {
	// A row may add a stage behind the last one, so every target is a number.
	targets := make([]string, 0, len(source.Targets))
	for _, target := range source.Targets {
		if stage, err := source.Dockerfile.Target(target); err == nil {
			targets = append(targets, strconv.Itoa(stage.Number))
		}
	}
	p := &pass{targets: targets, source: source, file: source.Dockerfile, lines: strings.Split(string(source.Dockerfile.Content), "\n")}
	for i := range p.lines {
		p.origin = append(p.origin, i+1)
	}
	return p
}

// site is a step of a stage that is built, with what holds before it.
type site struct {
	*dockerfile.Step
	stage *dockerfile.Stage
	// workdir is absolute; it is not known when it is that of the base image.
	workdir string
	known   bool
	// user is empty when it is that of the base image.
	user string
	// shell is empty when it is that of the base image.
	shell []string
}

// needed returns the stages that are built.
func (p *pass) needed() []*dockerfile.Stage {
	var stages []*dockerfile.Stage
	for i, needed := range p.file.Needed(p.targets...) {
		if needed {
			stages = append(stages, &p.file.Stages[i])
		}
	}
	return stages
}

// sites returns the steps of the stages that are built, in order. Instructions that an
// ONBUILD of the same file triggers are among them.
func (p *pass) sites() []site {
	var sites []site
	ends := map[int]site{}
	for _, stage := range p.needed() {
		now := site{stage: stage}
		if stage.Parent != nil {
			now = ends[stage.Parent.Number]
			now.stage = stage
		} else if strings.EqualFold(stage.Base, "scratch") {
			now.workdir, now.known = "/", true
		}
		for _, step := range stage.Steps {
			now.Step = step
			sites = append(sites, now)
			now = now.after()
		}
		ends[stage.Number] = now
	}
	return sites
}

// after returns what holds after the step.
func (s site) after() site {
	switch command := s.Command.(type) {
	case *instructions.WorkdirCommand:
		dir, known := s.Expand(command.Path)
		if path.IsAbs(dir) {
			s.workdir, s.known = path.Clean(dir), known
		} else {
			s.workdir, s.known = path.Join("/", s.workdir, dir), s.known && known
		}
	case *instructions.UserCommand:
		s.user, _ = s.Expand(command.User)
	case *instructions.ShellCommand:
		s.shell = command.Shell
	}
	return s
}

// resolve returns a path of the image as the step means it; ok is false when it depends on
// something that the Dockerfile does not say.
func (s site) resolve(word string) (name string, ok bool) {
	expanded, known := s.Expand(word)
	if path.IsAbs(expanded) {
		return path.Clean(expanded), known
	}
	return path.Join("/", s.workdir, expanded), known && s.known
}

// remark returns what is said about an instruction.
func (p *pass) remark(at dockerfile.Instruction, message string) engine.Remark {
	remark := engine.Remark{Row: p.row, Message: message, Remedy: p.remedy, Text: at.Text}
	if at.Line > 0 {
		remark.Line, remark.End = p.origin[at.Line-1], p.origin[at.End-1]
		for _, instruction := range p.source.Dockerfile.Instructions {
			if instruction.Line == remark.Line {
				remark.Text, remark.End = instruction.Text, instruction.End
			}
		}
	}
	return remark
}

// refuse says that an instruction cannot be built.
func (p *pass) refuse(at dockerfile.Instruction, format string, args ...any) {
	p.found.Refusals = append(p.found.Refusals, p.remark(at, fmt.Sprintf(format, args...)))
}

// note says that an instruction has another result.
func (p *pass) note(at dockerfile.Instruction, format string, args ...any) {
	p.found.Notes = append(p.found.Notes, p.remark(at, fmt.Sprintf(format, args...)))
}

// hint says for lint alone that an instruction has another result.
func (p *pass) hint(at dockerfile.Instruction, format string, args ...any) {
	p.note(at, format, args...)
	p.found.Notes[len(p.found.Notes)-1].Quiet = true
}

// rewrite replaces the lines of an instruction and says so. Lines that are left over become
// empty, so that the instructions behind it keep their numbers.
func (p *pass) rewrite(at dockerfile.Instruction, lines []string, format string, args ...any) {
	for len(lines) < at.End-at.Line+1 {
		lines = append(lines, "")
	}
	p.edits = append(p.edits, edit{at.Line, at.End, lines})
	p.found.Rewrites = append(p.found.Rewrites, p.remark(at, fmt.Sprintf(format, args...)))
}

// amend is a rewrite that only lint reports: the result is the same for the user.
func (p *pass) amend(at dockerfile.Instruction, lines []string, format string, args ...any) {
	p.rewrite(at, lines, format, args...)
	p.found.Rewrites[len(p.found.Rewrites)-1].Quiet = true
}

// amendAs is amend for another row than the one that is checked.
func (p *pass) amendAs(row string, at dockerfile.Instruction, lines []string, format string, args ...any) {
	checked := p.row
	p.row = row
	p.amend(at, lines, format, args...)
	p.row = checked
}

// excerpt returns the lines of an instruction.
func (p *pass) excerpt(at dockerfile.Instruction) []string {
	return slices.Clone(p.lines[at.Line-1 : at.End])
}

// apply makes the edits of a row.
func (p *pass) apply() error {
	if len(p.edits) == 0 {
		return nil
	}
	slices.SortStableFunc(p.edits, func(a, b edit) int { return cmp.Compare(b.first, a.first) })
	for _, one := range p.edits {
		origin := make([]int, 0, len(one.lines))
		for i := range one.lines {
			origin = append(origin, p.origin[min(one.first-1+i, one.last-1)])
		}
		p.lines = slices.Replace(p.lines, one.first-1, one.last, one.lines...)
		p.origin = slices.Replace(p.origin, one.first-1, one.last, origin...)
	}
	p.edits = nil
	file, err := dockerfile.Parse(p.file.Path, []byte(strings.Join(p.lines, "\n")))
	if err != nil {
		return err
	}
	p.file = file.WithBuildArgs(p.source.BuildArgs)
	return nil
}

// result returns what was found.
func (p *pass) result() (engine.Conformance, error) {
	found := p.found
	byLine := func(a, b engine.Remark) int { return cmp.Compare(a.Line, b.Line) }
	for _, remarks := range []*[]engine.Remark{&found.Rewrites, &found.Notes, &found.Refusals} {
		slices.SortStableFunc(*remarks, byLine)
		*remarks = slices.CompactFunc(*remarks, func(a, b engine.Remark) bool { return a == b })
	}
	found.Text = []byte(strings.Join(p.lines, "\n"))
	found.Rewritten = string(found.Text) != string(p.source.Dockerfile.Content)
	found.Dockerfile = p.source.Dockerfile
	if found.Rewritten {
		found.Dockerfile = p.source.Dockerfile.Rewritten(p.file, p.origin)
	}
	return found, nil
}

// state is what Kaniko does with a feature, from a version on.
type state struct {
	// since is the first version with this state; empty means the first version that setup
	// has installed.
	since   string
	support engine.Support
	// reason and remedy are those of engine.Row.
	reason, remedy string
	// check finds, rewrites and refuses; nil does nothing.
	check func(*pass)
}

// row is a feature of the Dockerfile reference.
type row struct {
	id, instruction, feature string
	// states are in the order of their versions.
	states []state
}

// at returns the state of a row in a version.
func (r *row) at(engineVersion string) state {
	current := r.states[0]
	for _, next := range r.states[1:] {
		if reached(engineVersion, next.since) {
			current = next
		}
	}
	return current
}

func (s state) describe(r *row) engine.Row {
	return engine.Row{ID: r.id, Instruction: r.instruction, Feature: r.feature, Support: s.support, Reason: s.reason, Remedy: s.remedy}
}

// reached reports whether a version is at least another one. A version without numbers, such
// as latest, is not.
func reached(current, since string) bool {
	have, err := version.ParseGeneric(current)
	return err == nil && have.AtLeast(version.MustParseGeneric(since))
}
