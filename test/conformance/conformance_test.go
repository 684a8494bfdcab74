package conformance

import (
	"testing"
)

// TestRecorded wants BuildKit's image in every case, for its inputs as they are.
func TestRecorded(t *testing.T) {
	cases, err := Cases("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if !c.Recorded() {
			t.Errorf("%s has changed: make conformance-record", c.Name)
		}
		if c.Broken != (len(c.Want) == 0) {
			t.Errorf("%s has %d lines of the right image", c.Name, len(c.Want))
		}
	}
}
