package kaniko

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// Kaniko knows an instruction by its first line, so its cache would not notice that a
// heredoc has changed. Every rewritten heredoc has the hash of its text there.

// sum returns the hash of a heredoc, as short as a commit.
func sum(texts ...string) string {
	hash := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(hash[:6])
}

// header splits the lines of an instruction into those of the instruction itself and those
// of its heredocs.
func (p *pass) header(at dockerfile.Instruction, bodies int) (header, body []string) {
	lines := p.excerpt(at)
	end := max(len(lines)-bodies, 1)
	return lines[:end], lines[end:]
}

// bodyLines returns how many lines a heredoc has, with the one that ends it.
func bodyLines(data string) int { return strings.Count(data, "\n") + 1 }

// scripts rewrites RUN instructions whose heredoc is the script. Kaniko gives such a script
// to a second sh after the first one has replaced its variables, and runs it not at all
// when its name is quoted. A shell reads the rewritten lines as a comment, the script, and
// a comment.
func scripts(p *pass) {
	for _, at := range p.sites() {
		run, ok := at.Command.(*instructions.RunCommand)
		if !ok || len(run.Files) != 1 || len(run.CmdLine) != 1 || parser.MustParseHeredoc(run.CmdLine[0]) == nil || p.triggered(at) {
			continue
		}
		file := run.Files[0]
		data := file.Data
		if file.Chomp {
			data = parser.ChompHeredocContent(data)
		}
		header, _ := p.header(at.Instruction, bodyLines(file.Data))
		last := strings.TrimRight(header[len(header)-1], " \t\r")
		before, ok := strings.CutSuffix(last, run.CmdLine[0])
		if !ok {
			p.refuse(at.Instruction, "its heredoc cannot be read")
			continue
		}
		end := "#" + sum(data)
		opening := "# <<" + end
		body := strings.TrimSuffix(data, "\n")
		message := "the script runs in the shell of the stage, as it is written"
		switch {
		case strings.HasPrefix(data, "#!"):
			end = "PYFLOW_" + sum(data)
			opening = shebang(file.Name, end)
			message = "the script runs from a temporary file, by the program in its first line"
		case len(at.shell) > 0 && !hasComments(at.shell[0]):
			header[len(header)-1] = before + exec(append(slices.Clone(at.shell), data))
			p.rewrite(at.Instruction, header, "%s", message)
			continue
		}
		header[len(header)-1] = before + opening
		if data != "" {
			header = append(header, strings.Split(body, "\n")...)
		}
		p.rewrite(at.Instruction, append(header, end), "%s", message)
	}
}

// shebang returns the commands that run a script from a file of its own, which ends with
// the word end.
func shebang(name, end string) string {
	return `d=$(mktemp -d) && cat >"$d/` + name + `" <<'` + end + `' && chmod -R 0755 "$d" && { "$d/` + name + `"; r=$?; rm -rf "$d"; exit $r; }`
}

var commented = regexp.MustCompile(`^(?:(?:ba|da|a|z|k|mk|c|tc)?sh|fish|busybox|pwsh|powershell|python[0-9.]*|perl|ruby|tini|env|.*\.sh)$`)

// hasComments reports whether a # starts a comment for the program of a SHELL.
func hasComments(program string) bool { return commented.MatchString(path.Base(program)) }

// exec returns a command line in exec form.
func exec(args []string) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	// Strings can always be encoded.
	_ = encoder.Encode(args)
	return strings.TrimSpace(text.String())
}

// inputs marks RUN instructions with heredocs that a command reads. The shell does the rest,
// as with BuildKit.
func inputs(p *pass) {
	for _, at := range p.sites() {
		run, ok := at.Command.(*instructions.RunCommand)
		if !ok || len(run.Files) == 0 || !run.PrependShell || p.triggered(at) {
			continue
		}
		if len(run.CmdLine) == 1 && parser.MustParseHeredoc(run.CmdLine[0]) != nil {
			continue
		}
		lines, texts := 0, []string{}
		for _, file := range run.Files {
			lines += bodyLines(file.Data)
			texts = append(texts, file.Data)
		}
		header, body := p.header(at.Instruction, lines)
		last := &header[len(header)-1]
		*last = strings.TrimRight(*last, " \t\r") + " # " + sum(texts...)
		p.rewrite(at.Instruction, append(header, body...), "its cache knows the text of the heredoc")
	}
}

