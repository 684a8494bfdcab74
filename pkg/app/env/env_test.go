package env

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const own = "shop-pyflow-env"

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "team", Name: name, Labels: map[string]string{manifests.LabelApp: "shop"}}
}

// deployment returns a workload whose container has these variables, beside a proxy with others.
func deployment(name string, variables []corev1.EnvVar, from ...corev1.EnvFromSource) workload.Workload {
	proxy := corev1.Container{Name: "proxy", Image: "proxy", Env: []corev1.EnvVar{{Name: "PROXY", Value: "hunter2"}}}
	container := corev1.Container{Name: "app", Image: "localhost/team/shop@sha256:a", Env: variables, EnvFrom: from}
	return workload.Workload{Kind: workload.Deployment, Meta: meta(name), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{proxy, container}}}}
}

func secretRef(name string) corev1.EnvFromSource {
	return corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}
}

func configRef(name, prefix string) corev1.EnvFromSource {
	return corev1.EnvFromSource{Prefix: prefix, ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}
}

func secretNamed(name string, keys ...string) *corev1.Secret {
	one := &corev1.Secret{ObjectMeta: meta(name), Data: map[string][]byte{}}
	for _, key := range keys {
		one.Data[key] = []byte("hunter2")
	}
	return one
}

func config(name, secrets string, data map[string]string) *corev1.ConfigMap {
	one := &corev1.ConfigMap{ObjectMeta: meta(name), Data: data}
	if secrets != "" {
		one.Annotations = map[string]string{manifests.AnnotationSecretVariables: secrets}
	}
	return one
}

// forbid makes a client refuse to read Secrets.
func forbid(client *kubefake.Clientset, verbs ...string) {
	for _, verb := range verbs {
		client.PrependReactor(verb, "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", errors.New("no"))
		})
	}
}

func TestList(t *testing.T) {
	shop := app.App{Name: "shop", Namespace: "team", Workloads: []workload.Workload{
		deployment("shop", []corev1.EnvVar{
			{Name: "PORT", Value: "hunter2"},
			{Name: "LEVEL", Value: "hunter2"},
			{Name: "URL", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Key: "url"}}},
			{Name: "POD", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{}}},
		}, secretRef("all"), configRef("site", "APP_"), configRef(own, ""), secretRef(own)),
		deployment("shop-worker", nil, configRef(own, ""), secretRef(own)),
	}}
	lines := func(client *kubefake.Clientset) string {
		t.Helper()
		list, err := List(t.Context(), client, shop, "team/shop")
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, one := range list {
			text.WriteString(one.Name + " " + one.From())
			if one.Settable {
				text.WriteString(" settable")
			}
			if one.Overridden {
				text.WriteString(" overridden")
			}
			if len(one.Workloads) == 2 {
				text.WriteString(" both")
			}
			text.WriteString("\n")
		}
		if strings.Contains(text.String(), "hunter2") {
			t.Errorf("a value is listed:\n%s", text.String())
		}
		return text.String()
	}
	objects := []runtime.Object{
		secretNamed("all", "TOKEN", "DEBUG"), config("site", "", map[string]string{"REGION": "hunter2"}), secretNamed(own, "TOKEN"),
		config(own, "TOKEN", map[string]string{"LEVEL": "hunter2", "MODE": "hunter2"}),
	}
	want := `APP_REGION configmap/site:REGION
DEBUG secret/all:DEBUG
LEVEL configmap/shop-pyflow-env:LEVEL settable
LEVEL configmap/shop-pyflow-env:LEVEL settable overridden
LEVEL value
MODE configmap/shop-pyflow-env:MODE settable both
POD field
PORT value
TOKEN secret/all:TOKEN overridden
TOKEN secret/shop-pyflow-env:TOKEN settable both
URL secret/db:url
`
	if diff := cmp.Diff(want, lines(kubefake.NewClientset(objects...))); diff != "" {
		t.Error(diff)
	}
	client := kubefake.NewClientset(objects...)
	forbid(client, "get")
	want = strings.Replace(strings.Replace(want, "DEBUG secret/all:DEBUG\n", "", 1), "TOKEN secret/all:TOKEN overridden\n", "", 1)
	if diff := cmp.Diff("* secret/all\n"+want, lines(client)); diff != "" {
		t.Errorf("without permission to read Secrets: %s", diff)
	}
}

