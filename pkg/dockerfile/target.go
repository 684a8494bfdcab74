package dockerfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Target returns the stage that is built: the last one for an empty name, else the
// one of that name or number, as the builder finds it.
func (d *Dockerfile) Target(name string) (Stage, error) {
	if name == "" {
		return d.Stages[len(d.Stages)-1], nil
	}
	var names []string
	for _, stage := range d.Stages {
		if strings.EqualFold(stage.Name, name) {
			return stage, nil
		}
		if stage.Name != "" {
			names = append(names, stage.Name)
		}
	}
	if number, err := strconv.Atoi(name); err == nil && number >= 0 && number < len(d.Stages) {
		return d.Stages[number], nil
	}
	if len(names) == 0 {
		return Stage{}, fmt.Errorf("%s has no stage %q: none of its stages has a name", d.Path, name)
	}
	return Stage{}, fmt.Errorf("%s has no stage %q; it has %s", d.Path, name, strings.Join(names, ", "))
}

// predefined are the arguments that need no ARG, as the Dockerfile reference
// lists them; each in lower case as well.
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
