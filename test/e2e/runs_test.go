//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
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
)

// runList reads what the verb runs prints, newest first.
func (j *journey) runList(t *testing.T, args ...string) []status.Run {
	t.Helper()
	r := j.pyflow(t, append([]string{"runs", "-n", j.namespace, "-o", "json"}, args...)...).succeeded(t)
	list := &status.RunList{}
	if err := json.Unmarshal([]byte(r.stdout), list); err != nil || list.Kind != status.RunListKind {
		t.Fatalf("the list is no JSON of kind %s: %v\n%s", status.RunListKind, err, r)
	}
	return list.Items
}

// detached starts a run that delivers nothing, and returns its name.
func (j *journey) detached(t *testing.T, dir string, args ...string) string {
	t.Helper()
	r := j.pyflowBuild(t, append([]string{dir, "--detach", "--no-deploy"}, args...)...).succeeded(t)
	name := strings.TrimPrefix(strings.TrimSpace(r.stdout), "pipelinerun.tekton.dev/")
	if name == "" || strings.ContainsAny(name, " \n/") {
		t.Fatalf("stdout should be the run's name\n%s", r)
	}
	return name
}

// forgetRuns deletes the runs of an app at the end of the test.
func (j *journey) forgetRuns(t *testing.T, app string) {
	t.Helper()
	t.Cleanup(func() {
		err := j.tekton.TektonV1().PipelineRuns(j.namespace).DeleteCollection(context.WithoutCancel(t.Context()),
			metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: manifests.LabelApp + "=" + app})
		if err != nil {
			t.Errorf("delete the runs of %s: %v", app, err)
		}
	})
}

// runsAndLogs looks back on one run in every way that it can be named.
func (j *journey) runsAndLogs(t *testing.T) {
	j.forgetRuns(t, "looked-back")
	dir := project(t, "looked-back", map[string]string{"Dockerfile": "FROM python:3.13-slim\nRUN echo written by the Dockerfile\n"})
	j.pyflowBuild(t, dir, "--no-deploy").succeeded(t)
	runs := j.runList(t, "looked-back")
	if len(runs) != 1 || runs[0].State != status.RunSucceeded || runs[0].Digest == "" || runs[0].App != "looked-back" {
		t.Fatalf("the app has the runs %+v", runs)
	}
	name := runs[0].Name
	if all := j.runList(t); all[0].Name != name {
		t.Errorf("the newest run is %s, want %s", all[0].Name, name)
	}
	table := j.pyflow(t, "runs", "--all-namespaces").succeeded(t)
	for _, word := range []string{"NAMESPACE", "COMMIT", j.namespace, name, "Succeeded", runs[0].Digest[:19]} {
		if !strings.Contains(table.stdout, word) {
			t.Errorf("the table should have %q\n%s", word, table)
		}
	}
	printed := strings.TrimSpace(j.pyflow(t, "runs", "looked-back", "-n", j.namespace, "-o", "name").succeeded(t).stdout)
	if printed != "pipelinerun.tekton.dev/"+name {
		t.Errorf("-o name prints %q", printed)
	}
	for _, args := range [][]string{nil, {"looked-back"}, {name}, {printed}, {"looked-back", "-f"}} {
		r := j.pyflow(t, append([]string{"logs", "-n", j.namespace}, args...)...).succeeded(t)
		if !strings.Contains(r.stdout, "[build] written by the Dockerfile\n") || strings.Contains(r.stdout, "Taking snapshot") {
			t.Errorf("it should have what the Dockerfile wrote, without the engine's chatter\n%s", r)
		}
	}
	r := j.pyflow(t, "logs", name, "-n", j.namespace, "--stage", "build").succeeded(t)
	if !strings.Contains("\n"+r.stdout, "\nwritten by the Dockerfile\n") || strings.Contains(r.stdout, "[build]") {
		t.Errorf("one stage of one step should have no prefix\n%s", r)
	}
	r = j.pyflow(t, "logs", name, "-n", j.namespace, "--stage", "push", "--all", "--tail", "1", "--timestamps").succeeded(t)
	if strings.Count(r.stdout, "\n") != 1 || !strings.HasPrefix(r.stdout, "20") || !strings.Contains(r.stdout, "Pushed") {
		t.Errorf("it should be one line, with its time, of the push\n%s", r)
	}
	j.pyflow(t, "logs", "no-such-thing", "-n", j.namespace).failed(t, `"no-such-thing"`, "hint: ", "looked-back", name)
	j.pyflow(t, "logs", name, "-n", j.namespace, "--stage", "queue").failed(t, "fetch, build, push, test, deliver")
	completed := j.run(t, nil, "kubectl-pyflow", "__complete", "-n", j.namespace, "logs", "").succeeded(t)
	for _, word := range []string{"looked-back\t", name + "\tlooked-back, Succeeded"} {
		if !strings.Contains(completed.stdout, word) {
			t.Errorf("completion should offer %q\n%s", word, completed)
		}
	}
	// Without its pods a run has no log.
	pods := j.kube.CoreV1().Pods(j.namespace)
	ofRun := metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + name}
	check(t, pods.DeleteCollection(t.Context(), metav1.DeleteOptions{}, ofRun))
	eventually(t, "wait for the pods to go", func(ctx context.Context) error {
		left, err := pods.List(ctx, ofRun)
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d are left", len(left.Items))
		}
		return err
	})
	j.pyflow(t, "logs", name, "-n", j.namespace).failed(t, name, "its pods are gone", "hint: ")
}

