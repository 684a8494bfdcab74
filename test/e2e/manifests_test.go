//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// add writes files into a project; a name may have a path.
func add(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		env.Check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		env.Check(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// webManifests are those of an app whose image is hills, as they are written for kubectl
// apply -f.
func webManifests() map[string]string {
	return map[string]string{
		"k8s/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: hills:1.2
        ports: [{containerPort: 8000}]
        envFrom: [{configMapRef: {name: web}}, {secretRef: {name: web}}]
        readinessProbe: {httpGet: {path: /, port: 8000}, periodSeconds: 1}
`,
		"k8s/service.yaml": `apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8000}]
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {LEVEL: info}}
- {apiVersion: v1, kind: Secret, metadata: {name: web}, stringData: {TOKEN: hunter2secret}}
`,
		"k8s/values.yaml": "replicas: 3\n",
	}
}

// TestPlainManifests wants manifests without a kustomization taken as they are, and the name of
// the app that they tell.
func TestPlainManifests(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Page(t, "app", "plain", "")
	add(t, dir, webManifests())
	add(t, dir, map[string]string{"pyproject.toml": "[project]\nname = \"hills\"\nversion = \"1\"\n"})

	r := ns.Build(t, dir).Succeeded(t).Says(t, "values.yaml is left out: it is no Kubernetes manifest")
	deployment, err := ns.Kube.AppsV1().Deployments(ns.Name).Get(t.Context(), "web", metav1.GetOptions{})
	env.Check(t, err)
	image := deployment.Spec.Template.Spec.Containers[0].Image
	if *deployment.Spec.Replicas != 2 || deployment.Status.ReadyReplicas != 2 || !strings.Contains(image, "/hills@sha256:") {
		t.Errorf("%d of %d replicas run %s\n%s", deployment.Status.ReadyReplicas, *deployment.Spec.Replicas, image, r)
	}
	service, err := ns.Kube.CoreV1().Services(ns.Name).Get(t.Context(), "web", metav1.GetOptions{})
	env.Check(t, err)
	if service.Spec.Type != corev1.ServiceTypeClusterIP {
		t.Errorf("the Service is a %s", service.Spec.Type)
	}
	services, err := ns.Kube.CoreV1().Services(ns.Name).List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	if len(services.Items) != 1 {
		t.Errorf("there are %d Services: a default one is among them", len(services.Items))
	}
	if list := releases(t, ns, "hills"); states(list) != "1 Live" {
		t.Errorf("the releases are %s", states(list))
	}
	ns.Build(t, dir).Succeeded(t).Says(t, "Nothing has changed, and the release is already running")

	// What is wrong is said with its place, before anything is uploaded.
	runs := len(ns.Runs(t))
	for _, wrong := range []struct{ file, text, want string }{
		{"k8s/z.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z}\ndata:\n  a: b\n  a: c\n", "k8s/z.yaml:6: the key a is there twice"},
		{"k8s/z.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: z}\nstringData: {a: \"hunter3secret}\n", "k8s/z.yaml:4: not valid YAML"},
		{"k8s/z.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z, namespace: kube-system}\n", "k8s/z.yaml:1: ConfigMap/z is for namespace kube-system"},
		{"deploy/kustomization.yaml", "resources: []\n", "both deploy and k8s have manifests of the app: name one with --manifests"},
	} {
		add(t, dir, map[string]string{wrong.file: wrong.text})
		if r := ns.Build(t, dir).Failed(t, wrong.want); strings.Contains(r.Stderr, "hunter3secret") {
			t.Errorf("the error shows a Secret\n%s", r)
		}
		env.Check(t, os.Remove(filepath.Join(dir, wrong.file)))
	}
	ns.Build(t, dir, "--name", "valleys", "--manifests", filepath.Join(dir, "k8s")).Failed(t, "values.yaml:1: not a Kubernetes manifest")
	env.Check(t, os.Remove(filepath.Join(dir, "k8s/values.yaml")))
	ns.Build(t, dir, "--name", "valleys", "--manifests", filepath.Join(dir, "k8s")).
		Failed(t, "one container needs `image: valleys`; its containers run hills:1.2").Hints(t, "--name hills")
	if now := len(ns.Runs(t)); now != runs {
		t.Errorf("there are %d runs, and were %d: a build with wrong manifests started", now, runs)
	}
}

// TestHelmChart wants a chart rendered with the values of the settings, and its hook to run as a
// Job of the release.
func TestHelmChart(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Page(t, "hills", "charted", "")
	add(t, dir, map[string]string{
		"pyproject.toml":   "[tool.kubectl-pyflow.helm]\nvalues = [\"values-prod.yaml\"]\nset = { \"service.port\" = \"81\" }\n",
		"values-prod.yaml": "replicaCount: 2\n",
		"chart/Chart.yaml": "apiVersion: v2\nname: hills\nversion: 0.1.0\nappVersion: \"1.0\"\nkubeVersion: '>=1.30.0-0'\n",
		"chart/values.yaml": `replicaCount: 1
image: {repository: nginx, tag: ""}
service: {port: 80}
`,
		"chart/templates/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, labels: {app.kubernetes.io/managed-by: {{ .Release.Service }}}}
spec:
  replicas: {{ .Values.replicaCount }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      containers:
      - name: web
        image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
        readinessProbe: {httpGet: {path: /, port: 8000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}, annotations: {cluster: {{ .Capabilities.KubeVersion.Version | quote }}}}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{port: {{ .Values.service.port }}, targetPort: 8000}]
`,
		"chart/templates/migrate.yaml": `apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-migrate
  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: before-hook-creation}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: migrate, image: {{ .Values.image.repository }}, command: [sh, -c, "cat /app/index.html"]}
`,
		"chart/templates/tests/test.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}-test, annotations: {helm.sh/hook: test}}\nspec: {containers: [{name: a, image: busybox}]}\n",
		"chart/templates/NOTES.txt":       "Thank you!\n",
	})

	ns.Build(t, dir).Succeeded(t).Says(t,
		"the chart's value image.repository is hills instead of \"nginx\"", "the tests of the chart are left out: Pod/hills-test")
	deployment, err := ns.Kube.AppsV1().Deployments(ns.Name).Get(t.Context(), "hills", metav1.GetOptions{})
	env.Check(t, err)
	image := deployment.Spec.Template.Spec.Containers[0].Image
	if deployment.Status.ReadyReplicas != 2 || !strings.Contains(image, "/hills@sha256:") {
		t.Errorf("%d replicas run %s", deployment.Status.ReadyReplicas, image)
	}
	service, err := ns.Kube.CoreV1().Services(ns.Name).Get(t.Context(), "hills", metav1.GetOptions{})
	env.Check(t, err)
	server, err := ns.Kube.Discovery().ServerVersion()
	env.Check(t, err)
	if service.Spec.Ports[0].Port != 81 || service.Annotations["cluster"] != server.GitVersion {
		t.Errorf("the Service is %+v, %v", service.Spec.Ports, service.Annotations)
	}
	env.Eventually(t, "the hook has run in the image that was built", func(ctx context.Context) error {
		job, err := ns.Kube.BatchV1().Jobs(ns.Name).Get(ctx, "hills-migrate", metav1.GetOptions{})
		if err == nil && (job.Status.Succeeded != 1 || job.Spec.Template.Spec.Containers[0].Image != image || job.Annotations["helm.sh/hook"] != "") {
			err = fmt.Errorf("%+v, %v", job.Status, job.Annotations)
		}
		return err
	})
	ns.Build(t, dir).Succeeded(t).Says(t, "Nothing has changed, and the release is already running")

	// The hook runs again for the next release, in its image.
	rewrite(t, dir, "charted again")
	second := env.DigestPattern.FindString(ns.Build(t, dir).Succeeded(t).Stdout)
	job, err := ns.Kube.BatchV1().Jobs(ns.Name).Get(t.Context(), "hills-migrate", metav1.GetOptions{})
	env.Check(t, err)
	if now := job.Spec.Template.Spec.Containers[0].Image; !strings.HasSuffix(now, second) || job.Status.Succeeded != 1 {
		t.Errorf("the hook has run in %s, %+v", now, job.Status)
	}

	runs := len(ns.Runs(t))
	ns.Build(t, dir, "--set", "image.repository=ghcr.io/acme/hills").Failed(t, "its containers run ghcr.io/acme/hills").Hints(t, "--set image.repository=hills")
	ns.Build(t, dir, "--values", filepath.Join(dir, "gone.yaml")).Failed(t, "gone.yaml: no such file")
	add(t, dir, map[string]string{"chart/templates/bad.yaml": "{{ required \"set the host\" .Values.host }}\n"})
	ns.Build(t, dir).Failed(t, "chart/templates/bad.yaml:1: set the host")
	if now := len(ns.Runs(t)); now != runs {
		t.Errorf("there are %d runs, and were %d: a build with wrong manifests started", now, runs)
	}
}

