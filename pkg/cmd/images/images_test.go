package images

import (
	"bytes"
	"flag"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/cmdtest"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *metav1.Time {
	at := metav1.NewTime(testNow.Add(-d))
	return &at
}

func TestPrint(t *testing.T) {
	list := &images.List{
		TypeMeta: metav1.TypeMeta{Kind: images.ListKind, APIVersion: images.APIVersion},
		Items: []images.Image{
			{
				Namespace: "team-a", App: "shop", Tags: []string{"shop-x7k2p"}, Digest: cmdtest.Digest("a"), SizeBytes: 48_300_000, Created: ago(90 * time.Second),
				Repository: "registry.pyflow-system.svc/team-a/shop", Reference: "127.0.0.1:5180/team-a/shop@" + cmdtest.Digest("a"),
				UsedBy: []images.User{{Resource: "deployment.apps", Namespace: "team-a", Name: "shop"}, {Resource: "pod", Namespace: "team-b", Name: "x"}},
			},
			{
				Namespace: "team-a", App: "shop", Tags: []string{"latest", "shop-b5c1d"}, Digest: cmdtest.Digest("b"), SizeBytes: 47_100_000, Created: ago(50 * time.Hour),
				Repository: "registry.pyflow-system.svc/team-a/shop", Reference: "127.0.0.1:5180/team-a/shop@" + cmdtest.Digest("b"),
				UsedBy: []images.User{{Resource: "deployment.apps", Namespace: "team-a", Name: "shop", Previous: true}},
			},
			{
				Namespace: "team-b", App: "till", Tags: []string{"1"}, Digest: cmdtest.Digest("c"), SizeBytes: 900,
				Repository: "registry.pyflow-system.svc/team-b/till", Reference: "127.0.0.1:5180/team-b/till@" + cmdtest.Digest("c"), UsedBy: []images.User{},
			},
		},
		Stored: []images.Stored{},
	}
	whole := *list
	whole.Stored = []images.Stored{{
		Namespace: "team-a", Images: images.Amount{Count: 2, Bytes: 50_000_000}, Contexts: images.Amount{Count: 3, Bytes: 33_000},
		Cache: images.Amount{Count: 7, Bytes: 41_000_000}, TotalBytes: 52_000_000,
	}}
	whole.Warnings = []string{"the users of the images are incomplete: you may not list jobs.batch"}
	print := func(f func(out *bytes.Buffer) error) string {
		t.Helper()
		var out bytes.Buffer
		if err := f(&out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	json, err := (&option.Output{Format: "json"}).ToPrinter()
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"table.txt": print(func(out *bytes.Buffer) error { return printTable(list, tableOptions{Now: testNow}, out) }),
		"wide.txt": print(func(out *bytes.Buffer) error {
			return printTable(&whole, tableOptions{Now: testNow, Wide: true, Namespaces: true}, out)
		}),
		"names.txt": print(func(out *bytes.Buffer) error { return printNames(list, out) }),
		"empty.txt": print(func(out *bytes.Buffer) error { return printTable(&images.List{}, tableOptions{}, out) }),
		"list.json": print(func(out *bytes.Buffer) error { return json.PrintObj(&whole, out) }),
	} {
		cmdtest.Golden(t, *update, name, got)
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-o xml":        "--output is one of wide, name, json",
		"shop till":     "accepts at most 1 arg",
		"prune shop":    "unknown command",
		"platform shop": "unknown command",
		"inspect":       "accepts 1 arg(s), received 0",
	} {
		cmd := NewCommand(genericclioptions.NewConfigFlags(true), genericiooptions.NewTestIOStreamsDiscard())
		cmd.SetArgs(strings.Fields(args))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", args, err, want)
		}
	}
}
