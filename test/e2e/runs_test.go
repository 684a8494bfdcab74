//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestLogs looks back on one run in every way that it can be named.
func TestLogs(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "looked-back", map[string]string{"Dockerfile": "FROM " + env.SmallBase + "\nRUN echo written by the Dockerfile\n"})
	ns.Build(t, dir, "--no-deploy").Succeeded(t)
	runs := ns.RunList(t, "looked-back")
	if len(runs) != 1 || runs[0].State != status.RunSucceeded || runs[0].Digest == "" || runs[0].App != "looked-back" {
		t.Fatalf("the app has the runs %+v", runs)
	}
	name := runs[0].Name
	if all := ns.RunList(t); all[0].Name != name {
		t.Errorf("the newest run is %s, want %s", all[0].Name, name)
	}
	table := ns.Pyflow(t, "runs", "--all-namespaces").Succeeded(t)
	for _, word := range []string{"NAMESPACE", "COMMIT", ns.Name, name, "Succeeded", runs[0].Digest[:19]} {
		if !strings.Contains(table.Stdout, word) {
			t.Errorf("the table should have %q\n%s", word, table)
		}
	}
	printed := strings.TrimSpace(ns.Pyflow(t, "runs", "looked-back", "-o", "name").Succeeded(t).Stdout)
	if printed != "pipelinerun.tekton.dev/"+name {
		t.Errorf("-o name prints %q", printed)
	}
	for _, args := range [][]string{{"--build"}, {"--build", "looked-back"}, {name}, {printed}, {"--build", "looked-back", "-f"}} {
		r := ns.Pyflow(t, append([]string{"logs"}, args...)...).Succeeded(t)
		if !strings.Contains(r.Stdout, "[build] written by the Dockerfile\n") || strings.Contains(r.Stdout, "Taking snapshot") {
			t.Errorf("it should have what the Dockerfile wrote, without the engine's chatter\n%s", r)
		}
	}
	r := ns.Pyflow(t, "logs", name, "--stage", "build").Succeeded(t)
	if !strings.Contains("\n"+r.Stdout, "\nwritten by the Dockerfile\n") || strings.Contains(r.Stdout, "[build]") {
		t.Errorf("one stage of one step should have no prefix\n%s", r)
	}
	r = ns.Pyflow(t, "logs", name, "--stage", "push", "--all", "--tail", "1", "--timestamps").Succeeded(t)
	if strings.Count(r.Stdout, "\n") != 1 || !strings.HasPrefix(r.Stdout, "20") || !strings.Contains(r.Stdout, "Pushed") {
		t.Errorf("it should be one line, with its time, of the push\n%s", r)
	}
	ns.Pyflow(t, "logs", "no-such-thing").Failed(t, `"no-such-thing"`, "hint: ", "looked-back", name)
	ns.Pyflow(t, "logs", name, "--stage", "queue").FailedWith(t, 2, "fetch, build, push, test, deliver")
	completed := ns.Run(t, nil, "kubectl-pyflow", "__complete", "-n", ns.Name, "logs", "").Succeeded(t)
	for _, word := range []string{"looked-back\t", name + "\tlooked-back, Succeeded"} {
		if !strings.Contains(completed.Stdout, word) {
			t.Errorf("completion should offer %q\n%s", word, completed)
		}
	}
	// Without its pods a run has no log.
	pods := ns.Kube.CoreV1().Pods(ns.Name)
	ofRun := metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + name}
	env.Check(t, pods.DeleteCollection(t.Context(), metav1.DeleteOptions{}, ofRun))
	env.Eventually(t, "wait for the pods to go", func(ctx context.Context) error {
		left, err := pods.List(ctx, ofRun)
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d are left", len(left.Items))
		}
		return err
	})
	ns.Pyflow(t, "logs", name).Failed(t, name, "its pods are deleted", "hint: ")
}

