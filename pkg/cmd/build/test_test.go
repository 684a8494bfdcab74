package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
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
	existing := func(test *pipelinerun.Test) *build.Run {
		return build.Existing(pipelinerun.New(pipelinerun.Build{Meta: pipelinerun.Meta{App: "shop"}, Engine: installed.Engine(), Test: test}))
	}
	pytest := &pipelinerun.Test{Command: []string{"pytest"}}
	for name, test := range map[string]struct {
		run     *build.Run
		results string
		written string
		says    string
	}{
		"whole":          {existing(pytest), "<testsuite>\n</testsuite>\n", "<testsuite>\n</testsuite>\n", ""},
		"cut off":        {existing(pytest), "<testsuite>\n", "<testsuite>\n", "r.xml is not JUnit XML, or is cut off"},
		"none":           {existing(pytest), "", "", "wrote no JUnit XML"},
		"nothing to do":  {&build.Run{}, "", "", "Nothing was tested"},
		"nothing tested": {existing(nil), "", "", "Nothing was tested"},
	} {
		t.Run(name, func(t *testing.T) {
			said := ""
			recorder := track.NewRecorder("shop", "team", func(e event.Event) { said += e.Message })
			s := session{junit: filepath.Join(t.TempDir(), "r.xml")}
			must(t, s.writeJUnit(recorder, test.run, []byte(test.results)))
			written, err := os.ReadFile(s.junit)
			if string(written) != test.written || (err == nil) != (test.written != "") || !strings.Contains(said, test.says) || test.says == "" && said != "" {
				t.Errorf("written is %q, %v, said %q", written, err, said)
			}
		})
	}
}
