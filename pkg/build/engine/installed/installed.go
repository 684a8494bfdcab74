// Package installed chooses the build engine that setup installs. It is the only place
// that names one.
package installed

import (
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/kaniko"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Engine returns the engine of the Tasks in pkg/manifests.
func Engine() engine.Engine { return kaniko.Engine{} }

// Version returns the version of the engine that the Tasks run.
func Version() string { return manifests.Engine() }

// Capabilities returns the capabilities of that version.
func Capabilities() engine.Capabilities { return Engine().Capabilities(Version()) }
