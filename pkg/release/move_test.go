package release_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

func TestMove(t *testing.T) {
	const deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop}, spec: {selector: {matchLabels: {a: shop}}, template: {metadata: {labels: {a: shop}}, spec: {containers: [{name: a, image: shop}]}}}}\n---\n"
	for name, test := range map[string]struct{ more, host string }{
		"a Deployment":               {more: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"},
		"an Ingress":                 {more: "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: shop}, spec: {rules: [{http: {}}, {host: shop.example.com}]}}\n", host: "shop.example.com"},
		"an Ingress for every host":  {more: "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: shop}, spec: {rules: [{http: {}}]}}\n"},
		"an HTTPRoute":               {more: "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: shop}, spec: {hostnames: [shop.example.com]}}\n", host: "shop.example.com"},
		"an HTTPRoute without hosts": {more: "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: shop}, spec: {}}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			rendered, err := release.Render(release.Options{App: "shop", Namespace: "staging", Directory: write(t, map[string]string{
				"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": deployment + test.more,
			})})
			if err != nil {
				t.Fatal(err)
			}
			err = rendered.Move("production")
			var host *release.HostError
			if test.host != "" {
				if !errors.As(err, &host) || host.Host != test.host {
					t.Errorf("the error is %v", err)
				}
				return
			}
			text := string(rendered.YAML)
			if err != nil || strings.Count(text, "namespace: production\n") != 2 || strings.Contains(text, "staging") {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}
