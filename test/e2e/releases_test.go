//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// releases returns the history of an app, newest first.
func releases(t *testing.T, ns *env.NS, app string) []status.Release {
	t.Helper()
	var list status.ReleaseList
	env.Check(t, json.Unmarshal([]byte(ns.Pyflow(t, "history", app, "-o", "json").Succeeded(t).Stdout), &list))
	return list.Items
}

// states returns the numbers and states of releases, as "2 Live, 1 Replaced".
func states(list []status.Release) string {
	var texts []string
	for _, release := range list {
		texts = append(texts, fmt.Sprintf("%d %s", release.Number, release.State))
	}
	return strings.Join(texts, ", ")
}

// rewrite replaces the page that a project of env.Page serves.
func rewrite(t *testing.T, dir, text string) {
	t.Helper()
	env.Check(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte(text), 0o644))
}

// TestReleases wants the history of an app, and a way back, while the app serves.
func TestReleases(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	shop := env.Page(t, "shop", "one", "")
	first, url := ns.Build(t, shop, "--replicas", "2", "--tag", "v1", "--tag", "stable").Released(t)
	ns.Pyflow(t, "images", "inspect", "shop:v1").Succeeded(t).Prints(t, first)
	ns.Build(t, shop, "--tag", "shop-9").FailedWith(t, 2, "a name of a run")
	rewrite(t, shop, "two")
	second, _ := ns.Build(t, shop, "--replicas", "2").Released(t)
	stop := env.KeepsServing(t, url)

	// Back, and back again to what was before: a rollback goes on from where the live one came.
	if back, _ := ns.Pyflow(t, "rollback", "shop").Released(t); back != first {
		t.Errorf("the rollback deployed %s, want %s", back, first)
	}
	env.Serves(t, url, "one")
	ns.Pyflow(t, "rollback", "shop").Failed(t, "no release before the live one").Hints(t, "list its releases")
	if again, _ := ns.Pyflow(t, "rollback", "shop", "--to", "2").Released(t); again != second {
		t.Errorf("the rollback deployed %s, want %s", again, second)
	}
	env.Serves(t, url, "two")
	stop()
	list := releases(t, ns, "shop")
	if got := states(list); got != "4 Live, 3 Replaced, 2 Replaced, 1 Replaced" {
		t.Fatalf("the releases are %s", got)
	}
	if list[0].RollbackTo != 2 || list[0].By == "" || list[0].Run != "shop-4" || list[0].Digest != second || list[3].Digest != first {
		t.Errorf("the releases are %+v", list)
	}
	ns.Pyflow(t, "rollback", "shop", "--to", "9").Failed(t, "no release 9").Hints(t, "4, 3, 2, 1")
	ns.Pyflow(t, "history", "shop", "--diff", "2").Succeeded(t).Prints(t, "release 1 -> release 2", "1 layer of", "packages: the same", "manifests: the same")

	// Runs go, records stay; of records the newest and the live one stay.
	rewrite(t, shop, "three")
	ns.Build(t, shop, "--replicas", "2", "--keep", "1", "--keep-releases", "2").Succeeded(t)
	if got := states(releases(t, ns, "shop")); got != "5 Live, 4 Replaced" {
		t.Errorf("the releases on record are %s", got)
	}
	if runs := ns.RunsOf(t, "shop"); len(runs) != 1 {
		t.Errorf("%d runs are left", len(runs))
	}
	if back, _ := ns.Pyflow(t, "rollback", "shop").Released(t); back != second {
		t.Errorf("without its run, the rollback deployed %s, want %s", back, second)
	}
}