// logsAndCancel follows a run that sleeps, lets go of it, and cancels it.
func (j *journey) logsAndCancel(t *testing.T) {
	t.Parallel()
	j.forgetRuns(t, "sleeper")
	dir := project(t, "sleeper", map[string]string{"Dockerfile": "FROM python:3.13-slim\nRUN echo going to sleep && sleep 900\n"})
	name := j.detached(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	follow := func() (*exec.Cmd, *output) {
		var stdout output
		cmd := j.command(ctx, "kubectl", "pyflow", "logs", "sleeper", "-f", "-n", j.namespace)
		cmd.Stdout, cmd.Stderr = &stdout, &output{}
		check(t, cmd.Start())
		eventually(t, "wait for the log", func(context.Context) error {
			if !strings.Contains(stdout.String(), "[build] going to sleep") {
				return fmt.Errorf("it says\n%s\n%s", &stdout, cmd.Stderr)
			}
			return nil
		})
		return cmd, &stdout
	}
	cmd, _ := follow()
	check(t, cmd.Process.Signal(syscall.SIGINT))
	if r := finish(t, cmd, cmd.Wait); r.code != 130 {
		t.Errorf("the exit code should have been 130\n%s", r)
	}
	if run := j.runList(t, "sleeper")[0]; run.State != status.RunRunning {
		t.Errorf("the run should go on when nobody looks: %+v", run)
	}
	cmd, _ = follow()
	r := j.pyflow(t, "cancel", name, "-n", j.namespace).succeeded(t)
	if r.stdout != "run "+name+" canceled\n" {
		t.Errorf("it should say what it did\n%s", r)
	}
	if run := j.runList(t, "sleeper")[0]; run.State != status.RunCancelled || run.Finished == nil {
		t.Errorf("cancel should wait for the end: %+v", run)
	}
	finish(t, cmd, cmd.Wait).failed(t, "run "+name+" was canceled")
	j.pyflow(t, "cancel", name, "-n", j.namespace).failed(t, name, "has ended already: Cancelled", "hint: ")
	j.pyflow(t, "cancel", "no-such-run", "-n", j.namespace).failed(t, `"no-such-run"`)
	eventually(t, "wait for the pods to stop", func(ctx context.Context) error {
		pods, err := j.kube.CoreV1().Pods(j.namespace).List(ctx, metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + name})
		if err == nil && slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning }) {
			err = errors.New("the build goes on")
		}
		return err
	})
}

