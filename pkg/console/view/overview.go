package view

import (
	"cmp"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// Overview is the model of the first view.
type Overview struct {
	// Runs are the newest of AllRuns runs.
	Runs        []status.Run
	AllRuns     int
	RunsReady   bool
	RunsProblem *Problem

	Apps        []status.App
	AppsReady   bool
	AppsProblem *Problem

	ManyNamespaces bool
	Build          Action
}

// SortApps returns apps with those that are not healthy first, else by namespace and name.
func SortApps(apps []status.App) []status.App {
	sorted := slices.Clone(apps)
	slices.SortStableFunc(sorted, func(a, b status.App) int {
		rank := map[bool]int{false: 0, true: 1}
		return cmp.Compare(rank[a.Healthy], rank[b.Healthy])
	})
	return sorted
}
