package display

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// The layout of kubectl's tables.
const (
	minColumn = 6
	columnGap = 3
)

// Column is one column of a table of T: its header, and the cell of a row.
type Column[T any] struct {
	Header string
	Cell   func(T) string
}

// Table returns rows in kubectl's layout, with sanitized cells. It returns nothing, not even
// headers, if there are no rows.
func Table[T any](columns []Column[T], rows []T) string {
	if len(rows) == 0 {
		return ""
	}
	var text strings.Builder
	writer := tabwriter.NewWriter(&text, minColumn, 0, columnGap, ' ', 0)
	cells := make([]string, len(columns))
	for i, column := range columns {
		cells[i] = column.Header
	}
	fmt.Fprintln(writer, strings.Join(cells, "\t"))
	for _, row := range rows {
		for i, column := range columns {
			cells[i] = Sanitize(column.Cell(row))
		}
		fmt.Fprintln(writer, strings.Join(cells, "\t"))
	}
	// A strings.Builder takes everything.
	_ = writer.Flush()
	lines := strings.Split(text.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// Digest returns the part of a digest by which people call it, or all of it if whole is
// set.
func Digest(digest string, whole bool) string {
	const short = len("sha256:") + 12
	if whole || len(digest) <= short {
		return OrNone(digest)
	}
	return digest[:short]
}

// Commit returns a git commit as git abbreviates it, or all of it if whole is set, with a star
// if files differed from it.
func Commit(commit string, dirty, whole bool) string {
	const short = 7
	if len(commit) > short && !whole {
		commit = commit[:short]
	}
	if commit != "" && dirty {
		commit += "*"
	}
	return OrNone(commit)
}

// Age returns the time since then as kubectl prints it.
func Age(since metav1.Time, now time.Time) string {
	if since.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(since.Time))
}

// OrNone returns text, or <none> if it is empty, as kubectl prints it.
func OrNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}
