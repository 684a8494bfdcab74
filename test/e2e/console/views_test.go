//go:build e2e

package console

import (
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestViews looks at every view of an app that runs: what it says, on each kind of screen,
// and whether a screen reader and the keyboard can use it.
func TestViews(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	first, _ := ns.Build(t, env.Page(t, "shop", "hello", "")).Released(t)
	second, _ := ns.Build(t, env.Page(t, "shop", "hello again", "RUN echo second > /second\n")).Released(t)
	run := ns.RunList(t)[0].Name
	u := serve(t, ns)
	tb := open(t, u, "/")
	image := func(digest string) string { return "/registry/" + ns.Name + "/shop/" + digest }
	for _, view := range []struct {
		name, path string
		says       []string
	}{
		{"overview", "/", []string{"shop", "Healthy", run}},
		{"runs", "/runs", []string{"2 runs", run, "Succeeded"}},
		{"run", "/runs/" + ns.Name + "/" + run, []string{"Timeline", "Succeeded", "RUN echo second"}},
		{"objects", "/runs/" + ns.Name + "/" + run + "/objects", []string{"PipelineRun", "TaskRun", "Pod", "Task"}},
		{"yaml", "/objects/" + ns.Name + "/pipelineruns.tekton.dev/" + run, []string{"kind: PipelineRun"}},
		{"apps", "/apps", []string{"shop", "Healthy"}},
		{"app", "/apps/" + ns.Name + "/shop", []string{"Healthy", run}},
		{"registry", "/registry", []string{"shop"}},
		{"images", "/registry/" + ns.Name + "/shop", []string{run}},
		{"image", image(second), []string{"RUN echo second"}},
		{"compare", "/registry/compare?a=" + ns.Name + "/shop@" + first + "&b=" + ns.Name + "/shop@" + second, nil},
		{"prune", "/registry/prune", nil},
		{"platform", "/platform", []string{"tekton", "registry"}},
	} {
		t.Run(view.name, func(t *testing.T) {
			tb := &tab{ctx: tb.ctx, ui: u}
			tb.visit(t, u.url(view.path))
			tb.until(t, `document.querySelector("main h1") && !document.querySelector("main .loading")`)
			tb.shows(t, view.says...)
			for _, s := range screens() {
				tb.picture(t, view.name, s)
			}
			tb.accessible(t, view.name)
			tb.run(t, width(1280))
		})
	}
	t.Run("keyboard", func(t *testing.T) {
		tb.visit(t, u.url("/runs"))
		tb.shows(t, "2 runs")
		// The first stop of the tab key leads past the navigation.
		tb.keys(t, "\t")
		if text := is[string](t, tb, `document.activeElement.innerText`); text != "Skip to the content" {
			t.Errorf("the first stop is %q", text)
		}
		tb.keys(t, "/")
		if id := is[string](t, tb, `document.activeElement.id`); id != "filter-text" {
			t.Errorf("/ leads to %q", id)
		}
		is[any](t, tb, `document.querySelector("tbody a").focus()`)
		tb.keys(t, "\r")
		tb.until(t, `location.pathname.startsWith("/runs/")`)
		tb.shows(t, "Timeline")
		// A dialog takes the focus, gives it back, and closes with Escape.
		is[any](t, tb, `[...document.querySelectorAll("button")].find(b => b.innerText === "Rerun").focus()`)
		tb.keys(t, "\r")
		tb.until(t, `document.querySelector("dialog[open]")?.contains(document.activeElement)`)
		tb.keys(t, "\x1b")
		tb.until(t, `!document.querySelector("dialog[open]") && document.activeElement.innerText === "Rerun"`)
	})
	t.Run("other origins", func(t *testing.T) {
		for _, loaded := range is[[]string](t, tb, `performance.getEntriesByType("resource").map(e => e.name)`) {
			if !strings.HasPrefix(loaded, u.base+"/") && !strings.HasPrefix(loaded, "blob:") {
				t.Errorf("the page loads %s", loaded)
			}
		}
	})
}
