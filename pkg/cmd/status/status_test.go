package status

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/cmdtest"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(testNow.Add(-d)) }

// example has every kind of row.
func example() *status.Status {
	digest := "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
	finished, expires := ago(170*time.Second), ago(-9*24*time.Hour)
	return &status.Status{
		TypeMeta: metav1.TypeMeta{Kind: status.Kind, APIVersion: status.APIVersion},
		Platform: []status.Part{
			{Name: "kubernetes", Version: "v1.36.3", Desired: 2, Ready: 1, Healthy: true, Message: "not ready: two"},
			{Name: "tekton", Namespace: "tekton-pipelines", Version: "v1.15.1", Unknown: true, Message: "missing permissions: list deployments.apps"},
			{Name: "registry", Namespace: "pyflow-system", Version: "3", Desired: 1, Ready: 1, Healthy: true, CertificateExpires: &expires, Message: "certificate expires on 2026-03-10"},
			{Name: "pipeline", Namespace: "pyflow-system", Version: "v0.1.0", Desired: 3, Ready: 3, Healthy: true},
		},
		Runs: []status.Run{
			{Name: "mountains-7k2xq", Namespace: "demo", App: "mountains", State: status.RunRunning, Reason: "Running", Started: ago(15 * time.Second), DurationSeconds: 15},
			{Name: "mountains-x9f4z", Namespace: "demo", App: "mountains", State: status.RunFailed, Reason: "PipelineRunTimeout", Message: "it took too long", Started: ago(time.Hour), Finished: &finished, DurationSeconds: 3430},
			{Name: "mountains-b5c1d", Namespace: "demo", App: "mountains", State: status.RunSucceeded, Reason: "Succeeded", Started: ago(26 * time.Hour), Finished: &finished, DurationSeconds: 42, Digest: digest},
		},
		Apps: []status.App{
			{
				Name: "mountains", Namespace: "demo", Desired: 3, Ready: 3, Digest: digest, Image: "127.0.0.1:5180/demo/mountains@" + digest,
				URL: "http://10.0.0.1:30080", Workloads: []string{"deployment.apps/mountains"}, Updated: ago(26 * time.Hour), Healthy: true,
			},
			{
				Name: "rivers", Namespace: "demo", Desired: 2, Ready: 1, Workloads: []string{"daemonset.apps/rivers-agent", "statefulset.apps/rivers"},
				Updated: ago(10 * time.Minute), Message: "pod rivers-1: container rivers: CrashLoopBackOff: exit code 1",
			},
		},
	}
}

func TestTable(t *testing.T) {
	for name, options := range map[string]tableOptions{
		"table.txt":                {Now: testNow},
		"table-all-namespaces.txt": {Now: testNow, Namespaces: true},
		"table-wide.txt":           {Now: testNow, Wide: true},
	} {
		var out bytes.Buffer
		if err := printTable(example(), options, &out); err != nil {
			t.Fatal(err)
		}
		cmdtest.Golden(t, *update, name, out.String())
	}
}

// What a pod says must not move the cursor, nor forge a row.
func TestTableIsSafe(t *testing.T) {
	snapshot := &status.Status{Platform: []status.Part{{Name: "a", Message: "\x1b[2Jx\ty\nAPPS"}}}
	var out bytes.Buffer
	if err := printTable(snapshot, tableOptions{Now: testNow}, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, "\x1b") || strings.Count(got, "\n") != 2 {
		t.Errorf("got %q", got)
	}
}

func TestOutputs(t *testing.T) {
	for output, file := range map[string]string{
		"json":                           "status.json",
		"yaml":                           "status.yaml",
		"name":                           "names.txt",
		"jsonpath={.apps[*].url}{'\\n'}": "jsonpath.txt",
	} {
		var out bytes.Buffer
		var err error
		if output == "name" {
			err = printNames(example(), &out)
		} else {
			p, perr := (&option.Output{Format: output}).ToPrinter()
			if perr != nil {
				t.Fatal(perr)
			}
			err = p.PrintObj(example(), &out)
		}
		if err != nil {
			t.Fatal(err)
		}
		cmdtest.Golden(t, *update, file, out.String())
	}
}

