//go:build e2e

package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// patience bounds each wait for the page.
const patience = 90 * time.Second

// ui is a running kubectl pyflow ui.
type ui struct {
	env.Started
	// base is its address without a path, token the key in it.
	base, token string
}

var address = regexp.MustCompile(`(http://127\.0\.0\.1:\d+)(/\S*)#token=(\S+)`)

// serve starts kubectl pyflow ui in the namespace. It ends with the test.
func serve(t *testing.T, ns *env.NS, args ...string) *ui {
	t.Helper()
	return serveWith(t, ns, nil, args...)
}

// serveWith is serve with variables of the environment.
func serveWith(t *testing.T, ns *env.NS, environment []string, args ...string) *ui {
	t.Helper()
	started := ns.Start(t, environment, append([]string{"ui", "--no-browser"}, args...)...)
	started.Prints(t, "#token=")
	found := address.FindStringSubmatch(started.Stdout.String())
	if found == nil {
		t.Fatalf("no address in %q", started.Stdout.String())
	}
	return &ui{Started: started, base: found[1], token: found[3]}
}

// url returns the address of a view with the key.
func (u *ui) url(path string) string { return u.base + path + "#token=" + u.token }

// tab is a tab of a headless browser. What the page writes to its console as an error, and
// exceptions, fail the test.
type tab struct {
	ctx context.Context
	ui  *ui
}

// open opens a tab at the path of a view.
func open(t *testing.T, u *ui, path string) *tab {
	t.Helper()
	tb := blank(t)
	tb.ui = u
	tb.visit(t, u.url(path))
	return tb
}

// blank opens an empty tab of a browser of its own.
func blank(t *testing.T) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("no-sandbox", true), chromedp.Flag("force-prefers-reduced-motion", true), chromedp.WindowSize(1280, 900))
	allocator, stopAllocator := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stopAllocator)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	// The first action starts the browser, which lives as long as its context.
	env.Check(t, chromedp.Do(ctx, chromedp.Navigate("about:blank")))
	tb := &tab{ctx: ctx}
	env.Check(t, chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page threw %s %s", e.ExceptionDetails.Text, arguments([]*runtime.RemoteObject{e.ExceptionDetails.Exception}))
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError {
				t.Errorf("the page reports an error: %s", arguments(e.Args))
			}
		}
	}))
	return tb
}

func arguments(objects []*runtime.RemoteObject) string {
	var words []string
	for _, object := range objects {
		if object != nil {
			words = append(words, string(object.Value)+object.Description)
		}
	}
	return strings.Join(words, " ")
}

func (tb *tab) run(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, stop := context.WithTimeout(tb.ctx, patience)
	defer stop()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err, "\n", tb.text())
	}
}

// visit goes to an address. A change of the fragment alone loads nothing, so it leaves first.
func (tb *tab) visit(t *testing.T, url string) {
	t.Helper()
	tb.run(t, chromedp.Navigate("about:blank"), chromedp.Navigate(url))
}

// text returns what the page shows.
func (tb *tab) text() string {
	ctx, stop := context.WithTimeout(tb.ctx, 5*time.Second)
	defer stop()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	return text
}

// is evaluates an expression of JavaScript.
func is[T any](t *testing.T, tb *tab, expression string) T {
	t.Helper()
	ctx, stop := context.WithTimeout(tb.ctx, patience)
	defer stop()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err, "\n", tb.text())
	}
	return value
}

// until waits until an expression of JavaScript is true.
func (tb *tab) until(t *testing.T, expression string) {
	t.Helper()
	ctx, stop := context.WithTimeout(tb.ctx, patience)
	defer stop()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`Boolean(`+expression+`)`))
		if ok && err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("never true: %s (%v)\nthe page:\n%s", expression, err, tb.text())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// shows waits until the view shows all of texts.
func (tb *tab) shows(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		tb.until(t, `document.body.innerText.includes(`+quote(text)+`)`)
	}
}

