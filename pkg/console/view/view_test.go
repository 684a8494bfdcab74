package view

import (
	"net/url"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/live"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

const hostile = `<script>alert(1)</script>"'` + "\x1b[31m"

func render(t *testing.T, page Page) string {
	t.Helper()
	renderer, err := NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	html, err := renderer.Render(page)
	if err != nil {
		t.Fatal(err)
	}
	return html
}

// Text of a cluster stays text.
func TestHostile(t *testing.T) {
	run := status.Run{Name: hostile, Namespace: hostile, App: hostile, State: status.RunFailed, Reason: hostile, Message: hostile, Commit: hostile, Digest: hostile, Started: metav1.Now()}
	problem := &Problem{Message: hostile, Advice: hostile}
	action := Action{Name: "cancel", ID: "a", Label: hostile, Title: hostile, Text: hostile, Command: hostile, Fields: []Field{{hostile, hostile}}, Inputs: []Input{{Name: "x", Label: hostile, Value: hostile, Hint: hostile}, {Name: "y", Kind: "lines", Value: hostile}}}
	for name, page := range map[string]Page{
		"runs": {Template: "runs", Model: Runs{Runs: []status.Run{run}, All: 1, Total: 1, App: hostile, Text: hostile, Ready: true, Problem: problem, ManyNamespaces: true, Build: action}},
		"run": {Template: "run", Model: Run{
			Run: run, Source: hostile, Log: Log{Name: hostile, Title: hostile}, Image: Path(hostile), Actions: []Action{action},
			Rows:     []Row{{Name: hostile, Detail: hostile, State: hostile, Known: true, Instruction: true}},
			Failure:  &event.Failure{Message: hostile, Advice: hostile, Dockerfile: hostile, Step: hostile, Excerpt: []string{hostile}, Log: []string{hostile}, FailedTests: []string{hostile}, Instruction: &event.Instruction{Line: 3}},
			Progress: live.Progress{Waiting: event.Event{Message: hostile, Advice: hostile}, Notices: []event.Event{{Reason: event.Warning, Message: hostile}}},
		}},
		"overview": {Template: "overview", Model: Overview{
			Runs: []status.Run{run}, RunsReady: true, AppsReady: true, RunsProblem: problem, AppsProblem: problem, Build: action,
			Apps: []status.App{{Name: hostile, Namespace: hostile, Message: hostile, Remedy: hostile, URL: "javascript:alert(1)"}},
		}},
		"objects": {Template: "objects", Model: Objects{Run: run, Back: Path(hostile), Items: []Object{{hostile, hostile, hostile, Path(hostile)}}, Notes: []string{hostile}}},
		"object":  {Template: "object", Model: YAML{hostile, hostile, hostile, hostile, hostile}},
		"error":   {Template: "error", Model: *problem},
	} {
		t.Run(name, func(t *testing.T) {
			html := render(t, page)
			for _, bad := range []string{"<script", `href="javascript:`, "style=", "onerror"} {
				if strings.Contains(html, bad) {
					t.Errorf("the HTML has %s:\n%s", bad, html)
				}
			}
			if !strings.Contains(html, "&lt;script&gt;") {
				t.Error("the text is missing")
			}
		})
	}
}

func TestTimeline(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	rows := Timeline(live.Progress{Phases: []live.Phase{
		{Name: event.Queue, State: event.Succeeded, Started: at(0), Ended: at(10)},
		{Name: event.Build, Running: true, Started: at(10), Instructions: []live.Instruction{
			{Instruction: event.Instruction{Line: 1, Text: "FROM a", Image: "a", Cached: true}, Started: at(10), Ended: at(20)},
			{Instruction: event.Instruction{Line: 2, Text: "RUN b"}, Running: true, Started: at(20)},
		}},
		{Name: event.Push},
	}}, at(40))
	if len(rows) != 5 {
		t.Fatalf("got %+v", rows)
	}
	for i, want := range []struct {
		offset, width float64
		state         string
		known         bool
	}{{0, 25, "Succeeded", true}, {25, 75, "Running", true}, {25, 25, "Succeeded", true}, {50, 50, "Running", true}, {0, 0, "Waiting", false}} {
		if row := rows[i]; row.Offset != want.offset || row.Width != want.width || row.State != want.state || row.Known != want.known {
			t.Errorf("row %d is %+v", i, row)
		}
	}
	if !rows[2].Cached || rows[2].Detail != "a" || rows[3].Since != at(20) || rows[2].Line != 1 {
		t.Errorf("the instructions are %+v", rows[2:4])
	}
}

func TestPaginate(t *testing.T) {
	items := make([]int, 101)
	for query, want := range map[string]Pager{
		"":             {1, 3, "", "/runs?page=2"},
		"page=2&q=a+b": {2, 3, "/runs?page=1&q=a+b", "/runs?page=3&q=a+b"},
		"page=99":      {3, 3, "/runs?page=2", ""},
		"page=-1":      {1, 3, "", "/runs?page=2"},
		"page=x":       {1, 3, "", "/runs?page=2"},
	} {
		values, _ := url.ParseQuery(query)
		page, got := Paginate(items, 50, "/runs", values)
		if got != want || len(page) != map[int]int{1: 50, 2: 50, 3: 1}[got.Page] {
			t.Errorf("%q: %+v with %d items", query, got, len(page))
		}
	}
	if page, got := Paginate([]int{}, 50, "/runs", nil); len(page) != 0 || got.Pages != 1 {
		t.Errorf("empty: %+v", got)
	}
}

func TestPath(t *testing.T) {
	if got := Path("runs", "a/b", "c?d#e"); got != "/runs/a%2Fb/c%3Fd%23e" {
		t.Error(got)
	}
}

// A list that is read so far has its rows, says that it goes on, and is not empty before.
func TestRunsSoFar(t *testing.T) {
	run := status.Run{Name: "shop-1", Namespace: "demo", App: "shop", State: status.RunSucceeded, Started: metav1.Now()}
	for name, test := range map[string]struct {
		model    Runs
		has, not []string
	}{
		"nothing yet":     {Runs{}, []string{"Reading the runs"}, []string{"no runs yet", "so far"}},
		"some":            {Runs{Runs: []status.Run{run}, All: 800, Total: 800}, []string{"shop-1", "Reading: 800 runs so far"}, []string{"no runs yet"}},
		"no match so far": {Runs{All: 800, Text: "x"}, []string{"800 runs so far"}, []string{"No run matches"}},
		"none":            {Runs{Ready: true}, []string{"There are no runs yet"}, []string{"Reading"}},
		"no match":        {Runs{Ready: true, All: 2}, []string{"No run matches"}, []string{"Reading"}},
		"unreadable":      {Runs{Problem: &Problem{Message: "gone"}}, []string{"gone"}, []string{"Reading"}},
	} {
		t.Run(name, func(t *testing.T) {
			html := render(t, Page{Template: "runs", Model: test.model})
			for _, want := range test.has {
				if !strings.Contains(html, want) {
					t.Errorf("%q is missing:\n%s", want, html)
				}
			}
			for _, bad := range test.not {
				if strings.Contains(html, bad) {
					t.Errorf("%q is there:\n%s", bad, html)
				}
			}
		})
	}
}
