//go:build e2e

// Package e2e runs the built plugin as users do, against a real cluster.
package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tekton "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

const (
	// commandLimit bounds one command: a build on a slow machine, and more.
	commandLimit = 10 * time.Minute
	// settleLimit bounds what the cluster does by itself.
	settleLimit = 3 * time.Minute
	pollEvery   = 500 * time.Millisecond
)

// suite is the cluster under test, the programs, and the way to call them.
type suite struct {
	bin        string
	kubeconfig string
	home       string
	setupFlags []string
	examples   string

	kube    kubernetes.Interface
	tekton  tekton.Interface
	dynamic dynamic.Interface
	mapper  meta.RESTMapper
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	environment := func(name string) string {
		value := os.Getenv(name)
		if value == "" {
			t.Fatalf("%s is not set: run make test-e2e", name)
		}
		return value
	}
	bin, err := filepath.Abs(environment("PYFLOW_BIN"))
	check(t, err)
	examples, err := filepath.Abs("../../examples")
	check(t, err)
	s := &suite{
		bin: bin, kubeconfig: environment("KUBECONFIG"), home: t.TempDir(), examples: examples,
		setupFlags: strings.Fields(os.Getenv("PYFLOW_SETUP_FLAGS")),
	}
	for _, program := range []string{"kubectl", "kubectl-pyflow", "tkn"} {
		if _, err := exec.LookPath(filepath.Join(bin, program)); err != nil {
			t.Fatal(err)
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	check(t, err)
	config.QPS = -1
	s.kube, err = kubernetes.NewForConfig(config)
	check(t, err)
	s.tekton, err = tekton.NewForConfig(config)
	check(t, err)
	s.dynamic, err = dynamic.NewForConfig(config)
	check(t, err)
	s.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(s.kube.Discovery()))
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// result is what a command did.
type result struct {
	line           string
	code           int
	stdout, stderr string
	took           time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("$ %s\nexit code %d after %s\n--- stdout\n%s--- stderr\n%s---", r.line, r.code, r.took.Round(time.Millisecond), r.stdout, r.stderr)
}

// command prepares a program of the bin directory. It finds nothing else but the
// system's, and no configuration but the kubeconfig.
func (s *suite) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Env = []string{"PATH=" + s.bin + ":/usr/bin:/bin", "HOME=" + s.home, "KUBECONFIG=" + s.kubeconfig}
	cmd.Dir = s.home
	return cmd
}

// output is what a command has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (s *suite) run(t *testing.T, stdin io.Reader, program string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := s.command(ctx, program, args...)
	cmd.Stdin = stdin
	return finish(t, cmd, func() error { return cmd.Run() })
}

// finish runs or waits for a command, whose output has not been taken yet when
// it is about to be run.
func finish(t *testing.T, cmd *exec.Cmd, wait func() error) result {
	t.Helper()
	if cmd.Stdout == nil {
		cmd.Stdout, cmd.Stderr = &output{}, &output{}
	}
	start := time.Now()
	err := wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	return result{
		line: strings.Join(append([]string{filepath.Base(cmd.Path)}, cmd.Args[1:]...), " "), code: cmd.ProcessState.ExitCode(),
		stdout: fmt.Sprint(cmd.Stdout), stderr: fmt.Sprint(cmd.Stderr), took: time.Since(start),
	}
}

// pyflow runs the plugin the way a user does.
func (s *suite) pyflow(t *testing.T, args ...string) result {
	t.Helper()
	return s.run(t, nil, "kubectl", append([]string{"pyflow"}, args...)...)
}

func (r result) succeeded(t *testing.T) result {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("it should have succeeded\n%s", r)
	}
	t.Logf("%s: %s", r.line, r.took.Round(100*time.Millisecond))
	return r
}

// failed checks the exit code and that stderr holds every one of words, and no
// trace of the program's insides.
func (r result) failed(t *testing.T, words ...string) result {
	t.Helper()
	if r.code != 1 {
		t.Errorf("the exit code should have been 1\n%s", r)
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			t.Errorf("stderr should have said %q\n%s", word, r)
		}
	}
	if strings.Contains(r.stderr, "goroutine ") || strings.Contains(r.stderr, ".go:") {
		t.Errorf("stderr shows the program's insides\n%s", r)
	}
	return r
}

var (
	digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
	urlPattern    = regexp.MustCompile(`http://\S+`)
)

// released reads digest and URL from what a build printed for scripts.
func (r result) released(t *testing.T) (digest, url string) {
	t.Helper()
	r.succeeded(t)
	digest, url = digestPattern.FindString(r.stdout), urlPattern.FindString(r.stdout)
	if digest == "" || url == "" {
		t.Fatalf("stdout should have a digest and a URL\n%s", r)
	}
	return digest, url
}

// eventually returns when try does without an error. The last one is reported
// when the cluster has not come round in time.
func eventually(t *testing.T, what string, try func(ctx context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), pollEvery, settleLimit, true, func(ctx context.Context) (bool, error) {
		last = try(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v: %v", what, err, last)
	}
}

// namespace makes a namespace that lives as long as the test.
func (s *suite) namespace(t *testing.T) string {
	t.Helper()
	name := "demo-" + strings.ToLower(rand.Text()[:6])
	_, err := s.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), settleLimit)
		defer cancel()
		if err := s.kube.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete namespace %s: %v", name, err)
		}
	})
	return name
}

