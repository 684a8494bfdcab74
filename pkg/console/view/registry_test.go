package view

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/live"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

// hostileText is text that would do harm if it were HTML, an attribute, or printed as it is.
const hostileText = `"><script>alert(1)</script><img src=x onerror=alert(2)>` + "\x1b[31m\u202e"

var built = time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)

func sha(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

// renderClean returns the HTML of a page, and reports what is not escaped in it.
func renderClean(t *testing.T, template string, model any) string {
	t.Helper()
	html := render(t, Page{Template: template, Model: model})
	for _, bad := range []string{"<script", "<img", "onerror=alert(2)>", "\x1b", "\u202e", "style=", "<no value>", "ZgotmplZ"} {
		if strings.Contains(html, bad) {
			at := strings.Index(html, bad)
			t.Errorf("%s has %q: %q", template, bad, html[max(0, at-150):min(len(html), at+60)])
		}
	}
	return html
}

func wants(t *testing.T, html string, words ...string) {
	t.Helper()
	// Words are looked for without the line breaks of the template.
	text := strings.Join(strings.Fields(html), " ")
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is missing in\n%s", word, html)
		}
	}
}

func list(n int) []images.Image {
	var all []images.Image
	for i := range n {
		created := metav1.NewTime(built.Add(-time.Duration(i) * time.Hour))
		image := images.Image{
			Namespace: "team", App: "shop", Tags: []string{fmt.Sprint("shop-", i)}, SizeBytes: int64(100 - i%50), Created: &created,
			Digest: "sha256:" + fmt.Sprintf("%064x", i),
		}
		switch i {
		case 0:
			image.UsedBy = []images.User{{Resource: "deployment.apps", Namespace: "team", Name: "web"}}
		case 1:
			image.UsedBy = []images.User{{Resource: "deployment.apps", Namespace: "other", Name: "web", Previous: true}, {Resource: "job.batch", Namespace: "team", Name: "once"}}
		}
		all = append(all, image)
	}
	return all
}

func TestNewRegistryImages(t *testing.T) {
	items := list(3)
	runs := []status.Run{
		{Namespace: "team", App: "shop", Name: "shop-later", Digest: items[0].Digest, Started: metav1.NewTime(built.Add(time.Hour))},
		{Namespace: "team", App: "shop", Name: "shop-0", Digest: items[0].Digest, Commit: "0123456789", Started: metav1.NewTime(built.Add(2 * time.Hour))},
		{Namespace: "team", App: "shop", Name: "late", Digest: items[1].Digest, Started: metav1.NewTime(built.Add(time.Hour))},
		{Namespace: "team", App: "shop", Name: "early", Digest: items[1].Digest, Started: metav1.NewTime(built)},
		{Namespace: "other", App: "shop", Name: "foreign", Digest: items[2].Digest},
	}
	rows := NewRegistryImages(items, func(string) string { return "linux/arm64" }, runs)
	if rows[0].Run.Name != "shop-0" || rows[0].RunPath != "/runs/team/shop-0" || rows[1].Run.Name != "early" || rows[2].Run != nil {
		t.Errorf("rows are %+v", rows)
	}
	// What runs an image now comes before what would run it again.
	if users := rows[1].Users; users[0].Text != "job.batch/once" || users[0].Path != "" || users[1].Text != "deployment.apps/web in other" || !users[1].Previous || users[1].Path != "/objects/other/deployments.apps/web" {
		t.Errorf("users are %+v", rows[1].Users)
	}
	for text, want := range map[string]bool{"": true, "SHOP-0": true, "01234": true, "arm64": true, "deployment.apps/web": true, "shop-1": false} {
		if rows[0].Mentions(text) != want {
			t.Errorf("mentions %q: %t", text, !want)
		}
	}
}

