package pythonbase

import (
	"strings"
	"testing"
)

func TestTagsNameTheSameVersion(t *testing.T) {
	for _, tag := range Tags() {
		if !strings.HasPrefix(tag, minor) {
			t.Errorf("tag %s is of another Python", tag)
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
