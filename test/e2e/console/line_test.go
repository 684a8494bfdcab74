//go:build e2e

package console

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/servers"
)

// TestCuts cuts the connections of a page while a log is written: those to the API server,
// and that of the browser. No line is lost, and none comes twice.
func TestCuts(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const lines = 200
	run := ns.Detached(t, env.Page(t, "lines", "hello", fmt.Sprintf("RUN for i in $(seq %d); do echo line-$i-end; sleep 0.1; done\n%sRUN echo after\n", lines, env.HeldInstruction)))
	way, kubeconfig := servers.NewLine(t, ns.Cluster)
	u := serveWith(t, ns, []string{"KUBECONFIG=" + kubeconfig}, run)
	tb := blank(t)
	tb.breakable(t)
	tb.visit(t, u.url("/runs/"+ns.Name+"/"+run))
	tb.follows(t, 5)
	way.Cut()
	tb.follows(t, 80)
	way.Cut()
	// The browser loses its stream, and asks for the rest.
	tb.offline(t, true)
	tb.shows(t, "The connection to kubectl pyflow ui is lost")
	ns.Held(t, "lines")
	tb.offline(t, false)
	tb.until(t, `document.getElementById("connection").hidden`)
	tb.shows(t, fmt.Sprintf("line-%d-end", lines))
	ns.Release(t, "lines")
	tb.shows(t, "after")
	text := tb.savedLog(t)
	for i := 1; i <= lines; i++ {
		if n := strings.Count(text, fmt.Sprintf(" line-%d-end\n", i)); n != 1 {
			t.Errorf("line %d is there %d times", i, n)
		}
	}
}

// follows waits until the page shows a line of that number or a later one. It shows the end of the
// log, so on a busy machine a certain line may be out of view before anybody looks.
func (tb *tab) follows(t *testing.T, line int) {
	t.Helper()
	tb.until(t, fmt.Sprintf(`[...document.body.innerText.matchAll(/line-(\d+)-end/g)].some(match => match[1] >= %d)`, line))
}

// TestOutage takes the API server away while a page shows a run and another one an app. Both
// pages say so, and take it back when it answers again. No line of a log is lost, and none comes
// twice.
func TestOutage(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	ns.Build(t, env.Project(t, "counter", map[string]string{
		"Dockerfile": "FROM " + env.SmallBase + "\nEXPOSE 8000\n" + `CMD ["sh", "-c", "trap exit TERM; mkdir -p /tmp/w; httpd -p 8000 -h /tmp/w; i=0; while true; do i=$((i+1)); echo count-$i-end; sleep 0.2; done"]` + "\n",
	})).Released(t)
	const lines = 600
	run := ns.Detached(t, env.Page(t, "lines", "hello", fmt.Sprintf("RUN for i in $(seq %d); do echo line-$i-end; sleep 0.1; done\n%sRUN echo after\n", lines, env.HeldInstruction)))
	line, kubeconfig := servers.NewLine(t, ns.Cluster)
	u := serveWith(t, ns, []string{"KUBECONFIG=" + kubeconfig}, run)
	ofRun, ofApp, list := open(t, u, "/runs/"+ns.Name+"/"+run), open(t, u, "/apps/"+ns.Name+"/counter"), open(t, u, "/runs")
	ofRun.shows(t, "-end")
	ofApp.shows(t, "count-")
	list.shows(t, run)
	tabs := []*tab{ofRun, ofApp, list}
	for name, end := range map[string]func(){"refuses connections": line.Stop, "does not answer": line.Freeze} {
		end()
		for _, tb := range tabs {
			tb.shows(t, "The API server does not answer")
			// What is known stays on the page.
			tb.until(t, `document.querySelector("main h1") && !document.querySelector("main .loading")`)
		}
		t.Logf("the API server %s: %s", name, is[string](t, list, `document.getElementById("connection").innerText`))
		time.Sleep(5 * time.Second)
		line.Resume()
		for _, tb := range tabs {
			tb.until(t, `document.getElementById("connection").hidden`)
		}
	}
	ns.Held(t, "lines")
	ofRun.shows(t, fmt.Sprintf("line-%d-end", lines))
	ns.Release(t, "lines")
	ofRun.shows(t, "after")
	text := ofRun.savedLog(t)
	for i := 1; i <= lines; i++ {
		if n := strings.Count(text, fmt.Sprintf(" line-%d-end\n", i)); n != 1 {
			t.Errorf("line %d is there %d times", i, n)
		}
	}
	// The log of the app goes on as well.
	counts := regexp.MustCompile(`count-(\d+)-end`).FindAllStringSubmatch(ofApp.savedLog(t), -1)
	for i, count := range counts {
		if n, _ := strconv.Atoi(count[1]); i > 0 {
			if before, _ := strconv.Atoi(counts[i-1][1]); n != before+1 {
				t.Errorf("%s comes after %s", count[0], counts[i-1][0])
			}
		}
	}
	if len(counts) < 100 {
		t.Errorf("the log of the app has %d lines", len(counts))
	}
	list.until(t, fmt.Sprintf(`[...document.querySelectorAll("tbody tr")].some(e => e.innerText.includes(%s) && e.innerText.includes("Succeeded"))`, quote(run)))
}

