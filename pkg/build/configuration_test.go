package build

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// All that is missing is reported at once, with who needs it and the command that makes it.
func TestMissingSources(t *testing.T) {
	secret := func(name, key string) app.Source { return app.Source{Kind: app.SourceSecret, Name: name, Key: key} }
	config := func(name, key string) app.Source {
		return app.Source{Kind: app.SourceConfigMap, Name: name, Key: key}
	}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "team", Name: name} }
	client := kubefake.NewClientset(
		&corev1.Secret{ObjectMeta: meta("db"), Data: map[string][]byte{"url": []byte("hunter2"), "user": []byte("hunter2")}},
		&corev1.ConfigMap{ObjectMeta: meta("site"), Data: map[string]string{"region": "hunter2"}, BinaryData: map[string][]byte{"logo": nil}},
		&corev1.ConfigMap{ObjectMeta: meta("empty")},
	)
	needs := []app.Source{
		config("absent", ""), config("empty", "a"), config("site", ""), config("site", "logo"),
		secret("db", "host"), secret("db", "pass word"), secret("db", "url"), secret("gone", "a"), secret("gone", "b"),
	}
	places := map[app.Source]string{
		config("absent", ""): "pyproject.toml:3", secret("db", "host"): "--env-from: HOST", secret("db", "url"): "pyproject.toml:7: URL",
		secret("gone", "a"): "pyproject.toml:8: A", secret("gone", "b"): "pyproject.toml:9: B",
	}
	missing, err := missingSources(t.Context(), client, "team", needs, places)
	if err != nil {
		t.Fatal(err)
	}
	failure := &MissingConfigurationError{Namespace: "team", Missing: missing}
	want := `pyproject.toml:3: namespace team has no ConfigMap absent
ConfigMap empty has no key a: it has no keys
--env-from: HOST: Secret db has no key host, pass word: it has url, user
pyproject.toml:8: A, pyproject.toml:9: B: namespace team has no Secret gone`
	if diff := cmp.Diff(want, failure.Error()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"create it: kubectl --namespace team create configmap absent --from-literal='NAME=VALUE'",
		`add it: kubectl --namespace team patch configmap empty --patch '{"data":{"a":"VALUE"}}'`,
		`add it: kubectl --namespace team patch secret db --patch '{"stringData":{"host":"VALUE","pass word":"VALUE"}}'`,
		"create it: kubectl --namespace team create secret generic gone --from-literal='a=VALUE' --from-literal='b=VALUE'",
	}, failure.Advice()); diff != "" {
		t.Error(diff)
	}
}

// Who may not read Secrets is not stopped; any other failure is an error.
func TestMissingSourcesForbidden(t *testing.T) {
	var answer error
	client := kubefake.NewClientset()
	client.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, answer })
	needs := []app.Source{{Kind: app.SourceSecret, Name: "db", Key: "url"}}
	answer = apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "db", errors.New("no"))
	if missing, err := missingSources(t.Context(), client, "team", needs, nil); err != nil || len(missing) > 0 {
		t.Errorf("forbidden: got %v, %v", missing, err)
	}
	answer = apierrors.NewInternalError(errors.New("the server is restarting"))
	if _, err := missingSources(t.Context(), client, "team", needs, nil); err == nil {
		t.Error("a failure of the server is no error")
	}
}
