package view

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/diff"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// Releases is the model of the releases of an app.
type Releases struct {
	Rows []Release
	// Total counts those on record.
	Total int
	Pager Pager
	// Ready is false until they have been read once, Problem is why they cannot be read.
	Ready   bool
	Problem *Problem
}

// Release is a release of an app.
type Release struct {
	status.Release
	// Tone is the class of its color.
	Tone string
	// Image is the path of the view of its image, Changes that of what it changed, and Delivery
	// that of its run; the last two are empty if there is no release before it, and no run.
	Image, Changes, Delivery string
	// Rollback is the action that makes it live again; nil for the one that the app has.
	Rollback *Action
}

// NewReleases returns rows of the releases of an app, the newest first. It is pure.
func NewReleases(releases []status.Release) []Release {
	rows := make([]Release, len(releases))
	for i, one := range releases {
		row := Release{Release: one, Tone: toneOfRelease(one.State)}
		if one.Digest != "" {
			row.Image = Path("registry", one.Namespace, one.App, one.Digest)
		}
		if i+1 < len(releases) {
			row.Changes = ChangesPath(one.Namespace, one.App, releases[i+1].Number, one.Number)
		}
		rows[i] = row
	}
	return rows
}

// ChangesPath returns the path of the view that compares two releases of an app.
func ChangesPath(namespace, app string, from, to int) string {
	return Path("apps", namespace, app, "releases") + "?" + url.Values{"from": {strconv.Itoa(from)}, "to": {strconv.Itoa(to)}}.Encode()
}

func toneOfRelease(state status.ReleaseState) string {
	switch state {
	case status.Live:
		return toneGood
	case status.RollingOut:
		return toneBusy
	case status.RolloutFailed:
		return toneBad
	case status.Replaced, status.NotApplied:
	}
	return toneIdle
}

// ReleaseChanges is the model of what changed from a release to another one.
type ReleaseChanges struct {
	Namespace, App string
	// Back is the path of the view of the app.
	Back string
	// Choices are the releases, by number. From and To are those that are compared.
	Choices  []Choice
	From, To string
	Ready    bool
	Problems []Problem
	// Compared reports that both releases are on record; what follows is empty otherwise.
	Compared bool
	Facts    []diff.Fact
	// Images is the path of the view that compares the two images; empty if they are the same.
	Images string
	Lines  []DiffLine
	// Command prints the same in a terminal.
	Command string
}

// DiffLine is a line of a unified diff.
type DiffLine struct {
	// Kind is added, removed, place or same.
	Kind, Text string
}

// Compare fills in what differs between two releases. It is pure.
func (c *ReleaseChanges) Compare(older, newer *record.Record) {
	c.Compared = true
	c.Facts = diff.Facts(older, newer)
	if older.Digest != newer.Digest {
		image := func(r *record.Record) string { return r.Namespace + "/" + r.App + "@" + r.Digest }
		c.Images = "/registry/compare?" + url.Values{"a": {image(older)}, "b": {image(newer)}}.Encode()
	}
	c.Lines = DiffLines(diff.Manifests(older, newer))
}

// DiffLines returns the lines of a unified diff without the names of its sides. It is pure.
func DiffLines(text string) []DiffLine {
	var lines []DiffLine
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		kind := "same"
		switch {
		case len(lines) == 0 && (strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "+++ ")):
			continue
		case strings.HasPrefix(line, "@@"):
			kind = "place"
		case strings.HasPrefix(line, "+"):
			kind = "added"
		case strings.HasPrefix(line, "-"):
			kind = "removed"
		}
		lines = append(lines, DiffLine{kind, line})
	}
	return lines
}
