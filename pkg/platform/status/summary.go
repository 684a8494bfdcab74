package status

import (
	"fmt"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// Readable returns the parts of the platform that the user may read. A table of parts shows
// these only: a developer lacks the permissions for the others at every call.
func (s *Status) Readable() []Part {
	return slices.DeleteFunc(slices.Clone(s.Platform), func(part Part) bool { return part.Unknown })
}

// PlatformSummary reports whether all parts that the user may read are healthy, and returns
// that in one line: "Platform v1.2.0 healthy (10 parts)".
func (s *Status) PlatformSummary() (healthy bool, line string) {
	name := "Platform"
	parts := s.Readable()
	var unhealthy []string
	for _, part := range parts {
		if part.Name == pipelinePart && part.Version != "" {
			name += " " + part.Version
		}
		if !part.Healthy {
			unhealthy = append(unhealthy, part.Name)
		}
	}
	if len(unhealthy) > 0 {
		return false, fmt.Sprintf("%s not healthy: %s", name, display.JoinMax(unhealthy, maxNames))
	}
	return true, fmt.Sprintf("%s healthy (%s)", name, display.Count(len(parts), "part"))
}
