package option

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

type item struct {
	Name  string `json:"name"`
	Ready int    `json:"ready"`
	URL   string `json:"url,omitempty"`
}

type list struct {
	metav1.TypeMeta `json:",inline"`
	Items           []item `json:"items"`
}

func (l *list) DeepCopyObject() runtime.Object { c := *l; return &c }

func example() *list {
	return &list{TypeMeta: metav1.TypeMeta{Kind: "List", APIVersion: "v1"}, Items: []item{
		{"rivers", 10, "http://rivers"}, {"lakes", 9, ""}, {"fords", 1000, "http://fords"},
	}}
}

// parse returns the output flags after a command line.
func parse(t *testing.T, args ...string) *Output {
	t.Helper()
	output := &Output{}
	cmd := &cobra.Command{}
	output.AddListFlags(cmd, "a table")
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return output
}

func TestOutputFormats(t *testing.T) {
	file := filepath.Join(t.TempDir(), "columns")
	if err := os.WriteFile(file, []byte("APP READY\n.name .ready\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-o", "jsonpath={.items[*].name}"}, "rivers lakes fords"},
		{[]string{"-o", "jsonpath", "--template", "{.items[1].ready}"}, "9"},
		{[]string{"-o", "go-template={{range .items}}{{.name}} {{end}}"}, "rivers lakes fords "},
		{[]string{"--template", "{{.kind}}"}, "List"},
		{[]string{"-o", "custom-columns=NAME:.name,URL:{.url},N:ready"}, "NAME     URL             N\nrivers   http://rivers   10\nlakes    <none>          9\nfords    http://fords    1000\n"},
		{[]string{"-o", "custom-columns=NAME:.name", "--no-headers"}, "rivers\nlakes\nfords\n"},
		{[]string{"-o", "custom-columns-file=" + file}, "APP      READY\nrivers   10\nlakes    9\nfords    1000\n"},
	} {
		printer, err := parse(t, test.args...).ToPrinter()
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		var out bytes.Buffer
		if err := printer.PrintObj(example(), &out); err != nil || out.String() != test.want {
			t.Errorf("%q: got %q (%v), want %q", test.args, out.String(), err, test.want)
		}
	}
	for _, own := range []string{"", Wide, Name} {
		if printer, err := parse(t, "-o", own).ToPrinter(); printer != nil || err != nil {
			t.Errorf("%q: got %v, %v, want the verb's own format", own, printer, err)
		}
	}
}

func TestOutputErrors(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-o", "table"}, `--output is one of wide, name, json, yaml, `},
		{[]string{"-o", "jsonpath={.a"}, `--output "jsonpath={.a": `},
		{[]string{"-o", "jsonpath"}, "no template given"},
		{[]string{"-o", "custom-columns"}, "names no columns"},
		{[]string{"-o", "custom-columns=NAME"}, `"NAME" is not of the form HEADER:.field`},
		{[]string{"-o", "custom-columns=NAME:{.a}{.b}"}, "is not a field"},
		{[]string{"-o", "custom-columns-file=/nonexistent"}, "no such file"},
		{[]string{"--sort-by", "{"}, `--sort-by: "{" is not a field`},
	} {
		_, err := parse(t, test.args...).ToPrinter()
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want a usage error with %q", test.args, err, test.want)
		}
	}
}

func TestSort(t *testing.T) {
	for expression, want := range map[string]string{
		"":        "rivers lakes fords",
		"{.name}": "fords lakes rivers",
		"ready":   "lakes rivers fords",
		".url":    "lakes fords rivers",
		".none":   "rivers lakes fords",
	} {
		items := example().Items
		if err := Sort(parse(t, "--sort-by", expression), items); err != nil {
			t.Errorf("%q: %v", expression, err)
		}
		var names []string
		for _, item := range items {
			names = append(names, item.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q: got %s, want %s", expression, got, want)
		}
	}
}

func TestDryRun(t *testing.T) {
	for _, test := range []struct {
		args []string
		want DryRunStrategy
		err  string
	}{
		{nil, DryRunNone, ""},
		{[]string{"--dry-run"}, DryRunClient, ""},
		{[]string{"--dry-run", "--yes"}, DryRunClient, ""},
		{[]string{"--dry-run=client"}, DryRunClient, ""},
		{[]string{"--dry-run=none"}, DryRunNone, ""},
		{[]string{"--dry-run=server"}, DryRunNone, `is one of none, client, not "server"`},
	} {
		dryRun := &DryRun{}
		cmd := &cobra.Command{}
		dryRun.AddFlag(cmd, "Print what would change")
		cmd.Flags().Bool("yes", false, "")
		err := cmd.ParseFlags(test.args)
		var invalid *pflag.InvalidValueError
		if test.err != "" && (!errors.As(err, &invalid) || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%q: got %v, want %s", test.args, err, test.err)
		}
		if test.err == "" && err != nil || dryRun.Strategy() != test.want || dryRun.Enabled() != (test.want != DryRunNone) {
			t.Errorf("%q: got %s (%v), want %s", test.args, dryRun.Strategy(), err, test.want)
		}
	}
	server := &DryRun{}
	cmd := &cobra.Command{}
	server.AddFlag(cmd, "Print what would change", DryRunServer)
	if err := cmd.ParseFlags([]string{"--dry-run=server"}); err != nil || server.Strategy() != DryRunServer {
		t.Errorf("server: got %s (%v)", server.Strategy(), err)
	}
}

func TestUsage(t *testing.T) {
	cause := errors.New("no")
	err := Usage(Usage(cause))
	if !errors.Is(err, cause) || err.Error() != "no" || Usage(nil) != nil {
		t.Errorf("got %v", err)
	}
}
