package kaniko

import (
	"encoding/csv"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// depsDir is where Kaniko keeps what instructions copy from other stages and images, seen
// from the build context.
const depsDir = "../deps/"

// mountWord finds the mounts in the lines of a RUN.
var mountWord = regexp.MustCompile(`--mount=("[^"]*"|\S+)`)

// mount is one mount of a RUN.
type mount struct {
	*instructions.Mount
	// fields are its options as they are written.
	fields []string
}

// mountRow returns a check that calls visit for each mount of a type. visit may change the
// fields, and returns what it did; empty means nothing.
func mountRow(kind instructions.MountType, visit func(p *pass, at site, m *mount) string) func(*pass) {
	return func(p *pass) {
		for _, at := range p.sites() {
			if _, ok := at.Command.(*instructions.RunCommand); ok && len(at.Mounts) > 0 {
				p.mounts(at, kind, visit)
			}
		}
	}
}

// mounts visits the mounts of one RUN.
func (p *pass) mounts(at site, kind instructions.MountType, visit func(p *pass, at site, m *mount) string) {
	lines := p.excerpt(at.Instruction)
	text := strings.Join(lines, "\n")
	places := mountWord.FindAllStringSubmatchIndex(text, len(at.Mounts))
	var rewritten []string
	for i, one := range slices.Backward(at.Mounts) {
		if one.Type != kind {
			continue
		}
		m := &mount{Mount: one}
		if i < len(places) {
			m.fields = splitFields(text[places[i][2]:places[i][3]])
		}
		before := strings.Join(m.fields, ",")
		message := visit(p, at, m)
		if message == "" || strings.Join(m.fields, ",") == before {
			continue
		}
		if m.fields == nil || at.Triggered {
			p.refuse(at.Instruction, "its --mount cannot be rewritten: %s", message)
			continue
		}
		text = text[:places[i][2]] + joinFields(m.fields) + text[places[i][3]:]
		rewritten = append(rewritten, message)
	}
	if len(rewritten) > 0 {
		slices.Reverse(rewritten)
		p.rewrite(at.Instruction, strings.Split(text, "\n"), "%s", strings.Join(slices.Compact(rewritten), "; "))
	}
}

// splitFields returns the options of a mount.
func splitFields(text string) []string {
	text = strings.Trim(text, `"`)
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return nil
	}
	return fields
}

// joinFields is the opposite of splitFields.
func joinFields(fields []string) string {
	var text strings.Builder
	writer := csv.NewWriter(&text)
	// A strings.Builder takes everything.
	_ = writer.Write(fields)
	writer.Flush()
	return strings.TrimSuffix(text.String(), "\n")
}

// set sets an option, in place of those with any of the names.
func (m *mount) set(value string, names ...string) {
	for i, field := range m.fields {
		if key, _, _ := strings.Cut(field, "="); slices.Contains(names, strings.ToLower(key)) {
			m.fields[i] = names[0] + "=" + value
			return
		}
	}
	m.fields = append(m.fields, names[0]+"="+value)
}

// drop removes options.
func (m *mount) drop(names ...string) {
	m.fields = slices.DeleteFunc(m.fields, func(field string) bool {
		key, _, _ := strings.Cut(field, "=")
		return slices.Contains(names, strings.ToLower(key))
	})
}

// absolute makes the target of a mount absolute: Kaniko takes a relative one from the root of
// the image instead of the WORKDIR.
func (m *mount) absolute(p *pass, at site) string {
	if m.Target == "" || path.IsAbs(m.Target) {
		return ""
	}
	target, ok := at.resolve(m.Target)
	if !ok {
		p.refuse(at.Instruction, "the target %s of its mount is relative to the WORKDIR of the base image, which only the image says; write it with a / in front, or set WORKDIR before", m.Target)
		return ""
	}
	m.set(target, "target", "dst", "destination")
	return "the target of the mount is absolute"
}

func bindMount(p *pass, at site, m *mount) string {
	if m.From != "" {
		return ""
	}
	return m.absolute(p, at)
}

func secretMount(p *pass, at site, m *mount) string {
	said := m.absolute(p, at)
	if m.Source != "" {
		m.set(m.Source, "id", "source", "src")
		return "the source of the secret is its id"
	}
	return said
}

