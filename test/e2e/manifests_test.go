//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
