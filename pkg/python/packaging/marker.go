package packaging

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// Marker is an environment marker of PEP 508, as it is written. Requirements that
// are not written as PEP 508 says have the name of the key that limits them.
type Marker string

// Environment has the values of variables of markers. A missing variable is unknown.
type Environment map[string]string

// Linux returns the environment of images, without what depends on the architecture and on
// the version of Python.
func Linux() Environment {
	return Environment{
		"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux",
		"implementation_name": "cpython", "platform_python_implementation": "CPython",
	}
}

// Extra returns the normalized extra of a marker such as "extra == 'test'", or nothing.
func (m Marker) Extra() string {
	_, rest, ok := strings.Cut(string(m), "extra == ")
	if !ok || len(rest) < 2 {
		return ""
	}
	name, _, _ := strings.Cut(rest[1:], rest[:1])
	return NormalizeName(name)
}

// Excludes reports whether the marker is certainly false in an environment. It is not if
// that depends on an unknown variable, or the marker is not of PEP 508.
func (m Marker) Excludes(env Environment) bool {
	p := &markerParser{tokens: markerTokens.FindAllString(string(m), -1), env: env}
	result := p.either()
	return !p.failed && len(p.tokens) == 0 && result == no
}

// On returns the requirements that an environment may need.
func On(env Environment, requirements []Requirement) []Requirement {
	return slices.DeleteFunc(slices.Clone(requirements), func(r Requirement) bool { return r.Marker.Excludes(env) })
}

// anyOf returns the marker that is true where one of the markers is; the empty marker is
// true everywhere.
func anyOf(markers []Marker) Marker { return joinMarkers(markers, " or ") }

// joinMarkers joins markers with an operator.
func joinMarkers(markers []Marker, operator string) Marker {
	if len(markers) == 1 {
		return markers[0]
	}
	var parts []string
	for _, marker := range markers {
		if marker == "" {
			return ""
		}
		parts = append(parts, "("+string(marker)+")")
	}
	return Marker(strings.Join(parts, operator))
}

// truth is a value of three-valued logic; min is "and", max is "or".
type truth int

const (
	no truth = iota
	unknown
	yes
)

// truthOf returns the truth of a known fact.
func truthOf(fact bool) truth {
	if fact {
		return yes
	}
	return no
}

// markerTokens matches the tokens of a marker; the last alternative is what cannot be one.
var markerTokens = regexp.MustCompile(`[()]|[<>=!~]+|'[^']*'|"[^"]*"|[A-Za-z_][A-Za-z0-9_.]*|[^\s]`)

// markerParser evaluates a marker while it reads it:
// https://packaging.python.org/en/latest/specifications/dependency-specifiers/#names.
type markerParser struct {
	tokens []string
	env    Environment
	failed bool
}

// next returns the next token, which it removes, or nothing at the end.
func (p *markerParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	return token
}

// accept removes the next token if it is the given one.
func (p *markerParser) accept(token string) bool {
	found := len(p.tokens) > 0 && p.tokens[0] == token
	if found {
		p.next()
	}
	return found
}

func (p *markerParser) either() truth {
	result := p.both()
	for p.accept("or") {
		result = max(result, p.both())
	}
	return result
}

func (p *markerParser) both() truth {
	result := p.one()
	for p.accept("and") {
		result = min(result, p.one())
	}
	return result
}

func (p *markerParser) one() truth {
	if p.accept("(") {
		result := p.either()
		p.failed = p.failed || !p.accept(")")
		return result
	}
	left := p.value()
	operator := p.next()
	if operator == "not" {
		operator += " " + p.next()
	}
	return p.compare(left, operator, p.value())
}

// operand is a side of a comparison.
type operand struct {
	text     string
	known    bool
	variable string
}

// value reads a string or a variable.
func (p *markerParser) value() operand {
	token := p.next()
	if len(token) >= 2 && strings.ContainsAny(token[:1], `'"`) {
		return operand{text: token[1 : len(token)-1], known: true}
	}
	name := cmp.Or(formerVariables()[token], token)
	p.failed = p.failed || !slices.Contains(markerVariables(), name)
	text, known := p.env[name]
	return operand{text: text, known: known, variable: name}
}

// markerVariables returns the variables of PEP 508 and its successors.
func markerVariables() []string {
	return []string{
		"os_name", "sys_platform", "platform_machine", "platform_python_implementation", "platform_release", "platform_system",
		"platform_version", "python_version", "python_full_version", "implementation_name", "implementation_version", "extra", "extras",
		"dependency_groups",
	}
}

// formerVariables returns the names that variables had before PEP 508, which pip still reads.
func formerVariables() map[string]string {
	return map[string]string{
		"os.name": "os_name", "sys.platform": "sys_platform", "platform.version": "platform_version", "platform.machine": "platform_machine",
		"platform.python_implementation": "platform_python_implementation", "python_implementation": "platform_python_implementation",
	}
}

// compare evaluates one comparison.
func (p *markerParser) compare(left operand, operator string, right operand) truth {
	compare, ok := comparisons()[operator]
	p.failed = p.failed || !ok
	if !ok || !left.known || !right.known {
		return unknown
	}
	if strings.ContainsAny(operator, clauseOperators) && (isVersion(left.variable) || isVersion(right.variable)) {
		if fits, err := Specifier(operator + right.text).Check(left.text); err == nil {
			return truthOf(fits)
		}
		return unknown
	}
	return compare(left.text, right.text)
}

// isVersion reports whether the value of a variable is a version.
func isVersion(variable string) bool {
	return slices.Contains([]string{"python_version", "python_full_version", "implementation_version"}, variable)
}

// comparisons returns the operators on strings. An order of strings is unknown, as it means
// nothing.
func comparisons() map[string]func(left, right string) truth {
	equal := func(left, right string) truth { return truthOf(left == right) }
	order := func(string, string) truth { return unknown }
	return map[string]func(left, right string) truth{
		"==": equal, "===": equal,
		"!=":     func(left, right string) truth { return truthOf(left != right) },
		"in":     func(left, right string) truth { return truthOf(strings.Contains(right, left)) },
		"not in": func(left, right string) truth { return truthOf(!strings.Contains(right, left)) },
		"<":      order, "<=": order, ">": order, ">=": order, "~=": order,
	}
}
