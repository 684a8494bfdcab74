//go:build e2e

package console

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestRuns watches a build from its start to its end, with the log, and repeats it.
func TestRuns(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	u := serve(t, ns)
	tb := open(t, u, "/")
	tb.shows(t, "No app is deployed yet", "There are no runs yet")

	// The view changes by itself when a run appears.
	run := ns.Detached(t, env.Page(t, "shop", "hello", "RUN echo first\n"+env.HeldInstruction+"RUN echo '<script>alert(1)</script>' '<img src=x onerror=alert(2)>'\n"))
	tb.press(t, run)
	tb.shows(t, "Running", "Timeline", "Build")
	ns.Held(t, "shop")
	tb.until(t, `document.querySelector(".instruction.is-running")`)
	tb.shows(t, "first")
	ns.Release(t, "shop")
	tb.shows(t, "Succeeded")
	tb.shows(t, "<script>alert(1)</script>")
	if n := is[int](t, tb, `document.querySelectorAll("main script, main img").length`); n != 0 {
		t.Errorf("the log made %d elements", n)
	}
	if n := is[int](t, tb, `document.querySelectorAll(".instruction").length`); n < 3 {
		t.Errorf("the timeline has %d instructions", n)
	}

	t.Run("deep link", func(t *testing.T) {
		tb := &tab{ctx: tb.ctx, ui: u}
		tb.run(t, chromedp.Reload())
		tb.shows(t, run, "Succeeded")
		if hash := is[string](t, tb, `location.href`); strings.Contains(hash, u.token) {
			t.Errorf("the address keeps the key: %s", hash)
		}
	})
	t.Run("history", func(t *testing.T) {
		tb.press(t, "Runs")
		tb.until(t, `location.pathname === "/runs"`)
		tb.shows(t, "1 run")
		tb.run(t, chromedp.NavigateBack())
		tb.until(t, `location.pathname.endsWith(`+quote(run)+`)`)
		tb.shows(t, "Timeline")
	})
	t.Run("search", func(t *testing.T) {
		tb.fill(t, "Search the log", "alert(")
		tb.until(t, `document.querySelector(".matches").textContent === "1 of 1" || document.querySelector(".matches").textContent.startsWith("1 of")`)
		tb.until(t, `document.querySelector(".log-row mark")`)
	})
	t.Run("objects", func(t *testing.T) {
		tb.press(t, "YAML")
		tb.shows(t, "PipelineRun", "TaskRun", "Pod", "pyflow-build")
		tb.click(t, "tbody a")
		tb.shows(t, "kind: PipelineRun", "kubectl get pipelineruns.tekton.dev "+run)
	})
	t.Run("rerun", func(t *testing.T) {
		tb.visit(t, u.url(fmt.Sprintf("/runs/%s/%s", ns.Name, run)))
		tb.press(t, "Rerun")
		tb.shows(t, "kubectl pyflow rerun --namespace="+ns.Name+" --detach "+run)
		tb.fill(t, "Memory of the build", "3Gi")
		tb.shows(t, "--memory=3Gi")
		tb.fill(t, "Memory of the build", "")
		tb.press(t, "Rerun")
		tb.until(t, `location.pathname.startsWith("/runs/`+ns.Name+`/shop-") && !location.pathname.endsWith(`+quote(run)+`)`)
		tb.shows(t, "Timeline")
	})
	t.Run("cancel", func(t *testing.T) {
		tb.press(t, "Cancel")
		tb.shows(t, "Its pods are ended")
		tb.press(t, "Cancel")
		tb.shows(t, "Canceled")
		if runs := ns.RunList(t); string(runs[0].State) != "Canceled" {
			t.Errorf("the run is %s", runs[0].State)
		}
	})
	t.Run("filter", func(t *testing.T) {
		tb.press(t, "Runs")
		tb.shows(t, "2 runs")
		tb.fill(t, "Name, app or commit", run)
		tb.shows(t, "1 of 2 runs")
		tb.fill(t, "Name, app or commit", "nothing like it")
		tb.shows(t, "No run matches")
	})
}

// TestFailedRun wants the cause of a failure first, with the lines of the Dockerfile.
func TestFailedRun(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	ns.Build(t, env.Page(t, "broken", "hello", "RUN echo before && exit 3\n")).Failed(t)
	run := ns.RunList(t)[0].Name
	tb := open(t, serve(t, ns, run), "/runs/"+ns.Name+"/"+run)
	tb.shows(t, "Failed", "echo before && exit 3", "exit code 3")
	if top := is[string](t, tb, `document.querySelector(".failure .excerpt").innerText`); !strings.Contains(top, "exit 3") {
		t.Errorf("the excerpt is %q", top)
	}
	if n := is[int](t, tb, `document.querySelectorAll(".instruction.is-failed").length`); n != 1 {
		t.Errorf("%d instructions failed", n)
	}
	for _, s := range screens() {
		tb.picture(t, "failed-run", s)
	}
	tb.accessible(t, "a failed run")
}

// TestUnknown wants a page for what does not exist.
func TestUnknown(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	u := serve(t, ns)
	tb := open(t, u, "/runs/"+ns.Name+"/nothing")
	tb.shows(t, `there is no run and no app "nothing" in namespace `+ns.Name)
	tb.visit(t, u.url("/nowhere"))
	tb.shows(t, "there is no such page")
	tb.press(t, "Go to the overview")
	tb.shows(t, "No app is deployed yet")
}
