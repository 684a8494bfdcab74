package apps

import (
	"bytes"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/cmdtest"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// example has an app in every state.
func example() *status.AppList {
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(testNow.Add(-d)) }
	digest := "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
	return status.NewAppList([]status.App{
		{
			Name: "mountains", Namespace: "demo", Desired: 3, Ready: 3, Digest: digest, Image: "127.0.0.1:5180/demo/mountains@" + digest,
			URL: "http://10.0.0.1:30080", Workloads: []string{"deployment.apps/mountains"}, Updated: ago(26 * time.Hour), Healthy: true,
		},
		{
			Name: "rivers", Namespace: "demo", Desired: 2, Ready: 1, Workloads: []string{"daemonset.apps/rivers-agent", "statefulset.apps/rivers"},
			Updated: ago(10 * time.Minute), Reason: "CrashLoopBackOff", Message: "pod rivers-1: CrashLoopBackOff: \x1b[2Jexit code 1",
		},
		{Name: "lakes", Namespace: "other", Desired: 2, Ready: 2, Updated: ago(time.Second), Healthy: true, Message: "rolling out: 1 of 2 new replicas created"},
		{Name: "stopped", Namespace: "other", Updated: ago(time.Hour), Healthy: true},
		{Name: "waiting", Namespace: "other", Desired: 1, Updated: ago(time.Minute), Message: "0 of 1 ready"},
	})
}

func TestTable(t *testing.T) {
	for name, options := range map[string]tableOptions{
		"table.txt":          {Now: testNow},
		"all-namespaces.txt": {Now: testNow, Namespaces: true},
		"wide.txt":           {Now: testNow, Wide: true},
	} {
		cmdtest.Golden(t, *update, name, option.Rows(columns(options), example().Items, false))
	}
}

func TestOutputs(t *testing.T) {
	for file, format := range map[string]string{
		"apps.json": "json", "jsonpath.txt": "jsonpath={.items[?(@.healthy==false)].name}", "columns.txt": "custom-columns=NAME:.name,URL:.url", "names.txt": "name",
	} {
		var output option.Output
		output.AddListFlags(&cobra.Command{}, "a table")
		output.Format = format
		printer, err := output.ToPrinter()
		if err != nil {
			t.Fatal(err)
		}
		print := func(out io.Writer) error { return printNames(example(), true, out) }
		if printer != nil {
			print = func(out io.Writer) error { return printer.PrintObj(example(), out) }
		}
		var out bytes.Buffer
		if err := print(&out); err != nil {
			t.Fatal(err)
		}
		cmdtest.Golden(t, *update, file, out.String())
	}
}

func TestColumnsAreSafe(t *testing.T) {
	if text := option.Rows(columns(tableOptions{Now: testNow, Wide: true}), example().Items, false); strings.Contains(text, "\x1b") {
		t.Errorf("got %q", text)
	}
}