// TestCancel follows a run that sleeps, lets go of it, and cancels it.
func TestCancel(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "sleeper", map[string]string{"Dockerfile": "FROM " + env.SmallBase + "\nRUN echo going to sleep && sleep 900\n"})
	name := ns.Detached(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), env.CommandLimit)
	defer cancel()
	follow := func() (*exec.Cmd, *env.Output) {
		var stdout env.Output
		cmd := ns.Command(ctx, "kubectl", "pyflow", "logs", "--build", "sleeper", "-f", "-n", ns.Name)
		cmd.Stdout, cmd.Stderr = &stdout, &env.Output{}
		env.Check(t, cmd.Start())
		env.Eventually(t, "wait for the log", func(context.Context) error {
			if !strings.Contains(stdout.String(), "[build] going to sleep") {
				return fmt.Errorf("it says\n%s\n%s", &stdout, cmd.Stderr)
			}
			return nil
		})
		return cmd, &stdout
	}
	cmd, _ := follow()
	env.Check(t, cmd.Process.Signal(syscall.SIGINT))
	if r := env.Finish(t, cmd, cmd.Wait); r.Code != 130 {
		t.Errorf("the exit code should have been 130\n%s", r)
	}
	if run := ns.RunList(t, "sleeper")[0]; run.State != status.RunRunning {
		t.Errorf("the run should go on when the log is not followed: %+v", run)
	}
	cmd, _ = follow()
	r := ns.Pyflow(t, "cancel", name).Succeeded(t)
	if r.Stdout != "run "+name+" canceled\n" {
		t.Errorf("it should say what it did\n%s", r)
	}
	if run := ns.RunList(t, "sleeper")[0]; run.State != status.RunCanceled || run.Finished == nil || run.Message != "by kubectl pyflow cancel" {
		t.Errorf("cancel should wait for the end: %+v", run)
	}
	env.Finish(t, cmd, cmd.Wait).Failed(t, "run "+name+" was canceled")
	ns.Pyflow(t, "cancel", name).Failed(t, name, "has ended already: Canceled", "hint: ")
	ns.Pyflow(t, "cancel", "no-such-run").Failed(t, `"no-such-run"`)
	env.Eventually(t, "wait for the pods to stop", func(ctx context.Context) error {
		pods, err := ns.Kube.CoreV1().Pods(ns.Name).List(ctx, metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + name})
		if err == nil && slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning }) {
			err = errors.New("the build goes on")
		}
		return err
	})
}

// TestRetention makes four runs, of which the last keeps two.
func TestRetention(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "kept", map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n", "token": "not looked at"})
	secret := "--build-secret=id=token,src=" + filepath.Join(dir, "token")
	var names []string
	for range 3 {
		name := ns.Detached(t, dir, secret)
		ns.Pyflow(t, "cancel", name).Succeeded(t)
		names = append(names, name)
		// Two runs of the same second have no order.
		created := ns.RunsOf(t, "kept")[0].CreationTimestamp
		env.Eventually(t, "wait for another second", func(context.Context) error {
			if now := metav1.Now().Rfc3339Copy(); !created.Before(&now) {
				return fmt.Errorf("it is %s, and the run is of %s", now, created)
			}
			return nil
		})
	}
	// A run that was canceled is no release: the last has to build.
	ns.Build(t, dir, secret, "--no-deploy", "--keep", "2").Succeeded(t)
	var left []string
	for _, run := range ns.RunList(t, "kept") {
		left = append(left, run.Name)
	}
	if len(left) != 2 || left[1] != names[2] || slices.Contains(names, left[0]) {
		t.Errorf("left are %v; of %v only the last, and the new one, should be", left, names)
	}
	env.Eventually(t, "wait for what belonged to the runs to go", func(ctx context.Context) error {
		for _, name := range names[:2] {
			_, err := ns.Kube.CoreV1().Secrets(ns.Name).Get(ctx, name+"-build-secrets", metav1.GetOptions{})
			if err == nil {
				return fmt.Errorf("the secret of %s is there", name)
			}
			if !apierrors.IsNotFound(err) {
				return err
			}
			pods, err := ns.Kube.CoreV1().Pods(ns.Name).List(ctx, metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + name})
			if err != nil {
				return err
			}
			if len(pods.Items) > 0 {
				return fmt.Errorf("%s still has %d pods", name, len(pods.Items))
			}
		}
		return nil
	})
	if _, err := ns.Kube.CoreV1().Secrets(ns.Name).Get(t.Context(), names[2]+"-build-secrets", metav1.GetOptions{}); err != nil {
		t.Errorf("what belongs to a run that stays should stay: %v", err)
	}
}