// status reads the report; err is nil only when it was printed.
func (s *suite) status(t *testing.T, namespace string) (*status.Status, result) {
	t.Helper()
	r := s.pyflow(t, "status", "-n", namespace, "-o", "json")
	snapshot := &status.Status{}
	if err := json.Unmarshal([]byte(r.stdout), snapshot); err != nil {
		t.Fatalf("the report is not JSON: %v\n%s", err, r)
	}
	if (r.code == 0) != snapshot.Healthy {
		t.Errorf("exit code and report differ\n%s", r)
	}
	return snapshot, r
}

// app returns the one app of a report.
func app(t *testing.T, snapshot *status.Status, name string) status.App {
	t.Helper()
	i := slices.IndexFunc(snapshot.Apps, func(app status.App) bool { return app.Name == name })
	if i < 0 {
		t.Fatalf("the report has no app %s: %+v", name, snapshot.Apps)
	}
	return snapshot.Apps[i]
}

// runs lists the namespace's runs, newest first.
func (s *suite) runs(t *testing.T, namespace string) []tektonv1.PipelineRun {
	t.Helper()
	list, err := s.tekton.TektonV1().PipelineRuns(namespace).List(t.Context(), metav1.ListOptions{})
	check(t, err)
	slices.SortFunc(list.Items, func(a, b tektonv1.PipelineRun) int {
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
	return list.Items
}

// get fetches a page of a delivered app.
func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, response.Status, body)
	}
	return string(body), err
}

// serves waits until url answers with text.
func serves(t *testing.T, url, text string) {
	t.Helper()
	eventually(t, "wait for the answer "+text, func(ctx context.Context) error {
		body, err := get(ctx, url)
		if err == nil && !strings.Contains(body, text) {
			err = fmt.Errorf("GET %s answers %s", url, body)
		}
		return err
	})
}

// keepsServing asks url, in a connection of its own each time as new users do, until
// the function that it returns is called: that one fails the test if a request was
// not answered.
func keepsServing(t *testing.T, url string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	asked, failed := 0, []string{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
			asked++
			if _, err := get(t.Context(), url); err != nil {
				failed = append(failed, err.Error())
			}
		}
	}()
	return func() {
		t.Helper()
		// Pods that were replaced end when the rollout is over.
		time.Sleep(2 * time.Second)
		cancel()
		<-done
		if len(failed) > 0 || asked < 10 {
			t.Errorf("%d of %d requests were not answered, among them %q", len(failed), asked, failed[:min(len(failed), 3)])
		}
	}
}

// project writes files into a new directory of the given name.
func project(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	for file, content := range files {
		path := filepath.Join(dir, file)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

// example copies an example and replaces text in one of its files.
func (s *suite) example(t *testing.T, name, file, old, new string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	check(t, os.CopyFS(dir, os.DirFS(filepath.Join(s.examples, name))))
	path := filepath.Join(dir, file)
	content, err := os.ReadFile(path)
	check(t, err)
	if strings.Count(string(content), old) != 1 {
		t.Fatalf("%s should have %q once", path, old)
	}
	check(t, os.WriteFile(path, []byte(strings.Replace(string(content), old, new, 1)), 0o644))
	return dir
}

// inventory reads every object that setup applied, by the inventory that it
// keeps itself: kind and name to what is in the cluster.
func (s *suite) inventory(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	parent, err := s.kube.CoreV1().ConfigMaps(manifests.SystemNamespace).Get(t.Context(), manifests.ConfigName, metav1.GetOptions{})
	check(t, err)
	selector := "applyset.kubernetes.io/part-of=" + parent.Labels["applyset.kubernetes.io/id"]
	members := map[string]*unstructured.Unstructured{}
	for kind := range strings.SplitSeq(parent.Annotations["applyset.kubernetes.io/contains-group-kinds"], ",") {
		mapping, err := s.mapper.RESTMapping(schema.ParseGroupKind(kind))
		check(t, err)
		list, err := s.dynamic.Resource(mapping.Resource).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
		check(t, err)
		for i := range list.Items {
			members[key(&list.Items[i])] = &list.Items[i]
		}
	}
	if len(members) < 20 {
		t.Fatalf("the inventory has only %d objects", len(members))
	}
	return members
}

func key(object *unstructured.Unstructured) string {
	return object.GroupVersionKind().GroupKind().String() + " " + object.GetNamespace() + "/" + object.GetName()
}

// changes compares two inventories. What controllers write on their own into
// status does not count; for all else the resource version must be the same.
func changes(before, after map[string]*unstructured.Unstructured) []string {
	var changes []string
	for name, object := range after {
		was, ok := before[name]
		switch {
		case !ok:
			changes = append(changes, name+" is new")
		case was.GetResourceVersion() != object.GetResourceVersion() && withoutStatus(was) != withoutStatus(object):
			changes = append(changes, name+" has changed")
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			changes = append(changes, name+" is gone")
		}
	}
	slices.Sort(changes)
	return changes
}

func withoutStatus(object *unstructured.Unstructured) string {
	bare := object.DeepCopy()
	bare.SetResourceVersion("")
	entries := slices.DeleteFunc(bare.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Subresource == "status"
	})
	// When a status was written in the second of an object's creation, applying it
	// again puts the entries in another order, and says when.
	for i := range entries {
		entries[i].Time = nil
	}
	bare.SetManagedFields(entries)
	delete(bare.Object, "status")
	// A map that came from JSON goes back into it.
	data, _ := json.Marshal(bare.Object)
	return string(data)
}
