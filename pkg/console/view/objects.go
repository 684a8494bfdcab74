package view

import "github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"

// Objects is the model of the objects of a run.
type Objects struct {
	Run status.Run
	// Back is the path of the view of the run.
	Back  string
	Items []Object
	// Notes are what is missing in Items, and why.
	Notes []string
}

// Object is a link to an object of the cluster.
type Object struct{ Kind, Namespace, Name, Path string }

// YAML is the model of one object.
type YAML struct {
	Kind, Namespace, Name string
	// Text is the object, Command prints the same in a terminal.
	Text, Command string
}
