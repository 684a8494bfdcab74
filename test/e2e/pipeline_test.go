//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

const sequenceApp = "sequence"

// release is a kustomization with a ConfigMap and a Deployment without replicas,
// as build renders them.
func release(ns *env.NS, text string) map[string][]byte {
	metadata := fmt.Sprintf("  name: %s\n  namespace: %s\n  labels: {%s: %s}\n  annotations: {%s: %s}\n",
		sequenceApp, ns.Name, manifests.LabelManagedBy, manifests.FieldManager, manifests.AnnotationManifests, text)
	return map[string][]byte{
		"kustomization.yaml": []byte("resources: [resources.yaml]\n"),
		"resources.yaml": []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n" + metadata + "data: {text: " + text + "}\n" +
			"---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n" + metadata +
			"spec:\n  replicas: 0\n  selector: {matchLabels: {app: " + sequenceApp + "}}\n" +
			"  template:\n    metadata: {labels: {app: " + sequenceApp + "}}\n    spec: {containers: [{name: main, image: " + sequenceApp + "}]}\n"),
	}
}

// TestDeploymentSequence deploys in the wrong order: what a later run deployed stays.
func TestDeploymentSequence(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	unordered := func() pipelinerun.Deploy {
		return pipelinerun.Deploy{Meta: runSpec(t, ns, sequenceApp).Meta, Digest: "sha256:" + strings.Repeat("a", 64)}
	}
	configMaps, deployments := ns.Kube.CoreV1().ConfigMaps(ns.Name), ns.Kube.AppsV1().Deployments(ns.Name)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = configMaps.Delete(ctx, sequenceApp, metav1.DeleteOptions{})
		_ = deployments.Delete(ctx, sequenceApp, metav1.DeleteOptions{})
	})
	wantText := func(want string) {
		t.Helper()
		object, err := configMaps.Get(t.Context(), sequenceApp, metav1.GetOptions{})
		env.Check(t, err)
		if object.Data["text"] != want {
			t.Errorf("the deployed text is %q, want %q", object.Data["text"], want)
		}
	}
	// older is a run that began before all others and deploys last.
	older := func(sequence string, files map[string][]byte) (pipelinerun.Outcome, string) {
		t.Helper()
		spec := unordered()
		data := map[string]string{}
		for name, content := range files {
			data[name] = string(content)
		}
		ns.Secret(t, spec.SecretName(), data)
		run := pipelinerun.New(spec)
		if sequence != "" {
			run.Spec.Params = append(run.Spec.Params, *run.Spec.Params[0].DeepCopy())
			last := &run.Spec.Params[len(run.Spec.Params)-1]
			last.Name, last.Value.StringVal = "sequence", sequence
		}
		_, err := ns.Tekton.TektonV1().PipelineRuns(ns.Name).Create(t.Context(), run, metav1.CreateOptions{})
		env.Check(t, err)
		_, outcome := ended(t, ns, spec.Name)
		logs, _ := ns.Traces(t, spec.Name)
		return outcome, logs["deploy/check"] + logs["deploy/apply"]
	}

	later := createRun(t, ns, unordered(), release(ns, "later"))
	run, outcome := ended(t, ns, later)
	if !outcome.Succeeded || outcome.Digest != "sha256:"+strings.Repeat("a", 64) {
		logs, _ := ns.Traces(t, later)
		t.Fatalf("%+v\n%s", outcome, logs)
	}
	wantText("later")
	deployment, err := deployments.Get(t.Context(), sequenceApp, metav1.GetOptions{})
	env.Check(t, err)
	if got := deployment.Annotations[manifests.AnnotationSequence]; !strings.HasSuffix(got, " "+later) || got > pipelinerun.Sequence(run) {
		t.Errorf("the deployment has the sequence %q, the run is %q", got, pipelinerun.Sequence(run))
	}
	if annotations := deployment.Spec.Template.Annotations; len(annotations) != 0 {
		t.Errorf("the pods get the annotations %v, with which every deployment would restart them", annotations)
	}

	outcome, log := older("2020-01-01T00:00:00Z sequence-older", release(ns, "earlier"))
	if words := "run " + later + ", which started later, " + manifests.Superseded; outcome.Succeeded || strings.Count(log, words) != 2 {
		t.Errorf("succeeded: %t; the log should say of both objects %q:\n%s", outcome.Succeeded, words, log)
	}
	wantText("later")

	// Other changes than deployments are free.
	byHand := `{"metadata": {"annotations": {"` + manifests.AnnotationSequence + `": "2019-01-01T00:00:00Z others"}}, "data": {"text": "by hand"}}`
	_, err = configMaps.Patch(t.Context(), sequenceApp, types.MergePatchType, []byte(byHand), metav1.PatchOptions{})
	env.Check(t, err)
	wantText("by hand")

	// A run that was started by other means has no place in the sequence, and
	// manifests of its own no annotation for it. It does not undo a change by hand either.
	bare := func(name string) map[string][]byte {
		return map[string][]byte{
			"kustomization.yaml": []byte("resources: [resources.yaml]\n"),
			"resources.yaml":     []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: " + ns.Name + "}\ndata: {text: bare}\n"),
		}
	}
	for _, sequence := range []string{"", "2018-01-01T00:00:00Z sequence-oldest"} {
		if outcome, log := older(sequence, bare("bare")); !outcome.Succeeded {
			t.Errorf("sequence %q, manifests without annotations: %+v\n%s", sequence, outcome, log)
		}
	}
	if outcome, log := older("", bare(sequenceApp)); outcome.Succeeded || !strings.Contains(log, "conflict") {
		t.Errorf("a change by hand: %+v\n%s", outcome, log)
	}
	wantText("by hand")
}

