package input

import (
	"errors"
	"fmt"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// CheckBuildArgs checks the build arguments of one build. An error repeats no value, and says how a
// build gets a secret.
func CheckBuildArgs(args []string) error {
	err := manifests.CheckBuildArgs(args)
	var found *secret.ArgumentError
	if errors.As(err, &found) {
		return fmt.Errorf("%w; use --build-secret id=%s,env=%[2]s and RUN --mount=type=secret,id=%[2]s,env=%[2]s", err, found.Name)
	}
	return err
}
