package status

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

type tableOptions struct {
	Now time.Time
	// Namespaces adds the namespace of runs and apps.
	Namespaces bool
	Wide       bool
	NoHeaders  bool
}

// printTable writes three blocks: the platform, the runs, the apps. A block
// without rows is left out.
func printTable(snapshot *status.Status, options tableOptions, out io.Writer) error {
	blocks := []string{
		platformBlock(snapshot.Platform, options),
		option.Rows(runColumns(options), snapshot.Runs, options.NoHeaders),
		option.Rows(appColumns(options), snapshot.Apps, options.NoHeaders),
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

// platformBlock is a line for a platform without anything to report, otherwise a table
// of its parts.
func platformBlock(parts []status.Part, options tableOptions) string {
	if options.Wide || len(parts) == 0 || slices.ContainsFunc(parts, status.Part.Notable) {
		return option.Rows(platformColumns(), parts, options.NoHeaders)
	}
	versions := map[string]string{}
	unknown := 0
	for _, part := range parts {
		versions[part.Name] = part.Version
		if part.Unknown {
			unknown++
		}
	}
	text := fmt.Sprintf("Platform %s is healthy (%s", display.OrNone(versions["pipeline"]), display.Count(len(parts)-unknown, "part"))
	if unknown > 0 {
		text += fmt.Sprintf(", %d unknown", unknown)
	}
	return display.Sanitize(text+")") + "\n"
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
		display.Column[status.App]{Header: "URL", Cell: status.App.Address},
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
