package build

import (
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func TestTestFlagsThatAreRefused(t *testing.T) {
	dir := folder(t, "shop", map[string]string{"Dockerfile": "FROM scratch\n"})
	for name, test := range map[string]struct {
		change func(*Flags)
		want   string
	}{
		"both":              {func(f *Flags) { f.Test, f.NoTest = "pytest", true }, "--test and --no-test exclude each other"},
		"an open quote":     {func(f *Flags) { f.Test = "pytest 'x" }, "a quote is not closed"},
		"blank":             {func(f *Flags) { f.Test = "  " }, "names no program"},
		"no results":        {func(f *Flags) { f.JUnit = "r.xml" }, "nothing is tested"},
		"detached":          {func(f *Flags) { f.Test, f.JUnit, f.Detach = "pytest", "r.xml", true }, "logs RUN --junit"},
		"a directory":       {func(f *Flags) { f.Test, f.JUnit = "pytest", dir }, "is a directory: name a file in it"},
		"no such directory": {func(f *Flags) { f.Test, f.JUnit = "pytest", filepath.Join(dir, "none", "r.xml") }, "--junit: "},
	} {
		flags := testFlags(t)
		test.change(flags)
		if _, err := flags.ToOptions([]string{dir}, genericiooptions.NewTestIOStreamsDiscard()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
