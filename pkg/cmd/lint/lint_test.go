package lint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

var update = flag.Bool("update", false, "write the golden files")

const hash = " --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000"

// directory returns a directory with findings of each severity, in lines with tabs, wide
// and control characters.
func directory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"Dockerfile": "FROM python:3.13-slim\n" +
			"ENV\tGREETING=grüße\tAPI_KEY=hunter2\n" +
			"COPY requirements.txt .\n" +
			"RUN echo " + strings.Repeat("long ", 40) + "&& pip install -r requirements.txt\n" +
			"USER app\n" +
			"CMD uvicorn \\\n  main:app --host 0.0.0.0 --workers 2\n",
		"requirements.txt": "fastapi==1" + hash + "\nstarlette>1\x1b[31m\u2066\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run executes the verb as the command line does.
func run(t *testing.T, flags Flags, args ...string) (out, errOut string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	options, err := flags.ToOptions(genericiooptions.IOStreams{Out: &stdout, ErrOut: &stderr}, args)
	if err != nil {
		return "", "", err
	}
	options.Lint.Now = time.Date(2026, time.November, 20, 0, 0, 0, 0, time.UTC)
	err = options.Run(t.Context())
	return stdout.String(), stderr.String(), err
}

func golden(t *testing.T, testdata, name, got string) {
	t.Helper()
	file := filepath.Join(testdata, name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; go test ./pkg/cmd/lint -update writes it (-want +got):\n%s", file, diff)
	}
}

func TestRun(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	dir := directory(t)
	t.Chdir(dir)
	for output, file := range map[string]string{"": "findings.txt", "json": "findings.json", "sarif": ""} {
		out, errOut, err := run(t, Flags{Output: output}, dir)
		if !errors.Is(err, ErrFindings) {
			t.Errorf("-o %s: error is %v", output, err)
		}
		if want := "1 error, 3 warnings, 2 notes in Dockerfile and requirements.txt\n"; errOut != want {
			t.Errorf("-o %s: summary is %q, want %q", output, errOut, want)
		}
		if file != "" {
			golden(t, testdata, file, out)
			if strings.Contains(out, "hunter2") {
				t.Errorf("-o %s: the secret is printed", output)
			}
		} else if !json.Valid([]byte(out)) || !strings.Contains(out, `"2.1.0"`) {
			t.Errorf("-o %s: %s", output, out)
		}
		if output == "" && strings.ContainsAny(out, "\x1b\u2066") {
			t.Error("a control character of a file is printed")
		}
	}
}

// TestReportPaths checks that reports name files from the current directory, where editors and
// code scanning look for them.
func TestReportPaths(t *testing.T) {
	dir := directory(t)
	t.Chdir(filepath.Dir(dir))
	name := filepath.Base(dir)
	for output, want := range map[string]string{
		"json": `"path": "` + name + `/Dockerfile"`, "sarif": `"uri": "` + name + `/Dockerfile"`, "github": "file=" + name + "/Dockerfile",
	} {
		for _, given := range []string{name, dir} {
			if out, _, _ := run(t, Flags{Output: output}, given); !strings.Contains(out, want) {
				t.Errorf("-o %s %s: want %s in\n%s", output, given, want, out)
			}
		}
	}
}

