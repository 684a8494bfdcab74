package release_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// What the pods need is what containers and volumes name, unless it is optional or of the release.
func TestNeeds(t *testing.T) {
	o := options("")
	o.Env = map[string]app.Variable{
		"A": app.Text("1"),
		"B": {From: app.Source{Kind: app.SourceSecret, Name: "db", Key: "url"}},
		"C": {From: app.Source{Kind: app.SourceConfigMap, Name: "site", Key: "region"}},
		"D": {From: app.Source{Kind: app.SourceSecret, Name: "db", Key: "url"}},
	}
	o.EnvFrom = []app.EnvFrom{{Source: app.Source{Kind: app.SourceSecret, Name: "all"}}}
	own := options(write(t, map[string]string{
		"kustomization.yaml": "resources: [web.yaml]",
		"web.yaml": `apiVersion: batch/v1
kind: CronJob
metadata: {name: web}
spec:
  schedule: "@daily"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          initContainers:
          - name: init
            image: mountains
            env:
            - {name: A, valueFrom: {secretKeyRef: {name: first, key: a}}}
            - {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
          containers:
          - name: app
            image: mountains
            envFrom: [{secretRef: {name: maybe, optional: true}}, {configMapRef: {name: config}}, {configMapRef: {name: mine}}]
          volumes:
          - {name: a, secret: {secretName: files, items: [{key: k, path: p}]}}
          - {name: b, configMap: {name: texts}}
          - {name: c, secret: {secretName: maybe-files, optional: true}}
          - name: d
            projected: {sources: [{secret: {name: token}}, {configMap: {name: ca, items: [{key: ca.crt, path: ca.crt}]}}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: mine}
`,
	}))
	for name, test := range map[string]struct {
		options release.Options
		want    string
	}{
		"nothing":            {options(""), ""},
		"settings":           {o, "configmap/site:region secret/all secret/db:url"},
		"own manifests":      {own, "configmap/ca:ca.crt configmap/config configmap/texts secret/files:k secret/first:a secret/token"},
		"of a kustomize dir": {options("testdata/kustomize/overlay"), ""},
	} {
		rendered, err := release.Render(test.options)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, source := range rendered.Needs() {
			got = append(got, source.String())
		}
		if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
