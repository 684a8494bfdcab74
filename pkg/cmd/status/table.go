package status

import (
	"fmt"
	"io"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/report"
)

type tableOptions struct {
	Now time.Time
	// Namespaces adds the namespace of runs and apps.
	Namespaces bool
	Wide       bool
}

// column is one of a block; those that are not wanted are not in the list.
type column[T any] struct {
	header string
	cell   func(T) string
}

// printTable writes three blocks: the platform, the runs, the apps. A block
// without rows is left out.
func printTable(status *report.Status, options tableOptions, out io.Writer) error {
	blocks := []string{
		block(platformColumns(), status.Platform),
		block(runColumns(options), status.Runs),
		block(appColumns(options), status.Apps),
	}
	var text []string
	for _, block := range blocks {
		if block != "" {
			text = append(text, block)
		}
	}
	_, err := io.WriteString(out, strings.Join(text, "\n"))
	return err
}

func block[T any](columns []column[T], rows []T) string {
	if len(rows) == 0 {
		return ""
	}
	var text strings.Builder
	writer := printers.GetNewTabWriter(&text)
	cells := make([]string, len(columns))
	for i, column := range columns {
		cells[i] = column.header
	}
	fmt.Fprintln(writer, strings.Join(cells, "\t"))
	for _, row := range rows {
		for i, column := range columns {
			cells[i] = clean(column.cell(row))
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

// clean keeps what the cluster says from moving columns or the cursor.
func clean(cell string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, cell)
}

func platformColumns() []column[report.Part] {
	return []column[report.Part]{
		{"PLATFORM", func(p report.Part) string { return p.Name }},
		{"NAMESPACE", func(p report.Part) string { return orNone(p.Namespace) }},
		{"VERSION", func(p report.Part) string { return orNone(p.Version) }},
		{"READY", func(p report.Part) string { return count(p.Ready, p.Desired) }},
		{"STATUS", func(p report.Part) string { return health(p.Healthy, p.Unknown) }},
		{"MESSAGE", func(p report.Part) string { return p.Message }},
	}
}

func runColumns(options tableOptions) []column[report.Run] {
	columns := []column[report.Run]{{"RUNS", func(r report.Run) string { return r.Name }}}
	if options.Namespaces {
		columns = append(columns, column[report.Run]{"NAMESPACE", func(r report.Run) string { return r.Namespace }})
	}
	columns = append(columns,
		column[report.Run]{"APP", func(r report.Run) string { return r.App }},
		column[report.Run]{"STATUS", runState},
		column[report.Run]{"AGE", func(r report.Run) string { return age(r.Started, options.Now) }},
		column[report.Run]{"DURATION", func(r report.Run) string {
			return duration.HumanDuration(time.Duration(r.DurationSeconds) * time.Second)
		}},
		column[report.Run]{"DIGEST", func(r report.Run) string { return digest(r.Digest, options.Wide) }},
	)
	if options.Wide {
		columns = append(columns, column[report.Run]{"MESSAGE", func(r report.Run) string { return r.Message }})
	}
	return columns
}

func appColumns(options tableOptions) []column[report.App] {
	columns := []column[report.App]{{"APPS", func(a report.App) string { return a.Name }}}
	if options.Namespaces {
		columns = append(columns, column[report.App]{"NAMESPACE", func(a report.App) string { return a.Namespace }})
	}
	columns = append(columns,
		column[report.App]{"READY", func(a report.App) string { return fmt.Sprintf("%d/%d", a.Ready, a.Desired) }},
		column[report.App]{"STATUS", func(a report.App) string { return health(a.Healthy, false) }},
		column[report.App]{"AGE", func(a report.App) string { return age(a.Updated, options.Now) }},
		column[report.App]{"DIGEST", func(a report.App) string { return digest(a.Digest, options.Wide) }},
		column[report.App]{"URL", func(a report.App) string { return orNone(a.URL) }},
	)
	if options.Wide {
		columns = append(columns,
			column[report.App]{"WORKLOADS", func(a report.App) string { return strings.Join(a.Workloads, ",") }},
			column[report.App]{"IMAGE", func(a report.App) string { return orNone(a.Image) }},
		)
	}
	return append(columns, column[report.App]{"MESSAGE", func(a report.App) string { return a.Message }})
}

// runState says why a run failed where Tekton has a word for it.
func runState(run report.Run) string {
	if run.State == report.RunFailed && run.Reason != "" && run.Reason != string(report.RunFailed) {
		return string(run.State) + " (" + run.Reason + ")"
	}
	return string(run.State)
}

func health(healthy, unknown bool) string {
	switch {
	case unknown:
		return "Unknown"
	case healthy:
		return "Healthy"
	}
	return "Unhealthy"
}

func count(ready, desired int32) string {
	if desired == 0 {
		return orNone("")
	}
	return fmt.Sprintf("%d/%d", ready, desired)
}

// digest is shortened as far as people do when they talk about one.
func digest(digest string, whole bool) string {
	const short = len("sha256:") + 12
	if whole || len(digest) <= short {
		return orNone(digest)
	}
	return digest[:short]
}

func age(since metav1.Time, now time.Time) string {
	if since.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(since.Time))
}

// orNone is an empty cell in the words of kubectl.
func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}
