package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func TestTestFlagsThatAreRefused(t *testing.T) {
	dir := folder(t, "shop", map[string]string{"Dockerfile": "FROM scratch\n"})
	for name, test := range map[string]struct {
		change func(*Flags)
		want   string
	}{
		"both":              {func(f *Flags) { f.Test, f.NoTest = "pytest", true }, "--no-test tests nothing"},
		"an open quote":     {func(f *Flags) { f.Test = "pytest 'x" }, "a quote is not closed"},
		"blank":             {func(f *Flags) { f.Test = "  " }, "names no program"},
		"no results":        {func(f *Flags) { f.JUnit = "r.xml" }, "nothing is tested"},
		"nobody waits":      {func(f *Flags) { f.Test, f.JUnit, f.Detach = "pytest", "r.xml", true }, "logs RUN --junit"},
		"a directory":       {func(f *Flags) { f.Test, f.JUnit = "pytest", dir }, "is a directory: name a file in it"},
		"no such directory": {func(f *Flags) { f.Test, f.JUnit = "pytest", filepath.Join(dir, "none", "r.xml") }, "--junit: "},
	} {
		flags := testFlags(t)
		test.change(flags)
		if _, err := flags.ToOptions([]string{dir}, genericiooptions.NewTestIOStreamsDiscard()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWriteJUnit(t *testing.T) {
	run := pipelinerun.New(pipelinerun.Spec{App: "shop", Test: &pipelinerun.Test{Command: []string{"pytest"}}})
	for name, test := range map[string]struct {
		run     *tektonv1.PipelineRun
		results []string
		written string
		says    string
	}{
		"whole":          {run, []string{"<testsuite>", "</testsuite>"}, "<testsuite>\n</testsuite>\n", ""},
		"cut off":        {run, []string{"<testsuite>"}, "<testsuite>\n", "r.xml is not JUnit's XML, or was cut off"},
		"none":           {run, nil, "", "wrote no results"},
		"nothing to do":  {nil, nil, "", "Nothing was tested"},
		"nothing tested": {pipelinerun.New(pipelinerun.Spec{App: "shop"}), nil, "", "Nothing was tested"},
	} {
		t.Run(name, func(t *testing.T) {
			said := ""
			tracker := track.NewTracker("shop", "team", func(e event.Event) { said += e.Message })
			for _, line := range test.results {
				tracker.Observe(follow.Event{Kind: follow.Log, Task: manifests.TestTask, Step: pipelinerun.ReportStep, Text: line})
			}
			s := session{junit: filepath.Join(t.TempDir(), "r.xml")}
			must(t, s.writeJUnit(tracker, &begun{run: test.run}))
			written, err := os.ReadFile(s.junit)
			if string(written) != test.written || (err == nil) != (test.written != "") || !strings.Contains(said, test.says) || test.says == "" && said != "" {
				t.Errorf("written is %q, %v, said %q", written, err, said)
			}
		})
	}
}
