package view

import (
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/diff"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

func TestNewReleases(t *testing.T) {
	of := func(number int, state status.ReleaseState) status.Release {
		return status.Release{Record: record.Record{Namespace: "demo", App: "shop", Number: number, Digest: digestA}, State: state}
	}
	rows := NewReleases([]status.Release{of(7, status.Live), of(5, status.RolloutFailed), of(4, status.NotApplied)})
	var changes, tones []string
	for _, row := range rows {
		changes, tones = append(changes, row.Changes), append(tones, row.Tone)
	}
	if want := []string{"/apps/demo/shop/releases?from=5&to=7", "/apps/demo/shop/releases?from=4&to=5", ""}; !slices.Equal(changes, want) {
		t.Errorf("the changes are %q", changes)
	}
	if want := []string{toneGood, toneBad, toneIdle}; !slices.Equal(tones, want) {
		t.Errorf("the tones are %q", tones)
	}
	if rows[0].Image != "/registry/demo/shop/"+digestA {
		t.Errorf("the image is %q", rows[0].Image)
	}
}

func TestReleaseChanges(t *testing.T) {
	side := func(number int, digest, text string) *record.Record {
		return &record.Record{Namespace: "demo", App: "shop", Number: number, Digest: digest, Files: map[string]string{release.ResourcesFile: text}}
	}
	older, newer := side(1, "sha256:a", "a: 1\nb: 2\n"), side(2, "sha256:b", "a: 1\nb: 3\n--- x\n")
	newer.Target = "slim"
	model := ReleaseChanges{}
	model.Compare(older, newer)
	if want := []diff.Fact{{Name: "digest", Older: "sha256:a", Newer: "sha256:b"}, {Name: "target", Newer: "slim"}}; !slices.Equal(model.Facts, want) {
		t.Errorf("the facts are %+v", model.Facts)
	}
	if model.Images != "/registry/compare?a=demo%2Fshop%40sha256%3Aa&b=demo%2Fshop%40sha256%3Ab" {
		t.Errorf("the images are %q", model.Images)
	}
	var kinds []string
	for _, line := range model.Lines {
		kinds = append(kinds, line.Kind)
		if strings.HasPrefix(line.Text, "+++") || strings.HasPrefix(line.Text, "--- release") {
			t.Errorf("the line is %q", line.Text)
		}
	}
	if want := []string{"place", "same", "removed", "added", "added"}; !slices.Equal(kinds, want) {
		t.Errorf("the lines are %+v", model.Lines)
	}
	same := ReleaseChanges{}
	same.Compare(older, older)
	if same.Facts != nil || same.Lines != nil || same.Images != "" || !same.Compared {
		t.Errorf("a release differs from itself: %+v", same)
	}
}
