//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// settled writes the settings of a project.
func settled(t *testing.T, dir, text string) {
	t.Helper()
	env.Check(t, os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte("[tool.kubectl-pyflow]\n"+text), 0o644))
}

// answersWith wants a page to have exactly this text.
func answersWith(t *testing.T, url, want string) {
	t.Helper()
	env.Eventually(t, url+" answers", func(ctx context.Context) error {
		got, err := env.Get(ctx, url)
		if err == nil && got != want {
			err = fmt.Errorf("it answers %q", got)
		}
		return err
	})
}

// TestEnv is a FastAPI service with the URL of its database from a Secret, and with variables that
// outlive builds.
func TestEnv(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	tree := env.Tree(t, "ready-flat-requirements")
	tree["main.py"] = `import os

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI()


@app.get("/{name}", response_class=PlainTextResponse)
def variable(name: str) -> str:
    return os.environ.get(name, "not set")
`
	dir := env.Project(t, "shop", tree)
	settled(t, dir, "env-from = [{config-map = \"site\", prefix = \"SITE_\"}]\n[tool.kubectl-pyflow.env]\nLEVEL = \"info\"\nDATABASE_URL = {secret = \"shop-db\", key = \"url\"}\n")

	t.Run("what is missing stops the build", func(t *testing.T) {
		ns.Build(t, dir).Hints(t, "kubectl --namespace "+ns.Name+" create secret generic shop-db --from-literal='url=VALUE'",
			"pyproject.toml:2: namespace "+ns.Name+" has no ConfigMap site", "pyproject.toml:5: DATABASE_URL: namespace "+ns.Name+" has no Secret shop-db")
		kubectl(t, ns, "create", "configmap", "site", "--from-literal=REGION=north").Succeeded(t)
		ns.Secret(t, "shop-db", map[string]string{"uri": "postgres://hunter2@db/shop"})
		ns.Build(t, dir).Hints(t, "patch secret shop-db", "pyproject.toml:5: DATABASE_URL: Secret shop-db has no key url: it has uri")
		if runs := ns.Runs(t); len(runs) > 0 {
			t.Errorf("there are %d runs", len(runs))
		}
	})
	kubectl(t, ns, "delete", "secret", "shop-db").Succeeded(t)
	ns.Secret(t, "shop-db", map[string]string{"url": "postgres://hunter2@db/shop"})
	_, url := ns.Build(t, dir, "--env-from", "REGION=cm/site").Released(t)
	for name, want := range map[string]string{"DATABASE_URL": "postgres://hunter2@db/shop", "SITE_REGION": "north", "REGION": "north", "LEVEL": "info", "TOKEN": "not set"} {
		answersWith(t, url+"/"+name, want)
	}

	t.Run("set", func(t *testing.T) {
		ns.Pyflow(t, "env", "set", "shop", "MODE=two words", "SITE_REGION=south").Succeeded(t).Prints(t, "variable/MODE set").Says(t, "1 of 1 replicas ready")
		answersWith(t, url+"/MODE", "two words")
		answersWith(t, url+"/SITE_REGION", "south")
		r := ns.Run(t, strings.NewReader("hunter2-token\n"), "kubectl", "pyflow", "env", "-n", ns.Name, "set", "shop", "TOKEN", "--secret").Succeeded(t)
		if strings.Contains(r.String(), "hunter2") {
			t.Errorf("the value is printed\n%s", r)
		}
		answersWith(t, url+"/TOKEN", "hunter2-token")
		ns.Pyflow(t, "env", "set", "shop", "MODE=two words").Succeeded(t).Says(t, "Nothing has changed")
		ns.Pyflow(t, "env", "set", "shop", "LEVEL=debug").Hints(t, "change it in [tool.kubectl-pyflow.env]", "the manifests of app shop set LEVEL")
		ns.Pyflow(t, "env", "set", "shop", "1A=x").FailedWith(t, 2, `variable "1A": this is not the name of a variable`)
	})
	t.Run("list", func(t *testing.T) {
		ns.Pyflow(t, "env", "list", "shop").Succeeded(t).Prints(t, "NAME", "secret/shop-db:url", "secret/shop-pyflow-env:TOKEN", "env set", "configmap/site:REGION", "manifests (overridden)")
		var list struct {
			Items []struct {
				Name     string
				Settable bool
			}
		}
		env.Check(t, json.Unmarshal([]byte(ns.Pyflow(t, "env", "list", "shop", "-o", "json").Succeeded(t).Stdout), &list))
		var set []string
		for _, one := range list.Items {
			if one.Settable {
				set = append(set, one.Name)
			}
		}
		if got := strings.Join(set, " "); got != "MODE SITE_REGION TOKEN" {
			t.Errorf("env has set %s", got)
		}
		ns.Pyflow(t, "__complete", "env", "unset", "shop", "MODE", "").Succeeded(t).Prints(t, "TOKEN\n")
	})
	t.Run("builds and rollbacks keep them", func(t *testing.T) {
		settled(t, dir, "env-from = [{config-map = \"site\", prefix = \"SITE_\"}]\n[tool.kubectl-pyflow.env]\nLEVEL = \"debug\"\nDATABASE_URL = {secret = \"shop-db\", key = \"url\"}\n")
		ns.Build(t, dir).Succeeded(t)
		answersWith(t, url+"/LEVEL", "debug")
		answersWith(t, url+"/TOKEN", "hunter2-token")
		ns.Pyflow(t, "rollback", "shop").Succeeded(t)
		answersWith(t, url+"/LEVEL", "info")
		answersWith(t, url+"/TOKEN", "hunter2-token")
	})
	t.Run("a developer", func(t *testing.T) {
		kubectl(t, ns, "create", "rolebinding", "developer", "--clusterrole=pyflow-developer", "--user=developer").Succeeded(t)
		kubectl(t, ns, "create", "rolebinding", "viewer", "--clusterrole=view", "--user=viewer").Succeeded(t)
		developer := []string{"--as", "developer", "--as-group", "system:authenticated"}
		ns.Pyflow(t, append([]string{"env", "set", "shop", "KEY=hunter2-key", "--secret"}, developer...)...).Succeeded(t)
		answersWith(t, url+"/KEY", "hunter2-key")
		ns.Pyflow(t, append([]string{"env", "list", "shop"}, developer...)...).Succeeded(t).Prints(t, "secret/shop-pyflow-env:KEY", "secret/shop-pyflow-env:TOKEN")
		ns.Pyflow(t, append([]string{"env", "unset", "shop", "KEY", "MODE"}, developer...)...).Succeeded(t).Prints(t, "variable/KEY unset")
		answersWith(t, url+"/KEY", "not set")
		answersWith(t, url+"/MODE", "not set")
		answersWith(t, url+"/TOKEN", "hunter2-token")
		ns.Pyflow(t, "env", "set", "shop", "MODE=x", "--as", "viewer", "--as-group", "system:authenticated").Failed(t, "missing permissions", "configmaps")
		ns.Pyflow(t, "env", "unset", "shop", "MODE").Failed(t, "env has not set MODE of app shop: it has set SITE_REGION, TOKEN")
	})
	// The command line that sets a secret has it.
	printed := strings.ReplaceAll(ns.Printed.String(), "KEY=hunter2-key", "")
	if strings.Contains(printed, "hunter2") {
		t.Error("a value was printed")
	}
	ns.Pyflow(t, "delete", "shop", "--yes", "--keep-images").Succeeded(t).Prints(t, "secrets/shop-pyflow-env deleted", "configmaps/shop-pyflow-env deleted")
}

