package sbom

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func testImage() Image {
	return Image{
		App: "shop", Repository: "registry.pyflow-system.svc/team-a/shop", Digest: "sha256:" + strings.Repeat("ab", 32),
		Created: time.Date(2026, 11, 30, 12, 0, 0, 0, time.FixedZone("", 3600)),
	}
}

// TestGolden checks the whole document: purls are compared by scanners byte by byte.
func TestGolden(t *testing.T) {
	inventory := &inspect.Inventory{
		System: inspect.System{ID: "debian", Version: "13", Name: "Debian GNU/Linux 13 (trixie)"},
		Packages: []inspect.Installed{
			{Name: "libc6", Version: "2.41-12+deb13u4", Kind: inspect.Debian, Architecture: "amd64"},
			{Name: "perl", Version: "1:5.40.1-6~x", Kind: inspect.Debian, Architecture: "all"},
			{Name: "Starlette", Version: "0.4", Kind: inspect.Python, License: "BSD-3-Clause", Requires: []string{"anyio", "typing-extensions"}},
			{Name: "typing_extensions", Version: "4.15.0", Kind: inspect.Python},
			{Name: "typing_extensions", Version: "4.15.0", Kind: inspect.Python},
			{Name: "<b>\x1b", Version: "1&2", Kind: inspect.Python, Requires: []string{"b"}},
		},
	}
	got, err := New(testImage(), inventory, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/shop.cdx.json"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the SBOM is\n%s", got)
	}
	if bytes.ContainsRune(got, '\x1b') {
		t.Error("it has a control character, which a terminal would obey")
	}
	again, err := New(testImage(), inventory, "v1.2.3")
	if err != nil || !bytes.Equal(got, again) {
		t.Errorf("a second time it is another one: %v", err)
	}
	checkReferences(t, got)
}

// checkReferences checks that every reference of the document is unique, and that what depends on
// something names a component of it.
func checkReferences(t *testing.T, document []byte) {
	t.Helper()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(document), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	refs := map[string]bool{bom.Metadata.Component.BOMRef: true}
	components := []cdx.Component{}
	if bom.Components != nil {
		components = *bom.Components
	}
	for _, component := range components {
		if refs[component.BOMRef] {
			t.Errorf("two components are %s", component.BOMRef)
		}
		refs[component.BOMRef] = true
	}
	for _, dependency := range *bom.Dependencies {
		if dependency.Dependencies == nil {
			continue
		}
		for _, ref := range append([]string{dependency.Ref}, *dependency.Dependencies...) {
			if !refs[ref] {
				t.Errorf("there is no component %s", ref)
			}
		}
	}
}

func TestEmptyAndAlpine(t *testing.T) {
	for name, test := range map[string]struct {
		inventory *inspect.Inventory
		want      string
	}{
		"nothing": {&inspect.Inventory{}, ""},
		"Alpine": {&inspect.Inventory{
			System:   inspect.System{ID: "alpine", Version: "3.22.1"},
			Packages: []inspect.Installed{{Name: "musl", Version: "1.2.5-r10", Kind: inspect.Alpine, Architecture: "x86_64"}},
		}, "pkg:apk/alpine/musl@1.2.5-r10?arch=x86_64&distro=alpine-3.22.1"},
	} {
		document, err := New(testImage(), test.inventory, "")
		if err != nil || !json.Valid(document) {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(string(document), `"`+test.want) {
			t.Errorf("%s: the SBOM lacks %s:\n%s", name, test.want, document)
		}
		checkReferences(t, document)
	}
}
