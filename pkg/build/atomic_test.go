package build

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
)

// TestChanged knows the failures that leave an app changed: of its rollout, and of a step that has
// applied something.
func TestChanged(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"success":                 {},
		"a problem of the server": {err: errors.New("connection refused")},
		"the build":               {err: &event.Failure{Phase: event.Build, Step: "build"}},
		"the rollout":             {err: &event.Failure{Phase: event.Rollout, Step: "shop-5d4"}, want: true},
		"a wrapped rollout":       {err: fmt.Errorf("x: %w", &event.Failure{Phase: event.Rollout}), want: true},
		"the dry run":             {err: &event.Failure{Phase: event.Deploy, Step: "check"}},
		"what comes before it":    {err: &event.Failure{Phase: event.Deploy, Step: "overlay"}},
		"the image's user":        {err: &event.Failure{Phase: event.Deploy, Step: "pull"}},
		"a pod that never starts": {err: &event.Failure{Phase: event.Deploy}},
		"half of the manifests":   {err: &event.Failure{Phase: event.Deploy, Step: "apply"}, want: true},
		"a Job":                   {err: &event.Failure{Phase: event.Deploy, Step: "complete"}, want: true},
	} {
		if got := changed(test.err); got != test.want {
			t.Errorf("%s: changed is %v", name, got)
		}
	}
}