func TestFlags(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "config")
	const config = `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, namespace: demo}}], clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]}`
	if err := os.WriteFile(kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"--runs=-1":          "--runs -1 is negative",
		"-o table":           `--output is one of wide, name, json, yaml, jsonpath, jsonpath-file, go-template, go-template-file, custom-columns, custom-columns-file, not "table"`,
		"-o jsonpath={.apps": `--output "jsonpath={.apps"`,
		"-l a=b=c":           "--selector",
	} {
		flags := genericclioptions.NewConfigFlags(false)
		flags.KubeConfig = &kubeconfig
		streams, _, out, _ := genericiooptions.NewTestIOStreams()
		cmd := NewCommand(flags, streams)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetArgs(strings.Fields(args))
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%s: got %v and %q, want %s", args, err, out, want)
		}
	}
}

func TestRun(t *testing.T) {
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: manifests.ConfigName, Namespace: manifests.SystemNamespace},
		Data:       map[string]string{manifests.ConfigKey: "version: v0.1.0\n"},
	}
	kube := fake.NewClientset(config, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "demo"}})
	kube.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.36.3"}
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	o := &Options{
		Clients:  status.Clients{Kube: kube, Tekton: tektonfake.NewSimpleClientset()},
		Streams:  streams,
		Report:   status.Options{Namespace: "demo", Runs: 5},
		Person:   true,
		ExitCode: true,
		Sort:     func(*status.Status) error { return nil },
		Now:      func() time.Time { return testNow },
		Print: func(snapshot *status.Status, out io.Writer) error {
			return printTable(snapshot, tableOptions{Now: testNow}, out)
		},
	}
	if err := o.Run(t.Context()); !errors.Is(err, ErrUnhealthy) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(out.String(), "not found") || !strings.Contains(out.String(), "pyflow is not set up in namespace demo") {
		t.Errorf("the report does not say what is wrong:\n%s", out)
	}
	if want := "hint: a cluster administrator sets it up: kubectl pyflow setup --namespace demo\n"; errOut.String() != want {
		t.Errorf("got %q, want %q", errOut, want)
	}

	o.ExitCode = false
	if err := o.Run(t.Context()); err != nil {
		t.Errorf("without --exit-code: %v", err)
	}
	out.Reset()
	o.Clients.Kube = fake.NewClientset()
	if err := o.Run(t.Context()); !errors.Is(err, platform.ErrNotSetUp) || out.Len() > 0 {
		t.Errorf("without setup: %v, %q", err, out)
	}
}

// A platform with nothing to report is one line; what is unknown is no trouble.
func TestPlatformFolds(t *testing.T) {
	well := []status.Part{
		{Name: "kubernetes", Version: "v1.36.3", Healthy: true},
		{Name: "registry", Unknown: true, Message: "missing permissions"},
		{Name: manifests.NodeAccessName, Healthy: true, Message: "hostport"},
		{Name: "pipeline", Version: "v0.1.0", Healthy: true, Message: "builds share the users of their nodes"},
	}
	if got, want := platformBlock(well, tableOptions{}), "Platform v0.1.0 is healthy (3 parts, 1 unknown)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := platformBlock(well, tableOptions{Wide: true}); strings.Count(got, "\n") != 5 {
		t.Errorf("-o wide has no table:\n%s", got)
	}
	for _, part := range []status.Part{{Name: "storage"}, {Name: "registry", Healthy: true, Message: "certificate expires"}} {
		if got := platformBlock(append(well, part), tableOptions{}); strings.Count(got, "\n") != 6 {
			t.Errorf("%s: no table:\n%s", part.Name, got)
		}
	}
}

// Watched outside of a terminal, only what changed is printed again.
func TestUnprinted(t *testing.T) {
	printed := map[string]string{}
	if !unprinted(example(), printed) {
		t.Error("the first report is not printed")
	}
	later := example()
	later.Runs[0].DurationSeconds++
	if unprinted(later, printed) {
		t.Errorf("time alone is a change: %+v", later)
	}
	changed := example()
	changed.Apps[1].Ready = 2
	if !unprinted(changed, printed) || len(changed.Platform)+len(changed.Runs) > 0 || len(changed.Apps) != 1 || changed.Apps[0].Name != "rivers" {
		t.Errorf("got %+v, want rivers", changed)
	}
}
