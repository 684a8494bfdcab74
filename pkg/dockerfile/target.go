package dockerfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
)

// Target returns the stage that is built: the last one for an empty name, else the
// one of that name or number, as the builder finds it.
func (d *Dockerfile) Target(name string) (Stage, error) {
	if number := d.target(name); number >= 0 {
		return d.Stages[number], nil
	}
	var names []string
	for i := range d.Stages {
		if d.Stages[i].Name != "" {
			names = append(names, d.Stages[i].Name)
		}
	}
	if len(names) == 0 {
		return Stage{}, fmt.Errorf("%s has no stage %q: none of its stages has a name", d.Path, name)
	}
	return Stage{}, fmt.Errorf("%s has no stage %q; it has %s", d.Path, name, strings.Join(names, ", "))
}

// target returns the number of the stage that Target finds, or -1.
func (d *Dockerfile) target(name string) int {
	if name == "" {
		return len(d.Stages) - 1
	}
	for i := range d.Stages {
		if strings.EqualFold(d.Stages[i].Name, name) {
			return i
		}
	}
	if number, err := strconv.Atoi(name); err == nil && number >= 0 && number < len(d.Stages) {
		return number
	}
	return -1
}

// named returns the last stage of a name before a number, nil if there is none.
func (d *Dockerfile) named(name string, number int) *Stage {
	for i := number - 1; i >= 0 && name != ""; i-- {
		if strings.EqualFold(d.Stages[i].Name, name) {
			return &d.Stages[i]
		}
	}
	return nil
}

// Source returns the stage that a --from in the stage of a number takes files from, by its
// name or its number; nil if it is an image.
func (d *Dockerfile) Source(from string, number int) *Stage {
	if stage := d.named(from, number); stage != nil {
		return stage
	}
	if index, err := strconv.Atoi(from); err == nil && index >= 0 && index < number {
		return &d.Stages[index]
	}
	return nil
}

// Lineage returns the stages whose layers are in the image of target, as of Target, from
// the first one on; nil for a target that does not exist.
func (d *Dockerfile) Lineage(target string) []*Stage {
	number := d.target(target)
	if number < 0 {
		return nil
	}
	return d.Stages[number].Lineage()
}

// Layers returns the instructions that the image of target is made by, in order; nil for a
// target that does not exist.
func (d *Dockerfile) Layers(target string) []Instruction {
	var layers []Instruction
	for _, stage := range d.Lineage(target) {
		for _, instruction := range d.Instructions {
			if instruction.Stage == stage.Number {
				layers = append(layers, instruction)
			}
		}
	}
	return layers
}

// Needed reports of every stage, by its number, whether the image of one of targets needs it:
// by FROM, COPY --from or RUN --mount. A builder skips the others. For a target that does not
// exist, all are needed.
func (d *Dockerfile) Needed(targets ...string) []bool {
	needed := make([]bool, len(d.Stages))
	for _, target := range targets {
		number := d.target(target)
		if number < 0 {
			return slices.Repeat([]bool{true}, len(d.Stages))
		}
		needed[number] = true
	}
	// A stage is made of earlier ones only.
	for i := len(d.Stages) - 1; i >= 0; i-- {
		for _, from := range d.Stages[i].from {
			needed[from] = needed[from] || needed[i]
		}
	}
	return needed
}

// IsRemote reports whether a source of ADD is no file of the build context, but an address
// or a git repository.
func IsRemote(source string) bool {
	return strings.Contains(source, "://") || IsGit(source)
}

// IsGit reports whether a source of ADD is a git repository.
func IsGit(source string) bool {
	ref, isGit, err := dfgitutil.ParseGitRef(source)
	return err == nil && isGit && !ref.IndistinguishableFromLocal
}

// predefined returns the arguments that need no ARG, as the Dockerfile reference lists
// them; each in lower case as well.
func predefined() []string {
	return []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"}
}

// CheckBuildArgs checks that the Dockerfile declares each argument, KEY=VALUE. The
// error names the first that it does not, and no value.
func (d *Dockerfile) CheckBuildArgs(args []string) error {
	for _, arg := range args {
		key, _, _ := strings.Cut(arg, "=")
		if slices.Contains(d.Args, key) || slices.Contains(predefined(), strings.ToUpper(key)) {
			continue
		}
		if len(d.Args) == 0 {
			return fmt.Errorf("%s has no ARG %s, nor any other", d.Path, key)
		}
		return fmt.Errorf("%s has no ARG %s; it has %s", d.Path, key, strings.Join(d.Args, ", "))
	}
	return nil
}

// Excerpt returns the lines of the file that are the instruction.
func (d *Dockerfile) Excerpt(instruction Instruction) []string {
	lines := strings.Split(string(d.Content), "\n")
	if instruction.Line < 1 || instruction.End < instruction.Line || instruction.End > len(lines) {
		return nil
	}
	excerpt := slices.Clone(lines[instruction.Line-1 : instruction.End])
	for i := range excerpt {
		excerpt[i] = strings.TrimSuffix(excerpt[i], "\r")
	}
	return excerpt
}
