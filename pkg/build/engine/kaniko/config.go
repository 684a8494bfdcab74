package kaniko

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

// volumes moves VOLUME to the end of the image: Kaniko leaves out of the image what later
// instructions write there, and BuildKit keeps it.
func volumes(p *pass) {
	targets := map[int][]string{}
	lineages := lineages(p)
	for _, at := range p.sites() {
		command, ok := at.Command.(*instructions.VolumeCommand)
		if !ok || isLast(p, at) {
			continue
		}
		if at.Triggered {
			p.refuse(at.Instruction, "an ONBUILD of the same Dockerfile triggers it; write it at the end of the stage")
			continue
		}
		words := make([]string, 0, len(command.Volumes))
		for _, word := range command.Volumes {
			if expanded, known := at.Expand(word); known {
				word = expanded
			}
			words = append(words, word)
		}
		for target, lineage := range lineages {
			if slices.Contains(lineage, at.stage.Number) {
				targets[target] = append(targets[target], "VOLUME "+exec(words))
			}
		}
		p.rewrite(at.Instruction, nil, "the volume is declared at the end of its image, so that the files below it are in the image")
	}
	for target, lines := range targets {
		end := endOf(p, target)
		p.edits = append(p.edits, edit{end, end, append([]string{p.lines[end-1]}, lines...)})
	}
}

// lineages returns the stages that are built, each with the numbers of the stages that its
// image is made of.
func lineages(p *pass) map[int][]int {
	all := map[int][]int{}
	for _, target := range p.targets {
		stages := p.file.Lineage(target)
		if len(stages) == 0 {
			continue
		}
		var numbers []int
		for _, stage := range stages {
			numbers = append(numbers, stage.Number)
		}
		all[stages[len(stages)-1].Number] = numbers
	}
	return all
}

// endOf returns the last line of a stage.
func endOf(p *pass, stage int) int {
	end := 0
	for _, instruction := range p.file.Instructions {
		if instruction.Stage == stage {
			end = instruction.End
		}
	}
	return end
}

// isLast reports whether only instructions without files follow in the images that are made
// of the step.
func isLast(p *pass, at site) bool {
	behind := false
	for _, next := range p.sites() {
		if next.Step == at.Step {
			behind = true
			continue
		}
		if !behind {
			continue
		}
		switch next.Command.(type) {
		case *instructions.RunCommand, *instructions.CopyCommand, *instructions.AddCommand, *instructions.WorkdirCommand:
			return false
		}
	}
	return behind
}

// inheritedCommands removes the CMD of earlier stages where an ENTRYPOINT drops it: Kaniko
// builds such stages as one, and keeps the CMD.
func inheritedCommands(p *pass) {
	lineage := p.file.Lineage(p.targets[0])
	for i := len(lineage) - 1; i > 0; i-- {
		if !has[*instructions.EntrypointCommand](lineage[i]) || has[*instructions.CmdCommand](lineage[i]) {
			continue
		}
		for _, stage := range lineage[:i] {
			for _, step := range stage.Steps {
				if _, ok := step.Command.(*instructions.CmdCommand); ok && !step.Triggered {
					p.rewrite(step.Instruction, nil, "the ENTRYPOINT in line %d drops this CMD", p.origin[lineage[i].Entrypoint.Step.Line-1])
				}
			}
		}
		return
	}
}

// has reports whether a stage has an instruction of a kind.
func has[T instructions.Command](stage *dockerfile.Stage) bool {
	return slices.ContainsFunc(stage.Steps, func(step *dockerfile.Step) bool {
		_, ok := step.Command.(T)
		return ok
	})
}

var portRange = regexp.MustCompile(`^(?:.*:)?(\d+)(?:-(\d+))?(?:/([A-Za-z]+))?$`)

// ports writes out the ranges of EXPOSE, and what else Kaniko would put into the image as it
// is written.
func ports(p *pass) {
	for _, at := range p.sites() {
		command, ok := at.Command.(*instructions.ExposeCommand)
		if !ok || at.Triggered {
			continue
		}
		var words []string
		changed := false
		for _, word := range command.Ports {
			expanded, known := at.Expand(word)
			plain, ok := listPorts(expanded)
			if !known || !ok {
				plain = []string{word}
			}
			changed = changed || known && ok && (len(plain) != 1 || plain[0] != expanded)
			words = append(words, plain...)
		}
		if changed {
			p.rewrite(at.Instruction, []string{"EXPOSE " + strings.Join(words, " ")}, "every port is written out")
		}
	}
}

// listPorts returns the ports of a word of EXPOSE, with a protocol where the word has one.
func listPorts(word string) (ports []string, ok bool) {
	match := portRange.FindStringSubmatch(word)
	if match == nil {
		return nil, false
	}
	suffix := ""
	if match[3] != "" {
		suffix = "/" + strings.ToLower(match[3])
	}
	first, err := strconv.ParseUint(match[1], 10, 16)
	last := first
	if err == nil && match[2] != "" {
		last, err = strconv.ParseUint(match[2], 10, 16)
	}
	if err != nil || last < first {
		return nil, false
	}
	for port := first; port <= last; port++ {
		ports = append(ports, strconv.FormatUint(port, 10)+suffix)
	}
	return ports, true
}

