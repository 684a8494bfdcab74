package appname

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAppName(t *testing.T) {
	long := strings.Repeat("a", 52) + "-bcdef"
	for dir, want := range map[string]string{
		"/src/shop":          "shop",
		"/src/My_Service.v2": "my-service-v2",
		"/src/--Weird  --":   "weird",
		"/src/3d-viewer":     "app-3d-viewer",
		"/src/42":            "app-42",
		"/src/café":          "caf",
		"/src/山":             "",
		"/":                  "",
		"/src/" + long:       strings.Repeat("a", 52),
		"/src/shop/":         "shop",
		"/src/shop/../other": "other",
	} {
		if got := FromDir(dir); got != want {
			t.Errorf("FromDir(%q) is %q, want %q", dir, got, want)
		}
		if want != "" {
			must(t, Validate(FromDir(dir)))
		}
	}
	dir := filepath.Join(t.TempDir(), "Here")
	must(t, os.Mkdir(dir, 0o755))
	t.Chdir(dir)
	if got := FromDir("."); got != "here" {
		t.Errorf("FromDir of the working directory is %q", got)
	}
}

func TestValidateName(t *testing.T) {
	for _, good := range []string{"a", "shop", "a1", "my-service-2", strings.Repeat("a", 53)} {
		if err := Validate(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, says := range map[string]string{
		"":                      "empty",
		"Shop":                  "start",
		"shoP":                  "'P'",
		"1shop":                 "start",
		"-shop":                 "start",
		"shop-":                 "ends",
		"my_shop":               "'_'",
		"my.shop":               "'.'",
		"café":                  "'é'",
		"a b":                   "' '",
		"a\n":                   `'\n'`,
		strings.Repeat("a", 54): "54 characters",
	} {
		err := Validate(bad)
		var name *Error
		if !errors.As(err, &name) || name.Name != bad || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error is %v, want %q", bad, err, says)
		}
	}
}
