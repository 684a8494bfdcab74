package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// suppressions are what the comments of a file say to leave out.
type suppressions struct {
	file  []string
	spans []span
}

// span are the lines for which rules are ignored.
type span struct {
	first, last int
	rules       []string
}

func (s *suppressions) covers(rule string, line int) bool {
	if slices.Contains(s.file, rule) {
		return true
	}
	return slices.ContainsFunc(s.spans, func(span span) bool {
		return span.first <= line && line <= span.last && slices.Contains(span.rules, rule)
	})
}

// directive is one comment that ignores rules.
type directive struct {
	line  int
	file  bool
	rules []string
	// column is where the list of rules begins, from 1.
	column int
}

var directivePattern = regexp.MustCompile(`(?:^|\s)#\s*pyflow:\s*(ignore-file|ignore)\b\s*((?:=\s*)?)(\S*)`)

// parseDirective reads "# pyflow: ignore=RULE,RULE" and "# pyflow: ignore-file=RULE"
// in a line, alone on it or behind something. What follows the rules after a space is
// for people; without an equals sign the one rule has no name.
func parseDirective(line string, number int) (directive, bool) {
	match := directivePattern.FindStringSubmatchIndex(line)
	if match == nil {
		return directive{}, false
	}
	rules := line[match[6]:match[7]]
	if match[4] == match[5] {
		rules = ""
	}
	return directive{
		line: number, file: line[match[2]:match[3]] == "ignore-file",
		rules: strings.Split(rules, ","), column: len([]rune(line[:match[6]])) + 1,
	}, true
}

// suppress reads the comments of the Dockerfile. One counts for the instruction
// that it is above of, with nothing but comments between them, or inside of.
func (c *checker) suppress(parsed *dockerfile.Dockerfile) {
	source := c.sources[parsed.Path]
	for i, line := range source.lines {
		found, ok := parseDirective(line, i+1)
		if !ok || !c.isComment(parsed, i+1) {
			continue
		}
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			c.find("ignore-unknown", place{parsed.Path, i + 1, found.column, i + 1, found.column + len([]rune(strings.Join(found.rules, ",")))},
				"a comment at the end of an instruction ignores nothing", "put it into a line of its own, above the instruction")
			continue
		}
		c.checkDirective(parsed.Path, found)
		if found.file {
			source.suppress.file = append(source.suppress.file, found.rules...)
			continue
		}
		first, last := found.line, found.line
		for _, instruction := range parsed.Instructions {
			if instruction.End >= found.line {
				if source.commentsOnly(found.line, instruction.Line) {
					first, last = instruction.Line, instruction.End
				}
				break
			}
		}
		source.suppress.spans = append(source.suppress.spans, span{first, last, found.rules})
	}
}

// isComment says whether a line that begins with # is one, and not part of a
// heredoc.
func (c *checker) isComment(parsed *dockerfile.Dockerfile, line int) bool {
	for _, instruction := range parsed.Instructions {
		if instruction.Line < line && line <= instruction.End {
			return !strings.Contains(instruction.Text, "<<") || !c.inHeredoc(parsed, instruction, line)
		}
	}
	return true
}

// inHeredoc says whether a line of an instruction belongs to its heredocs, which
// follow the line on which the instruction itself ends.
func (c *checker) inHeredoc(parsed *dockerfile.Dockerfile, instruction dockerfile.Instruction, line int) bool {
	lines := c.sources[parsed.Path].lines
	end := instruction.Line
	for end < instruction.End && end < len(lines) {
		trimmed := strings.TrimRight(lines[end-1], " \t")
		if end > instruction.Line && strings.HasPrefix(strings.TrimSpace(trimmed), "#") || strings.HasSuffix(trimmed, `\`) || strings.HasSuffix(trimmed, "`") {
			end++
			continue
		}
		break
	}
	return line > end
}

// commentsOnly says whether nothing but comments is in the lines from first up to
// the one before last; it is true when last is not behind first.
func (t *text) commentsOnly(first, last int) bool {
	for i := first; i < last; i++ {
		if !strings.HasPrefix(strings.TrimSpace(t.lines[i-1]), "#") {
			return false
		}
	}
	return true
}

// suppressRequirements reads the comments of a file of requirements. One counts for
// its line, or when it is alone on it for the next one.
func (c *checker) suppressRequirements(path string) {
	source := c.sources[path]
	for i, line := range source.lines {
		found, ok := parseDirective(line, i+1)
		if !ok {
			continue
		}
		c.checkDirective(path, found)
		if found.file {
			source.suppress.file = append(source.suppress.file, found.rules...)
			continue
		}
		next := i + 1
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			for next < len(source.lines) && strings.HasPrefix(strings.TrimSpace(source.lines[next]), "#") {
				next++
			}
			next++
		}
		source.suppress.spans = append(source.suppress.spans, span{i + 1, next, found.rules})
	}
}

// checkDirective finds rules that do not exist.
func (c *checker) checkDirective(path string, found directive) {
	known := names(append(ownRules(), buildkitRules()...))
	column := found.column
	for _, rule := range found.rules {
		if !slices.Contains(known, rule) {
			message := "there is no rule " + rule + " to ignore"
			if rule == "" {
				message = "the comment names no rule to ignore"
			}
			c.find("ignore-unknown", place{path, found.line, column, found.line, column + len([]rune(rule))}, message,
				"write # pyflow: ignore=RULE, with a rule that kubectl pyflow lint --rules lists")
		}
		column += len([]rune(rule)) + 1
	}
}