// standardDirs are directories that every image has.
func standardDirs() []string {
	return []string{"/bin", "/etc", "/root", "/tmp", "/usr", "/var"}
}

// workdirs cleans the paths of WORKDIR, and makes their parents belong to the USER.
func workdirs(p *pass) {
	for _, at := range p.sites() {
		command, ok := at.Command.(*instructions.WorkdirCommand)
		if !ok || at.Triggered {
			continue
		}
		dir, known := at.Expand(command.Path)
		if !known || strings.ContainsAny(dir, "\"'\\$ ") {
			continue
		}
		clean := path.Clean(dir)
		steps := []string{clean}
		if !isRoot(at.user) {
			steps = parents(clean)
		}
		grouped := workdirGroup(p, at)
		if len(steps) == 1 && dir == clean && grouped == "" {
			continue
		}
		var lines []string
		for _, one := range steps {
			lines = append(lines, "WORKDIR "+one)
		}
		if grouped != "" {
			lines = slices.Concat([]string{"USER " + grouped}, lines, []string{"USER " + at.user})
		}
		p.amend(at.Instruction, lines, "the directory and its new parents belong to the user, and its path is clean")
	}
}

// parents returns the directories that lead to a path, without those that images have. Each
// of a relative path is relative to the one before it.
func parents(dir string) []string {
	var steps []string
	if !path.IsAbs(dir) {
		return strings.Split(dir, "/")
	}
	for ; dir != "/" && !slices.Contains(standardDirs(), dir); dir = path.Dir(dir) {
		steps = append(steps, dir)
	}
	if len(steps) == 0 {
		return []string{dir}
	}
	slices.Reverse(steps)
	return steps
}

// frontends refuses other languages than that of Dockerfiles.
func frontends(p *pass) {
	first := true
	for i, line := range strings.Split(string(p.source.Dockerfile.Content), "\n") {
		match := directive.FindStringSubmatch(strings.TrimPrefix(line, "\ufeff"))
		if match == nil {
			return
		}
		at := dockerfile.Instruction{Line: i + 1, End: i + 1, Stage: -1, Text: strings.TrimSpace(line)}
		switch name, value := strings.ToLower(match[1]), match[2]; {
		case name == "syntax" && p.row == "syntax-directive" && !ownFrontend.MatchString(value):
			p.refuse(at, "%s reads Dockerfiles only, and would ignore the frontend %s", Engine{}.Name(), value)
		case name == "escape" && p.row == "escape-directive" && value == "`" && hasEscapes(p) && first:
			p.refuse(at, "%s takes the backslash for the escape character in paths and values", Engine{}.Name())
			first = false
		}
	}
}

var (
	directive   = regexp.MustCompile(`^#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*$`)
	ownFrontend = regexp.MustCompile(`^(?:docker\.io/|index\.docker\.io/)?docker/dockerfile(?:-upstream)?(?:[:@].*)?$`)
)

// hasEscapes reports whether an instruction other than RUN, CMD and ENTRYPOINT has a backslash or
// a backtick.
func hasEscapes(p *pass) bool {
	return slices.ContainsFunc(p.file.Instructions, func(instruction dockerfile.Instruction) bool {
		return !slices.Contains([]string{"RUN", "CMD", "ENTRYPOINT"}, instruction.Name) && strings.ContainsAny(instruction.Text, "\\`")
	})
}

// platforms refuses stages for a platform that no node has, and chooses the node for the others:
// Kaniko ignores --platform, and builds every stage for the platform of the node.
func platforms(p *pass) {
	var nodes []string
	asked := false
	for _, stage := range p.needed() {
		at := fromOf(p, stage)
		for _, value := range p.flags(at, "platform") {
			platform, ok := nodePlatform(value)
			switch {
			case !ok:
				p.refuse(at, "%s ignores --platform=%s, and builds every stage for the platform of the node", Engine{}.Name(), value)
				continue
			case platform == "":
				continue
			case p.found.Platform != "" && p.found.Platform != platform:
				p.refuse(at, "another stage is for %s: one node builds all stages, for its own platform", p.found.Platform)
				continue
			}
			if p.found.Platform = platform; !asked && p.source.Platforms != nil {
				nodes, asked = p.source.Platforms(), true
			}
			if len(nodes) > 0 && !slices.Contains(nodes, platform) {
				p.refuse(at, "no node that may run the build is %s: they are %s", platform, strings.Join(nodes, ", "))
			}
		}
	}
}

// nodePlatform returns the platform of a node that builds what --platform says; empty if every
// node does. ok is false if no node can be chosen for it.
func nodePlatform(value string) (platform string, ok bool) {
	if strings.Contains(value, "BUILDPLATFORM") || strings.Contains(value, "TARGETPLATFORM") || value == "linux" {
		return "", true
	}
	system, rest, _ := strings.Cut(value, "/")
	architecture, variant, _ := strings.Cut(rest, "/")
	switch architecture {
	case "x86_64", "x86-64":
		architecture = "amd64"
	case "aarch64":
		architecture = "arm64"
	}
	if variant == "v8" && architecture == "arm64" {
		variant = ""
	}
	return system + "/" + architecture, system == "linux" && variant == "" && platformWord.MatchString(architecture)
}