func TestReaders(t *testing.T) {
	level := []corev1.EnvVar{{Name: "LEVEL", Value: "x"}}
	generated := deployment("shop", nil)
	generated.Meta.Labels[manifests.LabelGenerated] = "true"
	for name, test := range map[string]struct {
		workloads []workload.Workload
		want, err string
		advice    string
	}{
		"both":            {workloads: []workload.Workload{deployment("a", nil, configRef(own, "")), deployment("b", nil, secretRef(own))}, want: "a b"},
		"one of them":     {workloads: []workload.Workload{deployment("a", nil), deployment("b", nil, secretRef(own))}, want: "b"},
		"own manifests":   {workloads: []workload.Workload{deployment("a", level, secretRef("all"))}, err: "no container of app shop reads the ConfigMap and the Secret shop-pyflow-env", advice: "add to the container in your manifests, and build: envFrom: [{configMapRef: {name: shop-pyflow-env, optional: true}}"},
		"an older build":  {workloads: []workload.Workload{generated}, err: "no container of app shop reads", advice: "a build adds it"},
		"set by settings": {workloads: []workload.Workload{deployment("a", level, secretRef(own))}, err: "the manifests of app shop set LEVEL, which wins over what env sets", advice: "change it in [tool.kubectl-pyflow.env]"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := Readers(app.App{Name: "shop", Workloads: test.workloads}, Change{Set: map[string]string{"LEVEL": "y"}})
			var names []string
			for _, one := range found {
				names = append(names, one.Meta.Name)
			}
			if got := strings.Join(names, " "); got != test.want || (err == nil) != (test.err == "") {
				t.Fatalf("got %q, %v", got, err)
			}
			if err == nil {
				return
			}
			var advised interface{ Advice() []string }
			if !errors.As(err, &advised) || !strings.HasPrefix(err.Error(), test.err) || !strings.HasPrefix(advised.Advice()[0], test.advice) {
				t.Errorf("the error is %v, with %q", err, advised)
			}
		})
	}
	// What is only unset may be in the manifests as well.
	if _, err := Readers(app.App{Name: "shop", Workloads: []workload.Workload{deployment("a", level, secretRef(own))}}, Change{Unset: []string{"LEVEL"}}); err != nil {
		t.Error(err)
	}
}

func TestApply(t *testing.T) {
	set := func(secret bool, pairs ...string) Change {
		change := Change{Set: map[string]string{}, Secret: secret}
		for _, pair := range pairs {
			name, value, _ := strings.Cut(pair, "=")
			change.Set[name] = value
		}
		return change
	}
	for name, test := range map[string]struct {
		before    []runtime.Object
		change    Change
		forbidden bool
		// config and secret are what the objects have then, names the annotation.
		config, secret map[string]string
		names          string
		unchanged      bool
		err            string
	}{
		"the first":             {change: set(false, "A=1", "B="), config: map[string]string{"A": "1", "B": ""}},
		"the first secret":      {change: set(true, "A=1"), secret: map[string]string{"A": "1"}, names: "A"},
		"another one":           {before: []runtime.Object{config(own, "", map[string]string{"A": "1"})}, change: set(false, "B=2"), config: map[string]string{"A": "1", "B": "2"}},
		"the same":              {before: []runtime.Object{config(own, "", map[string]string{"A": "1"})}, change: set(false, "A=1"), config: map[string]string{"A": "1"}, unchanged: true},
		"another value":         {before: []runtime.Object{config(own, "", map[string]string{"A": "1"})}, change: set(false, "A=2"), config: map[string]string{"A": "2"}},
		"a second secret":       {before: []runtime.Object{config(own, "B", nil), secretNamed(own, "B")}, change: set(true, "A=1"), secret: map[string]string{"A": "1", "B": "hunter2"}, names: "A,B"},
		"into the Secret":       {before: []runtime.Object{config(own, "", map[string]string{"A": "1", "B": "2"})}, change: set(true, "A=1"), config: map[string]string{"B": "2"}, secret: map[string]string{"A": "1"}, names: "A"},
		"out of the Secret":     {before: []runtime.Object{config(own, "A,B", nil), secretNamed(own, "A", "B")}, change: set(false, "A=1"), config: map[string]string{"A": "1"}, secret: map[string]string{"B": "hunter2"}, names: "B"},
		"removed":               {before: []runtime.Object{config(own, "B", map[string]string{"A": "1"}), secretNamed(own, "B")}, change: Change{Unset: []string{"A", "B"}}},
		"removed, not readable": {before: []runtime.Object{config(own, "B", map[string]string{"A": "1"}), secretNamed(own, "B")}, change: Change{Unset: []string{"B"}}, forbidden: true, config: map[string]string{"A": "1"}},
		"set, not readable":     {before: []runtime.Object{config(own, "B", nil), secretNamed(own, "B")}, change: set(true, "C=3"), forbidden: true, secret: map[string]string{"B": "hunter2", "C": "3"}, names: "B,C"},
		"not set":               {before: []runtime.Object{config(own, "B", map[string]string{"A": "1"}), secretNamed(own, "B")}, change: Change{Unset: []string{"A", "C", "D"}}, config: map[string]string{"A": "1"}, secret: map[string]string{"B": "hunter2"}, names: "B", err: "env has not set C, D of app shop: it has set A, B"},
		"nothing set":           {change: Change{Unset: []string{"A"}}, err: "it has set nothing"},
		"a foreign ConfigMap":   {before: []runtime.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: own}}}, change: set(false, "A=1"), err: "ConfigMap shop-pyflow-env exists and is not of app shop"},
		"a foreign Secret":      {before: []runtime.Object{&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: own}}}, change: set(true, "A=1"), err: "Secret shop-pyflow-env exists and is not of app shop"},
	} {
		t.Run(name, func(t *testing.T) {
			client := kubefake.NewClientset(test.before...)
			readable := client.Tracker()
			if test.forbidden {
				forbid(client, "get")
			}
			changed, err := Apply(t.Context(), client, "team", "shop", test.change)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %v, want %s", err, test.err)
				}
				return
			}
			if err != nil || changed == test.unchanged {
				t.Fatalf("changed %t, %v", changed, err)
			}
			gotSecret, gotConfig := map[string]string{}, map[string]string{}
			if object, err := readable.Get(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, "team", own); err == nil {
				one := object.(*corev1.Secret)
				for key, value := range one.Data {
					gotSecret[key] = string(value)
				}
				if one.Labels[manifests.LabelApp] != "shop" {
					t.Errorf("the labels of the Secret are %v", one.Labels)
				}
			}
			one, err := client.CoreV1().ConfigMaps("team").Get(t.Context(), own, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for key, value := range one.Data {
				gotConfig[key] = value
			}
			if one.Labels[manifests.LabelApp] != "shop" || one.Annotations[manifests.AnnotationSecretVariables] != test.names {
				t.Errorf("the metadata of the ConfigMap is %v, want the names %s", one.ObjectMeta, test.names)
			}
			for _, pair := range [][2]map[string]string{{test.config, gotConfig}, {test.secret, gotSecret}} {
				if len(pair[0])+len(pair[1]) > 0 {
					if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
						t.Error(diff)
					}
				}
			}
		})
	}
}

