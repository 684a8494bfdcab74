//go:build e2e

package console

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestScale shows 2,000 runs and 300 apps, and prints how long the first rows take, how much
// memory the process has, and how many requests an idle page costs. It takes minutes, so it
// runs only with PYFLOW_SCALE=1. The bounds are those of memory and of requests: time
// depends on the machine.
func TestScale(t *testing.T) {
	if os.Getenv("PYFLOW_SCALE") == "" {
		t.Skip("PYFLOW_SCALE is not set")
	}
	const runs, apps = 2000, 300
	ns := env.Namespace(t)
	ns.Build(t, env.Page(t, "shop", "hello", ""), "--no-deploy").Succeeded(t)
	model := ns.Runs(t)[0]
	inParallel(t, runs-1, func(ctx context.Context, i int) error {
		run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("shop-%05d", i), Namespace: ns.Name, Labels: model.Labels, Annotations: model.Annotations,
		}, Spec: *model.Spec.DeepCopy()}
		// Tekton ends it at once.
		run.Spec.Status = tektonv1.PipelineRunSpecStatusCancelled
		_, err := ns.Tekton.TektonV1().PipelineRuns(ns.Name).Create(ctx, run, metav1.CreateOptions{})
		return err
	})
	inParallel(t, apps, func(ctx context.Context, i int) error {
		name := fmt.Sprintf("app-%03d", i)
		labels, none := map[string]string{manifests.LabelApp: name}, int32(0)
		_, err := ns.Kube.AppsV1().Deployments(ns.Name).Create(ctx, &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
			Spec: appsv1.DeploymentSpec{Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "none.example/" + name}}},
			}},
		}, metav1.CreateOptions{})
		return err
	})

	u, tb := firstRows(t, ns, "while the cluster still works on them")
	for _, view := range []string{"/apps", "/", "/runs?page=40"} {
		at := time.Now()
		tb.visit(t, u.url(view))
		tb.until(t, `document.querySelector("main h1") && !document.querySelector("main .loading")`)
		t.Logf("%s: %.2f s", view, time.Since(at).Seconds())
	}
	tb.visit(t, u.url("/apps"))
	tb.shows(t, fmt.Sprintf("%d apps", apps))

	// The cluster takes a while to accept so many Deployments, and each of them is news.
	env.Eventually(t, "wait for the Deployments", func(ctx context.Context) error {
		list, err := ns.Kube.AppsV1().Deployments(ns.Name).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, deployment := range list.Items {
			if deployment.Status.ObservedGeneration < deployment.Generation {
				return fmt.Errorf("%s is not accepted", deployment.Name)
			}
		}
		return nil
	})
	time.Sleep(20 * time.Second)
	const idle = 3 * time.Minute
	before := requests(u)
	time.Sleep(idle)
	per := float64(requests(u)-before) / idle.Minutes()
	t.Logf("requests in a minute of an idle page: %.1f", per)
	if per > 2 {
		t.Errorf("an idle page costs %.1f requests a minute", per)
	}
	memory, most := residentMB(t, u, "VmRSS"), residentMB(t, u, "VmHWM")
	t.Logf("memory of the process: %d MB, at most %d MB", memory, most)
	if most > 150 {
		t.Errorf("the process took %d MB", most)
	}
	for range 3 {
		firstRows(t, ns, "on an idle cluster")
	}
}

// firstRows starts the console and opens its page of 2,000 runs, and logs how long the first
// rows took.
func firstRows(t *testing.T, ns *env.NS, when string) (*ui, *tab) {
	t.Helper()
	tb := blank(t)
	started := time.Now()
	u := serve(t, ns, "--v=6")
	tb.visit(t, u.url("/runs"))
	tb.until(t, `document.querySelector("tbody tr")`)
	t.Logf("from Enter to the first rows of 2,000 runs, %s: %.2f s", when, time.Since(started).Seconds())
	tb.shows(t, "2,000 runs")
	return u, tb
}

func inParallel(t *testing.T, count int, do func(ctx context.Context, i int) error) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	for i := range count {
		group.Go(func() error { return do(ctx, i) })
	}
	env.Check(t, group.Wait())
}

var logged = regexp.MustCompile(`(?m)"Response"|(GET|POST|PATCH) https?://`)

// requests returns how many requests to the API server the process has logged.
func requests(u *ui) int { return len(logged.FindAllString(u.Stderr.String(), -1)) }

// residentMB returns a number of /proc/PID/status in MB.
func residentMB(t *testing.T, u *ui, field string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", u.Cmd.Process.Pid))
	env.Check(t, err)
	_, rest, _ := strings.Cut(string(text), field+":")
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	env.Check(t, err)
	return kB / 1000
}
