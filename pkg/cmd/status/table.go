package status

import (
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
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
func printTable(snapshot *status.Status, options tableOptions, out io.Writer) error {
	blocks := []string{
		term.Table(platformColumns(), snapshot.Platform),
		term.Table(runColumns(options), snapshot.Runs),
		term.Table(appColumns(options), snapshot.Apps),
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

func platformColumns() []term.Column[status.Part] {
	return []term.Column[status.Part]{
		{Header: "PLATFORM", Cell: func(p status.Part) string { return p.Name }},
		{Header: "NAMESPACE", Cell: func(p status.Part) string { return term.OrNone(p.Namespace) }},
		{Header: "VERSION", Cell: func(p status.Part) string { return term.OrNone(p.Version) }},
		{Header: "READY", Cell: func(p status.Part) string { return count(p.Ready, p.Desired) }},
		{Header: "STATUS", Cell: func(p status.Part) string { return health(p.Healthy, p.Unknown) }},
		{Header: "MESSAGE", Cell: func(p status.Part) string { return p.Message }},
	}
}

func runColumns(options tableOptions) []term.Column[status.Run] {
	columns := []term.Column[status.Run]{{Header: "RUNS", Cell: func(r status.Run) string { return r.Name }}}
	if options.Namespaces {
		columns = append(columns, term.Column[status.Run]{Header: "NAMESPACE", Cell: func(r status.Run) string { return r.Namespace }})
	}
	columns = append(columns,
		term.Column[status.Run]{Header: "APP", Cell: func(r status.Run) string { return r.App }},
		term.Column[status.Run]{Header: "STATUS", Cell: status.Run.Ending},
		term.Column[status.Run]{Header: "AGE", Cell: func(r status.Run) string { return term.Age(r.Started, options.Now) }},
		term.Column[status.Run]{Header: "DURATION", Cell: func(r status.Run) string {
			return duration.HumanDuration(time.Duration(r.DurationSeconds) * time.Second)
		}},
		term.Column[status.Run]{Header: "DIGEST", Cell: func(r status.Run) string { return term.Digest(r.Digest, options.Wide) }},
	)
	if options.Wide {
		columns = append(columns, term.Column[status.Run]{Header: "MESSAGE", Cell: func(r status.Run) string { return r.Message }})
	}
	return columns
}

func appColumns(options tableOptions) []term.Column[status.App] {
	columns := []term.Column[status.App]{{Header: "APPS", Cell: func(a status.App) string { return a.Name }}}
	if options.Namespaces {
		columns = append(columns, term.Column[status.App]{Header: "NAMESPACE", Cell: func(a status.App) string { return a.Namespace }})
	}
	columns = append(columns,
		term.Column[status.App]{Header: "READY", Cell: func(a status.App) string { return fmt.Sprintf("%d/%d", a.Ready, a.Desired) }},
		term.Column[status.App]{Header: "STATUS", Cell: func(a status.App) string { return health(a.Healthy, false) }},
		term.Column[status.App]{Header: "AGE", Cell: func(a status.App) string { return term.Age(a.Updated, options.Now) }},
		term.Column[status.App]{Header: "DIGEST", Cell: func(a status.App) string { return term.Digest(a.Digest, options.Wide) }},
		term.Column[status.App]{Header: "URL", Cell: func(a status.App) string { return term.OrNone(a.URL) }},
	)
	if options.Wide {
		columns = append(columns,
			term.Column[status.App]{Header: "WORKLOADS", Cell: func(a status.App) string { return strings.Join(a.Workloads, ",") }},
			term.Column[status.App]{Header: "IMAGE", Cell: func(a status.App) string { return term.OrNone(a.Image) }},
		)
	}
	return append(columns, term.Column[status.App]{Header: "MESSAGE", Cell: func(a status.App) string { return a.Message }})
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
