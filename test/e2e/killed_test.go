//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/servers"
)

// TestKilledClient kills the program in each phase, as a lost terminal or a full memory does. A run
// that is created goes on without it, everything tells the truth, and the next build needs no
// repair.
func TestKilledClient(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	shop := env.Page(t, "shop", "the first", "")
	_, url := ns.Build(t, shop).Released(t)
	var abandoned string

	// nothing wants the kill to have left the app, its runs and its releases as they were.
	nothing := func(t *testing.T, kill func()) {
		t.Helper()
		runs, before := len(ns.RunsOf(t, "shop")), states(releases(t, ns, "shop"))
		kill()
		if now := len(ns.RunsOf(t, "shop")); now != runs {
			t.Errorf("there are %d runs, before there were %d", now, runs)
		}
		if now := states(releases(t, ns, "shop")); now != before {
			t.Errorf("the releases are %s, before they were %s", now, before)
		}
	}
	for _, one := range []struct {
		name string
		kill func(t *testing.T)
	}{
		// First, so that the run is old enough for the builds that follow.
		{"created", func(t *testing.T) {
			arrived, end := hold(t, ns)
			build := ns.Start(t, nil, "build", shop, "-o", "json")
			<-arrived
			killed(t, build)
			end()
			abandoned = ns.RunsOf(t, "shop")[0].Name
			if run := ns.RunList(t, "shop")[0]; run.Name != abandoned || run.State != status.RunPending {
				t.Errorf("the run is %+v", run)
			}
			if got := states(releases(t, ns, "shop")); got != "1 Live" {
				t.Errorf("the releases are %s", got)
			}
		}},
		{"pack", func(t *testing.T) {
			big, temporary := filepath.Join(shop, "big"), t.TempDir()
			env.Check(t, os.WriteFile(big, nil, 0o600))
			env.Check(t, os.Truncate(big, 1<<30))
			nothing(t, func() {
				killIn(t, event.Pack, ns.Start(t, []string{"TMPDIR=" + temporary}, "build", shop, "-o", "json"))
			})
			if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, err)
			}
			env.Check(t, os.Remove(big))
		}},
		{"upload", func(t *testing.T) {
			big, content := filepath.Join(shop, "big"), make([]byte, 4<<20)
			_, _ = rand.Read(content)
			env.Check(t, os.WriteFile(big, content, 0o600))
			var line *servers.Line
			line, kubeconfig := servers.NewLine(t, ns.Cluster, servers.Mark{At: 2 << 20, Do: func() { line.Freeze() }})
			nothing(t, func() {
				build := ns.Start(t, []string{"KUBECONFIG=" + kubeconfig}, "build", shop, "-o", "json")
				env.Eventually(t, "wait for half of the upload", func(context.Context) error {
					if up := line.Up.Load(); up < 2<<20 {
						return fmt.Errorf("%d bytes are up\n%s", up, build.Stderr)
					}
					return nil
				})
				killIn(t, event.Upload, build)
			})
			env.Check(t, os.Remove(big))
		}},
		{"queue", func(t *testing.T) {
			killIn(t, event.Queue, ns.Start(t, nil, "build", shop, "-o", "json"))
			goesOn(t, ns, url, "queue")
		}},
		{"build", func(t *testing.T) {
			file := filepath.Join(shop, "Dockerfile")
			text, err := os.ReadFile(file)
			env.Check(t, err)
			env.Check(t, os.WriteFile(file, []byte(strings.Replace(string(text), "COPY", env.HeldInstruction+"COPY", 1)), 0o600))
			build := ns.Start(t, nil, "build", shop, "-o", "json")
			ns.Held(t, "shop")
			killIn(t, event.Build, build)
			if run := ns.RunList(t, "shop")[0]; run.State != status.RunRunning {
				t.Errorf("the run is %+v", run)
			}
			env.Serves(t, url, "after queue")
			ns.Release(t, "shop")
			goesOn(t, ns, url, "build")
			env.Check(t, os.WriteFile(file, text, 0o600))
		}},
		{"deploy", func(t *testing.T) {
			killIn(t, event.Deploy, ns.Start(t, nil, "build", shop, "-o", "json"))
			goesOn(t, ns, url, "deploy")
		}},
		{"rollout", func(t *testing.T) {
			killIn(t, event.Rollout, ns.Start(t, nil, "build", shop, "-o", "json"))
			goesOn(t, ns, url, "rollout")
		}},
		{"rollback", func(t *testing.T) {
			killIn(t, event.Queue, ns.Start(t, nil, "rollback", "shop", "--to", "1", "-o", "json"))
			goesOn(t, ns, url, "the first")
			if live := releases(t, ns, "shop")[0]; live.RollbackTo != 1 {
				t.Errorf("the live release is %+v", live)
			}
		}},
		{"promote", func(t *testing.T) {
			production := env.Namespace(t)
			killIn(t, event.Queue, ns.Start(t, nil, "promote", "shop", "--to", production.Name, "-o", "json"))
			goesOn(t, production, "", "")
			_, url := ns.Pyflow(t, "promote", "shop", "--to", production.Name).Released(t)
			env.Serves(t, url, "after rollback")
			owned(t, production)
		}},
		{"env", func(t *testing.T) { killEnv(t, ns) }},
	} {
		t.Run(one.name, func(t *testing.T) {
			rewrite(t, shop, one.name)
			one.kill(t)
			// The next build needs no repair.
			rewrite(t, shop, "after "+one.name)
			ns.Build(t, shop).Succeeded(t)
			env.Serves(t, url, "after "+one.name)
			newest := ns.RunsOf(t, "shop")[0].Name
			if live := releases(t, ns, "shop")[0]; live.State != status.Live || live.Run != newest {
				t.Errorf("the newest release is %+v, want that of run %s", live, newest)
			}
		})
	}
	owned(t, ns)
	if slices.ContainsFunc(ns.RunsOf(t, "shop"), func(run tektonv1.PipelineRun) bool { return run.Name == abandoned }) {
		t.Errorf("run %s never started, and builds leave it", abandoned)
	}
}

