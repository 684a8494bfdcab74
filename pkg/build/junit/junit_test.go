package junit_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/junit"
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		document string
		want     junit.Results
		passed   int
	}{
		"pytest": {
			`<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="5" time="0.125">` +
				`<testcase classname="tests.test_app" name="test_well" time="0.001" />` +
				`<testcase classname="tests.test_app.TestPeaks" name="test_bad[1]" time="0.001"><failure message="assert 1 == 2">def test_bad():&#10;    assert &lt;1&gt;</failure></testcase>` +
				`<testcase classname="tests.test_app" name="test_broken" time="0.001"><error message="boom">x</error></testcase>` +
				`<testcase classname="tests.test_app" name="test_later" time="0.000"><skipped type="pytest.skip" message="no">x</skipped></testcase>` +
				`<testcase classname="" name="tests.test_loose" time="0.000"><system-out>fine</system-out></testcase></testsuite></testsuites>`,
			junit.Results{
				Total: 5, Failed: 1, Errors: 1, Skipped: 1, Duration: 125 * time.Millisecond,
				Bad: []string{"tests.test_app.TestPeaks.test_bad[1]", "tests.test_app.test_broken"},
			},
			2,
		},
		"failed, and its end broke": {
			`<testsuite time="1,002.5"><testcase name="a"><failure/><error/></testcase></testsuite>`,
			junit.Results{Total: 1, Failed: 1, Duration: 1002500 * time.Millisecond, Bad: []string{"a"}},
			0,
		},
		"suites in each other": {
			`<testsuites><testsuite time="2"><testsuite time="1"><testcase name="a"/></testsuite><testcase name="b"/></testsuite><testsuite time="3"/></testsuites>`,
			junit.Results{Total: 2, Duration: 5 * time.Second},
			2,
		},
		"suites of ages":  {`<testsuites>` + strings.Repeat(`<testsuite time="2147483647"/>`, 9) + `</testsuites>`, junit.Results{Duration: 2147483647 * time.Second}, 0},
		"no tests":        {`<testsuites><testsuite time="much"/></testsuites>`, junit.Results{}, 0},
		"a long name":     {`<testsuite><testcase name="` + strings.Repeat("é\n", 300) + `"><failure/></testcase></testsuite>`, junit.Results{Total: 1, Failed: 1, Bad: []string{strings.Repeat("é ", 100) + "…"}}, 0},
		"a suite's error": {`<testsuite><error/><testcase name="a"/></testsuite>`, junit.Results{Total: 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := junit.Parse([]byte(test.document))
			if err != nil || !reflect.DeepEqual(got, test.want) || got.Passed() != test.passed {
				t.Errorf("got %+v, %d passed, %v, want %+v, %d", got, got.Passed(), err, test.want, test.passed)
			}
		})
	}
}

func TestParseNamesTheFirstTen(t *testing.T) {
	var document strings.Builder
	document.WriteString("<testsuite>")
	for i := range 12 {
		fmt.Fprintf(&document, `<testcase name="t%d"><failure/></testcase>`, i)
	}
	document.WriteString("</testsuite>")
	got, err := junit.Parse([]byte(document.String()))
	if err != nil || got.Failed != 12 || len(got.Bad) != 10 || got.Bad[9] != "t9" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, document := range map[string]string{
		"cut off":        `<testsuites><testsuite><testcase name="a"/>`,
		"not XML":        "3 passed",
		"another's":      "<html></html>",
		"an own entity":  `<!DOCTYPE x [<!ENTITY a "b">]><testsuite name="&a;"></testsuite>`,
		"nothing at all": "",
	} {
		if got, err := junit.Parse([]byte(document)); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if _, err := junit.Parse(nil); !errors.Is(err, junit.ErrNoTests) {
		t.Errorf("error is %v", err)
	}
}
