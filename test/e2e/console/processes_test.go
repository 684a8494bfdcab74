//go:build e2e

package console

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestProcesses restarts and scales the processes of an app, and then deletes the app.
func TestProcesses(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Page(t, "shop", "hello", "")
	env.Check(t, os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte("[tool.kubectl-pyflow.processes]\nworker = \"trap exit TERM; sleep 3600 & wait\"\n"), 0o644))
	ns.Build(t, dir).Released(t)
	u := serve(t, ns)
	tb := open(t, u, "/apps/"+ns.Name+"/shop")
	row := func(name, expression string) string {
		return `(row => row && ` + expression + `)(document.getElementById("process-Deployment-` + name + `"))`
	}
	ready := func(name, count string) {
		t.Helper()
		tb.until(t, row(name, `row.innerText.includes(`+quote(count)+`)`))
	}
	ready("shop", "1 of 1")
	ready("shop-worker", "1 of 1")

	t.Run("restart", func(t *testing.T) {
		pod := is[string](t, tb, `[...document.querySelectorAll("main a")].find(e => e.innerText.startsWith("shop-worker-")).innerText`)
		tb.click(t, `[aria-label="Restart shop/worker"]`)
		tb.shows(t, "kubectl pyflow restart --namespace="+ns.Name+" shop/worker")
		tb.press(t, "Restart")
		tb.until(t, `!document.querySelector("dialog[open]")`)
		tb.until(t, `[...document.querySelectorAll("main a")].some(e => e.innerText.startsWith("shop-worker-") && e.innerText !== `+quote(pod)+`)`)
	})
	t.Run("scale", func(t *testing.T) {
		tb.click(t, `[aria-label="Scale shop/worker"]`)
		tb.fill(t, "Replicas", "many")
		tb.shows(t, "how many replicas the process has is not a number")
		tb.fill(t, "Replicas", "2")
		tb.shows(t, "kubectl pyflow scale --namespace="+ns.Name+" shop/worker 2")
		for _, s := range screens() {
			tb.picture(t, "scale", s)
		}
		tb.accessible(t, "the dialog of scale")
		tb.run(t, width(1280))
		tb.press(t, "Scale")
		tb.until(t, `!document.querySelector("dialog[open]")`)
		ready("shop-worker", "2 of 2")
		ready("shop", "1 of 1")
		for _, s := range screens() {
			tb.picture(t, "processes", s)
		}
		tb.accessible(t, "the processes of an app")
		tb.run(t, width(1280))
		tb.click(t, `[aria-label="Scale shop/worker"]`)
		tb.fill(t, "Replicas", "0")
		tb.press(t, "Scale")
		tb.until(t, row("shop-worker", `row.innerText.includes("Stopped")`))
	})
	t.Run("delete", func(t *testing.T) {
		tb.press(t, "Delete")
		tb.shows(t, "kubectl pyflow delete --namespace="+ns.Name+" --yes shop")
		tb.press(t, "Delete")
		tb.until(t, `location.pathname === "/apps"`)
		tb.shows(t, "No app is deployed yet")
		if left := ns.ImageList(t).Items; len(left) != 0 {
			t.Errorf("%+v is left in the registry", left)
		}
	})
}
