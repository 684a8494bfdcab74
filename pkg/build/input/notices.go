package input

import (
	"context"
	"path/filepath"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
)

// Notices returns what the user should know about a folder before it is built: for which
// project the Dockerfile was generated, and the number of lint findings, which do not fail
// the build.
func Notices(ctx context.Context, found *project.Project) []event.Event {
	var notices []event.Event
	if found.Detected != nil {
		notices = append(notices, event.Event{Message: found.Summary() + "; --show-dockerfile prints it, kubectl pyflow init keeps it"})
	}
	for _, line := range project.Travels(found) {
		notices = append(notices, event.Event{Message: line.String()})
	}
	for _, line := range append(project.Suggestions(found), found.Deployment.ProcessLine(), found.Deployment.UserLine()) {
		if line != "" {
			notices = append(notices, event.Event{Message: line})
		}
	}
	for _, warning := range found.Warnings() {
		notices = append(notices, event.Event{Reason: event.Warning, Message: warning})
	}
	dockerfile := found.Dockerfile.Value.Path
	report, err := lint.Run(ctx, lint.Options{
		Dir: found.Context, Dockerfile: dockerfile, Content: found.Files[dockerfile], Ignore: found.Ignore(), Target: found.Target.Value,
	})
	if err != nil {
		return notices // the build fails with the error in the Dockerfile
	}
	if failures, warnings, _ := report.Count(); failures+warnings > 0 {
		notices = append(notices, event.Event{Message: report.Summary() + "; see them with " + lintCommand(found)})
	}
	return notices
}

// lintCommand returns the command that prints the findings of what is built.
func lintCommand(found *project.Project) string {
	args := []string{"kubectl", "pyflow", "lint", found.Dir}
	target := found.Target.Value
	if found.Context != found.Dir {
		args = append(args, "--context", found.Context)
	}
	if found.Detected != nil {
		args = append(args, "--variant", string(found.Variant.Value))
	} else if found.Dockerfile.Origin.Kind == project.Flag {
		file := found.File
		if relative, err := filepath.Rel(found.Dir, file); err == nil && filepath.IsLocal(relative) {
			file = relative
		}
		args = append(args, "-f", file)
	}
	if target != found.Settings.Build.Target {
		args = append(args, "--target", target)
	}
	return display.QuoteCommand(args...)
}
