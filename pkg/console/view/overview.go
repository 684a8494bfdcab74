package view

import (
	"cmp"
	"slices"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// Overview is the model of the first view.
type Overview struct {
	// Runs are the newest of AllRuns runs: until RunsReady, of those that are read so far.
	Runs        []status.Run
	AllRuns     int
	RunsReady   bool
	RunsProblem *Problem

	// Apps are the first ones, those that are not healthy before the others; AllApps counts
	// them if there are more.
	Apps        []status.App
	AllApps     int
	AppsReady   bool
	AppsProblem *Problem

	// Platform is its health in one line, and PlatformHealthy the health itself. Platform is
	// empty as long as it is not known.
	Platform        string
	PlatformHealthy bool
	PlatformRead    time.Time

	ManyNamespaces bool
	Build          Action
}

// OneApp reports that the list of runs need not name the app of each.
func (Overview) OneApp() bool { return false }

// SortApps returns apps with those that are not healthy first, else by namespace and name.
func SortApps(apps []status.App) []status.App {
	sorted := slices.Clone(apps)
	slices.SortStableFunc(sorted, func(a, b status.App) int {
		rank := map[bool]int{false: 0, true: 1}
		return cmp.Compare(rank[a.Healthy], rank[b.Healthy])
	})
	return sorted
}