// A concurrent change is not lost, and a missing permission is named.
func TestApplyConflicts(t *testing.T) {
	client := kubefake.NewClientset(config(own, "", map[string]string{"A": "1"}))
	tries := 0
	client.PrependReactor("patch", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		tries++
		return tries == 1, nil, apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, own, errors.New("changed"))
	})
	if changed, err := Apply(t.Context(), client, "team", "shop", Change{Set: map[string]string{"A": "2"}}); err != nil || !changed || tries != 2 {
		t.Errorf("changed %t, %v after %d tries", changed, err, tries)
	}
	forbid(client, "patch", "create")
	_, err := Apply(t.Context(), client, "team", "shop", Change{Set: map[string]string{"B": "hunter2"}, Secret: true})
	var missing *access.MissingError
	if !errors.As(err, &missing) || missing.Missing[0].Resource != "secrets" || !slices.Contains([]string{"patch", "create"}, missing.Missing[0].Verb) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
}

func TestStale(t *testing.T) {
	changed := metav1.NewTime(time.Date(2026, 7, 1, 9, 30, 0, 0, time.UTC))
	earlier := metav1.NewTime(changed.Add(-time.Hour))
	pod := func(name string, created metav1.Time) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, CreationTimestamp: created, Labels: map[string]string{"process": name}}}
	}
	readers := []workload.Workload{deployment("shop", nil), deployment("shop-worker", nil)}
	for i := range readers {
		readers[i].Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"process": readers[i].Meta.Name}}
	}
	for name, test := range map[string]struct {
		config *corev1.ConfigMap
		pods   [2]metav1.Time
		want   []string
	}{
		"never set":     {pods: [2]metav1.Time{earlier, earlier}},
		"restarted":     {config: config(own, "", nil), pods: [2]metav1.Time{changed, changed}},
		"not restarted": {config: config(own, "", nil), pods: [2]metav1.Time{earlier, earlier}, want: []string{"shop", "shop-worker"}},
		"in between":    {config: config(own, "", nil), pods: [2]metav1.Time{changed, earlier}, want: []string{"shop-worker"}},
	} {
		t.Run(name, func(t *testing.T) {
			objects := []runtime.Object{pod("shop", test.pods[0]), pod("shop-worker", test.pods[1])}
			if test.config != nil {
				test.config.ManagedFields = []metav1.ManagedFieldsEntry{{Time: &earlier}, {Time: &changed}, {}}
				objects = append(objects, test.config)
			}
			stale, err := Stale(t.Context(), kubefake.NewClientset(objects...), "team", "shop", readers)
			var names []string
			for _, one := range stale {
				names = append(names, one.Meta.Name)
			}
			if err != nil || !slices.Equal(names, test.want) {
				t.Errorf("got %v, %v, want %v", names, err, test.want)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	change := Change{Set: map[string]string{"LOG_LEVEL": "debug", "DB_PASSWORD": "x", "CACHE": "redis://me:hunter2x@cache", "API_TOKEN": "y"}}
	if got := change.Plain(); !slices.Equal(got, []string{"API_TOKEN", "CACHE", "DB_PASSWORD"}) {
		t.Errorf("into the ConfigMap: %q", got)
	}
	change.Secret = true
	if got := change.Plain(); len(got) > 0 {
		t.Errorf("into the Secret: %q", got)
	}
}