// TestOutputManifests wants a build that deploys nothing to write what another tool applies,
// here kubectl apply -k.
func TestOutputManifests(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	// The user is a name, which only the image can resolve.
	dir := env.Page(t, "hills", "exported", "RUN echo 'walker:x:4242:4243::/:/bin/sh' >>/etc/passwd\n")
	file, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	env.Check(t, err)
	add(t, dir, map[string]string{"Dockerfile": string(file) + "USER walker\n"})

	shown := ns.Pyflow(t, "build", dir, "--show-manifests", "--replicas", "2").Succeeded(t).
		Says(t, "the build sets the user of the pods to that of the image").Prints(t, "kind: Deployment", "namespace: "+ns.Name, "image: hills", "kind: Service")
	if strings.Contains(shown.Stdout, "pyflow.dev/manifests") {
		t.Errorf("the hash depends on the run\n%s", shown)
	}
	out := filepath.Join(t.TempDir(), "environments", "hills")
	build := func(more ...string) env.Result {
		return ns.Build(t, append([]string{dir, "--no-deploy", "--replicas", "2", "--output-manifests", out}, more...)...)
	}
	build().Succeeded(t).Says(t, "Wrote the manifests to "+out)
	deployments, err := ns.Kube.AppsV1().Deployments(ns.Name).List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	if len(deployments.Items) > 0 {
		t.Errorf("%s is deployed", deployments.Items[0].Name)
	}
	before, err := os.ReadFile(filepath.Join(out, "resources.yaml"))
	env.Check(t, err)

	// Another namespace, with the credentials of the one that built.
	other := ns.EmptyNamespace(t)
	secret, err := ns.Kube.CoreV1().Secrets(ns.Name).Get(t.Context(), manifests.RegistrySecret, metav1.GetOptions{})
	env.Check(t, err)
	_, err = ns.Kube.CoreV1().Secrets(other).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: secret.Name}, Type: secret.Type, Data: secret.Data,
	}, metav1.CreateOptions{})
	env.Check(t, err)
	ns.Run(t, nil, "kubectl", "annotate", "namespace", other, "pyflow.dev/images-from="+ns.Name).Succeeded(t)
	ns.Run(t, nil, "kubectl", "apply", "-n", other, "-k", out).Succeeded(t)
	ns.Run(t, nil, "kubectl", "rollout", "status", "-n", other, "deployment/hills", "--timeout=120s").Succeeded(t)
	deployment, err := ns.Kube.AppsV1().Deployments(other).Get(t.Context(), "hills", metav1.GetOptions{})
	env.Check(t, err)
	pod := deployment.Spec.Template.Spec
	if *deployment.Spec.Replicas != 2 || *pod.SecurityContext.RunAsUser != 4242 || *pod.SecurityContext.RunAsGroup != 4243 {
		t.Errorf("%d replicas run as %+v", *deployment.Spec.Replicas, pod.SecurityContext)
	}
	if deployment.Labels["app.kubernetes.io/managed-by"] != "" || deployment.Annotations["pyflow.dev/manifests"] != "" {
		t.Errorf("the Deployment has labels %v and annotations %v of a release", deployment.Labels, deployment.Annotations)
	}

	// What nothing has changed is written again; a change of the code changes the digest alone.
	env.Check(t, os.Remove(filepath.Join(out, "resources.yaml")))
	build().Succeeded(t).Says(t, "Nothing has changed", "Wrote the manifests")
	rewrite(t, dir, "exported again")
	digest := strings.TrimSpace(build("--quiet").Succeeded(t).Stdout)
	after, err := os.ReadFile(filepath.Join(out, "resources.yaml"))
	env.Check(t, err)
	kustomization, err := os.ReadFile(filepath.Join(out, "kustomization.yaml"))
	env.Check(t, err)
	if string(before) != string(after) || !strings.Contains(string(kustomization), "digest: "+digest) {
		t.Errorf("the digest is %s\n%s\n%s", digest, kustomization, after)
	}
	add(t, out, map[string]string{"kustomization.yaml": "resources: []\n"})
	build().Failed(t, "has files that no build wrote")
	ns.Build(t, dir, "--detach", "--output-manifests", out).FailedWith(t, 2, "--detach does not wait for")
}

