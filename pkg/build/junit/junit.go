// Package junit reads the results of tests in JUnit's XML, which pytest and most
// other programs that run tests write.
package junit

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// ErrNoTests says that a document has no test suite.
var ErrNoTests = errors.New("there is no <testsuite> in it")

const (
	// maxNames bounds Results.Bad, and maxName each of them, in characters.
	maxNames = 10
	maxName  = 200
)

// Results are the outcome of some tests. Each test counts once.
type Results struct {
	// Total is the number of tests; Failed of those that found something wrong, Errors
	// of those that broke, Skipped of those that did not run.
	Total, Failed, Errors, Skipped int
	// Duration is how long they took.
	Duration time.Duration
	// Bad are the names of the first ten that failed or broke, in their order.
	Bad []string
}

// Passed is the number of tests that ran and passed.
func (r Results) Passed() int { return r.Total - r.Failed - r.Errors - r.Skipped }

// Parse reads a document. Tests are counted, whatever its sums say. What is cut off,
// or no such document, is an error.
func Parse(data []byte) (Results, error) {
	p := parser{}
	decoder := xml.NewDecoder(bytes.NewReader(data))
	for {
		token, err := decoder.Token()
		switch {
		case errors.Is(err, io.EOF) && p.suites == 0:
			return Results{}, ErrNoTests
		case errors.Is(err, io.EOF):
			p.results.Duration = time.Duration(p.seconds * float64(time.Second))
			return p.results, nil
		case err != nil:
			return Results{}, fmt.Errorf("read the results of tests: %w", err)
		}
		switch element := token.(type) {
		case xml.StartElement:
			p.start(element)
		case xml.EndElement:
			p.end(element.Name.Local)
		}
	}
}

// parser keeps of a document what the results need.
type parser struct {
	results Results
	suites  int
	// depth is that of suites in each other: the outermost have the time of all.
	depth   int
	seconds float64
	// of the test that is being read
	inTest                  bool
	name                    string
	failed, broken, skipped bool
}

func (p *parser) start(element xml.StartElement) {
	switch element.Name.Local {
	case "testsuite":
		if p.depth == 0 {
			// No duration holds more than three centuries.
			p.seconds = min(p.seconds+seconds(attribute(element, "time")), math.MaxInt32)
		}
		p.suites++
		p.depth++
	case "testcase":
		p.inTest, p.failed, p.broken, p.skipped = true, false, false, false
		p.name = strings.TrimPrefix(attribute(element, "classname")+"."+attribute(element, "name"), ".")
	case "failure":
		p.failed = p.inTest
	case "error":
		p.broken = p.inTest
	case "skipped":
		p.skipped = p.inTest
	}
}

func (p *parser) end(name string) {
	switch name {
	case "testsuite":
		p.depth--
	case "testcase":
		p.inTest = false
		p.results.Total++
		switch {
		case p.failed:
			p.results.Failed++
		case p.broken:
			p.results.Errors++
		case p.skipped:
			p.results.Skipped++
		}
		if (p.failed || p.broken) && len(p.results.Bad) < maxNames {
			p.results.Bad = append(p.results.Bad, short(p.name))
		}
	}
}

func attribute(element xml.StartElement, name string) string {
	for _, attribute := range element.Attr {
		if attribute.Name.Local == name {
			return attribute.Value
		}
	}
	return ""
}

// seconds reads a time, with commas between thousands as some write it.
func seconds(text string) float64 {
	value, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	if err != nil || math.IsNaN(value) || value < 0 || value > math.MaxInt32 {
		return 0
	}
	return value
}

// short is a name in one line of bearable length.
func short(name string) string {
	characters := []rune(strings.Join(strings.Fields(name), " "))
	if len(characters) > maxName {
		return string(characters[:maxName]) + "…"
	}
	return string(characters)
}
