//go:build e2e

package console

import (
	"context"
	"fmt"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestReleases looks at the releases of an app, at what one of them changed, and rolls back.
func TestReleases(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	first, _ := ns.Build(t, env.Page(t, "shop", "hello", ""), "--replicas", "1").Released(t)
	second, _ := ns.Build(t, env.Page(t, "shop", "hello again", ""), "--replicas", "2").Released(t)
	u := serve(t, ns)
	tb := open(t, u, "/apps/"+ns.Name+"/shop")
	row := func(number, expression string) string {
		return `(row => row && ` + expression + `)(document.getElementById("release-` + number + `"))`
	}

	t.Run("list", func(t *testing.T) {
		tb.until(t, row("2", `row.innerText.includes("Live") && row.innerText.includes(`+quote(second[7:19])+`)`))
		tb.until(t, row("1", `row.innerText.includes("Replaced") && row.innerText.includes(`+quote(first[7:19])+`)`))
		if n := is[int](t, tb, `document.querySelectorAll('[aria-label^="Roll back to release"]').length`); n != 1 {
			t.Errorf("%d releases have a rollback, the live one among them", n)
		}
		for _, s := range screens() {
			tb.picture(t, "releases", s)
		}
		tb.accessible(t, "the releases of an app")
		tb.run(t, width(1280))
	})
	t.Run("changes", func(t *testing.T) {
		tb.click(t, `[aria-label="Changes of release 2"]`)
		tb.shows(t, "Compare releases", "Release 1", "Release 2", first[:19], "replicas: 1", "replicas: 2",
			"kubectl pyflow history --namespace="+ns.Name+" --diff=1 shop 2")
		tb.until(t, `[...document.querySelectorAll(".diff .is-added")].some(e => /\+\s+replicas: 2/.test(e.innerText))`)
		for _, s := range screens() {
			tb.picture(t, "release-changes", s)
		}
		tb.accessible(t, "what a release changed")
		tb.run(t, width(1280))
		tb.fill(t, "From", "2")
		tb.shows(t, "Both have the same image.", "Both have the same manifests.")
		tb.visit(t, u.url("/apps/"+ns.Name+"/shop/releases?from=9&to=1"))
		tb.shows(t, "app shop has no release 9 on record")
		tb.press(t, "shop")
		tb.shows(t, "Last runs")
	})
	t.Run("roll back", func(t *testing.T) {
		tb.click(t, `[aria-label="Roll back to release 1"]`)
		tb.shows(t, "kubectl pyflow rollback --namespace="+ns.Name+" --to=1 --detach shop")
		for _, s := range screens() {
			tb.picture(t, "rollback", s)
		}
		tb.accessible(t, "the dialog of a rollback")
		tb.run(t, width(1280))
		tb.press(t, "Roll back")
		tb.until(t, `location.pathname.startsWith("/runs/`+ns.Name+`/shop-")`)
		tb.shows(t, "Succeeded")
		tb.visit(t, u.url("/apps/"+ns.Name+"/shop"))
		tb.until(t, row("3", `/Live[^]*rollback to 1/.test(row.innerText)`))
		if status, _ := ns.Status(t); status.Apps[0].Digest != first {
			t.Errorf("the app runs %s, not %s", status.Apps[0].Digest, first)
		}
	})
	t.Run("promote", func(t *testing.T) {
		production := env.Namespace(t)
		tb.visit(t, u.url("/apps/"+ns.Name+"/shop"))
		tb.press(t, "Promote")
		tb.fill(t, "Namespace", production.Name)
		tb.fill(t, "Release", "2")
		tb.shows(t, "kubectl pyflow promote --namespace="+ns.Name+" --to="+production.Name+" --release=2 --detach shop")
		for _, s := range screens() {
			tb.picture(t, "promote", s)
		}
		tb.accessible(t, "the dialog of a promotion")
		tb.run(t, width(1280))
		tb.press(t, "Promote")
		tb.until(t, `location.pathname.startsWith("/runs/`+production.Name+`/shop-")`)
		env.Eventually(t, "wait for the app in the other namespace", func(context.Context) error {
			status, _ := production.Status(t)
			if len(status.Apps) != 1 || status.Apps[0].Digest != second || !status.Apps[0].Healthy {
				return fmt.Errorf("the apps are %+v", status.Apps)
			}
			return nil
		})
		tb.shows(t, "Succeeded")
	})
}