// TestOwnedManifests wants the manifests that init writes to be what is deployed already: the
// build that takes them changes no spec.
func TestOwnedManifests(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Page(t, "hills", "owned", "")
	file, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	env.Check(t, err)
	add(t, dir, map[string]string{
		"Dockerfile":       string(file) + "USER 4242:4243\n",
		"main.py":          "from fastapi import FastAPI\n\napp = FastAPI()\n",
		"requirements.txt": "fastapi==0.116.0\n",
	})
	_, url := ns.Build(t, dir).Released(t)
	before, err := ns.Kube.AppsV1().Deployments(ns.Name).Get(t.Context(), "hills", metav1.GetOptions{})
	env.Check(t, err)

	ns.Pyflow(t, "init", dir, "--manifests").Succeeded(t).Prints(t, filepath.Join(dir, "deploy", "kustomization.yaml"))
	if _, again := ns.Build(t, dir).Released(t); again != url {
		t.Errorf("the app is at %s, and was at %s", again, url)
	}
	after, err := ns.Kube.AppsV1().Deployments(ns.Name).Get(t.Context(), "hills", metav1.GetOptions{})
	env.Check(t, err)
	image := before.Spec.Template.Spec.Containers[0].Image
	if now := after.Spec.Template.Spec.Containers[0].Image; now != image {
		// The files of init are part of the source, and of the image.
		after.Spec.Template.Spec.Containers[0].Image = image
	}
	if !reflect.DeepEqual(before.Spec, after.Spec) {
		t.Errorf("the Deployment is %+v\nand was %+v", after.Spec, before.Spec)
	}
	if after.Labels["pyflow.dev/generated"] != "" || *after.Spec.Template.Spec.SecurityContext.RunAsUser != 4242 {
		t.Errorf("labels %v, %+v", after.Labels, after.Spec.Template.Spec.SecurityContext)
	}

	// What the user changes is deployed.
	path := filepath.Join(dir, "deploy", "deployment-hills.yaml")
	text, err := os.ReadFile(path)
	env.Check(t, err)
	add(t, dir, map[string]string{"deploy/deployment-hills.yaml": strings.Replace(string(text), "replicas: 1", "replicas: 2", 1)})
	ns.Build(t, dir).Succeeded(t).Says(t, "2 of 2 replicas ready")
	ns.Build(t, dir, "--replicas", "3").FailedWith(t, 2, "--replicas has no effect on manifests of your own")
}