// TestReleasesUnderLoad wants every request answered while 20 releases follow one another, builds
// and rollbacks in turn.
func TestReleasesUnderLoad(t *testing.T) {
	t.Parallel()
	const deliveries, kept, clients = 20, 8, 4
	ns := env.Namespace(t)
	page := func(number int) string { return fmt.Sprintf("page %d.", number) }
	shop := env.Page(t, "shop", page(1), "")
	_, url := ns.Build(t, shop, "--replicas", "2").Released(t)
	load := env.NewLoad(t, url, clients)
	for number := 2; number <= deliveries; number += 2 {
		rewrite(t, shop, page(number))
		ns.Build(t, shop, "--replicas", "2", "--keep", "3", "--keep-releases", strconv.Itoa(kept)).Released(t)
		env.Serves(t, url, page(number))
		// Back to the build before.
		to := max(1, number-2)
		ns.Pyflow(t, "rollback", "shop", "--to", strconv.Itoa(to), "--keep-releases", strconv.Itoa(kept)).Released(t)
		env.Serves(t, url, page(to))
	}
	// The pods of the last release but one end while requests go on.
	env.Eventually(t, "wait for the old pods to end", func(ctx context.Context) error {
		pods, err := ns.Kube.CoreV1().Pods(ns.Name).List(ctx, metav1.ListOptions{LabelSelector: manifests.LabelApp + "=shop,!tekton.dev/pipelineRun"})
		if err == nil && len(pods.Items) != 2 {
			err = fmt.Errorf("there are %d pods", len(pods.Items))
		}
		return err
	})
	t.Logf("%d requests", load.Stop(t))

	var want []string
	for number := deliveries + 1; number > deliveries+1-kept; number-- {
		want = append(want, fmt.Sprintf("%d %s", number, status.Replaced))
	}
	want[0] = fmt.Sprintf("%d %s", deliveries+1, status.Live)
	if got := states(releases(t, ns, "shop")); got != strings.Join(want, ", ") {
		t.Errorf("the releases are %s, want %s", got, strings.Join(want, ", "))
	}
}

// TestSecretsOfReleases wants the Secrets of manifests in no ConfigMap, and again after a
// rollback.
func TestSecretsOfReleases(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	shop := env.Page(t, "shop", "one", "")
	write := func(url string) {
		t.Helper()
		for file, text := range map[string]string{
			"kustomization.yaml": "resources: [secret.yaml, deployment.yaml]\n",
			"secret.yaml":        "apiVersion: v1\nkind: Secret\nmetadata: {name: shop-db}\nstringData: {url: " + url + "}\n",
			"deployment.yaml":    deploymentOfShop,
		} {
			env.Check(t, os.MkdirAll(filepath.Join(shop, "k8s"), 0o755))
			env.Check(t, os.WriteFile(filepath.Join(shop, "k8s", file), []byte(text), 0o600))
		}
	}
	write("postgres-first")
	ns.Build(t, shop).Succeeded(t)
	write("postgres-second")
	ns.Build(t, shop).Succeeded(t)
	ns.Pyflow(t, "rollback", "shop").Succeeded(t)
	secret, err := ns.Kube.CoreV1().Secrets(ns.Name).Get(t.Context(), "shop-db", metav1.GetOptions{})
	env.Check(t, err)
	if got := string(secret.Data["url"]); got != "postgres-first" {
		t.Errorf("after the rollback the Secret has %q", got)
	}
	list, err := ns.Kube.CoreV1().ConfigMaps(ns.Name).List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	for _, object := range list.Items {
		if text := fmt.Sprint(object.Data); strings.Contains(text, "postgres-") || strings.Contains(text, "cG9zdGdyZXM") {
			t.Errorf("ConfigMap %s has the Secret in it", object.Name)
		}
	}
}

