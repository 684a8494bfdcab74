// Package hostile feeds every parser of the client what a stranger's project may have in its files.
package hostile

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/junit"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/procfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

const (
	// size is that of an input, maxTime the time and maxMemory what is allocated for it.
	size      = 64 << 10
	maxTime   = 10 * time.Second
	maxMemory = 3 << 29
)

// parsers take a text and ignore what they find.
func parsers() map[string]func(text string) {
	return map[string]func(string){
		"manifests":    func(text string) { _, _ = source.Parse("x.yaml", []byte(text)) },
		"settings":     func(text string) { _, _ = settings.Parse([]byte(text)) },
		"pyproject":    func(text string) { _, _ = packaging.ParsePyproject([]byte(text)) },
		"Pipfile":      func(text string) { _, _ = packaging.ParsePipfile([]byte(text)) },
		"Pipfile.lock": func(text string) { _, _ = packaging.ReadPipfileLock([]byte(text), &packaging.Pipfile{}) },
		"poetry.lock":  func(text string) { _, _ = packaging.ReadPoetryLock([]byte(text), &packaging.Pyproject{}) },
		"uv.lock": func(text string) {
			_, _ = packaging.ReadUVLock(packaging.UVLock{}, []byte(text), &packaging.Pyproject{})
		},
		"setup": func(text string) { packaging.ParseSetup([]byte(text), []byte(text)) },
		"requirements": func(text string) {
			packaging.ReadRequirements(func(string) ([]byte, bool) { return []byte(text), true }, "requirements.txt")
		},
		"requirement": func(text string) { packaging.ParseRequirement(text) },
		"Procfile":    func(text string) { procfile.Parse([]byte(text)) },
		"Python":      func(text string) { syntax.Parse([]byte(text)) },
		"Dockerfile":  func(text string) { _, _ = dockerfile.Parse("Dockerfile", []byte(text)) },
		"shell":       func(text string) { shell.Parse(text) },
		"JUnit":       func(text string) { _, _ = junit.Parse([]byte(text)) },
		"secrets":     func(text string) { secret.InFile("x", []byte(text)); secret.Redact(text) },
	}
}

// nested returns an opening text many times.
func nested(open string) string { return strings.Repeat(open, size/len(open)) }

func inputs() map[string]string {
	var aliases, entities strings.Builder
	aliases.WriteString("kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	entities.WriteString("<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY e0 \"xxxxxxxxxx\">")
	for i := 1; i < 12; i++ {
		before, name := string(rune('a'+i-1)), string(rune('a'+i))
		if i == 1 {
			before = "a0"
		}
		aliases.WriteString(name + ": &" + name + " [" + strings.Repeat("*"+before+",", 9) + "*" + before + "]\n")
		entities.WriteString("<!ENTITY " + name + " \"" + strings.Repeat("&"+before+";", 10) + "\">")
	}
	entities.WriteString("]><testsuite name=\"&l;\"><testcase name=\"&l;\"/></testsuite>")
	return map[string]string{
		"aliases of YAML":       aliases.String(),
		"an alias of itself":    "a: &a [*a]\n",
		"entities of XML":       entities.String(),
		"elements of XML":       nested("<testsuite>"),
		"lists":                 "a = " + nested("["),
		"lists of YAML":         "a: " + nested("["),
		"lists of JSON":         nested("["),
		"objects of JSON":       nested(`{"a":`),
		"tables":                "a = " + nested("{a="),
		"dotted keys":           strings.TrimSuffix(nested("a."), ".") + " = 1",
		"a dotted table":        "[" + strings.TrimSuffix(nested("a."), ".") + "]",
		"array tables":          nested("[[package]]\n"),
		"parentheses":           nested("("),
		"calls":                 "x = " + nested("f(a="),
		"markers":               "x ; " + nested("(python_version>'3' or "),
		"extras":                "x[" + nested("a,"),
		"itself":                nested("-r requirements.txt\n"),
		"others":                nested("-r a.txt\n-c b.txt\n"),
		"continuations":         nested("\\\n"),
		"substitutions":         "RUN " + nested("$("),
		"backquotes":            "RUN " + nested("`"),
		"defaults":              "FROM x\nENV A=" + nested("${A:-"),
		"doubled variables":     "FROM x\n" + nested("ENV A=$A$A$A$A$A$A$A$A\n"),
		"doubled arguments":     nested("ARG A=$A$A$A$A$A$A$A$A\n") + "FROM $A\n",
		"heredocs":              "FROM x\n" + nested("RUN <<A <<B\n"),
		"quotes":                nested(`"`),
		"triple quotes":         nested(`"""`),
		"long strings":          "a = \"" + nested("x"),
		"indentation of Python": nested("if x:\n ") + "y",
		"growing indentation":   indented(),
		"processes":             nested("web: x\n"),
		"one long line":         nested("x"),
		"newlines":              nested("\n"),
		"tabs":                  nested("\t"),
		"zeros":                 nested("\x00"),
		"no UTF-8":              nested("\xff\xfe"),
		"documents of YAML":     nested("---\n"),
		"anchors of YAML":       nested("&a "),
		"merge keys":            "a: &a {x: y}\nb: {" + nested("<<: *a, ") + "}",
		"braces":                nested("{"),
		"sections":              nested("[options]\n"),
	}
}

func indented() string {
	var text strings.Builder
	for i := 0; text.Len() < size; i++ {
		text.WriteString(strings.Repeat(" ", i) + "if x:\n")
	}
	return text.String()
}

// TestParsersAreBounded gives every input to every parser: none panics, and time and memory stay in
// proportion to the input.
func TestParsersAreBounded(t *testing.T) {
	for parser, parse := range parsers() {
		for name, text := range inputs() {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start, done := time.Now(), make(chan any, 1)
			go func() {
				defer func() { done <- recover() }()
				parse(text)
			}()
			select {
			case panicked := <-done:
				if panicked != nil {
					t.Errorf("%s panics at %s: %v", parser, name, panicked)
				}
			case <-time.After(maxTime):
				t.Errorf("%s does not end at %s", parser, name)
				continue
			}
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > maxMemory {
				t.Errorf("%s allocates %d MiB for %s", parser, allocated>>20, name)
			}
			if took := time.Since(start); took > maxTime/5 {
				t.Logf("%s takes %s for %s", parser, took, name)
			}
		}
	}
}

// TestLongLines gives parsers a line of names and one of continuations that are larger than any file
// of a project, and that took them 40 seconds when their time grew with the square of the length.
func TestLongLines(t *testing.T) {
	const large = 256 << 10
	dotted := strings.Repeat("a.", large/2) + "a = 1\n"
	continued := strings.Repeat("\\\n", large/2)
	values := "[options]\na=\n" + strings.Repeat(" x\n", large/3)
	start := time.Now()
	packaging.ParseSetup([]byte(values), []byte(dotted))
	packaging.ReadRequirements(func(string) ([]byte, bool) { return []byte(continued), true }, "requirements.txt")
	if took := time.Since(start); took > maxTime {
		t.Errorf("they take %s", took)
	}
}
