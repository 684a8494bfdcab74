package status

import (
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/report"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/term"
)

type tableOptions struct {
	Now time.Time
	// Namespaces adds the namespace of runs and apps.
	Namespaces bool
	Wide       bool
}

// printTable writes three blocks: the platform, the runs, the apps. A block
// without rows is left out.
func printTable(status *report.Status, options tableOptions, out io.Writer) error {
	blocks := []string{
		term.Table(platformColumns(), status.Platform),
		term.Table(runColumns(options), status.Runs),
		term.Table(appColumns(options), status.Apps),
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

func platformColumns() []term.Column[report.Part] {
	return []term.Column[report.Part]{
		{Header: "PLATFORM", Cell: func(p report.Part) string { return p.Name }},
		{Header: "NAMESPACE", Cell: func(p report.Part) string { return term.OrNone(p.Namespace) }},
		{Header: "VERSION", Cell: func(p report.Part) string { return term.OrNone(p.Version) }},
		{Header: "READY", Cell: func(p report.Part) string { return count(p.Ready, p.Desired) }},
		{Header: "STATUS", Cell: func(p report.Part) string { return health(p.Healthy, p.Unknown) }},
		{Header: "MESSAGE", Cell: func(p report.Part) string { return p.Message }},
	}
}

func runColumns(options tableOptions) []term.Column[report.Run] {
	columns := []term.Column[report.Run]{{Header: "RUNS", Cell: func(r report.Run) string { return r.Name }}}
	if options.Namespaces {
		columns = append(columns, term.Column[report.Run]{Header: "NAMESPACE", Cell: func(r report.Run) string { return r.Namespace }})
	}
	columns = append(columns,
		term.Column[report.Run]{Header: "APP", Cell: func(r report.Run) string { return r.App }},
		term.Column[report.Run]{Header: "STATUS", Cell: report.Run.Ending},
		term.Column[report.Run]{Header: "AGE", Cell: func(r report.Run) string { return term.Age(r.Started, options.Now) }},
		term.Column[report.Run]{Header: "DURATION", Cell: func(r report.Run) string {
			return duration.HumanDuration(time.Duration(r.DurationSeconds) * time.Second)
		}},
		term.Column[report.Run]{Header: "DIGEST", Cell: func(r report.Run) string { return term.Digest(r.Digest, options.Wide) }},
	)
	if options.Wide {
		columns = append(columns, term.Column[report.Run]{Header: "MESSAGE", Cell: func(r report.Run) string { return r.Message }})
	}
	return columns
}

func appColumns(options tableOptions) []term.Column[report.App] {
	columns := []term.Column[report.App]{{Header: "APPS", Cell: func(a report.App) string { return a.Name }}}
	if options.Namespaces {
		columns = append(columns, term.Column[report.App]{Header: "NAMESPACE", Cell: func(a report.App) string { return a.Namespace }})
	}
	columns = append(columns,
		term.Column[report.App]{Header: "READY", Cell: func(a report.App) string { return fmt.Sprintf("%d/%d", a.Ready, a.Desired) }},
		term.Column[report.App]{Header: "STATUS", Cell: func(a report.App) string { return health(a.Healthy, false) }},
		term.Column[report.App]{Header: "AGE", Cell: func(a report.App) string { return term.Age(a.Updated, options.Now) }},
		term.Column[report.App]{Header: "DIGEST", Cell: func(a report.App) string { return term.Digest(a.Digest, options.Wide) }},
		term.Column[report.App]{Header: "URL", Cell: func(a report.App) string { return term.OrNone(a.URL) }},
	)
	if options.Wide {
		columns = append(columns,
			term.Column[report.App]{Header: "WORKLOADS", Cell: func(a report.App) string { return strings.Join(a.Workloads, ",") }},
			term.Column[report.App]{Header: "IMAGE", Cell: func(a report.App) string { return term.OrNone(a.Image) }},
		)
	}
	return append(columns, term.Column[report.App]{Header: "MESSAGE", Cell: func(a report.App) string { return a.Message }})
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
		return term.OrNone("")
	}
	return fmt.Sprintf("%d/%d", ready, desired)
}
