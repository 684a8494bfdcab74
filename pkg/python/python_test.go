package python

import (
	"slices"
	"testing"
	"time"
)

func TestVersions(t *testing.T) {
	for _, version := range Versions() {
		if _, err := time.Parse(time.DateOnly, EndOfSupport(version)); err != nil {
			t.Errorf("the end of support of %s: %v", version, err)
		}
	}
	if !slices.Contains(Supported(), DefaultVersion) {
		t.Errorf("the default version %s has no support", DefaultVersion)
	}
	if Ended("3.13") || !Ended("3.9") || Ended("4.0") {
		t.Error("3.9 has ended, 3.13 has not, and 4.0 is not known")
	}
}
