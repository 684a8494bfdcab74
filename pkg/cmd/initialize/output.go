package initialize

import (
	"encoding/json"
	"fmt"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/scaffold"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// introduce prints what was detected, warnings and notes.
func (o *Options) introduce(w *scaffold.Work) {
	out := o.Streams.ErrOut
	if o.Template != "" {
		fmt.Fprintf(out, "%s: a new service from the template %s, Python %s, port %d\n", w.Name, o.Template, w.Project.Python, w.Project.Port)
	} else {
		fmt.Fprintf(out, "%s: the project in %s\n\n", w.Name, o.Dir)
		fmt.Fprintln(out, display.Table([]display.Column[detect.Evidence]{
			{Header: "WHAT", Cell: func(e detect.Evidence) string { return e.What }},
			{Header: "VALUE", Cell: func(e detect.Evidence) string { return e.Value }},
			{Header: "FROM", Cell: func(e detect.Evidence) string { return e.Source }},
		}, w.Project.Evidence))
	}
	for _, warning := range w.Warnings {
		fmt.Fprintln(out, "warning: "+warning)
	}
	for _, note := range w.Notes {
		fmt.Fprintln(out, "note: "+note)
	}
	for _, change := range w.Plan.Changes {
		if change.Action == scaffold.Keep {
			fmt.Fprintf(out, "note: %s exists and stays; --force replaces it and keeps it as %s\n", change.Path, change.Path+scaffold.OrigSuffix)
		}
	}
}

// show prints what would be written.
func (o *Options) show(w *scaffold.Work) error {
	out := o.Streams.ErrOut
	if !w.Plan.Writes() {
		fmt.Fprintln(out, "Dry run. Nothing to write: all files exist")
	} else {
		fmt.Fprintln(out, "Dry run. Would write:")
	}
	var paths []string
	for _, change := range w.Plan.Changes {
		if !change.Writes() {
			continue
		}
		if change.Action == scaffold.Replace {
			paths = append(paths, change.Path+scaffold.OrigSuffix)
		}
		paths = append(paths, change.Path)
		// A new service is too long to print.
		if o.Template == "" || change.Action == scaffold.Replace {
			fmt.Fprint(out, "\n", scaffold.Diff(change))
		}
	}
	return o.print(w, paths)
}

// conclude prints what was written and the next command.
func (o *Options) conclude(w *scaffold.Work, written []string) error {
	out := o.Streams.ErrOut
	switch {
	case !w.Plan.Writes():
		fmt.Fprintln(out, "Nothing to do: all files exist")
	case len(written) > 0:
		fmt.Fprintf(out, "Wrote %s\n", display.Count(len(written), "file"))
	}
	if err := o.print(w, written); err != nil {
		return err
	}
	if o.Template != "" && len(written) > 0 {
		fmt.Fprintf(out, "README.md explains how to run and test it. Build and deploy it: %s\n", o.build())
	} else if len(written) > 0 {
		fmt.Fprintf(out, "Build and deploy it: %s\n", o.build())
	}
	return nil
}

// build returns the next command.
func (o *Options) build() string {
	if o.Dir == "." {
		return "kubectl pyflow build"
	}
	return display.QuoteCommand("kubectl", "pyflow", "build", o.Dir)
}

// print prints the result on standard output.
func (o *Options) print(w *scaffold.Work, paths []string) error {
	if !o.JSON {
		for _, name := range paths {
			if _, err := fmt.Fprintln(o.Streams.Out, o.file(name)); err != nil {
				return err
			}
		}
		return nil
	}
	encoder := json.NewEncoder(o.Streams.Out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(o.report(w))
}