// TestForeignObjects wants nothing taken over and nothing applied: neither an object of another
// tool, nor a field of another manager, nor replicas that were scaled.
func TestForeignObjects(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	shop := env.Page(t, "shop", "one", "")
	_, err := ns.Kube.CoreV1().Services(ns.Name).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"}},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	r := ns.Build(t, shop)
	r.Failed(t, "Service/shop exists and is not of app shop: Helm manages it").Hints(t, "--adopt")
	if runs := ns.Runs(t); len(runs) != 0 {
		t.Errorf("there are %d runs\n%s", len(runs), r)
	}
	ns.Build(t, shop, "--adopt").Succeeded(t)

	// A run does not know what came after it started: the policy refuses it.
	deployments := ns.Kube.AppsV1().Deployments(ns.Name)
	live, err := deployments.Patch(t.Context(), "shop", types.JSONPatchType,
		[]byte(`[{"op": "remove", "path": "/metadata/labels/pyflow.dev~1app"}]`), metav1.PatchOptions{FieldManager: "another-tool"})
	env.Check(t, err)
	ns.Pyflow(t, "rerun", "shop").Failed(t, "nothing was changed", "shop", "is of another tool, not of app shop").Hints(t, "--adopt")
	_, err = deployments.Patch(t.Context(), "shop", types.MergePatchType,
		[]byte(`{"metadata": {"labels": {"pyflow.dev/app": "shop"}}, "spec": {"progressDeadlineSeconds": 301}}`), metav1.PatchOptions{FieldManager: "another-tool"})
	env.Check(t, err)
	rewrite(t, shop, "two")
	ns.Build(t, shop).Failed(t, "nothing was changed", "conflict").Hints(t, "--adopt")
	now, err := deployments.Get(t.Context(), "shop", metav1.GetOptions{})
	env.Check(t, err)
	if now.Spec.Template.Spec.Containers[0].Image != live.Spec.Template.Spec.Containers[0].Image {
		t.Error("the refused deployment has changed the image")
	}
	ns.Build(t, shop, "--adopt").Succeeded(t)

	_, err = deployments.UpdateScale(t.Context(), "shop", &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: ns.Name}, Spec: autoscalingv1.ScaleSpec{Replicas: 2},
	}, metav1.UpdateOptions{FieldManager: "an-autoscaler"})
	env.Check(t, err)
	rewrite(t, shop, "three")
	ns.Build(t, shop).Succeeded(t).Says(t, "Deployment/shop keeps 2 replicas, not 1: it was scaled (an-autoscaler)")
	scaled, err := deployments.Get(t.Context(), "shop", metav1.GetOptions{})
	env.Check(t, err)
	if *scaled.Spec.Replicas != 2 {
		t.Errorf("the build set %d replicas", *scaled.Spec.Replicas)
	}
}

// TestJobs wants the Jobs of a release to run again, before its workloads and after their
// configuration; and nothing deployed if one fails, or if one of an earlier release still runs.
func TestJobs(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	shop := env.Page(t, "shop", "one", "")
	write := func(command string) {
		t.Helper()
		for file, text := range map[string]string{
			"kustomization.yaml": "resources: [deployment.yaml, job.yaml]\nconfigMapGenerator: [{name: shop, literals: [\"COMMAND=" + command + "\"]}]\n",
			"deployment.yaml":    deploymentOfShop,
			"job.yaml": `apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers:
      - {name: migrate, image: shop, command: [sh, -c, "echo migrating to $(cat index.html); eval \"$COMMAND\""], envFrom: [{configMapRef: {name: shop}}]}
`,
		} {
			env.Check(t, os.MkdirAll(filepath.Join(shop, "k8s"), 0o755))
			env.Check(t, os.WriteFile(filepath.Join(shop, "k8s", file), []byte(text), 0o600))
		}
	}
	job := func() types.UID {
		t.Helper()
		job, err := ns.Kube.BatchV1().Jobs(ns.Name).Get(t.Context(), "migrate", metav1.GetOptions{})
		env.Check(t, err)
		return job.UID
	}
	write("true")
	first := ns.Build(t, shop).Succeeded(t)
	first.Says(t, "migrating to one", "job.batch/migrate condition met")
	before := job()
	if r := ns.Build(t, shop).Succeeded(t); !strings.Contains(r.Stderr, "the release is already running") {
		t.Errorf("a build of the same deploys again\n%s", r)
	}
	if job() != before {
		t.Error("a build of the same runs the Job again")
	}

	rewrite(t, shop, "two")
	ns.Build(t, shop).Succeeded(t).Says(t, "migrating to two")
	if job() == before {
		t.Error("the second release did not run the Job")
	}

	rewrite(t, shop, "three")
	write("echo the table is locked; false")
	ns.Build(t, shop).Failed(t, "Job migrate failed", "the release before it keeps serving").Says(t, "the table is locked")
	if got := states(releases(t, ns, "shop")); got != "3 NotApplied, 2 Live, 1 Replaced" {
		t.Errorf("the releases are %s", got)
	}

	// The next one waits for a pod that never comes.
	write("sleep 600")
	run := strings.TrimSpace(ns.Build(t, shop, "--detach").Succeeded(t).Stdout)
	env.Eventually(t, "the Job of "+run, func(ctx context.Context) error {
		pods, err := ns.Kube.CoreV1().Pods(ns.Name).List(ctx, metav1.ListOptions{LabelSelector: "pyflow.dev/job-of=shop", FieldSelector: "status.phase=Running"})
		if err == nil && len(pods.Items) == 0 {
			err = errors.New("no pod of it runs")
		}
		return err
	})
	write("true")
	ns.Build(t, shop).Failed(t, "Job migrate of an earlier release still runs").Says(t, "Job/migrate of release 4 still runs")
	ns.Pyflow(t, "cancel", run).Succeeded(t)
	env.Check(t, ns.Kube.BatchV1().Jobs(ns.Name).Delete(t.Context(), "migrate", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}))
	ns.Build(t, shop).Succeeded(t).Says(t, "migrating to three")
	ns.Pyflow(t, "rollback", "shop", "--to", "2").Succeeded(t).Says(t, "a rollback does not run Job/migrate")
}

