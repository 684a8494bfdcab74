package runs

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/cmdtest"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testRuns has every kind of row.
func testRuns() []runtime.Object {
	run := func(namespace, app, name string, ago time.Duration, status corev1.ConditionStatus, reason string, change func(*tektonv1.PipelineRun)) *tektonv1.PipelineRun {
		run := pipelinerun.New(pipelinerun.Build{Meta: pipelinerun.Meta{App: app, Namespace: namespace, Name: name}, Engine: installed.Engine()})
		created := metav1.NewTime(testNow.Add(-ago))
		run.CreationTimestamp, run.Status.StartTime = created, &created
		if status != corev1.ConditionUnknown {
			finished := metav1.NewTime(created.Add(42 * time.Second))
			run.Status.CompletionTime = &finished
		}
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: reason, Message: "what Tekton\nsays"})
		if change != nil {
			change(run)
		}
		return run
	}
	digest := func(run *tektonv1.PipelineRun) {
		run.Annotations[manifests.AnnotationCommit] = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d"
		run.Status.Results = []tektonv1.PipelineRunResult{{Name: "IMAGE_DIGEST", Value: *tektonv1.NewStructuredValues(
			"sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945")}}
	}
	return []runtime.Object{
		run("demo", "mountains", "mountains-old", 26*time.Hour, corev1.ConditionTrue, "Succeeded", digest),
		run("demo", "rivers", "rivers-bad", time.Hour, corev1.ConditionFalse, "PipelineRunTimeout", nil),
		run("demo", "mountains", "mountains-new", time.Minute, corev1.ConditionTrue, "Succeeded", func(run *tektonv1.PipelineRun) {
			digest(run)
			run.Annotations[manifests.AnnotationDirty] = "true"
		}),
		run("demo", "mountains", "mountains-busy", time.Second, corev1.ConditionUnknown, "Running", nil),
		run("other", "lakes", "lakes-1", 2*time.Minute, corev1.ConditionTrue, "Succeeded", digest),
	}
}

