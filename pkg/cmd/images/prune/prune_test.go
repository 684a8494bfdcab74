package prune

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

func TestPrint(t *testing.T) {
	created := metav1.NewTime(testNow.Add(-50 * time.Hour))
	pruned := images.Pruned{
		TypeMeta: metav1.TypeMeta{Kind: images.PruneKind, APIVersion: images.APIVersion}, Reclaimed: true, FreedBytes: 12_000_000,
		Deleted: []images.Pruning{
			{Namespace: "team-a", App: "shop", Kind: images.Images, Repository: "team-a/shop", Tags: []string{"shop-b5c1d"}, Digest: cmdtest.Digest("b"), SizeBytes: 47_100_000, Created: &created},
			{Namespace: "team-a", App: "shop", Kind: images.Cache, Repository: "team-a/shop/cache", Tags: []string{}, Digest: cmdtest.Digest("d"), SizeBytes: 1_100_000},
		},
	}
	printer, err := (&option.Output{Format: "json"}).ToPrinter()
	if err != nil {
		t.Fatal(err)
	}
	var table, json bytes.Buffer
	if err := printPruned(&pruned, true, testNow, &table); err != nil {
		t.Fatal(err)
	}
	if err := printer.PrintObj(&pruned, &json); err != nil {
		t.Fatal(err)
	}
	cmdtest.Golden(t, *update, "pruned.txt", table.String())
	cmdtest.Golden(t, *update, "pruned.json", json.String())
}

func TestSummary(t *testing.T) {
	one := []images.Pruning{{Kind: images.Images}}
	for want, pruned := range map[string]images.Pruned{
		"0 images deleted, 0 B freed":                                       {Reclaimed: true},
		"1 image would be deleted, 5 B freed":                               {DryRun: true, Deleted: one, FreedBytes: 5},
		"1 image deleted, no space freed":                                   {Deleted: one},
		"1 image deleted, 5 B freed, and 2 blobs that no image referred to": {Deleted: one, Reclaimed: true, FreedBytes: 5, FreedUnknown: 2},
		"0 images, 1 build context, 2 cached layers deleted, 5 B freed":     {Reclaimed: true, FreedBytes: 5, Deleted: []images.Pruning{{Kind: images.Cache}, {Kind: images.Contexts}, {Kind: images.Cache}}},
	} {
		if got := summary(&pruned); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--keep -1":    "--keep -1 is negative",
		"--keep many":  `invalid argument "many"`,
		"--timeout 0s": "--timeout 0s is not positive",
		"-o wide":      "--output is one of json, yaml",
		"shop":         "unknown command",
	} {
		cmd := NewCommand(genericclioptions.NewConfigFlags(true), genericiooptions.NewTestIOStreamsDiscard())
		cmd.SetArgs(strings.Fields(args))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", args, err, want)
		}
	}
}