// TestDeletedPod deletes the pod that builds. By force, it is gone before Tekton knows its end, which
// starts another one: that is said, and each line is printed once. With its grace period, the build
// fails, and the Dockerfile is not blamed.
func TestDeletedPod(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const name, lines = "deletedpod", 8
	dir := env.Page(t, name, "", fmt.Sprintf("RUN for i in $(seq %d); do echo line $i of it; done\n", lines)+env.HeldInstruction)
	remove := func(grace int64) {
		t.Helper()
		env.Check(t, ns.Kube.CoreV1().Pods(ns.Name).DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &grace},
			metav1.ListOptions{LabelSelector: manifests.LabelApp + "=" + name + ",tekton.dev/pipelineTask=" + manifests.BuildTask}))
	}
	build := ns.Start(t, nil, "build", "--no-deploy", dir)
	build.Says(t, fmt.Sprintf("line %d of it", lines))
	ns.Held(t, name)
	remove(0)
	build.Says(t, "was deleted; step build starts again in a new one")
	ns.Held(t, name)
	ns.Release(t, name)
	r := build.Ends(t).Succeeded(t)
	for i := range lines {
		if n := strings.Count(r.Stderr, fmt.Sprintf("[build] line %d of it\n", i+1)); n != 1 {
			t.Errorf("line %d is printed %d times\n%s", i+1, n, r)
		}
	}

	build = ns.Start(t, nil, "build", "--no-deploy", "--no-cache", dir)
	ns.Held(t, name)
	remove(5)
	build.Ends(t).Hints(t, "build again", "the pod of the build was deleted while it ran", "the Dockerfile is not the cause")
}

