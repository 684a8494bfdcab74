//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestResolvers wants Tekton to fetch nothing for a run but the Tasks of the platform: no Task of
// another namespace, and no URL, which Tekton would reach from inside the cluster.
func TestResolvers(t *testing.T) {
	t.Parallel()
	ns, other := env.Namespace(t), env.Namespace(t)
	task := &tektonv1.Task{
		ObjectMeta: metav1.ObjectMeta{Name: "private", Namespace: other.Name},
		Spec:       tektonv1.TaskSpec{Steps: []tektonv1.Step{{Name: "x", Image: "docker.io/library/x", Command: []string{"s3cret"}}}},
	}
	_, err := ns.Tekton.TektonV1().Tasks(other.Name).Create(t.Context(), task, metav1.CreateOptions{})
	env.Check(t, err)
	var asked atomic.Int32
	url := listen(t, ns, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.NotFound(w, r)
	})
	param := func(name, value string) tektonv1.Param {
		return tektonv1.Param{Name: name, Value: *tektonv1.NewStructuredValues(value)}
	}
	of := func(namespace string) tektonv1.Params {
		return tektonv1.Params{param("kind", "task"), param("name", "private"), param("namespace", namespace)}
	}
	for name, test := range map[string]struct {
		resolver tektonv1.ResolverName
		params   tektonv1.Params
	}{
		"another-namespace": {"cluster", of(other.Name)},
		"own-namespace":     {"cluster", of(ns.Name)},
		"system":            {"cluster", of(manifests.TektonNamespace)},
		"url":               {"http", tektonv1.Params{param("url", url)}},
		"git":               {"git", tektonv1.Params{param("url", url), param("revision", "main"), param("pathInRepo", "x.yaml")}},
		"bundle":            {"bundles", tektonv1.Params{param("bundle", strings.TrimPrefix(url, "http://")+"/x"), param("name", "x"), param("kind", "task")}},
		"hub":               {"hub", tektonv1.Params{param("name", "x"), param("version", "1.0.0")}},
	} {
		t.Run(name, func(t *testing.T) {
			run := &tektonv1.TaskRun{
				ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns.Name},
				Spec:       tektonv1.TaskRunSpec{TaskRef: &tektonv1.TaskRef{ResolverRef: tektonv1.ResolverRef{Resolver: test.resolver, Params: test.params}}},
			}
			runs := ns.Tekton.TektonV1().TaskRuns(ns.Name)
			_, err := runs.Create(t.Context(), run, metav1.CreateOptions{})
			env.Check(t, err)
			env.Eventually(t, "wait for the end of the run", func(ctx context.Context) error {
				run, err = runs.Get(ctx, name, metav1.GetOptions{})
				if err == nil && !run.IsDone() {
					err = fmt.Errorf("the run is %+v", run.Status.Conditions)
				}
				return err
			})
			condition := run.Status.Conditions[0]
			t.Logf("%s: %s", condition.Reason, condition.Message)
			if !run.IsFailure() || run.Status.TaskSpec != nil || strings.Contains(fmt.Sprint(run.Status), "s3cret") {
				t.Errorf("Tekton has fetched %+v", run.Status)
			}
		})
	}
	if asked.Load() > 0 {
		t.Errorf("Tekton has asked %s %d times", url, asked.Load())
	}
}

// listen serves on the address of this machine that pods reach, and returns its URL.
func listen(t *testing.T, ns *env.NS, handler http.HandlerFunc) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(ns.AddressForPods(t), "0"))
	env.Check(t, err)
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}
