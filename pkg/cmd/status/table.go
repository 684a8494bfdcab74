package status

import (
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
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
		display.Table(platformColumns(), snapshot.Platform),
		display.Table(runColumns(options), snapshot.Runs),
		display.Table(appColumns(options), snapshot.Apps),
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

func platformColumns() []display.Column[status.Part] {
	return []display.Column[status.Part]{
		{Header: "PLATFORM", Cell: func(p status.Part) string { return p.Name }},
		{Header: "NAMESPACE", Cell: func(p status.Part) string { return display.OrNone(p.Namespace) }},
		{Header: "VERSION", Cell: func(p status.Part) string { return display.OrNone(p.Version) }},
		{Header: "READY", Cell: func(p status.Part) string { return count(p.Ready, p.Desired) }},
		{Header: "STATUS", Cell: func(p status.Part) string { return health(p.Healthy, p.Unknown) }},
		{Header: "MESSAGE", Cell: func(p status.Part) string { return p.Message }},
	}
}

func runColumns(options tableOptions) []display.Column[status.Run] {
	columns := []display.Column[status.Run]{{Header: "RUNS", Cell: func(r status.Run) string { return r.Name }}}
	if options.Namespaces {
		columns = append(columns, display.Column[status.Run]{Header: "NAMESPACE", Cell: func(r status.Run) string { return r.Namespace }})
	}
	columns = append(columns,
		display.Column[status.Run]{Header: "APP", Cell: func(r status.Run) string { return r.App }},
		display.Column[status.Run]{Header: "STATUS", Cell: status.Run.Ending},
		display.Column[status.Run]{Header: "AGE", Cell: func(r status.Run) string { return display.Age(r.Started, options.Now) }},
		display.Column[status.Run]{Header: "DURATION", Cell: func(r status.Run) string {
			return duration.HumanDuration(time.Duration(r.DurationSeconds) * time.Second)
		}},
		display.Column[status.Run]{Header: "DIGEST", Cell: func(r status.Run) string { return display.Digest(r.Digest, options.Wide) }},
	)
	if options.Wide {
		columns = append(columns, display.Column[status.Run]{Header: "MESSAGE", Cell: func(r status.Run) string { return r.Message }})
	}
	return columns
}

func appColumns(options tableOptions) []display.Column[status.App] {
	columns := []display.Column[status.App]{{Header: "APPS", Cell: func(a status.App) string { return a.Name }}}
	if options.Namespaces {
		columns = append(columns, display.Column[status.App]{Header: "NAMESPACE", Cell: func(a status.App) string { return a.Namespace }})
	}
	columns = append(columns,
		display.Column[status.App]{Header: "READY", Cell: func(a status.App) string { return fmt.Sprintf("%d/%d", a.Ready, a.Desired) }},
		display.Column[status.App]{Header: "STATUS", Cell: func(a status.App) string { return health(a.Healthy, false) }},
		display.Column[status.App]{Header: "AGE", Cell: func(a status.App) string { return display.Age(a.Updated, options.Now) }},
		display.Column[status.App]{Header: "DIGEST", Cell: func(a status.App) string { return display.Digest(a.Digest, options.Wide) }},
		display.Column[status.App]{Header: "URL", Cell: func(a status.App) string { return display.OrNone(a.URL) }},
	)
	if options.Wide {
		columns = append(columns,
			display.Column[status.App]{Header: "WORKLOADS", Cell: func(a status.App) string { return strings.Join(a.Workloads, ",") }},
			display.Column[status.App]{Header: "IMAGE", Cell: func(a status.App) string { return display.OrNone(a.Image) }},
		)
	}
	return append(columns, display.Column[status.App]{Header: "MESSAGE", Cell: func(a status.App) string { return a.Message }})
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
		return display.OrNone("")
	}
	return fmt.Sprintf("%d/%d", ready, desired)
}
