//go:build e2e

package console

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestConfiguration looks at the variables of an app, whose values the page never has, and at an
// app that has no URL.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Page(t, "shop", "hello", "")
	env.Check(t, os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte("[tool.kubectl-pyflow.env]\nLEVEL = \"value-of-level\"\n"), 0o644))
	ns.Build(t, dir, "--expose", "ClusterIP").Succeeded(t)
	ns.Pyflow(t, "env", "set", "shop", "QUEUE=value-of-queue").Succeeded(t)
	u := serve(t, ns)
	tb := open(t, u, "/apps/"+ns.Name+"/shop")
	tb.shows(t, "kubectl pyflow open --namespace="+ns.Name+" shop")
	tb.press(t, "Configuration")
	tb.shows(t, "LEVEL", "QUEUE", "env set", "manifests", "kubectl pyflow env list --namespace="+ns.Name+" shop")
	if html := is[string](t, tb, `document.documentElement.outerHTML`); strings.Contains(html, "value-of-") {
		t.Error("the page has a value")
	}
	for _, s := range screens() {
		tb.picture(t, "configuration", s)
	}
	tb.accessible(t, "the configuration of an app")
	tb.run(t, width(1280))
	ns.Pyflow(t, "env", "set", "shop", "ADDED=value-of-added").Succeeded(t)
	tb.press(t, "Refresh")
	tb.shows(t, "ADDED")
	tb.visit(t, u.url("/apps/"+ns.Name+"/nothing/configuration"))
	tb.shows(t, `no app "nothing" runs in namespace`)
}
