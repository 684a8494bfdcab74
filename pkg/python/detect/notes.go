package detect

import (
	"fmt"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// notes are what a pass reports beside its result.
type notes struct {
	evidence []Evidence
	warnings []string
}

// found adds a piece of evidence.
func (n *notes) found(what, value, source string) {
	n.evidence = append(n.evidence, Evidence{What: what, Value: value, Source: source})
}

// warn adds a warning: a sentence without a period.
func (n *notes) warn(format string, args ...any) {
	n.warnings = append(n.warnings, fmt.Sprintf(format, args...))
}

// add adds the notes of other passes.
func (n *notes) add(others ...notes) {
	for _, other := range others {
		n.evidence = append(n.evidence, other.evidence...)
		n.warnings = append(n.warnings, other.warnings...)
	}
}

// without returns the notes without those that are known.
func (n *notes) without(known notes) notes {
	return notes{
		evidence: slices.DeleteFunc(slices.Clone(n.evidence), func(one Evidence) bool { return slices.Contains(known.evidence, one) }),
		warnings: slices.DeleteFunc(slices.Clone(n.warnings), func(one string) bool { return slices.Contains(known.warnings, one) }),
	}
}

// evidenceOrder returns the kinds of evidence in the order that a user wants to read
// them.
func evidenceOrder() []string {
	return []string{"app", "framework", "server", "python", "dependencies", "context", "tests", "secret", "port", "library", "layout", "static"}
}

// printable returns the notes sorted for a user, and safe to print: they quote files.
func (n *notes) printable() notes {
	result := notes{}
	for _, one := range n.evidence {
		result.found(one.What, display.Sanitize(one.Value), display.Sanitize(one.Source))
	}
	order := evidenceOrder()
	slices.SortStableFunc(result.evidence, func(a, b Evidence) int {
		return slices.Index(order, a.What) - slices.Index(order, b.What)
	})
	for _, warning := range n.warnings {
		result.warnings = append(result.warnings, display.Sanitize(warning))
	}
	return result
}
