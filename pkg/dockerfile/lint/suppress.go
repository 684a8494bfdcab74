package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// suppress removes the findings that comments in the files ignore, and adds those about the
// comments themselves.
func suppress(findings []Finding, file *dockerfile.Dockerfile, in *inputs, extra []Rule) []Finding {
	ignores := map[string][]directive{file.Path: dockerfileDirectives(file, in.sources[file.Path])}
	paths := slices.Clone(in.files)
	for i := range findings {
		paths = append(paths, findings[i].Path)
	}
	for _, path := range paths {
		if _, ok := ignores[path]; !ok {
			ignores[path] = requirementsDirectives(in.sources[path])
		}
	}
	known := ruleIDs(extra)
	var wrong []Finding
	for path, directives := range ignores {
		for _, one := range directives {
			wrong = append(wrong, one.check(path, known)...)
		}
	}
	findings = append(findings, findRule("ignore-unknown").stamp(wrong...)...)
	return slices.DeleteFunc(findings, func(finding Finding) bool {
		return slices.ContainsFunc(ignores[finding.Path], func(one directive) bool { return one.covers(finding) })
	})
}

// ruleIDs returns the IDs of all rules.
func ruleIDs(extra []Rule) []string {
	var ids []string
	for _, rule := range slices.Concat(Rules(), extra) {
		ids = append(ids, rule.ID)
	}
	return ids
}

// directive is one comment that ignores rules.
type directive struct {
	line  int
	rules []string
	// column is where the list of rules starts, from 1.
	column int
	// wholeFile reports that it is for the whole file; else it is for the lines from first
	// to last.
	wholeFile   bool
	first, last int
	// misplaced reports that it is at the end of an instruction, where it ignores nothing.
	misplaced bool
}

// covers reports whether the comment ignores a finding.
func (d directive) covers(finding Finding) bool {
	inLines := d.wholeFile || d.first <= finding.Line && finding.Line <= d.last
	return !d.misplaced && inLines && slices.Contains(d.rules, finding.Rule)
}

// check returns the findings about the comment itself.
func (d directive) check(path string, known []string) []Finding {
	if d.misplaced {
		list := len([]rune(strings.Join(d.rules, ",")))
		return []Finding{finding(place{path, d.line, d.column, d.line, d.column + list},
			"a comment at the end of an instruction ignores nothing", "write it on a line of its own, above the instruction")}
	}
	var findings []Finding
	column := d.column
	for _, rule := range d.rules {
		end := column + len([]rune(rule))
		if !slices.Contains(known, rule) {
			message := "there is no rule " + rule + " to ignore"
			if rule == "" {
				message = "the comment names no rule to ignore"
			}
			findings = append(findings, finding(place{path, d.line, column, d.line, end}, message,
				"write # pyflow: ignore=RULE, with a rule that kubectl pyflow lint --rules lists"))
		}
		column = end + 1
	}
	return findings
}

var directivePattern = regexp.MustCompile(`(?:^|\s)#\s*pyflow:\s*(ignore-file|ignore)\b\s*((?:=\s*)?)(\S*)`)

// parseDirective reads "# pyflow: ignore=RULE,RULE" and "# pyflow: ignore-file=RULE"
// in a line, alone or behind something else. Text behind the rules, after a space, is for
// people. Without an equals sign the list is one rule without a name.
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
		line: number, wholeFile: line[match[2]:match[3]] == "ignore-file", first: number, last: number,
		rules: strings.Split(rules, ","), column: len([]rune(line[:match[6]])) + 1,
	}, true
}

// dockerfileDirectives returns the comments of the Dockerfile. One is for the instruction
// that it is in, or that follows it with nothing but comments between them.
func dockerfileDirectives(file *dockerfile.Dockerfile, lines []string) []directive {
	var directives []directive
	for i, line := range lines {
		found, ok := parseDirective(line, i+1)
		if !ok || inHeredoc(file, lines, i+1) {
			continue
		}
		found.misplaced = !isComment(line)
		for _, instruction := range file.Instructions {
			if instruction.End < found.line {
				continue
			}
			if onlyComments(lines, found.line, instruction.Line) {
				found.first, found.last = instruction.Line, instruction.End
			}
			break
		}
		directives = append(directives, found)
	}
	return directives
}

// isComment reports whether a line is a comment.
func isComment(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "#") }

// inHeredoc reports whether a line belongs to a heredoc. Those of an instruction follow the
// line on which the instruction itself ends.
func inHeredoc(file *dockerfile.Dockerfile, lines []string, line int) bool {
	for _, instruction := range file.Instructions {
		if line <= instruction.Line || instruction.End < line {
			continue
		}
		return strings.Contains(instruction.Text, "<<") && line > headerEnd(instruction, lines)
	}
	return false
}

// headerEnd returns the last line of an instruction without its heredocs.
func headerEnd(instruction dockerfile.Instruction, lines []string) int {
	end := instruction.Line
	for end < instruction.End && end < len(lines) {
		line := strings.TrimRight(lines[end-1], " \t")
		isContinued := strings.HasSuffix(line, `\`) || strings.HasSuffix(line, "`")
		if !isContinued && (end == instruction.Line || !isComment(line)) {
			break
		}
		end++
	}
	return end
}

// onlyComments reports whether the lines from first up to the one before last are comments.
func onlyComments(lines []string, first, last int) bool {
	for i := first; i < last; i++ {
		if !isComment(lines[i-1]) {
			return false
		}
	}
	return true
}

// requirementsDirectives returns the comments of a requirements file. One is for its line
// or, if it is alone there, for the next line that is no comment.
func requirementsDirectives(lines []string) []directive {
	var directives []directive
	for i, line := range lines {
		found, ok := parseDirective(line, i+1)
		if !ok {
			continue
		}
		if isComment(line) {
			for found.last++; found.last <= len(lines) && isComment(lines[found.last-1]); {
				found.last++
			}
		}
		directives = append(directives, found)
	}
	return directives
}