// press clicks the visible button or link with that text.
func (tb *tab) press(t *testing.T, label string) {
	t.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll("dialog[open] button, dialog[open] a")].concat(document.querySelector("dialog[open]") ? [] : [...document.querySelectorAll("button, a")]).find(e => e.innerText.trim() === %s && !e.disabled && e.checkVisibility())`, quote(label))
	tb.until(t, find)
	is[any](t, tb, find+`.click()`)
}

// click clicks the first element that a selector of CSS finds.
func (tb *tab) click(t *testing.T, selector string) {
	t.Helper()
	tb.until(t, `document.querySelector(`+quote(selector)+`)`)
	is[any](t, tb, `document.querySelector(`+quote(selector)+`).click()`)
}

// fill types a value into the field with that label.
func (tb *tab) fill(t *testing.T, label, value string) {
	t.Helper()
	tb.until(t, fmt.Sprintf(`(() => {
		const label = [...document.querySelectorAll("dialog[open] label, main > * label")].find(e => e.innerText.trim() === %s && e.checkVisibility());
		const field = label && document.getElementById(label.htmlFor);
		if (!field) return false;
		field.focus();
		field.value = %s;
		field.dispatchEvent(new Event("input", {bubbles: true}));
		field.dispatchEvent(new Event("change", {bubbles: true}));
		return true;
	})()`, quote(label), quote(value)))
}

// call returns an action that sends a command of the protocol.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, command, params)
		return err
	})
}

// keys types keys.
func (tb *tab) keys(t *testing.T, keys string) {
	t.Helper()
	tb.run(t, chromedp.KeyEvent(keys))
}

func width(pixels int64) chromedp.Action[chromedp.Void] { return chromedp.EmulateViewport(pixels, 900) }

func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

// screen is how wide a picture is, and its colors.
type screen struct {
	width int64
	dark  bool
}

func screens() []screen {
	return []screen{{360, false}, {360, true}, {1280, false}, {1280, true}, {1920, false}, {1920, true}}
}

// picture keeps the whole page as a PNG on a screen, below $PYFLOW_PICTURES if that is set.
// A page that is wider than the screen is a fault on any.
func (tb *tab) picture(t *testing.T, name string, s screen) {
	t.Helper()
	scheme := map[bool]string{false: "light", true: "dark"}[s.dark]
	tb.run(t, chromedp.EmulateViewport(s.width, 900), call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	}))
	if wide := is[int64](t, tb, `document.documentElement.scrollWidth`); wide > s.width {
		t.Errorf("%s is %d pixels wide on a screen of %d: %s", name, wide, s.width, is[string](t, tb, `[...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth && !e.closest(".scroll, .log-view, pre, .sections")).map(e => e.tagName + "." + e.className).slice(0, 5).join(" ")`))
	}
	directory := os.Getenv("PYFLOW_PICTURES")
	if directory == "" {
		return
	}
	ctx, stop := context.WithTimeout(tb.ctx, patience)
	defer stop()
	content, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	env.Check(t, err)
	env.Check(t, os.MkdirAll(directory, 0o755))
	env.Check(t, os.WriteFile(filepath.Join(directory, fmt.Sprintf("%s-%d-%s.png", name, s.width, scheme)), content, 0o644))
}

// violation is a rule of accessibility that a page breaks.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	} `json:"nodes"`
}

// accessible runs axe on the page.
func (tb *tab) accessible(t *testing.T, name string) {
	t.Helper()
	script, err := os.ReadFile(axe(t))
	env.Check(t, err)
	is[any](t, tb, string(script)+"; 0")
	found := is[[]violation](t, tb, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => ({html: n.html, failureSummary: n.failureSummary}))})))`)
	for _, v := range found {
		t.Errorf("%s: %s (%s)", name, v.Help, v.ID)
		for _, node := range v.Nodes {
			t.Logf("  %s\n  %s", node.HTML, node.FailureSummary)
		}
	}
}

// axe returns the file of axe-core that hack/tools/web.sh installed.
func axe(t *testing.T) string {
	t.Helper()
	path := os.Getenv("PYFLOW_AXE")
	if path == "" {
		t.Fatal(errors.New("PYFLOW_AXE names no file: run the tests by make test-e2e"))
	}
	return path
}