func cacheMount(p *pass, at site, m *mount) string {
	if m.From != "" {
		return "" // another row refuses it
	}
	p.hint(at.Instruction, "the cache mount %s is empty in every build: each build has a new pod", m.Target)
	return m.absolute(p, at)
}

func cacheFrom(p *pass, at site, m *mount) string {
	if m.From != "" {
		p.refuse(at.Instruction, "a cache mount cannot start with the files of %s", m.From)
	}
	return ""
}

// tmpfsMount rewrites a tmpfs as a cache mount with an id of its own, which is empty in every
// build and not in the image.
func tmpfsMount(p *pass, at site, m *mount) string {
	m.absolute(p, at)
	m.drop("size")
	m.set("cache", "type")
	m.set(fmt.Sprintf("tmpfs-%d-%s", p.origin[at.Line-1], sum(m.Target)), "id")
	m.set("1777", "mode")
	return "a cache mount that nothing else uses is as empty as a tmpfs"
}

func sshMount(p *pass, at site, _ *mount) string {
	p.refuse(at.Instruction, "builds in the cluster have no SSH agent, and %s leaves the mount out", Engine{}.Name())
	return ""
}

// mountsStage is the stage that makes Kaniko keep what RUN instructions mount from other
// stages and images. Nothing is built of it but an empty image, which goes nowhere.
const mountsStage = "pyflow-mounts"

// wanted is what a RUN mounts from elsewhere.
type wanted struct{ from, source string }

// foreignMounts rewrites bind mounts from other stages and images. Kaniko leaves these out,
// but it keeps what a COPY takes from elsewhere beside the build context, where a bind mount
// from the context reaches it.
func foreignMounts(p *pass) {
	var copies []wanted
	mountRow(instructions.MountTypeBind, func(p *pass, at site, m *mount) string {
		if m.From == "" {
			return ""
		}
		source := path.Join("/", m.Source)
		from, dir := m.From, m.From
		stage := p.file.Source(m.From, at.stage.Number)
		switch {
		case stage != nil && source == "/":
			p.refuse(at.Instruction, "it mounts the stage %s as a whole; name the source that it needs", m.From)
			return ""
		case stage != nil:
			from, dir = strconv.Itoa(stage.Number), strconv.Itoa(stage.Number)
		case strings.EqualFold(m.From, "scratch"):
			p.refuse(at.Instruction, "it mounts from scratch, which is empty")
			return ""
		}
		copies = append(copies, wanted{from, source})
		m.absolute(p, at)
		m.drop("from")
		m.set(path.Join(depsDir+dir, source), "source", "src")
		return "the files of " + m.From + " are mounted from where the engine keeps them"
	})(p)
	if len(copies) == 0 {
		return
	}
	lines := []string{"FROM scratch AS " + mountsStage}
	for _, one := range slices.Compact(copies) {
		// Nothing is written there, so that the stage costs no time.
		lines = append(lines, "COPY --from="+one.from+" "+exec([]string{one.source, "/kaniko/" + mountsStage + "/"}))
	}
	p.append(lines)
	p.found.Args = append(p.found.Args, "--target="+mountsStage)
	p.nameTarget = true
	// The engine looks up what it keeps in the ignore file as well.
	p.found.Ignore = append(p.found.Ignore, "!**/kaniko/deps\n"...)
}

// append adds lines behind the file.
func (p *pass) append(lines []string) {
	last := len(p.lines)
	p.edits = append(p.edits, edit{last, last, append([]string{p.lines[last-1]}, lines...)})
}

// flagRow returns a check that refuses a flag of an instruction, with the message of refuses;
// an empty one accepts the value.
func flagRow(name string, refuses func(at site, value string) string) func(*pass) {
	return func(p *pass) {
		for _, at := range p.sites() {
			for _, value := range p.flags(at.Instruction, name) {
				if message := refuses(at, value); message != "" {
					p.refuse(at.Instruction, "%s", message)
				}
			}
		}
	}
}

// flags returns the values of a flag of an instruction.
func (p *pass) flags(at dockerfile.Instruction, name string) []string {
	var found []string
	words := strings.Fields(at.Text)
	if len(words) > 0 && strings.EqualFold(words[0], "ONBUILD") {
		words = words[1:]
	}
	for i, word := range words {
		if i == 0 {
			continue
		}
		if !strings.HasPrefix(word, "--") {
			break
		}
		key, value, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		if key == name {
			found = append(found, strings.Trim(value, `"'`))
		}
	}
	return found
}
