// Package diff compares two releases of an app by their records.
package diff

import (
	"fmt"
	"strings"

	udiff "github.com/aymanbagabas/go-udiff"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// Fact is something that two releases differ in. An empty value is none. The values are not safe
// to print.
type Fact struct{ Name, Older, Newer string }

// Facts returns what two releases differ in, besides their manifests. It is pure.
func Facts(older, newer *record.Record) []Fact {
	commit := func(r *record.Record) string {
		if r.Commit == "" {
			return ""
		}
		return display.Commit(r.Commit, r.Dirty, true)
	}
	var facts []Fact
	for _, fact := range []Fact{
		{"commit", commit(older), commit(newer)},
		{"digest", older.Digest, newer.Digest},
		{"target", older.Target, newer.Target},
		{"build arguments", strings.Join(older.BuildArgs, " "), strings.Join(newer.BuildArgs, " ")},
	} {
		if fact.Older != fact.Newer {
			facts = append(facts, fact)
		}
	}
	return facts
}

// Manifests returns the manifests of two releases as a unified diff; empty if they are the same.
// What differs in every release, its hash, is left out, and so are Secrets, which are on no record
// that a developer may read. The text is not safe to print. It is pure.
func Manifests(older, newer *record.Record) string {
	text := func(r *record.Record) string {
		var kept []string
		for line := range strings.Lines(release.Stream(r.Files)) {
			if !strings.Contains(line, manifests.AnnotationManifests+":") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	name := func(r *record.Record) string { return fmt.Sprintf("release %d", r.Number) }
	return udiff.Unified(name(older), name(newer), text(older), text(newer))
}