// TestAutoscaled wants the replicas of an app left to its autoscaler, by builds and when it gets one.
func TestAutoscaled(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	shop := env.Page(t, "shop", "one", "")
	settled(t, shop, "replicas = 3\nnetwork-policy = true\n")
	ns.Build(t, shop).Released(t)
	budget, err := ns.Kube.PolicyV1().PodDisruptionBudgets(ns.Name).Get(t.Context(), "shop", metav1.GetOptions{})
	env.Check(t, err)
	env.Eventually(t, "the budget counts the pods", func(ctx context.Context) error {
		budget, err := ns.Kube.PolicyV1().PodDisruptionBudgets(ns.Name).Get(ctx, budget.Name, metav1.GetOptions{})
		if err == nil && (budget.Status.ExpectedPods != 3 || budget.Status.DisruptionsAllowed != 1) {
			err = fmt.Errorf("it has %+v", budget.Status)
		}
		return err
	})
	policy, err := ns.Kube.NetworkingV1().NetworkPolicies(ns.Name).Get(t.Context(), "shop", metav1.GetOptions{})
	env.Check(t, err)
	if len(policy.Spec.Ingress) != 1 || len(policy.Spec.Ingress[0].From) != 0 || len(policy.Spec.Ingress[0].Ports) != 1 {
		t.Errorf("the policy is %+v", policy.Spec)
	}

	settled(t, shop, "replicas = 3\nautoscale = {min = 2, max = 4}\n")
	ns.Build(t, shop).Failed(t, "pyproject.toml:3:1: tool.kubectl-pyflow.autoscale: it sets the replicas, and so does replicas: remove one of them")
	// Nobody takes replicas away while the autoscaler takes over.
	settled(t, shop, "autoscale = {min = 2, max = 4}\nnetwork-policy = true\n")
	_, url := ns.Build(t, shop).Released(t)
	replicas := func(want int32) {
		t.Helper()
		if got := *deploymentOf(t, ns, "shop").Spec.Replicas; got != want {
			t.Errorf("the app has %d replicas, want %d", got, want)
		}
	}
	replicas(3)
	env.Serves(t, url, "one")
	stop := env.KeepsServing(t, url)
	_, err = ns.Kube.AppsV1().Deployments(ns.Name).UpdateScale(t.Context(), "shop", &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: ns.Name}, Spec: autoscalingv1.ScaleSpec{Replicas: 4},
	}, metav1.UpdateOptions{FieldManager: "kube-controller-manager"})
	env.Check(t, err)
	for _, text := range []string{"two", "three"} {
		rewrite(t, shop, text)
		ns.Build(t, shop).Released(t)
		env.Serves(t, url, text)
		replicas(4)
	}
	for _, entry := range deploymentOf(t, ns, "shop").ManagedFields {
		if entry.Manager == "kubectl-pyflow" && entry.Subresource == "" && strings.Contains(entry.FieldsV1.GetRawString(), `"f:replicas"`) {
			t.Error("the build has the replicas, too")
		}
	}
	stop()
	ns.Pyflow(t, "scale", "shop", "3").Hints(t, "edit hpa shop", "HorizontalPodAutoscaler shop sets the replicas of deployment/shop: from 2 to 4")

	// Without the settings the objects go.
	settled(t, shop, "")
	ns.Build(t, shop).Released(t)
	if _, err := ns.Kube.AutoscalingV2().HorizontalPodAutoscalers(ns.Name).Get(t.Context(), "shop", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the autoscaler is still there: %v", err)
	}
	if _, err := ns.Kube.NetworkingV1().NetworkPolicies(ns.Name).Get(t.Context(), "shop", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the network policy is still there: %v", err)
	}
}