func kubeconfig(t *testing.T) *genericclioptions.ConfigFlags {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	const config = `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, namespace: demo}}], clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := genericclioptions.NewConfigFlags(false)
	flags.KubeConfig = &file
	return flags
}

func output(format string) option.Output {
	var output option.Output
	output.AddListFlags(&cobra.Command{}, "a table")
	output.Format = format
	return output
}

func sorted() option.Output {
	var output option.Output
	cmd := &cobra.Command{}
	output.AddListFlags(cmd, "a table")
	_ = cmd.ParseFlags([]string{"--sort-by", ".name", "--no-headers"})
	return output
}

func TestRun(t *testing.T) {
	for file, test := range map[string]struct {
		flags Flags
		args  []string
	}{
		"table.txt":          {Flags{}, nil},
		"app.txt":            {Flags{}, []string{"mountains"}},
		"wide.txt":           {Flags{Output: output("wide")}, nil},
		"all-namespaces.txt": {Flags{AllNamespaces: true}, nil},
		"names.txt":          {Flags{Output: output("name")}, nil},
		"runs.json":          {Flags{Output: output("json")}, []string{"mountains"}},
		"sorted.txt":         {Flags{Output: sorted()}, nil},
		"selected.txt":       {Flags{Selector: manifests.LabelApp + "=rivers"}, nil},
		"jsonpath.txt":       {Flags{Output: output("jsonpath={.items[0].name}")}, nil},
	} {
		t.Run(file, func(t *testing.T) {
			test.flags.config = kubeconfig(t)
			streams, _, out, errOut := genericiooptions.NewTestIOStreams()
			o, err := test.flags.ToOptions(streams, test.args)
			if err != nil {
				t.Fatal(err)
			}
			o.Client, o.Now = tektonfake.NewSimpleClientset(testRuns()...), func() time.Time { return testNow }
			if err := o.Run(t.Context()); err != nil || errOut.Len() > 0 {
				t.Fatalf("%v, %s", err, errOut)
			}
			cmdtest.Golden(t, *update, file, out.String())
		})
	}
}

func TestRunWithoutRuns(t *testing.T) {
	client := tektonfake.NewSimpleClientset(testRuns()...)
	options := func(args ...string) (*Options, io.Writer, func() string) {
		streams, _, _, errOut := genericiooptions.NewTestIOStreams()
		flags := &Flags{config: kubeconfig(t)}
		o, err := flags.ToOptions(streams, args)
		if err != nil {
			t.Fatal(err)
		}
		o.Client, o.CheckNamespace = client, func(context.Context) error { return nil }
		return o, errOut, errOut.String
	}
	o, _, said := options()
	o.Namespace = "empty"
	if err := o.Run(t.Context()); err != nil || said() != "no runs in namespace empty yet; start one: kubectl pyflow build DIR\n" {
		t.Errorf("got %v, %q", err, said())
	}
	o, _, _ = options()
	o.Namespace, o.CheckNamespace = "empty", func(context.Context) error { return platform.ErrNotSetUp }
	if err := o.Run(t.Context()); !errors.Is(err, platform.ErrNotSetUp) {
		t.Errorf("a cluster without setup: %v", err)
	}
	o.Watch = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}: "PipelineRunList",
	})
	if err := o.Run(t.Context()); !errors.Is(err, platform.ErrNotSetUp) {
		t.Errorf("a watch on a cluster without setup: %v", err)
	}
	o, _, _ = options("nothing")
	var missing *pipelinerun.NotFoundError
	if err := o.Run(t.Context()); !errors.As(err, &missing) {
		t.Errorf("an unknown app: %v", err)
	}
	o, _, _ = options("rivers-bad")
	if err := o.Run(t.Context()); err == nil || err.Error() != "rivers-bad is a run, not an app" {
		t.Errorf("a run: %v", err)
	}
	client.PrependReactor("list", "pipelineruns", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pipelineruns"}, "", errors.New("no"))
	})
	o, _, _ = options()
	var forbidden *access.MissingError
	if err := o.Run(t.Context()); !errors.As(err, &forbidden) || !strings.Contains(err.Error(), "list pipelineruns.tekton.dev in namespace demo") {
		t.Errorf("without permissions: %v", err)
	}
}

func TestFlags(t *testing.T) {
	flags := &Flags{config: kubeconfig(t), Output: output("table")}
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	if _, err := flags.ToOptions(streams, nil); err == nil || !strings.Contains(err.Error(), `not "table"`) {
		t.Errorf("got %v", err)
	}
}

// A watch prints the list once, then only what changes, without headers.
func TestWatch(t *testing.T) {
	runs := testRuns()
	client := tektonfake.NewSimpleClientset(runs[1])
	resource := schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}
	watched := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{resource: "PipelineRunList"})
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	o, err := (&Flags{config: kubeconfig(t)}).ToOptions(streams, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	o.Client, o.Watch, o.Now = client, watched, func() time.Time { return testNow }
	printRuns := o.Print
	done := errors.New("enough")
	lists := 0
	o.Print = func(list *status.RunList, headers bool, out io.Writer) error {
		if err := printRuns(list, headers, out); err != nil || lists == 1 {
			return cmp.Or(err, done)
		}
		lists++
		run, _ := runs[2].(*tektonv1.PipelineRun)
		if err := client.Tracker().Add(run); err != nil {
			return err
		}
		object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": map[string]any{"name": run.Name, "namespace": run.Namespace}}}
		_, err := watched.Resource(resource).Namespace(run.Namespace).Create(ctx, object, metav1.CreateOptions{})
		return err
	}
	if err := o.Run(ctx); !errors.Is(err, done) {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "NAME") || !strings.HasPrefix(lines[1], "rivers-bad") || !strings.HasPrefix(lines[2], "mountains-new") {
		t.Errorf("got\n%s", out)
	}
}