// platformWord matches the names of architectures.
var platformWord = regexp.MustCompile(`^[a-z0-9_]+$`)

// fromOf returns the FROM of a stage.
func fromOf(p *pass, stage *dockerfile.Stage) dockerfile.Instruction {
	for _, instruction := range p.file.Instructions {
		if instruction.Line == stage.Line {
			return instruction
		}
	}
	return dockerfile.Instruction{Line: stage.Line, End: stage.End, Stage: stage.Number}
}

var platformArg = regexp.MustCompile(`\$\{?((?:TARGET|BUILD)(?:PLATFORM|OS|ARCH|VARIANT))`)

// platformBases refuses base images that a platform argument chooses, unless the build gives
// the argument.
func platformBases(p *pass) {
	for _, stage := range p.needed() {
		match := platformArg.FindStringSubmatch(stage.Written)
		if match == nil || slices.ContainsFunc(p.source.BuildArgs, func(arg string) bool { return strings.HasPrefix(arg, match[1]+"=") }) {
			continue
		}
		p.refuse(fromOf(p, stage), "%s has no value for %s in FROM", Engine{}.Name(), match[1])
	}
}

// userGroups says where a RUN runs with another group than USER says.
func userGroups(p *pass) {
	for _, at := range p.sites() {
		user, group, ok := strings.Cut(at.user, ":")
		if _, run := at.Command.(*instructions.RunCommand); !run || !ok || user == group || isRoot(at.user) {
			continue
		}
		_, userErr := strconv.ParseUint(user, 10, 32)
		_, groupErr := strconv.ParseUint(group, 10, 32)
		if userErr == nil && groupErr == nil {
			p.refuse(at.Instruction, "it runs as %s, and %s ignores the group %s of USER %s: files would belong to another group", user, Engine{}.Name(), group, at.user)
			continue
		}
		p.note(at.Instruction, "it runs with the primary group of %s: %s ignores the group of USER", user, Engine{}.Name())
	}
}

// fullSnapshots makes Kaniko compare the content and the capabilities of files.
const fullSnapshots = "--snapshot-mode=full"

// numberedUsers says which group a RUN has behind a USER that is a number alone.
func numberedUsers(p *pass) {
	for _, at := range p.sites() {
		_, run := at.Command.(*instructions.RunCommand)
		if number, err := strconv.ParseUint(at.user, 10, 32); run && err == nil && number != 0 {
			p.note(at.Instruction, "it runs with the group %d, and with 0 if /etc/passwd does not have the user", number)
		}
	}
}

// setsDates reports whether a command changes a file without changing its date or its size:
// by setting a capability, or the date.
func setsDates(command shell.Command) bool {
	switch command.Name() {
	case "setcap":
		return true
	case "touch":
		return len(command.Words) > 2 && strings.HasPrefix(command.Words[1].Text, "-")
	}
	return false
}

// capabilities makes Kaniko compare the content of files, where a command sets capabilities or
// dates.
func capabilities(p *pass) {
	for _, at := range p.sites() {
		if _, ok := at.Command.(*instructions.RunCommand); !ok {
			continue
		}
		commands, _ := p.file.Commands(at.Step)
		for _, command := range commands {
			if setsDates(command) && !slices.Contains(p.found.Args, fullSnapshots) {
				p.found.Args = append(p.found.Args, fullSnapshots)
			}
		}
	}
}

// targetNames names the stage that is built, where Kaniko needs its name.
func targetNames(p *pass) {
	number, err := strconv.Atoi(p.targets[0])
	if err != nil {
		return
	}
	stage, target := &p.file.Stages[number], p.source.Targets[0]
	isNamed := stage.Name != "" && strings.EqualFold(stage.Name, target)
	if isNamed || target == "" && !p.nameTarget {
		p.found.Target = target
		return
	}
	if p.found.Target = stage.Name; stage.Name != "" {
		return
	}
	p.found.Target = "pyflow-image"
	at := fromOf(p, stage)
	lines := p.excerpt(at)
	lines[len(lines)-1] = strings.TrimRight(lines[len(lines)-1], " \t\r") + " AS " + p.found.Target
	p.edits = append(p.edits, edit{at.Line, at.End, lines})
}

// healthchecks says that Kaniko drops an option.
func healthchecks(p *pass) {
	for _, at := range p.sites() {
		if command, ok := at.Command.(*instructions.HealthCheckCommand); ok && command.Health.StartInterval != 0 {
			p.note(at.Instruction, "--start-interval is not in the image")
		}
	}
}

// maintainers says that Kaniko drops the author.
func maintainers(p *pass) {
	for _, at := range p.sites() {
		if _, ok := at.Command.(*instructions.MaintainerCommand); ok {
			p.note(at.Instruction, "the author is not in the image")
		}
	}
}
