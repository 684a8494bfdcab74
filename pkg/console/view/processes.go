package view

import (
	"cmp"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// Process is a workload of an app: one of its processes, or one that the manifests have besides.
type Process struct {
	status.AppPart
	// Object is the path of the YAML of the workload.
	Object string
	// State is one word or two, Tone the class of its color.
	State, Tone string
	// Scale is nil for a workload that has no number of replicas.
	Restart, Scale *Action
}

// NewProcesses returns rows of the workloads of an app. It is pure.
func NewProcesses(app status.App) []Process {
	rows := make([]Process, 0, len(app.Parts))
	for _, part := range app.Parts {
		row := Process{AppPart: part, Object: Path("objects", app.Namespace, strings.ToLower(part.Kind)+"s.apps", part.Workload)}
		switch {
		case !part.Healthy:
			row.State, row.Tone = cmp.Or(part.Reason, "Unhealthy"), toneBad
		case part.Message != "":
			row.State, row.Tone = "Rolling out", toneBusy
		case part.Desired == 0:
			row.State, row.Tone = "Stopped", toneIdle
		default:
			row.State, row.Tone = "Ready", toneGood
		}
		rows = append(rows, row)
	}
	return rows
}
