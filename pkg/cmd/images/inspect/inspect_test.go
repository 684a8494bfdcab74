package inspect

import (
	"bytes"
	"flag"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/cmdtest"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestPrintAnalysis(t *testing.T) {
	analysis := &inspect.Analysis{
		TypeMeta:   metav1.TypeMeta{Kind: inspect.Kind, APIVersion: inspect.APIVersion},
		Repository: "registry.pyflow-system.svc/team-a/shop", Digest: cmdtest.Digest("a"),
		User: "0:0", Root: true, CompressedBytes: 52_000_000, UnpackedBytes: 140_000_000,
		Layers: []inspect.Layer{
			{Digest: cmdtest.Digest("1"), CompressedBytes: 43_000_000, UnpackedBytes: 110_000_000, Files: 4498, Base: true},
			{Digest: cmdtest.Digest("2"), CompressedBytes: 9_000_000, UnpackedBytes: 30_000_000, Files: 875, Line: 22, CreatedBy: "RUN pip install --require-hashes --no-cache-dir --requirement requirements.txt"},
			{Digest: cmdtest.Digest("3"), CompressedBytes: 39, CreatedBy: "USER 0:0"},
		},
		Packages: []inspect.Package{
			{Name: "numpy", Version: "2.1", Kind: inspect.Python, Bytes: 20_000_000},
			{Name: "tiny", Kind: inspect.Debian, Bytes: 900},
			{Name: "not-shown", Version: "1", Kind: inspect.Python, Bytes: 1},
		},
		LargestFiles: []inspect.LargeFile{{Path: "/usr/bin/python3.13", Bytes: 7_000_000, Package: "python3.13-minimal"}, {Path: "/app/data", Bytes: 1_400_000}},
		Waste:        []inspect.Waste{{Kind: inspect.WasteTests, Bytes: 5_000_000, Files: 12, Examples: []string{"/x/tests/a", "/x/tests/b"}}},
	}
	for name, print := range map[string]func(*bytes.Buffer) error{
		"inspect.txt":      func(out *bytes.Buffer) error { return printAnalysis(analysis, 2, false, out) },
		"inspect-wide.txt": func(out *bytes.Buffer) error { return printAnalysis(analysis, 2, true, out) },
		"inspect.json": func(out *bytes.Buffer) error {
			printer, err := (&option.Output{Format: "json"}).ToPrinter()
			if err != nil {
				return err
			}
			return printer.PrintObj(analysis, out)
		},
	} {
		var out bytes.Buffer
		if err := print(&out); err != nil {
			t.Fatal(err)
		}
		cmdtest.Golden(t, *update, name, out.String())
	}
	analysis.User = "\x1b[2J"
	var out bytes.Buffer
	if err := printAnalysis(analysis, 0, false, &out); err != nil || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%v, the user writes to the terminal: %q", err, &out)
	}
	out.Reset()
	analysis.User = ""
	if err := printAnalysis(analysis, 0, false, &out); err != nil || !strings.Contains(out.String(), "root (no USER)") || !strings.Contains(out.String(), "not-shown") {
		t.Errorf("%v, it prints\n%s", err, &out)
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                        "accepts 1 arg(s), received 0",
		"a/b":                     `"a/b" is not of the form APP`,
		"shop: ":                  "has no tag",
		"shop --top -1":           "--top -1 is negative",
		"shop --timeout 0s":       "--timeout 0s is not positive",
		"shop --wait-timeout -1s": "--wait-timeout -1s is negative",
		"shop --platform amd64":   "--platform amd64 is not of the form",
		"shop -o name":            "--output is one of wide",
		"shop -o x":               "--output is one of wide",
	} {
		cmd := NewCommand(genericclioptions.NewConfigFlags(true), genericiooptions.NewTestIOStreamsDiscard())
		cmd.SetArgs(strings.Fields(args))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", args, err, want)
		}
	}
}