// TestHost wants an Ingress for a host, and every reason against it before anything changes.
func TestHost(t *testing.T) {
	t.Parallel()
	a, b := env.Namespace(t), env.Namespace(t)
	shop := env.Page(t, "shop", "one", "")
	host := "shop." + a.Name + ".example.com"
	settled(t, shop, "host = \""+host+"\"\n")
	classes := a.Kube.NetworkingV1().IngressClasses()
	if list, err := classes.List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Skipf("the cluster has %d IngressClasses, %v", len(list.Items), err)
	}
	a.Build(t, shop).Hints(t, "ask a cluster administrator for an Ingress controller", "pyproject.toml:2: the cluster has no IngressClass and no Gateway: nothing would route "+host)

	t.Run("a Gateway", func(t *testing.T) { atGateway(t, a, b, host) })

	class := "class-of-" + a.Name
	_, err := classes.Create(t.Context(), &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/none"}}, metav1.CreateOptions{})
	env.Check(t, err)
	t.Cleanup(func() { _ = classes.Delete(context.WithoutCancel(t.Context()), class, metav1.DeleteOptions{}) })
	a.Build(t, shop, "--ingress-class", "none").Failed(t, "--ingress-class: the cluster has no IngressClass none: it has "+class)
	a.Build(t, shop, "--tls", "shop-tls").Hints(t, "create secret tls shop-tls --cert FILE --key FILE", "--tls: tls: namespace "+a.Name+" has no Secret shop-tls")
	if runs := a.RunsOf(t, "shop"); len(runs) > 0 {
		t.Errorf("there are %d runs", len(runs))
	}

	// Nothing answers at the host, so the output says how to reach the app.
	a.Build(t, shop).Succeeded(t).Prints(t, "http://"+host, "kubectl pyflow open shop --namespace "+a.Name)
	ingress, err := a.Kube.NetworkingV1().Ingresses(a.Name).Get(t.Context(), "shop", metav1.GetOptions{})
	env.Check(t, err)
	if got := *ingress.Spec.IngressClassName; got != class || ingress.Spec.Rules[0].Host != host {
		t.Errorf("the Ingress is %+v", ingress.Spec)
	}
	service, err := a.Kube.CoreV1().Services(a.Name).Get(t.Context(), "shop", metav1.GetOptions{})
	env.Check(t, err)
	if service.Spec.Type != "ClusterIP" {
		t.Errorf("the Service is a %s", service.Spec.Type)
	}
	a.Pyflow(t, "apps").Succeeded(t).Prints(t, "shop")
	a.Pyflow(t, "__complete", "build", "--ingress-class", "").Succeeded(t).Prints(t, class)
	a.Build(t, shop).Succeeded(t).Says(t, "Nothing has changed")

	b.Build(t, env.Page(t, "till", "two", ""), "--host", host).Hints(t, "choose another host", "--host: host "+host+" is taken: Ingress shop in namespace "+a.Name+", of app shop, routes it")
	if runs := b.Runs(t); len(runs) > 0 {
		t.Errorf("there are %d runs", len(runs))
	}
	// Without the host the Ingress goes, and the Service has a port of the nodes again.
	settled(t, shop, "")
	_, url := a.Build(t, shop).Released(t)
	env.Serves(t, url, "one")
	if _, err := a.Kube.NetworkingV1().Ingresses(a.Name).Get(t.Context(), "shop", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Ingress is still there: %v", err)
	}
}