// savedLog returns what the button Save saves.
func (tb *tab) savedLog(t *testing.T) string {
	t.Helper()
	is[any](t, tb, `(URL.createObjectURL = blob => { window.saved = blob.text(); return "#"; }, 0)`)
	tb.press(t, "Save")
	return is[string](t, tb, `window.saved`)
}

// TestLongLog scrolls through a log of 100,000 lines: a frame takes no longer than 60 of them
// in a second allow, and the page has few elements.
func TestLongLog(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const lines = 100_000
	ns.Build(t, env.Page(t, "long", "hello", fmt.Sprintf("RUN seq %d | sed 's/.*/line & of a long log that has a good deal to say/'\n", lines)), "--no-deploy").Succeeded(t)
	run := ns.RunList(t)[0].Name
	tb := open(t, serve(t, ns), "/runs/"+ns.Name+"/"+run)
	tb.shows(t, fmt.Sprintf("line %d of", lines))
	if n := is[int](t, tb, `document.querySelectorAll(".log-row").length`); n > 200 {
		t.Errorf("%d lines are on the page", n)
	}
	// How long drawing takes, at 300 places of the log.
	took := is[[]float64](t, tb, `(async () => {
		const view = document.querySelector(".log-view"), took = [];
		for (let i = 0; i < 300; i++) {
			view.scrollTop = (i * 7919 % 300) / 300 * view.scrollHeight;
			const start = performance.now();
			await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
			took.push(performance.now() - start);
		}
		return took.sort((a, b) => a - b);
	})()`)
	t.Logf("a frame: median %.1f ms, 95%% within %.1f ms", took[len(took)/2], took[len(took)*95/100])
	tb.fill(t, "Search the log", "line 77777 of")
	tb.until(t, `document.querySelector(".matches").textContent === "1 of 1"`)
	tb.until(t, `document.querySelector(".log-row.is-match mark")`)
}

// breakable makes the connections of the pages that the tab loads from here on breakable.
func (tb *tab) breakable(t *testing.T) {
	t.Helper()
	tb.run(t, call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `{
		window.cutter = new AbortController();
		const original = window.fetch;
		window.fetch = (url, init = {}) => window.offline ? Promise.reject(new TypeError("offline")) :
			original(url, {...init, signal: init.signal ? AbortSignal.any([init.signal, window.cutter.signal]) : window.cutter.signal});
	}`}))
}

// offline breaks the connections of a breakable page and forbids new ones, or allows them.
func (tb *tab) offline(t *testing.T, yes bool) {
	t.Helper()
	is[any](t, tb, fmt.Sprintf(`(window.offline = %t, window.cutter.abort(), window.cutter = new AbortController(), 0)`, yes))
}