const secretsApp = "with-secrets"

// TestBuildSecrets gives secrets to some RUNs: they are nowhere afterwards.
func TestBuildSecrets(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	token, file := "value-"+rand.Text(), "file-"+rand.Text()+"\nof two lines\n"
	g := newGitServer(t, ns, map[string]string{
		// A secret is no part of a layer's key: without the variable another run's
		// layers would be taken.
		"Dockerfile": `FROM ` + env.SmallBase + ` AS built
ENV RUN=` + rand.Text() + `
RUN --mount=type=secret,id=token sha256sum </run/secrets/token >/sums
RUN --mount=type=secret,id=file,target=/etc/app/key --mount=type=secret,id=token,env=TOKEN \
  sha256sum </etc/app/key >>/sums && printf %s "$TOKEN" | sha256sum >>/sums
RUN test ! -e /run/secrets && test ! -e /etc/app && test -z "$TOKEN"
USER 65534
RUN --mount=type=secret,id=file,uid=65534 cat /run/secrets/file >/tmp/copy && rm /tmp/copy && ! cat /kaniko/build-secrets/*
FROM built
RUN exit 1
`,
		"fails": "FROM " + env.SmallBase + "\nRUN --mount=type=secret,id=token,required=true --mount=type=secret,id=file cat /run/secrets/token >/copy && exit 3\n",
	}, map[string]string{"more": ""})
	spec := runSpec(t, ns, secretsApp)
	spec.NoDeploy = true
	spec.Git = &pipelinerun.Git{URL: g.https + "public.git", Secret: ns.Secret(t, "build-secrets-git", map[string]string{"ca.crt": string(g.ca)})}
	spec.Target = "built"
	spec.Secrets = []pipelinerun.BuildSecret{
		{ID: "token", Value: []byte(token)},
		{ID: "file", Secret: ns.Secret(t, "build-file", map[string]string{"key": file}), Key: "key"},
	}
	failing := spec
	failing.Name += "-f"
	failing.Dockerfile, failing.Target = "fails", ""
	name, failingName := createRun(t, ns, spec, nil), createRun(t, ns, failing, nil)
	confirm(t, ns, name)
	confirm(t, ns, failingName)

	nowhere := func(place string, text []byte) {
		t.Helper()
		for what, needle := range map[string]string{"value": token, "file": strings.SplitN(file, "\n", 2)[0]} {
			if bytes.Contains(text, []byte(needle)) {
				t.Errorf("%s: the secret %s is there", place, what)
			}
		}
	}
	_, outcome := ended(t, ns, name)
	logs, all := ns.Traces(t, name)
	nowhere("what the cluster tells of the run", []byte(all))
	if !outcome.Succeeded {
		t.Fatalf("%+v\n%s", outcome, logs["build/build"])
	}
	want := ""
	for _, content := range []string{token, file, token} {
		sum := sha256.Sum256([]byte(content))
		want += hex.EncodeToString(sum[:]) + "  -\n"
	}
	files := registrytest.Files(t, ns, secretsApp, outcome.Digest)
	if files["sums"] != want {
		t.Errorf("the commands read secrets with the sums %q, want %q", files["sums"], want)
	}
	_, outcome = ended(t, ns, failingName)
	logs, all = ns.Traces(t, failingName)
	nowhere("what the cluster tells of the run that failed", []byte(all))
	if outcome.Succeeded || outcome.Digest != "" || !strings.Contains(logs["build/build"], "exit status 3") {
		t.Errorf("%+v, want exit status 3:\n%s", outcome, logs["build/build"])
	}
	secrets, err := ns.Kube.CoreV1().Secrets(ns.Name).Get(t.Context(), spec.BuildSecretsName(), metav1.GetOptions{})
	env.Check(t, err)
	if len(secrets.Data) != 1 || len(secrets.OwnerReferences) != 1 || secrets.OwnerReferences[0].Name != name {
		t.Errorf("secret %s has %d keys and the owners %v", secrets.Name, len(secrets.Data), secrets.OwnerReferences)
	}

	// The image and the layers of the cache, whoever their last user was.
	registry := registrytest.OpenReader(t, ns.Cluster)
	for what, needle := range map[string]string{"value": token, "file": strings.SplitN(file, "\n", 2)[0]} {
		if places := registry.Holds(t, ns, secretsApp, needle); len(places) > 0 {
			t.Errorf("the secret %s is in %q", what, places)
		}
	}
}