// TestPaths checks that a printed path leads from the current directory to the file.
func TestPaths(t *testing.T) {
	dir := directory(t)
	t.Chdir(filepath.Dir(dir))
	name := filepath.Base(dir)
	for argument, want := range map[string]string{
		name: filepath.Join(name, "Dockerfile"), dir: filepath.Join(name, "Dockerfile"), "./" + name + "/": filepath.Join(name, "Dockerfile"),
	} {
		for _, output := range []string{"", "github"} {
			out, _, err := run(t, Flags{Output: output}, argument)
			if !errors.Is(err, ErrFindings) || !strings.Contains(out, want) || strings.Contains(out, dir) {
				t.Errorf("-o %q %s: error %v, no %s in\n%s", output, argument, err, want, out)
			}
		}
	}
	t.Chdir(dir)
	if err := os.Mkdir("sub", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir("sub")
	if out, _, _ := run(t, Flags{}, ".."); !strings.HasPrefix(out, filepath.Join("..", "Dockerfile")+":") {
		t.Errorf("the output is\n%s", out)
	}
	if out, _, _ := run(t, Flags{}, dir); !strings.HasPrefix(out, filepath.Join(dir, "Dockerfile")+":") {
		t.Errorf("the output is\n%s", out)
	}
}

func TestAnnotations(t *testing.T) {
	report := &lint.Report{Findings: []lint.Finding{
		{Rule: "a-rule", Severity: lint.Error, Message: "100% wrong\x1b[31m\nhere", Path: "a,b:c/Dockerfile", Line: 2, EndLine: 2, Column: 4, EndColumn: 5, Fix: "x"},
		{Rule: "b", Severity: lint.Warning, Message: "m", Path: "f", Line: 2, EndLine: 3, Column: 4},
		{Rule: "c", Severity: lint.Note, Message: "m", Path: "f"},
	}}
	want := "::error file=a%2Cb%3Ac/Dockerfile,line=2,endLine=2,col=4,title=a-rule::100%25 wrong here; fix: x\n" +
		"::warning file=f,line=2,endLine=3,title=b::m\n" +
		"::notice file=f,title=c::m\n"
	if diff := cmp.Diff(want, annotations(report, func(path string) string { return path })); diff != "" {
		t.Error(diff)
	}
}

func TestColor(t *testing.T) {
	report, err := lint.Run(t.Context(), lint.Options{Dir: directory(t)})
	if err != nil {
		t.Fatal(err)
	}
	plain, colored := text(report, strings.ToUpper, false), text(report, strings.ToUpper, true)
	if plain == colored || ansi.Strip(colored) != plain {
		t.Error("colors change the text")
	}
}

func TestExit(t *testing.T) {
	warning := t.TempDir()
	clean := t.TempDir()
	for dir, content := range map[string]string{warning: "FROM python:3.13-slim\n", clean: "FROM python:3.13-slim\nUSER app\n"} {
		if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	service := t.TempDir()
	for name, content := range map[string]string{"main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n", "requirements.txt": "fastapi\nuvicorn==0.34.0\n"} {
		if err := os.WriteFile(filepath.Join(service, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		flags Flags
		dir   string
		want  error
		out   string
	}{
		"an error":               {Flags{}, directory(t), ErrFindings, "1 error, "},
		"a warning":              {Flags{}, warning, nil, "1 warning in Dockerfile"},
		"a warning, strictly":    {Flags{Strict: true}, warning, ErrFindings, "1 warning in Dockerfile"},
		"a note, strictly":       {Flags{Strict: true}, clean, nil, "1 note in Dockerfile"},
		"nothing to check":       {Flags{}, t.TempDir(), detect.ErrNoProject, ""},
		"a generated one":        {Flags{}, service, nil, "1 warning in requirements.txt"},
		"another kind":           {Flags{Variant: "bloated"}, service, nil, "6 warnings"},
		"no such kind":           {Flags{Variant: "thin"}, service, generate.ErrVariant, ""},
		"another Dockerfile":     {Flags{File: "deploy/Dockerfile"}, warning, dockerfile.ErrNotFound, ""},
		"that is named":          {Flags{File: filepath.Join(warning, "Dockerfile")}, warning, nil, "1 warning in Dockerfile"},
		"a Dockerfile of others": {Flags{File: filepath.Join(warning, "Dockerfile")}, clean, nil, "1 warning in .pyflow/Dockerfile"},
	} {
		t.Run(name, func(t *testing.T) {
			_, errOut, err := run(t, test.flags, test.dir)
			if !errors.Is(err, test.want) || !strings.HasPrefix(errOut, test.out) {
				t.Errorf("error is %v and summary %q, want %v and %q", err, errOut, test.want, test.out)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	for rule, want := range map[string]string{
		"root-user":       "# root-user\n",
		"Root-User":       "# root-user\n",
		"stagenamecasing": "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/",
	} {
		out, _, err := run(t, Flags{Explain: rule})
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %q, %v", rule, out, err)
		}
	}
	out, _, err := run(t, Flags{Rules: true})
	if err != nil || len(strings.Split(strings.TrimSpace(out), "\n")) != len(allRules())+1 {
		t.Errorf("rules are\n%s%v", out, err)
	}
	out, _, err = run(t, Flags{Rules: true, Output: "json"})
	var list ruleList
	if json.Unmarshal([]byte(out), &list) != nil || err != nil || len(list.Items) != len(allRules()) || list.Kind != "LintRuleList" {
		t.Errorf("rules are\n%s%v", out, err)
	}
}

func TestBadInput(t *testing.T) {
	for want, test := range map[string]struct {
		flags Flags
		args  []string
	}{
		`--output is one of text, json, sarif, github, not "yaml"`:         {Flags{Output: "yaml"}, nil},
		"--rules and --explain check nothing: leave the directory out":     {Flags{Rules: true}, []string{"."}},
		`no rule "rot": kubectl pyflow lint --rules lists the rules`:       {Flags{Explain: "rot"}, nil},
		"--rules is printed as text or json and --explain as text, not as": {Flags{Explain: "root-user", Output: "json"}, nil},
		"open the directory": {Flags{}, []string{"nothing"}},
		"lint_test.go is a file: name the directory, and the Dockerfile with --file": {Flags{}, []string{"lint_test.go"}},
	} {
		_, _, err := run(t, test.flags, test.args...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	options := &Options{Streams: genericiooptions.NewTestIOStreamsDiscard(), Lint: lint.Options{Dir: directory(t)}}
	if err := options.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