// 3,000 tags are 60 pages, and only one of them is rendered.
func TestRegistryAppPages(t *testing.T) {
	rows := NewRegistryImages(list(3000), func(string) string { return "linux/amd64" }, nil)
	model := RegistryAppImages{Namespace: "team", App: "shop", All: len(rows), Matching: len(rows), RegistryFrame: RegistryFrame{Ready: true}}
	model.Images, model.Pager = Paginate(Scale(rows), 50, Path("registry", "team", "shop"), url.Values{"page": {"60"}, "q": {"a&b"}})
	html := renderClean(t, "registry-app", model)
	wants(t, html, "3,000 images", "Page 60 of 60", `href="/registry/team/shop?page=59&amp;q=a%26b"`, "shop-2999", "not on record")
	if strings.Contains(html, "shop-2949<") || strings.Count(html, "<tr") != 51 {
		t.Errorf("%d rows", strings.Count(html, "<tr"))
	}
	model.Pager, model.Images = Pager{Page: 1, Pages: 1}, model.Images[:0]
	wants(t, renderClean(t, "registry-app", model), "No image matches", `href="/registry/team/shop"`)
	model.All = 0
	wants(t, renderClean(t, "registry-app", model), "There are no images of shop")
}

func TestRegistryFrame(t *testing.T) {
	for want, reading := range map[string]live.Reading{
		"": {}, "Reading the registry…": {Active: true}, "Reading 1,200 of 3,000 tags…": {Active: true, Done: 1200, Total: 3000},
		"Waiting for the registry, which is restarting or being cleaned up: no pod": {Active: true, Waiting: fmt.Errorf("no pod")},
	} {
		if got := NewRegistryFrame(nil, reading); got.Reading != want || got.Ready {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
	frame := NewRegistryFrame(&live.Stored{Config: manifests.RegistryConfig{Host: "r"}, Images: &images.List{Warnings: []string{"you may not list pods"}}}, live.Reading{Active: true, Done: 1, Total: 4})
	if !frame.Ready || frame.Part != 25 || frame.Notes[0] != "You may not list pods." {
		t.Errorf("frame is %+v", frame)
	}
	wants(t, renderClean(t, "registry", Registry{RegistryFrame: RegistryFrame{Reading: "Reading 1 of 2 tags…", Part: 50}}), "Reading 1 of 2 tags…", `width="50.00"`)
	wants(t, renderClean(t, "registry", Registry{RegistryFrame: RegistryFrame{Problem: &Problem{Message: "no", Advice: "ask"}}}), "no", "ask")
	wants(t, renderClean(t, "registry", Registry{RegistryFrame: RegistryFrame{Ready: true}}), "The registry has no images yet", "kubectl pyflow build")
}

func TestNewRegistryApps(t *testing.T) {
	stored := []images.AppStored{
		{App: "shop", Stored: images.Stored{Namespace: "team", TotalBytes: 50, Images: images.Amount{Count: 3}}},
		{App: "big", Stored: images.Stored{Namespace: "team", TotalBytes: 200}},
		{App: "empty", Stored: images.Stored{Namespace: "team"}},
	}
	apps := NewRegistryApps(stored, NewRegistryImages(list(3), func(string) string { return "" }, nil))
	if len(apps) != 2 || apps[0].App != "big" || apps[0].Newest != nil || apps[0].Width != 100 || apps[1].Width != 25 {
		t.Fatalf("apps are %+v", apps)
	}
	if shop := apps[1]; shop.Newest.Tags[0] != "shop-0" || len(shop.Running) != 2 || shop.Path != "/registry/team/shop" {
		t.Errorf("shop is %+v", shop)
	}
	html := renderClean(t, "registry", Registry{Apps: apps, All: 2, Matching: 2, Pager: Pager{Page: 1, Pages: 1}, RegistryFrame: RegistryFrame{Ready: true, Prune: "/registry/prune", ManyNamespaces: true}})
	wants(t, html, `href="/registry/team/shop"`, "no image", `href="/registry/prune"`, "deployment.apps/web")
}

// config is the configuration of an image with secrets and hostile text.
func config() *inspect.Config {
	c := &inspect.Config{OS: "linux", Architecture: "amd64", Created: built}
	c.Config.Env = []string{"PATH=/bin", "API_TOKEN=abc def", "GREETING=" + hostileText, "DATABASE_URL=postgres://u:hunter2@db/x", "EMPTY="}
	c.Config.Cmd = []string{"python", "-m", hostileText}
	c.Config.Labels = map[string]string{hostileText: hostileText, "password": "hunter2"}
	c.Config.ExposedPorts = map[string]struct{}{"8000/tcp": {}, "53/udp": {}}
	return c
}

func TestNewConfig(t *testing.T) {
	facts, env, labels := NewConfig(config())
	text := fmt.Sprint(facts)
	for _, want := range []string{"{User root (no USER)}", "{Ports 53/udp, 8000/tcp}", "{Command python -m "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
	for _, pair := range append(env, labels...) {
		secret := pair.Name == "API_TOKEN" || pair.Name == "DATABASE_URL" || pair.Name == "password"
		if pair.Hidden != secret || secret && pair.Value != hidden {
			t.Errorf("%s is %q", pair.Name, pair.Value)
		}
	}
}

// image is the model of an image whose text is hostile.
func image(digest string, layers ...inspect.Layer) Image {
	facts, env, labels := NewConfig(config())
	return Image{
		RegistryImage: RegistryImage{
			Namespace: "team", App: hostileText, Tags: []string{hostileText, hostileText}, Digest: digest, Platform: hostileText, Path: Path("registry", hostileText),
			Users: []RegistryUser{{Text: hostileText, Path: ObjectPath("deployment.apps", "team", hostileText)}},
		},
		Reference: hostileText, AppPath: Path("registry", "team", hostileText), Config: facts, Env: env, Labels: labels,
		Layers: NewLayers(layers, nil), Compare: "/registry/compare?b=x", Missing: "gone",
	}
}

func analysis(digest string, packages ...inspect.Package) *inspect.Analysis {
	return &inspect.Analysis{
		Digest: digest, UnpackedBytes: 1000, Packages: packages,
		Layers:       []inspect.Layer{{Digest: sha("1"), UnpackedBytes: 700, Files: 7}},
		LargestFiles: []inspect.LargeFile{{Path: hostileText, Bytes: 500, Package: hostileText}},
		Waste:        []inspect.Waste{{Kind: "deleted", Bytes: 100, Files: 2, Examples: []string{hostileText}}, {Kind: "new kind", Bytes: 50}},
	}
}

func TestImage(t *testing.T) {
	model := image(sha("a"), inspect.Layer{Digest: sha("1"), CompressedBytes: 10, Base: true}, inspect.Layer{Digest: sha("2"), CompressedBytes: 40, Line: 7, CreatedBy: "RUN curl -H token=abcdefgh12345 " + hostileText})
	analyze := Action{Name: "analyze", ID: "analyze", Label: "Analyze", Denied: "create pods"}
	model.Analyze = &analyze
	html := renderClean(t, "registry-image", &model)
	wants(t, html, "&lt;script&gt;", "You lack the permission: create pods", "hidden: it may be a secret", ">7<", "base", `width="25.00"`)
	for _, leak := range []string{"hunter2", "abc def", "abcdefgh12345"} {
		if strings.Contains(html, leak) {
			t.Errorf("shows %q", leak)
		}
	}
	found := analysis(sha("a"), inspect.Package{Name: hostileText, Version: "1", Kind: "python", Bytes: 5})
	model.Analysis, model.Analyze = NewImageContent(found), nil
	model.Layers = NewLayers([]inspect.Layer{{Digest: sha("1")}}, found)
	if model.Layers[0].UnpackedBytes != 700 || model.Layers[0].Files != 7 {
		t.Errorf("layers are %+v", model.Layers)
	}
	wants(t, renderClean(t, "registry-image", &model), "Files that a later layer deletes", "new kind", "150 B, 15.00 %", "1 python", "700 B")
	// The sizes of another image are not taken.
	if layers := NewLayers([]inspect.Layer{{Digest: sha("9")}}, found); layers[0].UnpackedBytes != 0 {
		t.Errorf("layers are %+v", layers)
	}
}

func TestCompare(t *testing.T) {
	layer := func(digit string, bytes int64) inspect.Layer {
		return inspect.Layer{Digest: sha(digit), CompressedBytes: bytes}
	}
	// The empty layer 0 is in both, in B once more.
	a := &Side{Image: image(sha("a"), layer("1", 100), layer("0", 1), layer("2", 10))}
	b := &Side{Image: image(sha("b"), layer("1", 100), layer("0", 1), layer("0", 1), layer("3", 40))}
	a.Bytes, b.Bytes = 111, 141
	c := &Comparison{A: a, B: b}
	c.Compare()
	if len(c.Shared) != 2 || len(c.OnlyA) != 1 || len(c.OnlyB) != 2 || c.SharedBytes != 101 || c.ABytes != 10 || c.BBytes != 40 || c.Growth() != "+30 B" {
		t.Errorf("comparison is %d, %d, %d layers, %d, %d, %d bytes, %s", len(c.Shared), len(c.OnlyA), len(c.OnlyB), c.SharedBytes, c.ABytes, c.BBytes, c.Growth())
	}
	if len(c.Settings) != 0 || c.PackagesKnown {
		t.Errorf("settings differ: %+v", c.Settings)
	}
	// A secret that changes is a difference, and is not shown.
	b.Env = append([]Pair{}, b.Env...)
	b.Env[1] = pair("API_TOKEN", "xyz")
	b.Env = append(b.Env, Pair{Name: "NEW", Value: "1", real: "1"})
	a.Full = analysis(sha("a"), inspect.Package{Name: "same", Version: "1"}, inspect.Package{Name: "up", Version: "1"}, inspect.Package{Name: "gone", Version: "1"})
	b.Full = analysis(sha("b"), inspect.Package{Name: "same", Version: "1"}, inspect.Package{Name: "up", Version: "2"}, inspect.Package{Name: "new", Version: "1"})
	c = &Comparison{A: a, B: b, ChosenA: "x", Choices: []Choice{{Value: "x", Label: hostileText}}}
	c.Compare()
	var got []string
	for _, d := range append(c.Settings, c.Packages...) {
		got = append(got, d.Name+" "+d.Change)
	}
	want := "Variable API_TOKEN changed, Variable NEW added, gone () removed, new () added, up () changed"
	if strings.Join(got, ", ") != want || c.SamePackages != 1 {
		t.Errorf("got %q, want %q; %d are the same", got, want, c.SamePackages)
	}
	html := renderClean(t, "registry-compare", c)
	wants(t, html, "up ()", "2 layers in both", "change-removed")
	if strings.Contains(html, "xyz") {
		t.Error("shows a secret")
	}
	wants(t, renderClean(t, "registry-compare", &Comparison{}), "Choose two images")
	a.Full, a.Analyze = nil, &Action{Name: "analyze", ID: "a", Label: "Analyze it"}
	c = &Comparison{A: a, B: b}
	c.Compare()
	wants(t, renderClean(t, "registry-compare", c), "Analyze it", "known when both images are analyzed")
}

func TestPrune(t *testing.T) {
	created := metav1.NewTime(built)
	pruned := &images.Pruned{FreedBytes: 120, Deleted: []images.Pruning{
		{Namespace: "team", App: hostileText, Kind: images.Images, Tags: []string{hostileText}, Digest: sha("a"), SizeBytes: 100, Created: &created},
		{Namespace: "team", App: "shop", Kind: images.Cache, Digest: sha("b"), SizeBytes: 50},
		{Namespace: "team", App: "shop", Kind: images.Cache, Digest: sha("c"), SizeBytes: 60},
	}}
	kinds := NewPruneKinds(pruned)
	if len(kinds) != 2 || kinds[1] != (PruneKind{"Cached layers", 2, 110}) {
		t.Errorf("kinds are %+v", kinds)
	}
	model := Prune{Keep: "5", Result: pruned, Rows: pruned.Deleted, Kinds: kinds, Pager: Pager{Page: 1, Pages: 1}, Action: Action{Name: "prune", ID: "prune", Label: "Delete"}, Command: "kubectl pyflow images prune"}
	wants(t, renderClean(t, "registry-prune", model), "In all namespaces", "120 B", "Cached layers", "no tag")
	model.Result, model.Rows, model.Progress, model.Namespace = nil, nil, "Looking for what is used", "team"
	html := renderClean(t, "registry-prune", model)
	wants(t, html, "In namespace team", "Looking for what is used")
	if strings.Contains(html, "data-action") {
		t.Error("offers to delete what is not known yet")
	}
	model.Result = &images.Pruned{}
	wants(t, renderClean(t, "registry-prune", model), "Nothing to delete")
}

// A platform that is none, and an index without configuration.
func TestImageOfIndex(t *testing.T) {
	model := &Image{RegistryImage: RegistryImage{Namespace: "team", App: "shop", Digest: sha("a")}, Platforms: []RegistryImage{{Digest: sha("b"), Path: "/registry/team/shop/" + sha("b"), Platform: "linux/arm64"}, {Digest: sha("c")}}}
	html := renderClean(t, "registry-image", model)
	wants(t, html, "linux/arm64", "unknown", "sha256:aaaaaaaaaaaa")
	if strings.Contains(html, "Configuration") || strings.Contains(html, "Compare") {
		t.Error("an index has no configuration of its own")
	}
}
