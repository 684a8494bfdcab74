package inspect

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

func descriptor(digest string) registry.Descriptor {
	return registry.Descriptor{Digest: digest, Size: 10}
}

func testImage(layers ...string) Image {
	image := Image{Repository: "registry/team/app", Manifest: &registry.Manifest{Digest: "sha256:image"}, Config: &Config{}}
	for _, layer := range layers {
		image.Manifest.Layers = append(image.Manifest.Layers, descriptor("sha256:"+layer))
	}
	return image
}

func analyze(t *testing.T, text string, layers ...string) *Analysis {
	t.Helper()
	listing, err := Parse(strings.NewReader(header + "\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	analysis, err := Analyze(testImage(layers...), listing, 0)
	if err != nil {
		t.Fatal(err)
	}
	return analysis
}

func TestLayersOverOneAnother(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		layers []string
		files  string
		waste  []Waste
	}{
		"one": {"@layer sha256/a\n-3 x\n-4 y\n", []string{"a"}, "/y /x", []Waste{}},
		"overwritten": {
			"@layer sha256/a\n-3 x\n@layer sha256/b\n-4 x\n",
			[]string{"a", "b"},
			"/x",
			[]Waste{{WasteOverwritten, 3, 1, []string{"/x"}}},
		},
		"deleted": {
			"@layer sha256/a\n-3 d/x\n-1 d/y\n@layer sha256/b\n-0 d/.wh.x\n",
			[]string{"a", "b"},
			"/d/y",
			[]Waste{{WasteDeleted, 3, 1, []string{"/d/x"}}},
		},
		"a directory deleted": {
			"@layer sha256/a\n-3 d/e/x\n-5 d/y\n@layer sha256/b\n-0 .wh.d\n-1 d/z\n",
			[]string{"a", "b"},
			"/d/z",
			[]Waste{{WasteDeleted, 8, 2, []string{"/d/y", "/d/e/x"}}},
		},
		"opaque": {
			"@layer sha256/a\n-3 d/x\n-5 e\n@layer sha256/b\n-1 d/z\n-0 d/.wh..wh..opq\n",
			[]string{"a", "b"},
			"/e /d/z",
			[]Waste{{WasteDeleted, 3, 1, []string{"/d/x"}}},
		},
		"opaque at the root": {
			"@layer sha256/a\n-3 d/x\n@layer sha256/b\n-1 z\n-0 .wh..wh..opq\n",
			[]string{"a", "b"},
			"/z",
			[]Waste{{WasteDeleted, 3, 1, []string{"/d/x"}}},
		},
		"a file in place of a directory": {
			"@layer sha256/a\n-3 d/x\n@layer sha256/b\n-1 d\n",
			[]string{"a", "b"},
			"/d",
			[]Waste{{WasteOverwritten, 3, 1, []string{"/d/x"}}},
		},
		"a directory in place of a file": {
			"@layer sha256/a\n-3 d\n@layer sha256/b\nd0 d/\n-1 d/x\n",
			[]string{"a", "b"},
			"/d/x",
			[]Waste{{WasteOverwritten, 3, 1, []string{"/d"}}},
		},
		"a directory again": {
			"@layer sha256/a\nd0 d\n-3 d/x\n@layer sha256/b\nd0 d\n-2 d/y\n",
			[]string{"a", "b"},
			"/d/x /d/y",
			[]Waste{},
		},
		"what the same layer has": {
			"@layer sha256/a\n-3 x\n-0 .wh.x\n",
			[]string{"a"},
			"/x",
			[]Waste{},
		},
		"a layer twice": {
			"@layer sha256/a\n-3 x\n@layer sha256/b\n-4 y\n",
			[]string{"a", "b", "a"},
			"/y /x",
			[]Waste{{WasteOverwritten, 3, 1, []string{"/x"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			analysis := analyze(t, test.text, test.layers...)
			var files []string
			for _, file := range analysis.LargestFiles {
				files = append(files, file.Path)
			}
			if got := strings.Join(files, " "); got != test.files {
				t.Errorf("files are %s, want %s", got, test.files)
			}
			if !reflect.DeepEqual(analysis.Waste, test.waste) {
				t.Errorf("waste is %+v, want %+v", analysis.Waste, test.waste)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	a := analyze(t, "@layer sha256/a\nd0 d\n-3 d/x\nl0 l -> x\n@layer sha256/b\n-4 y\n", "a", "b", "a")
	if a.UnpackedBytes != 7 || a.CompressedBytes != 20 {
		t.Errorf("%d bytes on disk and %d compressed, want 7 and 20: a duplicate layer is stored once", a.UnpackedBytes, a.CompressedBytes)
	}
	if l := a.Layers[0]; l.Files != 2 || l.UnpackedBytes != 3 || l.CompressedBytes != 10 {
		t.Errorf("the lowest layer is %+v", l)
	}
}

func TestMissingLayer(t *testing.T) {
	_, err := Analyze(testImage("a", "b"), &Listing{Layers: []LayerListing{{Digest: "sha256:a"}}}, 0)
	if !errors.Is(err, ErrListing) || !strings.Contains(err.Error(), "sha256:b") {
		t.Errorf("error %v", err)
	}
}

func TestPackages(t *testing.T) {
	a := analyze(t, `@layer sha256/a
-100 usr/bin/bar
-7 usr/lib/libbar.so
-1 var/lib/dpkg/status
-1 var/lib/dpkg/info/bar:amd64.list
-1 var/lib/dpkg/info/empty.list
-30 usr/lib/libc.so
-1 var/lib/dpkg/status.d/libc6.md5sums
-1 var/lib/dpkg/status.d/libc6
@file ./var/lib/dpkg/status
 Package: bar
 Version: 1:2-3
@file ./var/lib/dpkg/info/bar:amd64.list
 /.
 /usr
 /usr/bin/bar
 /lib/libbar.so
@file ./var/lib/dpkg/info/empty.list
 /.
@file ./var/lib/dpkg/status.d/libc6.md5sums
 usr/lib/libc.so
@file ./var/lib/dpkg/status.d/libc6
 Package: libc6
 Version: 2.41
@layer sha256/b
-5 opt/venv/bin/foo
-20 opt/venv/lib/python3.13/site-packages/foo_bar/__init__.py
-40 opt/venv/lib/python3.13/site-packages/foo_bar/__pycache__/__init__.cpython-313.pyc
-6 opt/venv/lib/python3.13/site-packages/foo_bar/a,b.py
-1 opt/venv/lib/python3.13/site-packages/foo_bar-1.0.dist-info/RECORD
-1 opt/venv/lib/python3.13/site-packages/foo_bar-1.0.dist-info/METADATA
-2 opt/venv/lib/python3.13/site-packages/bare-0.1.dist-info/RECORD
@file ./opt/venv/lib/python3.13/site-packages/foo_bar-1.0.dist-info/RECORD
 foo_bar/__init__.py
 "foo_bar/a,b.py"
 "broken
 ../../../bin/foo
@file ./opt/venv/lib/python3.13/site-packages/foo_bar-1.0.dist-info/METADATA
 Name: Foo-Bar
 Version: 1.0.0
@file ./opt/venv/lib/python3.13/site-packages/bare-0.1.dist-info/RECORD
 bare-0.1.dist-info/RECORD
`, "a", "b")
	want := []Package{
		{"bar", "1:2-3", Debian, 107},
		{"Foo-Bar", "1.0.0", Python, 71},
		{"libc6", "2.41", Debian, 30},
		{"bare", "0.1", Python, 2},
	}
	if !reflect.DeepEqual(a.Packages, want) {
		t.Errorf("packages are %+v, want %+v", a.Packages, want)
	}
	if first := a.LargestFiles[0]; first != (LargeFile{"/usr/bin/bar", 100, "bar"}) {
		t.Errorf("the largest file is %+v", first)
	}
}

// TestLinkedFromACache counts for the package what uv has linked into its cache, in either
// order of the names in the archive.
func TestLinkedFromACache(t *testing.T) {
	const record = "@file ./usr/site-packages/foo-1.dist-info/RECORD\n foo.py\n"
	const cached = "-1 root/.cache/uv/a/foo-1.dist-info/RECORD\n"
	const cachedRecord = "@file ./root/.cache/uv/a/foo-1.dist-info/RECORD\n foo.py\n foo-1.dist-info/RECORD\n"
	for _, text := range []string{
		"-90 root/.cache/uv/a/foo.py\n" + cached + "-0 usr/site-packages/foo.py -> root/.cache/uv/a/foo.py\n-2 usr/site-packages/foo-1.dist-info/RECORD\n",
		"-90 usr/site-packages/foo.py\n-2 usr/site-packages/foo-1.dist-info/RECORD\n" + cached + "-0 root/.cache/uv/a/foo.py -> usr/site-packages/foo.py\n",
	} {
		a := analyze(t, "@layer sha256/a\n"+text+record+cachedRecord, "a")
		if want := []Package{{"foo", "1", Python, 90}}; !reflect.DeepEqual(a.Packages, want) {
			t.Errorf("packages are %+v, want %+v", a.Packages, want)
		}
		if len(a.Waste) != 1 || a.Waste[0].Bytes != 1 || a.UnpackedBytes != 93 {
			t.Errorf("of %d bytes %+v is waste", a.UnpackedBytes, a.Waste)
		}
	}
}

// TestReplacedPackage counts what a later layer has removed in vain.
func TestReplacedPackage(t *testing.T) {
	a := analyze(t, `@layer sha256/a
-9 site-packages/foo/x.py
-1 site-packages/foo-1.dist-info/RECORD
@file ./site-packages/foo-1.dist-info/RECORD
 foo/x.py
@layer sha256/b
-0 site-packages/.wh.foo-1.dist-info
-8 site-packages/foo/x.py
-1 site-packages/foo-2.dist-info/RECORD
@file ./site-packages/foo-2.dist-info/RECORD
 foo/x.py
`, "a", "b")
	if want := []Package{{"foo", "2", Python, 8}}; !reflect.DeepEqual(a.Packages, want) {
		t.Errorf("packages are %+v, want %+v", a.Packages, want)
	}
}

func TestWaste(t *testing.T) {
	for path, want := range map[string]string{
		"root/.cache/pip/http/x":                                      WasteCache,
		"home/app/.cache/uv/wheels/x":                                 WasteCache,
		"var/cache/apt/pkgcache.bin":                                  WasteCache,
		"var/lib/apt/lists/deb_Packages":                              WasteAptLists,
		"opt/venv/lib/python3.13/site-packages/numpy/tests/x":         WasteTests,
		"opt/venv/lib/python3.13/site-packages/numpy/a/tests/b/x":     WasteTests,
		"opt/venv/lib/python3.13/site-packages/tests/x":               WasteTests,
		"opt/venv/lib/python3.13/site-packages/six/test/test_six.py":  WasteTests,
		"opt/venv/lib/python3.13/site-packages/django/test/client.py": "",
		"opt/venv/lib/python3.13/site-packages/numpy/testing/x":       "",
		"app/tests/test_x.py":                                         "",
		"lib/__pycache__/gone.cpython-313.pyc":                        WasteBytecode,
		"lib/__pycache__/there.cpython-313.pyc":                       "",
		"lib/__pycache__/there.cpython-312.pyc":                       WasteBytecode,
		"lib/__pycache__/there.cpython-313.opt-1.pyc":                 WasteBytecode,
		"lib/__pycache__/optimized.cpython-313.opt-1.pyc":             "",
		"lib/there.pyc":      WasteBytecode,
		"lib/sourceless.pyc": "",
		"usr/share/doc/x":    "",
	} {
		a := analyze(t, "@layer sha256/a\n-1 lib/there.py\n-1 lib/optimized.py\n-1 lib/other.py\n"+
			"-1 lib/__pycache__/there.cpython-313.pyc\n-1 lib/__pycache__/other.cpython-313.pyc\n-5 "+path+"\n", "a")
		kind := ""
		for _, waste := range a.Waste {
			kind += waste.Kind
		}
		if kind != want {
			t.Errorf("%s: waste %q, want %q", path, kind, want)
		}
	}
}

func TestIsRoot(t *testing.T) {
	for user, want := range map[string]bool{
		"": true, "0": true, "0:0": true, "root": true, "root:app": true, "00": true,
		"1": false, "10001:10001": false, "app": false, "10001:0": false,
	} {
		if got := isRoot(user); got != want {
			t.Errorf("%q: root is %t", user, got)
		}
	}
}

func history(t *testing.T, image *Image, entries ...string) {
	t.Helper()
	var parts []string
	for _, entry := range entries {
		author, by, _ := strings.Cut(entry, "|")
		empty := strings.HasPrefix(author, "-")
		part := `{"author":"` + strings.TrimPrefix(author, "-") + `","created_by":"` + by + `"`
		if empty {
			part += `,"empty_layer":true`
		}
		parts = append(parts, part+"}")
	}
	config, err := ParseConfig([]byte(`{"history":[` + strings.Join(parts, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	image.Config = config
}

const dockerfileText = `FROM python:3.13 AS base
RUN one
FROM base AS build
RUN two \
  three
FROM base
COPY --from=build /x /x
USER 1
`

func TestInstructions(t *testing.T) {
	parsed, err := dockerfile.Parse("Dockerfile", []byte(dockerfileText))
	if err != nil {
		t.Fatal(err)
	}
	type layer struct {
		line int
		base bool
		by   string
	}
	for name, test := range map[string]struct {
		dockerfile *dockerfile.Dockerfile
		target     string
		layers     int
		history    []string
		want       []layer
	}{
		"the last stage, with the one that it starts from": {
			parsed, "", 4,
			[]string{"|/bin/sh -c base", "-|CMD x", "kaniko|RUN one", "kaniko|COPY --from=build /x   /x", "kaniko|USER 1"},
			[]layer{{0, true, "/bin/sh -c base"}, {2, false, "RUN one"}, {7, false, "COPY --from=build /x /x"}, {8, false, "USER 1"}},
		},
		"a base without a history": {
			parsed, "", 3,
			[]string{"kaniko|COPY --from=build /x /x", "kaniko|USER 1"},
			[]layer{{0, true, ""}, {7, false, "COPY --from=build /x /x"}, {8, false, "USER 1"}},
		},
		"a base of the same engine": {
			parsed, "", 3,
			[]string{"kaniko|RUN elsewhere", "kaniko|RUN one", "kaniko|USER 1"},
			[]layer{{0, true, "RUN elsewhere"}, {2, false, "RUN one"}, {8, false, "USER 1"}},
		},
		"another stage": {
			parsed, "build", 2,
			[]string{"kaniko|RUN one", "kaniko|RUN two   three"},
			[]layer{{2, false, "RUN one"}, {4, false, "RUN two three"}},
		},
		"a stage that is not there": {parsed, "gone", 1, []string{"kaniko|RUN one"}, []layer{{0, false, "RUN one"}}},
		"without the Dockerfile":    {nil, "", 2, []string{"|base", "kaniko|RUN one"}, []layer{{0, true, "base"}, {0, false, "RUN one"}}},
	} {
		t.Run(name, func(t *testing.T) {
			image := testImage(strings.Split("abcd"[:test.layers], "")...)
			image.Dockerfile, image.Target = test.dockerfile, test.target
			history(t, &image, test.history...)
			listing := &Listing{}
			for _, stored := range image.Manifest.Layers {
				listing.Layers = append(listing.Layers, LayerListing{Digest: stored.Digest})
			}
			analysis, err := Analyze(image, listing, 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []layer
			for _, l := range analysis.Layers {
				got = append(got, layer{l.Line, l.Base, l.CreatedBy})
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