// TestPromote wants the image of one namespace in another, byte by byte, with the settings that
// the app has there.
func TestPromote(t *testing.T) {
	t.Parallel()
	staging, production := env.Namespace(t), env.Namespace(t)
	shop := env.Page(t, "shop", "one", "")
	tested, _ := staging.Build(t, shop).Released(t)
	promote := func(args ...string) env.Result {
		t.Helper()
		return staging.Pyflow(t, append([]string{"promote", "shop", "--to", production.Name}, args...)...)
	}
	digest, url := promote().Released(t)
	if digest != tested {
		t.Errorf("production runs %s, want %s", digest, tested)
	}
	env.Serves(t, url, "one")

	// What the app has there stays.
	production.Pyflow(t, "scale", "shop", "2").Succeeded(t)
	rewrite(t, shop, "two")
	tested, _ = staging.Build(t, shop, "--env", "STAGE=staging").Released(t)
	r := promote()
	if digest, _ = r.Released(t); digest != tested {
		t.Errorf("production runs %s, want %s", digest, tested)
	}
	env.Serves(t, url, "two")
	deployment := deploymentOf(t, production, "shop")
	if *deployment.Spec.Replicas != 2 || len(deployment.Spec.Template.Spec.Containers[0].Env) != 1 {
		t.Errorf("production has %d replicas and the variables %v", *deployment.Spec.Replicas, deployment.Spec.Template.Spec.Containers[0].Env)
	}
	list := releases(t, production, "shop")
	if states(list) != "2 Live, 1 Replaced" || list[0].PromotedFrom != staging.Name+"/2" {
		t.Errorf("the releases are %s: %+v", states(list), list)
	}
	production.Pyflow(t, "rollback", "shop").Succeeded(t)
	env.Serves(t, url, "one")

	promote("--release", "9").Failed(t, "no release 9").Hints(t, "2, 1")
	staging.Pyflow(t, "promote", "shop", "--to", staging.Name).FailedWith(t, 2, "is the namespace of the release")
	staging.Pyflow(t, "promote", "shop", "--to", "nowhere").Failed(t, "nowhere")
}

// TestObsolete wants what was generated for an earlier release to go, and to come back with it.
func TestObsolete(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	shop := env.Page(t, "shop", "one", "")
	settings := filepath.Join(shop, "pyproject.toml")
	env.Check(t, os.WriteFile(settings, []byte("[tool.kubectl-pyflow.processes]\nworker = \"trap exit TERM; sleep 3600 & wait\"\n"), 0o644))
	ns.Build(t, shop).Succeeded(t)
	env.Check(t, os.Remove(settings))
	ns.Build(t, shop, "--expose", "None").Succeeded(t).Says(t, "Deleted deployments.apps/shop-worker", "Deleted services/shop")
	_, err := ns.Kube.AppsV1().Deployments(ns.Name).Get(t.Context(), "shop-worker", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the worker is still there: %v", err)
	}
	ns.Pyflow(t, "rollback", "shop").Succeeded(t)
	worker := deploymentOf(t, ns, "shop-worker")
	if worker.Status.ReadyReplicas != 1 {
		t.Errorf("%d workers are ready after the rollback", worker.Status.ReadyReplicas)
	}
	_, err = ns.Kube.CoreV1().Services(ns.Name).Get(t.Context(), "shop", metav1.GetOptions{})
	env.Check(t, err)
}

const deploymentOfShop = `apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - {name: shop, image: shop}
`
