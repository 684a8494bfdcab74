package packaging

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

// Specifier is a version specifier of PEP 440, such as ">=1,<2". The empty one
// allows every version. Alternatives, which PEP 440 does not have and Poetry does,
// are separated by "||".
type Specifier string

// clauseOperators are the characters that the operators of PEP 440 consist of.
const clauseOperators = "<>=!~"

// Exact returns the version that a clause with == or === asks for, or nothing.
func (s Specifier) Exact() string {
	if strings.Contains(string(s), "|") {
		return ""
	}
	for clause := range strings.SplitSeq(string(s), ",") {
		version, ok := strings.CutPrefix(strings.TrimSpace(clause), "==")
		version = strings.TrimSpace(strings.TrimPrefix(version, "="))
		if ok && version != "" && !strings.Contains(version, "*") {
			return version
		}
	}
	return ""
}

// Check reports whether a version satisfies the specifier, pre-releases included. It
// returns an error if one of the two is not of PEP 440.
func (s Specifier) Check(version string) (bool, error) {
	parsed, err := pep440.Parse(version)
	if err != nil {
		return false, fmt.Errorf("parse the version %q: %w", version, err)
	}
	specifiers, err := pep440.NewSpecifiers(string(s), pep440.WithPreRelease(true))
	if err != nil {
		return false, fmt.Errorf("parse the version specifier %q: %w", s, err)
	}
	return specifiers.Check(parsed), nil
}

// Allows is Check for a version and a specifier that may be of another form than
// PEP 440: it reports false only for a version that certainly does not fit.
func (s Specifier) Allows(version string) bool {
	if s == "" || version == "" {
		return true
	}
	ok, err := s.Check(version)
	return ok || err != nil
}

// Canonical returns the specifier with its versions normalized and its clauses
// sorted, so that two ways to write it compare as equal.
func (s Specifier) Canonical() Specifier {
	var clauses []string
	for clause := range strings.SplitSeq(string(s), ",") {
		clause = strings.Join(strings.Fields(clause), "")
		version := strings.TrimLeft(clause, clauseOperators)
		if parsed, err := pep440.Parse(version); err == nil && !strings.HasPrefix(clause, "===") {
			clause = clause[:len(clause)-len(version)] + parsed.String()
		}
		if clause != "" {
			clauses = append(clauses, clause)
		}
	}
	slices.Sort(clauses)
	return Specifier(strings.Join(slices.Compact(clauses), ","))
}

// PoetrySpecifier converts a version constraint of Poetry, which also has ^1.2, ~1.2,
// bare versions and alternatives.
func PoetrySpecifier(constraint string) Specifier {
	var alternatives []string
	for alternative := range strings.SplitSeq(strings.ReplaceAll(constraint, "||", "|"), "|") {
		var clauses []string
		for clause := range strings.SplitSeq(alternative, ",") {
			clauses = append(clauses, poetryClause(strings.TrimSpace(clause))...)
		}
		if len(clauses) == 0 {
			return ""
		}
		alternatives = append(alternatives, strings.Join(clauses, ","))
	}
	return Specifier(strings.Join(alternatives, "||"))
}

// poetryClause converts one clause of a constraint.
func poetryClause(clause string) []string {
	switch {
	case clause == "" || clause == "*":
		return nil
	case clause[0] == '^':
		version := strings.TrimSpace(clause[1:])
		return []string{">=" + version, "<" + nextVersion(version, caretPart)}
	case clause[0] == '~' && !strings.HasPrefix(clause, "~="):
		version := strings.TrimSpace(clause[1:])
		return []string{">=" + version, "<" + nextVersion(version, tildePart)}
	case clause[0] >= '0' && clause[0] <= '9':
		return []string{"==" + clause}
	}
	return []string{clause}
}

// caretPart returns the index of the number that ^ keeps: the first that is not 0.
func caretPart(numbers []int) int {
	for i, number := range numbers {
		if number != 0 {
			return i
		}
	}
	return len(numbers) - 1
}

// tildePart returns the index of the number that ~ keeps: the second, if there is one.
func tildePart(numbers []int) int { return min(1, len(numbers)-1) }

// nextVersion returns the first version after those that share the kept number.
func nextVersion(version string, kept func([]int) int) string {
	parts := strings.Split(version, ".")
	numbers := make([]int, len(parts))
	for i, part := range parts {
		numbers[i], _ = strconv.Atoi(part)
	}
	at := kept(numbers)
	numbers[at]++
	next := make([]string, at+1)
	for i := range next {
		next[i] = strconv.Itoa(numbers[i])
	}
	return strings.Join(next, ".")
}
