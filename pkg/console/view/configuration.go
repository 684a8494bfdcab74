package view

import "github.com/pyflow-dev/kubectl-pyflow/pkg/app/env"

// Configuration is the model of the variables of an app: their names and sources, never a value.
type Configuration struct {
	Namespace, App string
	// Back is the path of the view of the app.
	Back      string
	Variables []env.Variable
	// ManyWorkloads shows the workloads of each variable.
	ManyWorkloads bool
	// Command prints the same in a terminal.
	Command string
}