// TestKilledEngine kills the program that builds, in its pod: that is not blamed on the RUN that it
// was at.
func TestKilledEngine(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const name = "engine"
	build := ns.Start(t, nil, "build", "--no-deploy", env.Page(t, name, "", env.HeldInstruction))
	ns.Held(t, name)
	env.Check(t, ns.Inside(t.Context(), name, "/bin/killall", "-9", "executor"))
	r := build.Ends(t)
	r.Hints(t, "find what ends processes", "the build engine was killed from outside", "the Dockerfile is not the cause")
	if strings.Contains(r.Stderr, "exit code 255") {
		t.Errorf("it names an exit code that says nothing\n%s", r)
	}
}

// killed kills a command as `kill -9` does.
func killed(t *testing.T, s env.Started) {
	t.Helper()
	env.Check(t, s.Cmd.Process.Kill())
	_ = s.Cmd.Wait()
	if ended, ok := s.Cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ended.Signal() != syscall.SIGKILL {
		t.Fatalf("it should have been killed: %s\n%s\n%s", s.Cmd.ProcessState, s.Stdout, s.Stderr)
	}
}

// killIn kills a command that prints events in a phase.
func killIn(t *testing.T, phase event.Phase, s env.Started) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, env.SettleLimit, true, func(context.Context) (bool, error) {
		return strings.Contains(s.Stdout.String(), `"type":"StageStarted"`) && lastPhase(s.Stdout.String()) == phase, nil
	})
	if err != nil {
		t.Fatalf("wait for the phase %s: %v\n%s\n%s", phase, err, s.Stdout, s.Stderr)
	}
	killed(t, s)
	if last := lastPhase(s.Stdout.String()); last != phase {
		t.Errorf("it was killed in the phase %s, not %s", last, phase)
	}
}

// lastPhase returns the phase that events started last.
func lastPhase(events string) event.Phase {
	var last event.Phase
	for line := range strings.Lines(events) {
		var e event.Event
		if json.Unmarshal([]byte(line), &e) == nil && e.Type == event.PhaseStarted {
			last = e.Phase
		}
	}
	return last
}

// goesOn waits until the newest run of the shop has delivered a release without its client. Without
// a URL the answer is not asked for.
func goesOn(t *testing.T, ns *env.NS, url, text string) {
	t.Helper()
	env.Eventually(t, "wait for the run to end", func(context.Context) error {
		if run := ns.RunsOf(t, "shop")[0]; !run.IsDone() {
			return fmt.Errorf("run %s goes on", run.Name)
		}
		return nil
	})
	env.Eventually(t, "wait for the release", func(context.Context) error {
		run, list := ns.RunList(t, "shop")[0], releases(t, ns, "shop")
		switch {
		case run.State == status.RunFailed || run.State == status.RunCanceled:
			t.Fatalf("the run is %+v", run)
		case run.State != status.RunSucceeded || len(list) == 0 || list[0].Run != run.Name || list[0].State != status.Live:
			return fmt.Errorf("the run is %s, the releases are %s", run.State, states(list))
		}
		return nil
	})
	snapshot, r := ns.Status(t)
	if app := env.App(t, snapshot, "shop"); !app.Healthy {
		t.Errorf("the app is not healthy\n%s", r)
	}
	if url != "" {
		env.Serves(t, url, text)
	}
}

// owned wants every Secret and ConfigMap of the shop to belong to a run, to a release on record, or
// to env.
func owned(t *testing.T, ns *env.NS) {
	t.Helper()
	env.Eventually(t, "wait for what belongs to no run to go", func(ctx context.Context) error {
		known := map[string]bool{manifests.EnvName("shop"): true}
		for _, release := range releases(t, ns, "shop") {
			known[release.Name] = true
		}
		for _, run := range ns.RunsOf(t, "shop") {
			known[string(run.UID)] = true
		}
		options := metav1.ListOptions{LabelSelector: manifests.LabelApp + "=shop"}
		secrets, err := ns.Kube.CoreV1().Secrets(ns.Name).List(ctx, options)
		env.Check(t, err)
		configMaps, err := ns.Kube.CoreV1().ConfigMaps(ns.Name).List(ctx, options)
		env.Check(t, err)
		var objects []metav1.ObjectMeta
		for _, secret := range secrets.Items {
			objects = append(objects, secret.ObjectMeta)
		}
		for _, configMap := range configMaps.Items {
			objects = append(objects, configMap.ObjectMeta)
		}
		if len(objects) == 0 {
			return errors.New("there is none")
		}
		for _, object := range objects {
			if !known[object.Name] && !slices.ContainsFunc(object.OwnerReferences, func(owner metav1.OwnerReference) bool { return known[string(owner.UID)] }) {
				return fmt.Errorf("nothing owns %s: %v", object.Name, object.OwnerReferences)
			}
		}
		return nil
	})
}