// TestGather packs a run and an app that both show secrets.
func TestGather(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const inLog, inEnv, inArgument = "printed-by-a-RUN-5h2k", "clear-in-the-env-9x3q", "given-as-argument-7w1m"
	secrets := ns.Kube.CoreV1().Secrets(ns.Name)
	_, err := secrets.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "gathered"}, StringData: map[string]string{"password": inLog},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = secrets.Delete(ctx, "gathered", metav1.DeleteOptions{})
		_ = ns.Kube.AppsV1().Deployments(ns.Name).Delete(ctx, "gathered", metav1.DeleteOptions{})
	})
	dir := env.Project(t, "gathered", map[string]string{
		"Dockerfile":                "FROM " + env.SmallBase + "\nARG GIT_TOKEN\nRUN echo it is " + inLog + " and $(printf %s " + inLog + " | base64) && echo $GIT_TOKEN\n",
		"deploy/kustomization.yaml": "resources: [app.yaml]\n",
		"deploy/app.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: gathered}
spec:
  replicas: 0
  selector: {matchLabels: {app: gathered}}
  template:
    metadata: {labels: {app: gathered}}
    spec:
      containers:
        - name: app
          image: gathered
          env: [{name: DB_PASSWORD, value: ` + inEnv + `}]
`,
	})
	ns.Build(t, dir, "--build-arg", "GIT_TOKEN="+inArgument).Succeeded(t)
	name := ns.RunList(t, "gathered")[0].Name
	shown := ns.Pyflow(t, "logs", name).Succeeded(t)
	if !strings.Contains(shown.Stdout, inLog) || !strings.Contains(shown.Stdout, inArgument) {
		t.Fatalf("the log should have the secrets, or this tests nothing\n%s", shown)
	}

	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	r := ns.Pyflow(t, "gather", "gathered", "-f", file).Succeeded(t)
	if r.Stdout != file+"\n" {
		t.Errorf("stdout should be the file's name\n%s", r)
	}
	ns.Pyflow(t, "gather", "gathered", "-f", file).Failed(t, file, "exists already", "--force")
	packed, err := os.ReadFile(file)
	env.Check(t, err)
	files := unpack(t, packed, name+"/")
	for _, want := range []string{
		"README.txt", "versions.yaml", "status.yaml", "nodes.yaml", "secrets.yaml", "run/pipelinerun.yaml", "run/taskruns/" + name + "-build.yaml",
		"run/logs/" + name + "-build-pod/step-build.log", "run/logs/" + name + "-deploy-pod/step-apply.log", "app/deployments/gathered.yaml",
		"namespace/events.yaml", "platform/config.yaml", "platform/pods/registry-0.yaml", "platform/logs/registry-0/caddy.log",
	} {
		if files[want] == "" {
			t.Errorf("the bundle has no %s", want)
		}
	}
	registry, err := secrets.Get(t.Context(), manifests.RegistrySecret, metav1.GetOptions{})
	env.Check(t, err)
	user, err := manifests.ParseDockerConfig(registry.Data, manifests.RegistryHost)
	env.Check(t, err)
	needles := []string{inEnv, inArgument}
	for _, secret := range []string{inLog, user.Password, user.Name + ":" + user.Password} {
		needles = append(needles, secret, base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	for file, text := range files {
		for _, needle := range needles {
			if strings.Contains(text, needle) {
				t.Errorf("%s has the secret %s", file, needle)
			}
		}
		if strings.Contains(text, "managedFields:") {
			t.Errorf("%s has managed fields", file)
		}
	}
	if log := files["run/logs/"+name+"-build-pod/step-build.log"]; !strings.Contains(log, "it is [redacted] and [redacted]") {
		t.Errorf("the log should be there without the secrets:\n%s", log)
	}
	if text := files["secrets.yaml"]; !strings.Contains(text, "gathered") || !strings.Contains(text, fmt.Sprintf("password: %d", len(inLog))) {
		t.Errorf("of Secrets names and sizes should be there:\n%s", text)
	}
	streamed := ns.Pyflow(t, "gather", name, "-f", "-").Succeeded(t)
	if files := unpack(t, []byte(streamed.Stdout), name+"/"); files["run/pipelinerun.yaml"] == "" {
		t.Errorf("standard output should be the archive, it has %d files", len(files))
	}
}

// unpack returns the files of a tar.gz by their names without the prefix that all
// have.
func unpack(t *testing.T, packed []byte, prefix string) map[string]string {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(packed))
	env.Check(t, err)
	files := map[string]string{}
	for reader := tar.NewReader(compressed); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		env.Check(t, err)
		content, err := io.ReadAll(reader)
		env.Check(t, err)
		name, ok := strings.CutPrefix(header.Name, prefix)
		if !ok {
			t.Errorf("file %s is not below %s", header.Name, prefix)
		}
		files[name] = string(content)
	}
}
