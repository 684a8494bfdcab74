// Package cmdtest has what tests of verbs share.
package cmdtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Golden compares got with a file of testdata, or writes the file if update is set.
func Golden(t *testing.T, update bool, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// Digest returns a digest of one repeated digit.
func Digest(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }
