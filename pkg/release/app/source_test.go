package app_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

func TestParseEnvFrom(t *testing.T) {
	variables, all, err := app.ParseEnvFrom([]string{
		"secret/shop-env", "configmap/shop.config,prefix=APP_", "cm/c", "URL=secret/shop-db:url", "TOKEN=secret/shop-db", "a.b=ConfigMap/c:d",
	})
	if err != nil {
		t.Fatal(err)
	}
	secret := func(name, key string) app.Source { return app.Source{Kind: app.SourceSecret, Name: name, Key: key} }
	config := func(name, key string) app.Source {
		return app.Source{Kind: app.SourceConfigMap, Name: name, Key: key}
	}
	if diff := cmp.Diff([]app.EnvFrom{{Source: secret("shop-env", "")}, {Source: config("shop.config", ""), Prefix: "APP_"}, {Source: config("c", "")}}, all); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]app.Variable{"URL": {From: secret("shop-db", "url")}, "TOKEN": {From: secret("shop-db", "TOKEN")}, "a.b": {From: config("c", "d")}}, variables); diff != "" {
		t.Error(diff)
	}
	const usage = "write secret/NAME or configmap/NAME"
	for text, want := range map[string]string{
		"":                        usage,
		"hunter2":                 usage,
		"URL=hunter2":             usage,
		"pod/shop":                usage,
		"secret/a:":               usage,
		"secret/a:key":            usage,
		"URL=secret/a,prefix=B_":  usage,
		"secret/a,prefix=":        usage,
		"secret/":                 "this is not the name of a Secret",
		"cm/Hunter2":              "this is not the name of a ConfigMap",
		"URL=secret/a:hunter2=?":  "this is not a key of a Secret",
		"1=secret/a:b":            `variable "1": this is not the name of a variable`,
		"=secret/a:b":             `variable "": this is not the name of a variable`,
		"A=secret/b":              `variable "A" is given twice`,
		"secret/a,prefix=1":       `"1" cannot start the name of a variable`,
		"secret/a,prefix=B,other": `"B,other" cannot start the name of a variable`,
	} {
		_, _, err := app.ParseEnvFrom([]string{"A=cm/a", text})
		if err == nil || !strings.HasPrefix(err.Error(), "source 2 of 2: "+want) || strings.Contains(strings.ToLower(err.Error()), "hunter2") {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestEnvVar(t *testing.T) {
	for name, test := range map[string]struct {
		variable app.Variable
		want     corev1.EnvVar
	}{
		"a text is literal": {app.Text("$(A) costs $5"), corev1.EnvVar{Name: "X", Value: "$$(A) costs $$5"}},
		"a Secret": {app.Variable{From: app.Source{Kind: app.SourceSecret, Name: "s", Key: "k"}}, corev1.EnvVar{Name: "X", ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k"},
		}}},
		"a ConfigMap": {app.Variable{From: app.Source{Kind: app.SourceConfigMap, Name: "c", Key: "k"}}, corev1.EnvVar{Name: "X", ValueFrom: &corev1.EnvVarSource{
			ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}, Key: "k"},
		}}},
	} {
		if diff := cmp.Diff(test.want, test.variable.EnvVar("X")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
