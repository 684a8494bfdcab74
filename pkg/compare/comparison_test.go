package compare

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

func testVariants() []Variant {
	return []Variant{
		{Name: "bloated", CompressedBytes: 400_000_000, UnpackedBytes: 1_000_000_000, ColdSeconds: new(50.0), ChangeSeconds: new(40.0), StartSeconds: new(2.0)},
		{Name: "slim", CompressedBytes: 50_000_000, UnpackedBytes: 125_000_000, ColdSeconds: new(25.0), ChangeSeconds: new(5.0), StartSeconds: new(0.01)},
		{Name: "broken"},
	}
}

func TestBars(t *testing.T) {
	got := Bars(testVariants(), 40, true)
	want := `Size, compressed
  bloated ███████████████████████ 400 MB
  slim    ██▉ 50 MB
  broken  -

`
	if !strings.HasPrefix(got, want) {
		t.Errorf("it draws\n%s\nwant\n%s", got, want)
	}
	for _, width := range []int{0, 10, 40, 200} {
		for _, unicode := range []bool{false, true} {
			for line := range strings.SplitSeq(Bars(testVariants(), width, unicode), "\n") {
				if columns := utf8.RuneCountInString(line); columns > max(width, 30) {
					t.Errorf("a line of %d columns for a width of %d: %s", columns, width, line)
				}
			}
		}
	}
	ascii := Bars(testVariants(), 40, false)
	if strings.ContainsFunc(ascii, func(r rune) bool { return r > 0x7e }) || !strings.Contains(ascii, "  slim    # 0.01 s\n") {
		t.Errorf("in ASCII, where what is not nothing shows, it draws\n%s", ascii)
	}
	if empty := Bars(nil, 40, true); empty != "" {
		t.Errorf("of nothing it draws %q", empty)
	}
}

func TestSVG(t *testing.T) {
	variants := testVariants()
	variants[0].Name = `<script>&"` + strings.Repeat("long", 20)
	picture := SVG(&Comparison{App: "shop", Variants: variants})
	decoder := xml.NewDecoder(strings.NewReader(string(picture)))
	texts := map[string]string{}
	element := ""
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("it is no XML: %v\n%s", err, picture)
		}
		switch token := token.(type) {
		case xml.StartElement:
			element = token.Name.Local
			if element == "script" || element == "image" {
				t.Errorf("it has an element %s", element)
			}
		case xml.CharData:
			texts[element] += string(token)
		}
	}
	for _, words := range []string{"slim 50 MB", "broken not measured", "Start to the first answer", variants[0].Name + " 2.00 s"} {
		if !strings.Contains(texts["desc"], words) {
			t.Errorf("the description lacks %q: %s", words, texts["desc"])
		}
	}
	if !strings.Contains(texts["title"], "Images of shop") || !strings.Contains(texts["text"], "…") {
		t.Errorf("its texts are %q", texts)
	}
	if strings.Contains(string(picture), "http://") && strings.Count(string(picture), "http://") != 1 || strings.Contains(string(picture), "href") {
		t.Error("it needs something beside itself")
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		numbers []float64
		want    float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1}, 2.5}} {
		if got := median(test.numbers); got != test.want {
			t.Errorf("%v: got %v", test.numbers, got)
		}
	}
}

func TestSlugs(t *testing.T) {
	for name, want := range map[string]string{"slim": "slim", "docker/Dockerfile.Lean": "docker-dockerfile-lean", "--": "x", "ä": "x"} {
		if got := slug(name); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
	if err := Slugs([]Candidate{{Name: "a/b"}, {Name: "slim"}}); err != nil {
		t.Error(err)
	}
	if err := Slugs([]Candidate{{Name: "a/b"}, {Name: "a.b"}}); err == nil {
		t.Error("two names of one repository are taken")
	}
}

func TestEngineClock(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var said []string
	clock := engineClock{wait: func(text string) { said = append(said, text) }}
	for i, e := range []event.Event{
		{Type: event.Log, Source: "fetch"},
		{Type: event.Waiting, Reason: "Unschedulable", Message: "no node"},
		{Type: event.Log, Source: "build"},
		{Type: event.PhaseEnded},
		{Type: event.Log, Source: "build"},
		{Type: event.Log, Source: "fetch"},
	} {
		e.Time = at.Add(time.Duration(i) * time.Second)
		clock.handle(e)
	}
	if took := clock.last.Sub(clock.first); took != 2*time.Second {
		t.Errorf("it took %s, want 2s", took)
	}
	if strings.Join(said, ",") != "Unschedulable: no node" {
		t.Errorf("it said %q", said)
	}
}

func TestDeepCopy(t *testing.T) {
	original := &Comparison{Variants: testVariants(), Notes: []string{"a"}}
	original.Variants[0].Packages = []inspect.Package{{Name: "numpy"}}
	clone, ok := original.DeepCopyObject().(*Comparison)
	if !ok {
		t.Fatal("it is something else")
	}
	*clone.Variants[0].StartSeconds, clone.Variants[0].Packages[0].Name, clone.Notes[0] = 99, "x", "b"
	if *original.Variants[0].StartSeconds != 2 || original.Variants[0].Packages[0].Name != "numpy" || original.Notes[0] != "a" {
		t.Errorf("they share what they hold: %+v", original)
	}
}

func TestReadSource(t *testing.T) {
	for _, name := range []string{"../comparison_test.go", "/etc/passwd", "gone", "."} {
		if _, err := ReadSource(t.TempDir(), name); err == nil || !strings.Contains(err.Error(), "change of code is made to: "+name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	content, err := ReadSource(".", "measure.sh")
	if err != nil || string(content) != measureScript {
		t.Errorf("got %d bytes, %v", len(content), err)
	}
}
