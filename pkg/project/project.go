// Package project decides every value of a build and its deployment from flags, settings, what
// is detected in the folder and defaults, and records where each value comes from.
package project

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// Dockerfile is the path of a generated Dockerfile in the build context.
const Dockerfile = "Dockerfile"

// DefaultPort is the port of an app when nothing says where it listens.
const DefaultPort = python.DefaultPort

// Project is a resolved folder. A Value that nothing decides is not set.
type Project struct {
	// Dir is the absolute path of the folder.
	Dir string
	// Settings are those of pyproject.toml, zero without the table. They are merged into the
	// values below already.
	Settings *settings.Settings
	// Name is the name of the app. The default may not be valid: see CheckName.
	Name Value[string]

	// Context is the absolute path of the directory that is the build context: Dir unless an
	// option or a setting names another one, or a generated Dockerfile needs what is above Dir.
	Context string
	// context is where the option or the setting is, and within the path of Dir in the context
	// of a generated Dockerfile, "." for Dir itself.
	context Value[string]
	within  string
	// Dockerfile is what is built. Its origin is of kind Default if it is generated.
	Dockerfile Value[*dockerfile.Dockerfile]
	// File is the path of the Dockerfile on this machine; empty for a generated one.
	File string
	// Files are the files of the build context that are not in the directory: a generated
	// Dockerfile, or one from outside of the context, and its ignore file.
	Files map[string][]byte
	// Target is the stage that is built, not set for the last one. Stage is that stage.
	Target Value[string]
	Stage  dockerfile.Stage
	// BuildArgs are KEY=VALUE, each key once.
	BuildArgs []Value[string]

	// Secrets are what the stages mount that are built, in the order of the Dockerfile.
	// SecretSources are the Secrets of the namespace that settings name for them, by ID.
	Secrets       []Secret
	SecretSources map[string]Value[settings.SecretSource]

	// AllowSecretFiles are the files of the build context whose content may be a secret: those of
	// flags and of settings, as buildcontext.Options has them.
	AllowSecretFiles []string

	// Detected is the Python project, nil if the folder has its own Dockerfile.
	Detected *detect.Project
	// flagSecrets are the IDs of secrets that flags provide.
	flagSecrets []string
	// warnings are those of this package.
	warnings []string
	// Entrypoint, Python and Variant are those of a generated Dockerfile; they are not set
	// for the folder's own. Entrypoint is module:attribute, with () for a factory.
	Entrypoint Value[string]
	Python     Value[string]
	Variant    Value[generate.Variant]

	// Port is where the app listens. It is always set, unless NoDockerfile left it out.
	Port Value[int]
	// Test is the command that tests the image, not set without one. TestStage is the stage
	// of the Dockerfile that it runs in, empty for the image itself.
	Test      Value[[]string]
	TestStage string

	// CPU, Memory and Storage are what the build requests and may use.
	CPU, Memory, Storage Value[resource.Quantity]
	// NodeSelector selects the nodes that may run the build.
	NodeSelector map[string]Value[string]

	// Manifests is the directory of manifests that is deployed. If it is not set, Deployment is;
	// with Options.NoDeploy neither is.
	Manifests Value[string]
	// Values are those of a chart that settings and flags set, from the weakest to the strongest.
	Values     []source.Values
	Deployment *Deployment
}

// Generated reports whether the Dockerfile is generated.
func (p *Project) Generated() bool { return p.Detected != nil && p.Files != nil }

// CheckName returns an *appname.Error if the name cannot be that of an app.
func (p *Project) CheckName() error { return appname.Validate(p.Name.Value) }

// Args returns the build arguments without their origins.
func (p *Project) Args() []string {
	var args []string
	for _, arg := range p.BuildArgs {
		args = append(args, arg.Value)
	}
	return args
}

// Line is one line of an explanation.
type Line struct {
	// What is the subject, such as port.
	What string
	// Value is what was decided. It is empty where it may be secret.
	Value  string
	Origin Origin
}

// String returns the line as it is printed: port: 8000 (Dockerfile:7 EXPOSE).
func (l Line) String() string {
	if l.Value == "" {
		return fmt.Sprintf("%s (%s)", l.What, l.Origin)
	}
	return fmt.Sprintf("%s: %s (%s)", l.What, l.Value, l.Origin)
}

// Explain returns what a generated Dockerfile is made for and where each value comes from.
// It returns nothing for the folder's own Dockerfile.
func (p *Project) Explain() []Line {
	if p.Detected == nil {
		return nil
	}
	var lines []Line
	for _, evidence := range p.Detected.Evidence {
		lines = append(lines, Line{evidence.What, evidence.Value, p.originOf(evidence)})
	}
	lines = append(lines, travelLines(p)...)
	return append(lines, Line{"variant", string(p.Variant.Value), p.Variant.Origin})
}

// originOf returns the origin of a finding, which a flag or a setting may have decided.
func (p *Project) originOf(evidence detect.Evidence) Origin {
	for what, decided := range map[string]Origin{"app": p.Entrypoint.Origin, "python": p.Python.Origin, "port": p.Port.Origin} {
		if evidence.What == what && decided.Kind != Detected {
			return decided
		}
	}
	return Origin{Detected, evidence.Source}
}

// Warnings returns what the user probably did not intend: a sentence without a period for
// each.
func (p *Project) Warnings() []string {
	if p.Detected == nil {
		return slices.Concat(p.Settings.Warnings(), p.warnings)
	}
	return slices.Concat(p.Settings.Warnings(), p.Detected.Warnings, p.warnings)
}

// Summary returns one line about a generated Dockerfile, and nothing about the folder's own.
func (p *Project) Summary() string {
	if p.Detected == nil {
		return ""
	}
	found := []string{"Python " + p.Detected.Python}
	if app := p.Detected.App; app != nil {
		found = append([]string{app.Framework + " app " + app.Object}, found...)
	}
	if kind := p.Detected.Dependencies.Kind; kind != detect.None {
		found = append(found, "dependencies of "+string(kind))
	}
	return fmt.Sprintf("No Dockerfile: made a %s one for %s", p.Variant.Value, strings.Join(found, ", "))
}

// Travels returns lines about a build context above the folder: what travels of it, and why.
// It returns nothing for the folder itself and for the folder's own Dockerfile.
func Travels(p *Project) []Line {
	lines := travelLines(p)
	if lines == nil {
		return nil
	}
	for _, evidence := range p.Detected.Evidence {
		if evidence.What == "context" {
			lines = append(lines, Line{evidence.What, evidence.Value, p.originOf(evidence)})
		}
	}
	return lines
}
