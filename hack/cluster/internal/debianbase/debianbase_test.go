package debianbase

import "testing"

func TestKeysDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, image := range Images() {
		if other, ok := seen[image.Key()]; ok {
			t.Errorf("%s has the key of %s", image.Repository, other)
		}
		seen[image.Key()] = image.Repository
		changed := image
		changed.packages += ",another"
		if changed.Key() == image.Key() {
			t.Errorf("%s: another recipe has the same key", image.Repository)
		}
	}
}

func TestLastLines(t *testing.T) {
	for _, test := range []struct {
		text  string
		count int
		want  string
	}{
		{"a\nb\nc\n", 2, "b\nc"},
		{"a\n", 5, "a"},
		{"", 5, ""},
	} {
		if got := lastLines(test.text, test.count); got != test.want {
			t.Errorf("%q: got %q", test.text, got)
		}
	}
}