// killEnv kills `env set` between the ConfigMap and the restart.
func killEnv(t *testing.T, ns *env.NS) {
	t.Helper()
	arrived, end := hold(t, ns)
	set := []string{"env", "set", "shop", "COLOR=red"}
	command := ns.Start(t, nil, set...)
	<-arrived
	killed(t, command)
	end()
	ns.Pyflow(t, "env", "list", "shop").Succeeded(t).Prints(t, "COLOR")
	color := func(want string) {
		t.Helper()
		ns.Pyflow(t, "shell", "shop", "--", "sh", "-c", `echo "color=$COLOR."`).Succeeded(t).Prints(t, "color="+want+".")
	}
	color("")
	ns.Pyflow(t, set...).Succeeded(t).Says(t, "pods are older than the last change")
	color("red")
	ns.Pyflow(t, set...).Succeeded(t).Says(t, "nothing restarts")
}

// hold leaves requests that create Secrets or change Deployments in the namespace without an answer
// until end, as a slow webhook does. arrived receives once for each.
func hold(t *testing.T, ns *env.NS) (arrived <-chan struct{}, end func()) {
	t.Helper()
	address, ca := ns.AddressForPods(t), servers.NewCA(t)
	pair, err := tls.X509KeyPair(ca.Issue(t, address, time.Now().Add(time.Hour)))
	env.Check(t, err)
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	env.Check(t, err)
	requests, released := make(chan struct{}, 16), make(chan struct{})
	var asked atomic.Bool
	servers.Serve(t, tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}), func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		if ptr.Deref(review.Request.DryRun, false) {
			asked.Store(true)
		} else {
			requests <- struct{}{}
			select {
			case <-released:
			case <-r.Context().Done():
			}
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: ptr.Deref(review.Request.DryRun, false)}
		_ = json.NewEncoder(w).Encode(review)
	})
	webhooks := ns.Kube.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	rule := func(operation admissionregistrationv1.OperationType, group, resource string) admissionregistrationv1.RuleWithOperations {
		return admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{operation},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource}},
		}
	}
	_, err = webhooks.Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ns.Name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:                    "hold.pyflow.dev",
			ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://" + listener.Addr().String() + "/"), CABundle: ca.PEM},
			Rules:                   []admissionregistrationv1.RuleWithOperations{rule(admissionregistrationv1.Create, "", "secrets"), rule(admissionregistrationv1.Update, "apps", "deployments")},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns.Name}},
			SideEffects:             ptr.To(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
			TimeoutSeconds:          ptr.To(int32(30)),
		}},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	ended := false
	remove := func() {
		if ended {
			return
		}
		ended = true
		close(released)
		if err := webhooks.Delete(context.WithoutCancel(t.Context()), ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete the webhook: %v", err)
		}
	}
	t.Cleanup(remove)
	probe := func(ctx context.Context) {
		_, err := ns.Kube.CoreV1().Secrets(ns.Name).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		env.Check(t, err)
	}
	env.Eventually(t, "wait for the webhook", func(ctx context.Context) error {
		if probe(ctx); !asked.Load() {
			return errors.New("it is not asked")
		}
		return nil
	})
	return requests, func() {
		remove()
		env.Eventually(t, "wait for the webhook to go", func(ctx context.Context) error {
			asked.Store(false)
			if probe(ctx); asked.Load() {
				return errors.New("it is asked")
			}
			return nil
		})
	}
}
