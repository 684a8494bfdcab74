package initialize

import (
	"encoding/json"
	"fmt"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/scaffold"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// introduce says what is going to be done, and from what.
func (o *Options) introduce(w *work) {
	out := o.Streams.ErrOut
	if o.New {
		fmt.Fprintf(out, "%s: a new service from the template %s, Python %s, port %d\n", w.name, o.Template, w.project.Python, w.project.Port)
	} else {
		fmt.Fprintf(out, "%s: the project in %s\n\n", w.name, o.Dir)
		fmt.Fprintln(out, display.Table([]display.Column[detect.Evidence]{
			{Header: "WHAT", Cell: func(e detect.Evidence) string { return e.What }},
			{Header: "VALUE", Cell: func(e detect.Evidence) string { return e.Value }},
			{Header: "FROM", Cell: func(e detect.Evidence) string { return e.Source }},
		}, w.project.Evidence))
	}
	for _, warning := range w.project.Warnings {
		fmt.Fprintln(out, "warning: "+warning)
	}
	for _, note := range w.notes {
		fmt.Fprintln(out, "note: "+note)
	}
	for _, change := range w.plan.Changes {
		if change.Action == scaffold.Keep {
			fmt.Fprintf(out, "note: %s is there and stays; --force writes it anew, and keeps it as %s\n", change.Path, change.Path+scaffold.OrigSuffix)
		}
	}
}

// show prints what would be written.
func (o *Options) show(w *work) error {
	out := o.Streams.ErrOut
	if !w.plan.Writes() {
		fmt.Fprintln(out, "Nothing would be written: all is there")
	} else {
		fmt.Fprintln(out, "Would be written; nothing is, as this is a dry run:")
	}
	var paths []string
	for _, change := range w.plan.Changes {
		if !change.Writes() {
			continue
		}
		if change.Action == scaffold.Replace {
			paths = append(paths, change.Path+scaffold.OrigSuffix)
		}
		paths = append(paths, change.Path)
		// A new service is too much to be read here.
		if !o.New || change.Action == scaffold.Replace {
			fmt.Fprint(out, "\n", scaffold.Diff(change))
		}
	}
	return o.print(w, paths)
}

// conclude says what was done.
func (o *Options) conclude(w *work, written []string) error {
	out := o.Streams.ErrOut
	switch {
	case !w.plan.Writes():
		fmt.Fprintln(out, "Nothing to do: all is there")
	case len(written) > 0:
		fmt.Fprintf(out, "Wrote %s\n", display.Count(len(written), "file"))
	}
	if err := o.print(w, written); err != nil {
		return err
	}
	if o.New && len(written) > 0 {
		fmt.Fprintf(out, "README.md says how to run and test it; build and deliver it: %s\n", o.build())
	} else if len(written) > 0 {
		fmt.Fprintf(out, "Build and deliver it: %s\n", o.build())
	}
	return nil
}

// build is the next command.
func (o *Options) build() string {
	if o.Dir == "." {
		return "kubectl pyflow build"
	}
	return display.QuoteCommand("kubectl", "pyflow", "build", o.Dir)
}

// print writes the result to standard output.
func (o *Options) print(w *work, paths []string) error {
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
