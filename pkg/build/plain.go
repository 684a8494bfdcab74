package build

import (
	"maps"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// plainSecrets returns a warning of the variables whose values are secrets and which a release has
// literally: in its workloads, and in the record of the release.
func plainSecrets(wanted *release.Options) []event.Event {
	names := secretNames(wanted.Env)
	for _, process := range wanted.Processes {
		names = append(names, secretNames(process.Env)...)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	names = slices.Compact(names)
	command := display.QuoteCommand(append(append([]string{"kubectl", "pyflow", "env", "set", wanted.App}, names...), "--secret")...)
	return []event.Event{{
		Reason: event.Warning,
		Message: "Everyone who may read the Deployment or the record of the release can read what looks like a secret in " +
			strings.Join(names, ", ") + ": leave it out here, and keep it in a Secret: " + command,
	}}
}

// secretNames returns the names of the variables with a literal secret.
func secretNames(variables map[string]app.Variable) []string {
	return slices.DeleteFunc(slices.Collect(maps.Keys(variables)), func(name string) bool {
		return !secret.InVariable(name, variables[name].Value)
	})
}