// documents rewrites COPY and ADD with heredocs: Kaniko does not replace the variables in
// them.
func documents(p *pass) {
	for _, at := range p.sites() {
		contents := sources(at).SourceContents
		if len(contents) == 0 || p.triggered(at) {
			continue
		}
		if at.stage.Number < 0 {
			continue
		}
		document(p, at, contents)
	}
}

// document rewrites one COPY or ADD.
func document(p *pass, at site, contents []instructions.SourceContent) {
	raw := heredocsOf(p, at.Instruction)
	lines := 0
	for _, one := range raw {
		lines += bodyLines(one.Content)
	}
	header, _ := p.header(at.Instruction, lines)
	var body, texts []string
	for i, content := range contents {
		data := content.Data
		if content.Expand {
			expanded, missing := at.expandText(data)
			if missing != "" {
				p.refuse(at.Instruction, "its heredoc has $%s, whose value the Dockerfile does not have", missing)
				return
			}
			data = expanded
			if data != content.Data {
				quote(header, raw[i].Name)
			}
		}
		texts = append(texts, data)
		if data != "" {
			body = append(body, strings.Split(strings.TrimSuffix(data, "\n"), "\n")...)
		}
		body = append(body, raw[i].Name)
	}
	last := &header[len(header)-1]
	*last = unchomp(strings.TrimRight(*last, " \t\r")) + "${PYFLOW_" + sum(texts...) + ":+}"
	for i := range header {
		header[i] = unchomp(header[i])
	}
	p.rewrite(at.Instruction, append(header, body...), "its variables are replaced, and its cache knows the text of the heredoc")
}

var chomps = regexp.MustCompile(`(^|\s)(\d*<<)-`)

// unchomp removes the sign that removes tabs: they are removed already.
func unchomp(line string) string { return chomps.ReplaceAllString(line, "$1$2") }

// quote quotes the name of a heredoc in the lines of an instruction, so that no variable in
// its text is replaced again.
func quote(lines []string, name string) {
	word := regexp.MustCompile(`(<<-?)` + regexp.QuoteMeta(name) + `(\s|$)`)
	for i, line := range lines {
		if at := word.FindStringIndex(line); at != nil {
			lines[i] = line[:at[0]] + word.ReplaceAllString(line[at[0]:at[1]], "${1}'"+name+"'${2}") + line[at[1]:]
			return
		}
	}
}

// heredocsOf returns the heredocs of an instruction as the parser reads them.
func heredocsOf(p *pass, at dockerfile.Instruction) []parser.Heredoc {
	result, err := parser.Parse(strings.NewReader(strings.Join(p.excerpt(at), "\n")))
	if err != nil || len(result.AST.Children) != 1 {
		return nil
	}
	return result.AST.Children[0].Heredocs
}

// sources returns what COPY and ADD copy; nothing for other instructions.
func sources(at site) instructions.SourcesAndDest {
	switch command := at.Command.(type) {
	case *instructions.CopyCommand:
		return command.SourcesAndDest
	case *instructions.AddCommand:
		return command.SourcesAndDest
	}
	return instructions.SourcesAndDest{}
}

// expandText replaces the variables of a text as BuildKit does in heredocs. missing is the
// first variable without a value that the base image may have.
func (s site) expandText(text string) (expanded, missing string) {
	lex := shell.NewLex('\\')
	lex.SkipProcessQuotes = true
	result, err := lex.ProcessWordWithMatches(text, values(s.Env))
	if err != nil {
		return text, "…"
	}
	if !s.fromScratch() {
		for name := range result.Unmatched {
			missing = max(missing, name)
		}
	}
	return result.Result, missing
}

// fromScratch reports whether the base of the stage has no variables of its own.
func (s site) fromScratch() bool { return strings.EqualFold(s.stage.Lineage()[0].Base, "scratch") }

// values gives variables to BuildKit's lexer.
type values map[string]string

// Get returns the value of a variable.
func (v values) Get(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

// Keys returns the names of the variables.
func (v values) Keys() []string {
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// triggered refuses what would have to be rewritten inside an ONBUILD, and reports whether it
// is one.
func (p *pass) triggered(at site) bool {
	if at.Triggered {
		p.refuse(at.Instruction, "an ONBUILD of the same Dockerfile triggers it, and cannot be rewritten; write it into the stages that start from it")
	}
	return at.Triggered
}
