package display

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"
)

// Column is one of a table of T; those that are not wanted are not in the list.
type Column[T any] struct {
	Header string
	Cell   func(T) string
}

// Table lays rows out as kubectl does. Without rows it is empty, without headers
// too.
func Table[T any](columns []Column[T], rows []T) string {
	if len(rows) == 0 {
		return ""
	}
	var text strings.Builder
	writer := printers.GetNewTabWriter(&text)
	cells := make([]string, len(columns))
	for i, column := range columns {
		cells[i] = column.Header
	}
	fmt.Fprintln(writer, strings.Join(cells, "\t"))
	for _, row := range rows {
		for i, column := range columns {
			cells[i] = Clean(column.Cell(row))
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

// Clean makes one line of what somebody else has written: nothing in it moves columns
// or the cursor, or changes the direction in which the rest is read.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, text)
}

// Digest is shortened as far as people do when they talk about one, unless it is
// wanted whole.
func Digest(digest string, whole bool) string {
	const short = len("sha256:") + 12
	if whole || len(digest) <= short {
		return OrNone(digest)
	}
	return digest[:short]
}

// Age is the time since then, in the words of kubectl.
func Age(since metav1.Time, now time.Time) string {
	if since.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(since.Time))
}

// OrNone is an empty cell in the words of kubectl.
func OrNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}
