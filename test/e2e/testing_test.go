//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// testProgram writes what pytest writes, where PYTEST_ADDOPTS asks for it, without an
// index that has it.
const testProgram = `import os, re, sys
import main
path = re.search(r"--junitxml=(\S+)", os.environ["PYTEST_ADDOPTS"]).group(1)
good = main.WORD != "bad"
case = '<testcase classname="checks" name="word">%s</testcase>' % ("" if good else '<failure message="red"/>')
with open(path, "w") as results:
    results.write('<testsuite time="0.5">%s<testcase classname="checks" name="other"/></testsuite>' % case)
open("beside", "w").close()
print("the word is", main.WORD)
sys.exit(0 if good else 3)
`

const testServer = `WORD = "good"
if __name__ == "__main__":
    import http.server, os
    os.makedirs("/tmp/www")
    with open("/tmp/www/index.html", "w") as page:
        page.write("the word is " + WORD)
    os.chdir("/tmp/www")
    http.server.test(http.server.SimpleHTTPRequestHandler, port=8080)
`

// TestTests runs a test between build and deployment.
func TestTests(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "tested", map[string]string{
		"Dockerfile": "FROM python:3.13-slim\nWORKDIR /app\nCOPY main.py .\nUSER 10001\nENV PYTHONPATH=/app\nEXPOSE 8080\nCMD [\"python\", \"main.py\"]\n",
		"main.py":    testServer, "checks/run.py": testProgram,
	})
	results := filepath.Join(t.TempDir(), "results.xml")
	test := []string{dir, "--test", "python checks/run.py", "--junit", results}
	green := ns.Build(t, append(test, "-o", "json")...).Succeeded(t)
	printed := env.Events(t, green)
	if !slices.Equal(printed[0].Phases, event.Phases()) {
		t.Errorf("planned are %v", printed[0].Phases)
	}
	result := printed[len(printed)-1].Result
	if result.Tests == nil || *result.Tests != (event.Tests{Total: 2, DurationSeconds: 0.5}) {
		t.Errorf("the tests are %+v\n%s", result.Tests, green)
	}
	env.Serves(t, result.URL, "the word is good")
	ns.Build(t, dir, "--test", "python checks/run.py").Succeeded(t).Says(t, "the release is already running")

	env.Check(t, os.WriteFile(filepath.Join(dir, "main.py"), []byte(strings.Replace(testServer, "good", "bad", 1)), 0o600))
	// The second time the image is there, and still not deployed.
	for range 2 {
		ns.Build(t, test...).Failed(t, "1 of 2 tests failed: checks.word", "[test] the word is bad")
		content, err := os.ReadFile(results)
		env.Check(t, err)
		if kept := ns.Pyflow(t, "logs", "tested", "--junit").Succeeded(t); kept.Stdout != string(content) || !strings.Contains(kept.Stdout, `message="red"`) {
			t.Errorf("kept is\n%s", kept)
		}
	}
	env.Serves(t, result.URL, "the word is good")
	for _, run := range ns.RunsOf(t, "tested")[:2] {
		if outcome := pipelinerun.Verdict(&run); outcome.Digest == "" || outcome.Tested || outcome.Succeeded {
			t.Errorf("a run that was red says %+v", outcome)
		}
	}
}

// TestTestStage is a stage whose instructions are the test.
func TestTestStage(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "staged", map[string]string{
		"Dockerfile": "FROM " + env.SmallBase + " AS run\nCOPY word /\nFROM run AS test\nRUN grep -v good word || { echo \"the word is $(cat word)\"; exit 1; }\nFROM run\n",
		"word":       "good\n",
	})
	ns.Build(t, dir, "--no-deploy").Failed(t, "the tests failed: Dockerfile:4: RUN grep", "the word is good")
	run := ns.RunsOf(t, "staged")[0]
	if outcome := pipelinerun.Verdict(&run); outcome.Digest != "" || outcome.Tested {
		t.Errorf("a run that was red says %+v", outcome)
	}
}

// TestTestStageWithACommand tests while the image is built: green and red, with results, and
// again if nothing has changed.
func TestTestStageWithACommand(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "gated", map[string]string{
		"Dockerfile": "FROM python:3.13-slim AS run\nWORKDIR /app\nCOPY main.py .\nUSER 10001\nENV PYTHONPATH=/app\n" +
			"FROM run AS test\nCOPY checks checks\nCMD [\"python\", \"checks/run.py\"]\nFROM run\nCMD [\"python\", \"main.py\"]\n",
		"main.py": testServer, "checks/run.py": strings.Replace(testProgram, `open("beside", "w").close()`, "", 1),
	})
	results := filepath.Join(t.TempDir(), "results.xml")
	green := ns.Build(t, dir, "--no-deploy", "--junit", results, "-o", "json").Succeeded(t)
	printed := env.Events(t, green)
	result := printed[len(printed)-1].Result
	if result.Tests == nil || *result.Tests != (event.Tests{Total: 2, DurationSeconds: 0.5}) || result.Digest == "" {
		t.Errorf("the result is %+v\n%s", result, green)
	}
	last := 0
	for _, e := range printed {
		if e.Type != event.InstructionStarted {
			continue
		}
		if e.Instruction.Number != last+1 {
			t.Errorf("instruction %d follows %d", e.Instruction.Number, last)
		}
		if last = e.Instruction.Number; e.Instruction.Total != 11 {
			t.Errorf("%d instructions are counted", e.Instruction.Total)
		}
	}
	if last != 11 {
		t.Errorf("the last instruction is %d", last)
	}
	env.Check(t, os.WriteFile(filepath.Join(dir, "main.py"), []byte(strings.Replace(testServer, "good", "bad", 1)), 0o600))
	ns.Build(t, dir, "--no-deploy", "--junit", results).Failed(t, "1 of 2 tests failed: checks.word", "[test] the word is bad", "test: exit code 3")
	if content, err := os.ReadFile(results); err != nil || !strings.Contains(string(content), `message="red"`) {
		t.Errorf("the results are %q, %v", content, err)
	}
	run := ns.RunsOf(t, "gated")[0]
	if outcome := pipelinerun.Verdict(&run); outcome.Digest != "" || outcome.Tested {
		t.Errorf("a run that was red says %+v", outcome)
	}
	ns.Pyflow(t, "rerun", run.Name).Failed(t, "1 of 2 tests failed: checks.word")
}