// gatewayKinds are definitions of the kinds of the Gateway API that the program reads and writes,
// without their schema.
const gatewayKinds = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gateways.gateway.networking.k8s.io, annotations: {api-approved.kubernetes.io: "unapproved, for a test"}}
spec:
  group: gateway.networking.k8s.io
  scope: Namespaced
  names: {kind: Gateway, plural: gateways, singular: gateway}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: httproutes.gateway.networking.k8s.io, annotations: {api-approved.kubernetes.io: "unapproved, for a test"}}
spec:
  group: gateway.networking.k8s.io
  scope: Namespaced
  names: {kind: HTTPRoute, plural: httproutes, singular: httproute}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

// atGateway wants an HTTPRoute where the cluster has a Gateway and no IngressClass. The Gateway is
// in another namespace than the app.
func atGateway(t *testing.T, ns, infra *env.NS, host string) {
	if r := kubectl(t, ns, "get", "crd", "gateways.gateway.networking.k8s.io", "--ignore-not-found", "-o", "name").Succeeded(t); r.Stdout != "" {
		t.Skip("the cluster has the Gateway API")
	}
	apply := func(text string) {
		t.Helper()
		ns.Run(t, strings.NewReader(text), "kubectl", "apply", "-n", infra.Name, "-f", "-").Succeeded(t)
	}
	gateway := func(from string) {
		t.Helper()
		apply("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: public}\n" +
			"spec: {gatewayClassName: none, listeners: [{name: web, protocol: HTTPS, port: 443, hostname: '*." + ns.Name + ".example.com', allowedRoutes: {namespaces: {from: " + from + "}}}]}\n")
	}
	apply(gatewayKinds)
	t.Cleanup(func() {
		_ = ns.Command(context.WithoutCancel(t.Context()), "kubectl", "delete", "crd", "gateways.gateway.networking.k8s.io", "httproutes.gateway.networking.k8s.io").Run()
	})
	kubectl(t, ns, "wait", "--for=condition=Established", "crd/gateways.gateway.networking.k8s.io", "crd/httproutes.gateway.networking.k8s.io").Succeeded(t)
	till := env.Page(t, "till", "one", "")
	gateway("Same")
	ns.Build(t, till, "--host", host).Failed(t, "--host: Gateway "+infra.Name+"/public has no listener for the app: listener web takes routes of its own namespace only")
	gateway("All")
	ns.Build(t, till, "--host", "other.example.com").Failed(t, "listener web is for *."+ns.Name+".example.com, not for other.example.com")
	ns.Build(t, till, "--host", host, "--tls", "till-tls").Failed(t, "the listener of the Gateway has the certificate")
	ns.Build(t, till, "--host", host).Succeeded(t).Prints(t, "https://"+host, "kubectl pyflow open till --namespace "+ns.Name)
	kubectl(t, ns, "get", "httproute", "till", "-o", "jsonpath={.spec.hostnames[0]} {.spec.parentRefs[0].namespace}/{.spec.parentRefs[0].name}").Succeeded(t).Prints(t, host+" "+infra.Name+"/public")
	infra.Build(t, env.Page(t, "shop", "two", ""), "--host", host).Failed(t, "host "+host+" is taken: HTTPRoute till in namespace "+ns.Name+", of app till, routes it")
	ns.Pyflow(t, "delete", "till", "--yes", "--keep-images").Succeeded(t).Prints(t, "httproutes.gateway.networking.k8s.io/till deleted")
}
