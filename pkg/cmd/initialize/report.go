package initialize

import (
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/scaffold"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// Report is what -o json prints. Lists are empty, never null.
type Report struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	// Name is the name of the app. Dir is the directory as the user named it.
	Name string `json:"name"`
	Dir  string `json:"dir"`
	// Template is that of a new service, empty for an existing project.
	Template string  `json:"template,omitempty"`
	DryRun   bool    `json:"dryRun"`
	Files    []File  `json:"files"`
	Project  Project `json:"project"`
}

// File is a file and what init does with it.
type File struct {
	Path   string          `json:"path"`
	Action scaffold.Action `json:"action"`
	// Content is the whole new content, in a dry run only.
	Content string `json:"content,omitempty"`
}

// Project is detect.Project.
type Project struct {
	Name         string       `json:"name,omitempty"`
	App          *App         `json:"app,omitempty"`
	Python       string       `json:"python"`
	Port         int          `json:"port"`
	Root         string       `json:"root"`
	Code         []string     `json:"code"`
	Package      bool         `json:"package"`
	Dependencies Dependencies `json:"dependencies"`
	Dev          Dependencies `json:"dev"`
	Extra        []string     `json:"extra"`
	Libraries    Libraries    `json:"libraries"`
	Evidence     []Evidence   `json:"evidence"`
	Warnings     []string     `json:"warnings"`
}

// App is detect.App.
type App struct {
	Object    string `json:"object"`
	Factory   bool   `json:"factory"`
	Framework string `json:"framework"`
	Server    string `json:"server"`
	File      string `json:"file"`
}

// Dependencies are detect.Dependencies.
type Dependencies struct {
	Kind   string   `json:"kind,omitempty"`
	Files  []string `json:"files"`
	Locked bool     `json:"locked"`
	Hashed bool     `json:"hashed"`
	Groups []string `json:"groups"`
	Names  []string `json:"names"`
	// Secrets are those of detect.Access.
	Secrets []Secret `json:"secrets"`
}

// Secret is detect.Secret.
type Secret struct {
	ID       string   `json:"id"`
	Variable string   `json:"variable,omitempty"`
	Required bool     `json:"required"`
	Sources  []string `json:"sources"`
}

// Libraries are detect.Libraries.
type Libraries struct {
	Build []string `json:"build"`
	Run   []string `json:"run"`
}

// Evidence is detect.Evidence.
type Evidence struct {
	What   string `json:"what"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

func (o *Options) report(w *scaffold.Work) Report {
	p := w.Project
	report := Report{
		Kind: "Init", APIVersion: "pyflow.dev/v1", Name: w.Name, Dir: o.Dir, Template: o.Template, DryRun: o.DryRun, Files: []File{},
		Project: Project{
			Name: p.Name, Python: p.Python, Port: p.Port, Root: p.Root, Code: list(p.Code), Package: p.Package,
			Dependencies: dependencies(p.Dependencies), Dev: dependencies(p.Dev), Extra: list(p.Extra),
			Libraries: Libraries{Build: list(p.Libraries.Build), Run: list(p.Libraries.Run)},
			Evidence:  []Evidence{}, Warnings: list(w.Warnings),
		},
	}
	if app := p.App; app != nil {
		report.Project.App = &App{Object: app.Object, Factory: app.Factory, Framework: app.Framework, Server: app.Server, File: app.File}
	}
	for _, evidence := range p.Evidence {
		report.Project.Evidence = append(report.Project.Evidence, Evidence(evidence))
	}
	for _, change := range w.Plan.Changes {
		file := File{Path: change.Path, Action: change.Action}
		if o.DryRun && change.Writes() {
			file.Content = string(change.After)
		}
		report.Files = append(report.Files, file)
	}
	return report
}

func dependencies(d detect.Dependencies) Dependencies {
	secrets := []Secret{}
	for _, one := range d.Access.Secrets {
		secrets = append(secrets, Secret{ID: one.ID, Variable: one.Variable, Required: one.Required, Sources: list(one.Sources)})
	}
	return Dependencies{
		Kind: string(d.Kind), Files: list(d.Files), Locked: d.Locked, Hashed: d.Hashed, Groups: list(d.Groups), Names: list(d.Names),
		Secrets: secrets,
	}
}

// list returns an empty list instead of nil.
func list(words []string) []string {
	if words == nil {
		return []string{}
	}
	return words
}
