package kaniko

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// shellForms writes CMD and ENTRYPOINT behind SHELL in exec form: Kaniko puts the text of
// each behind the one list of SHELL, where it can replace that of another instruction.
func shellForms(p *pass) {
	for _, at := range p.sites() {
		if len(at.shell) == 0 || at.Triggered {
			continue
		}
		var name string
		var line instructions.ShellDependantCmdLine
		switch command := at.Command.(type) {
		case *instructions.CmdCommand:
			name, line = "CMD", command.ShellDependantCmdLine
		case *instructions.EntrypointCommand:
			name, line = "ENTRYPOINT", command.ShellDependantCmdLine
		}
		if !line.PrependShell {
			continue
		}
		words := append(slices.Clone(at.shell), strings.Join(line.CmdLine, " "))
		p.rewrite(at.Instruction, []string{name + " " + exec(words)}, "it is written with its SHELL, which %s mixes up", Engine{}.Name())
	}
}

// userVariables writes out the variables of USER that have a colon: Kaniko splits there
// before it replaces them.
func userVariables(p *pass) {
	for _, at := range p.sites() {
		command, ok := at.Command.(*instructions.UserCommand)
		if !ok || at.Triggered || !strings.Contains(command.User, "${") || !strings.Contains(command.User, ":") {
			continue
		}
		name, known := at.Expand(command.User)
		if !known || name == "" {
			p.refuse(at.Instruction, "%s takes the colon for that between user and group", Engine{}.Name())
			continue
		}
		p.rewrite(at.Instruction, []string{"USER " + name}, "USER is %s", name)
	}
}

// specialModes refuses what --chmod has above 0777: Kaniko leaves it out.
func specialModes(p *pass) {
	for _, c := range p.copies() {
		word, known := c.Expand(c.mode)
		mode, err := strconv.ParseUint(word, 8, 32)
		if known && err == nil && mode > 0o777 {
			p.refuse(c.Instruction, "%s leaves out the set-user-ID, set-group-ID and sticky bits of --chmod=%s", Engine{}.Name(), word)
		}
	}
}

// archiveOwners refuses ADD --chown of archives that Kaniko unpacks: their files keep the
// owners that the archive has.
func archiveOwners(p *pass) {
	if p.source.Context == nil {
		return
	}
	for _, c := range p.copies() {
		sources, ok := c.local()
		if !c.add || c.chown == "" || !ok {
			continue
		}
		for _, source := range sources {
			for _, name := range matching(p, source) {
				if isUnpacked(p, name) {
					p.refuse(c.Instruction, "%s unpacks %s with the owners that the archive has, and ignores --chown", Engine{}.Name(), name)
				}
			}
		}
	}
}

// isUnpacked reports whether ADD unpacks a file of the build context.
func isUnpacked(p *pass, name string) bool {
	file, err := p.source.Context.Open(name)
	if err != nil {
		return false
	}
	defer file.Close() //nolint:errcheck // it was only read
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return false
	}
	start := make([]byte, 512)
	n, _ := io.ReadFull(file, start)
	whole := io.MultiReader(bytes.NewReader(start[:n]), file)
	switch {
	case bytes.HasPrefix(start, []byte("\x1f\x8b")):
		return isTar(whole, "gzip")
	case bytes.HasPrefix(start, []byte("BZh")):
		return isTar(whole, "bzip2")
	}
	return n == len(start) && string(start[257:262]) == "ustar"
}
