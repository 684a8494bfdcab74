package complete

import "github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"

// Stages returns the names of the stages of a Dockerfile.
func Stages(d *dockerfile.Dockerfile) []string {
	var names []string
	for _, stage := range d.Stages {
		if stage.Name != "" {
			names = append(names, stage.Name)
		}
	}
	return names
}
