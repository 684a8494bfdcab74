package gather

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/supportbundle"
)

// testOptions are of a namespace with a run of the app web, and with the app api,
// whose runs have gone.
func testOptions(t *testing.T, namespace, target string) (o *Options, out, errOut func() string) {
	t.Helper()
	t.Chdir(t.TempDir())
	run := pipelinerun.New(pipelinerun.Build{Meta: pipelinerun.Meta{App: "web", Namespace: "demo", Name: "web-1"}, Engine: installed.Engine()})
	both := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, tektonv1.AddToScheme} {
		if err := add(both); err != nil {
			t.Fatal(err)
		}
	}
	api := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "api", Labels: map[string]string{manifests.LabelApp: "api"}}}
	streams, _, outBuffer, errBuffer := genericiooptions.NewTestIOStreams()
	return &Options{
		Clients:   supportbundle.Clients{Kube: fake.NewClientset(testNamespace("demo"), testNamespace("empty")), Tekton: tektonfake.NewSimpleClientset(run), Dynamic: dynamicfake.NewSimpleDynamicClient(both, api)},
		Streams:   streams,
		Namespace: namespace, Target: target,
		Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
	}, outBuffer.String, errBuffer.String
}

func testNamespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// names are the files in an archive.
func names(t *testing.T, r io.Reader) string {
	t.Helper()
	compressed, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for reader := tar.NewReader(compressed); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

func TestRun(t *testing.T) {
	for name, test := range map[string]struct{ namespace, target, file, has, hasNot string }{
		"the newest":     {"demo", "", "web-1.tar.gz", "web-1/run/pipelinerun.yaml", "web-1/app/deployments/api.yaml"},
		"a run":          {"demo", "web-1", "web-1.tar.gz", "web-1/run/pipelinerun.yaml", "/app/"},
		"an app":         {"demo", "web", "web-1.tar.gz", "web-1/run/pipelinerun.yaml", "/app/"},
		"without runs":   {"demo", "api", "api.tar.gz", "api/app/deployments/api.yaml", "api/run/"},
		"nothing at all": {"empty", "", "empty.tar.gz", "empty/README.txt", "empty/run/"},
	} {
		t.Run(name, func(t *testing.T) {
			o, out, errOut := testOptions(t, test.namespace, test.target)
			if err := o.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if out() != test.file+"\n" || !strings.Contains(errOut(), "README.txt says what and why") {
				t.Errorf("it says %q and %q", out(), errOut())
			}
			file, err := os.Open(test.file)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if got := names(t, file); !strings.Contains(got, test.has) || strings.Contains(got, test.hasNot) {
				t.Errorf("it has %s", got)
			}
			info, err := file.Stat()
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("others may read it: %v, %v", info.Mode(), err)
			}
			wantFiles(t, 1)
		})
	}
}

// wantFiles checks that nothing but n files is left in the directory.
func wantFiles(t *testing.T, n int) {
	t.Helper()
	if left, err := os.ReadDir("."); err != nil || len(left) != n {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestRunToStandardOutput(t *testing.T) {
	o, out, _ := testOptions(t, "demo", "")
	o.File = "-"
	if err := o.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, strings.NewReader(out())); !strings.Contains(got, "web-1/run/pipelinerun.yaml") {
		t.Errorf("it has %s", got)
	}
	wantFiles(t, 0)
}

func TestRunKeepsWhatIsThere(t *testing.T) {
	o, out, _ := testOptions(t, "demo", "")
	o.File = "mine.tar.gz"
	if err := os.WriteFile(o.File, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := o.Run(t.Context()); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "mine.tar.gz") {
		t.Errorf("got %v", err)
	}
	o.Force = true
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Run(ctx); err == nil || out() != "" {
		t.Errorf("interrupted: %v, %q", err, out())
	}
	if text, err := os.ReadFile(o.File); err != nil || string(text) != "mine" {
		t.Errorf("it is %q, %v", text, err)
	}
	wantFiles(t, 1)
	if err := o.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(o.File)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	names(t, file)
	wantFiles(t, 1)
}

func TestRunErrors(t *testing.T) {
	o, _, _ := testOptions(t, "demo", "nothing")
	var missing *pipelinerun.NotFoundError
	if err := o.Run(t.Context()); !errors.As(err, &missing) {
		t.Errorf("an unknown name: %v", err)
	}
	o.Namespace, o.Target = "typo", ""
	if err := o.Run(t.Context()); !errors.As(err, new(*kube.NamespaceNotFoundError)) {
		t.Errorf("a namespace that does not exist: %v", err)
	}
	o.Namespace, o.Target, o.File = "demo", "", filepath.Join("nowhere", "x.tar.gz")
	if err := o.Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	wantFiles(t, 0)
}