// retention makes four runs, of which the last keeps two.
func (j *journey) retention(t *testing.T) {
	t.Parallel()
	j.forgetRuns(t, "kept")
	dir := project(t, "kept", map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n", "token": "not looked at"})
	secret := "--build-secret=id=token,src=" + filepath.Join(dir, "token")
	var names []string
	for range 3 {
		name := j.detached(t, dir, secret)
		j.pyflow(t, "cancel", name, "-n", j.namespace).succeeded(t)
		names = append(names, name)
		// Of two runs of one second nobody knows the order.
		created := j.runsOf(t, "kept")[0].CreationTimestamp
		eventually(t, "wait for another second", func(context.Context) error {
			if now := metav1.Now().Rfc3339Copy(); !created.Before(&now) {
				return fmt.Errorf("it is %s, and the run is of %s", now, created)
			}
			return nil
		})
	}
	// A run that was canceled is no release: the last has to build.
	j.pyflowBuild(t, dir, secret, "--no-deploy", "--keep", "2").succeeded(t)
	var left []string
	for _, run := range j.runList(t, "kept") {
		left = append(left, run.Name)
	}
	if len(left) != 2 || left[1] != names[2] || slices.Contains(names, left[0]) {
		t.Errorf("left are %v; of %v only the last, and the new one, should be", left, names)
	}
	eventually(t, "wait for what belonged to the runs to go", func(ctx context.Context) error {
		for _, name := range names[:2] {
			_, err := j.kube.CoreV1().Secrets(j.namespace).Get(ctx, name+"-build-secrets", metav1.GetOptions{})
			if err == nil {
				return fmt.Errorf("the secret of %s is there", name)
			}
			if !apierrors.IsNotFound(err) {
				return err
			}
			pods, err := j.kube.CoreV1().Pods(j.namespace).List(ctx, metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + name})
			if err != nil {
				return err
			}
			if len(pods.Items) > 0 {
				return fmt.Errorf("%s still has %d pods", name, len(pods.Items))
			}
		}
		return nil
	})
	if _, err := j.kube.CoreV1().Secrets(j.namespace).Get(t.Context(), names[2]+"-build-secrets", metav1.GetOptions{}); err != nil {
		t.Errorf("what belongs to a run that stays should stay: %v", err)
	}
}

// gather packs a run and an app that both show secrets.
func (j *journey) gather(t *testing.T) {
	t.Parallel()
	j.forgetRuns(t, "gathered")
	const inLog, inEnv, inArgument = "printed-by-a-RUN-5h2k", "clear-in-the-env-9x3q", "given-as-argument-7w1m"
	secrets := j.kube.CoreV1().Secrets(j.namespace)
	_, err := secrets.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "gathered"}, StringData: map[string]string{"password": inLog},
	}, metav1.CreateOptions{})
	check(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = secrets.Delete(ctx, "gathered", metav1.DeleteOptions{})
		_ = j.kube.AppsV1().Deployments(j.namespace).Delete(ctx, "gathered", metav1.DeleteOptions{})
	})
	dir := project(t, "gathered", map[string]string{
		"Dockerfile":                "FROM python:3.13-slim\nARG GIT_TOKEN\nRUN echo it is " + inLog + " and $(printf %s " + inLog + " | base64) && echo $GIT_TOKEN\n",
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
	j.pyflowBuild(t, dir, "--build-arg", "GIT_TOKEN="+inArgument).succeeded(t)
	name := j.runList(t, "gathered")[0].Name
	shown := j.pyflow(t, "logs", name, "-n", j.namespace).succeeded(t)
	if !strings.Contains(shown.stdout, inLog) || !strings.Contains(shown.stdout, inArgument) {
		t.Fatalf("the log should have the secrets, or this tests nothing\n%s", shown)
	}

	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	r := j.pyflow(t, "gather", "gathered", "-n", j.namespace, "-f", file).succeeded(t)
	if r.stdout != file+"\n" {
		t.Errorf("stdout should be the file's name\n%s", r)
	}
	j.pyflow(t, "gather", "gathered", "-n", j.namespace, "-f", file).failed(t, file, "exists already", "--force")
	packed, err := os.ReadFile(file)
	check(t, err)
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
	check(t, err)
	user, err := manifests.ParseDockerConfig(registry.Data, manifests.RegistryHost)
	check(t, err)
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
	streamed := j.pyflow(t, "gather", name, "-n", j.namespace, "-f", "-").succeeded(t)
	if files := unpack(t, []byte(streamed.stdout), name+"/"); files["run/pipelinerun.yaml"] == "" {
		t.Errorf("standard output should be the archive, it has %d files", len(files))
	}
}

// unpack returns the files of a tar.gz by their names without the prefix that all
// have.
func unpack(t *testing.T, packed []byte, prefix string) map[string]string {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(packed))
	check(t, err)
	files := map[string]string{}
	for reader := tar.NewReader(compressed); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		check(t, err)
		content, err := io.ReadAll(reader)
		check(t, err)
		name, ok := strings.CutPrefix(header.Name, prefix)
		if !ok {
			t.Errorf("file %s is not below %s", header.Name, prefix)
		}
		files[name] = string(content)
	}
}
