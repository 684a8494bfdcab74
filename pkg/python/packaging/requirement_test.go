package packaging

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRequirement(t *testing.T) {
	for text, want := range map[string]Requirement{
		"Flask":                              {Name: "flask"},
		"a.b_c--d >=1 , <2":                  {Name: "a-b-c-d", Specifier: ">=1 , <2"},
		"x[B_a, a] (==1.0) ; python < '3'":   {Name: "x", Extras: []string{"a", "b-a"}, Specifier: "==1.0", Marker: "python < '3'"},
		"x @ git+https://h.example/r@v1 ; a": {Name: "x", URL: "git+https://h.example/r@v1", Marker: "a"},
		"x~=1.0;extra == 'B_a'":              {Name: "x", Specifier: "~=1.0", Marker: "extra == 'B_a'"},
	} {
		if got, ok := ParseRequirement(text); !ok || !cmp.Equal(want, got) {
			t.Errorf("%q is %+v, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "-e x", "[a]", "x[a", "x y", "_x", "./x", "x-1.0-py3-none-any.whl", "x.tar.gz", "https://h.example/x"} {
		if got, ok := ParseRequirement(text); ok {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestParseURLRequirement(t *testing.T) {
	for text, name := range map[string]string{
		"git+https://h.example/My_App.git@v1":      "my-app",
		"git+https://h.example/a.git@v1#egg=B[x]":  "b",
		"https://h.example/a-1.0-py3-none-any.whl": "a",
		"./libs/stock[all]":                        "stock",
		"stock-1.0-py3-none-any.whl":               "stock",
	} {
		if got, ok := ParseURLRequirement(text); !ok || got.Name != name || got.URL != text {
			t.Errorf("%q is %+v, %t", text, got, ok)
		}
	}
	if got, ok := ParseURLRequirement("stock"); ok {
		t.Errorf("a name is %+v", got)
	}
}

func TestPinned(t *testing.T) {
	commit := "git+https://h.example/x@0123456789012345678901234567890123456789"
	for text, want := range map[string]bool{
		"x": false, "x>=1": false, "x==1.0": true, "x === 1.0": true, "x==1.*": false, "x>=1,==1.2": true, "x (==1.0)": true,
		"x @ https://h.example/x-1.0.tar.gz": true, "x @ git+https://h.example/x": false, "x @ " + commit: true, "x @ ./x": false,
		"x @ file:///x.whl": true,
	} {
		r, ok := ParseRequirement(text)
		if !ok || r.Pinned() != want {
			t.Errorf("%q: got %t, want %t", text, r.Pinned(), want)
		}
	}
}

func TestMarkerExtra(t *testing.T) {
	for marker, want := range map[Marker]string{
		"": "", "python_version < '3'": "", "extra == 'B_a'": "b-a", `python_version < "3" and extra == "x"`: "x", "extra == ": "",
	} {
		if got := marker.Extra(); got != want {
			t.Errorf("%q: got %q, want %q", marker, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	if diff := cmp.Diff([]string{"a", "b"}, Names([]Requirement{{Name: "b"}, {Name: "a"}, {Name: "b"}})); diff != "" {
		t.Error(diff)
	}
}

func TestSpecifier(t *testing.T) {
	for _, test := range []struct {
		specifier Specifier
		version   string
		want      bool
	}{
		{"", "1", true},
		{">=1,<2", "1.5", true},
		{">=1,<2", "2", false},
		{"==3.12.*", "3.12.99", true},
		{">=1", "2.0rc1", true},
		{"<1||>=2", "1.5", false},
		{"<1||>=2", "2", true},
		{"~=1.2", "1.9", true},
		{"what", "1", true},
		{"==1", "unknown", true},
	} {
		if got := test.specifier.Allows(test.version); got != test.want {
			t.Errorf("%q and %q: got %t", test.specifier, test.version, got)
		}
	}
	if _, err := Specifier("three").Check("3.12"); err == nil {
		t.Error("an invalid specifier has no error")
	}
	if got := Specifier("<2.0 , >= 1.0.0,==1.0rc1, ").Canonical(); got != "<2.0,==1.0rc1,>=1.0.0" {
		t.Errorf("got %q", got)
	}
}

func TestPoetrySpecifier(t *testing.T) {
	for constraint, want := range map[string]Specifier{
		"*": "", "": "", "^1.2.3": ">=1.2.3,<2", "^0.3": ">=0.3,<0.4", "^0.0": ">=0.0,<0.1", "~1.2.3": ">=1.2.3,<1.3", "~1": ">=1,<2", "~=1.2": "~=1.2",
		"1.2": "==1.2", ">=1, <2": ">=1,<2", "^1 || ^3": ">=1,<2||>=3,<4", "~3.10|~3.12": ">=3.10,<3.11||>=3.12,<3.13", "^1 || *": "",
	} {
		if got := PoetrySpecifier(constraint); got != want {
			t.Errorf("%q: got %q, want %q", constraint, got, want)
		}
	}
}
