package build

import (
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// TestTestRunArg checks that the Task gives the argument that the stage of the tests declares:
// without it a run would take its tests from the cache.
func TestTestRunArg(t *testing.T) {
	if manifests.TestRunArg != dockerfile.TestRunArg {
		t.Errorf("the Task gives %s, the stage declares %s", manifests.TestRunArg, dockerfile.TestRunArg)
	}
}
