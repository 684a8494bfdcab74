package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

// BothError reports a name that is that of an app and of a run.
type BothError struct{ Name, Workload string }

func (e *BothError) Error() string {
	return fmt.Sprintf("%s is the name of an app and of a run", e.Name)
}

// Advice says how to name each.
func (e *BothError) Advice() []string {
	return []string{fmt.Sprintf("the log of the app: %s; of the run: %s",
		display.QuoteCommand("kubectl", "pyflow", "logs", e.Name+"/"+e.Workload), display.QuoteCommand("kubectl", "pyflow", "logs", "pipelinerun/"+e.Name))}
}

// NotDeployedError reports an app that was built and does not run.
type NotDeployedError struct{ Namespace, App string }

func (e *NotDeployedError) Error() string {
	return fmt.Sprintf("app %s does not run in namespace %s", e.App, e.Namespace)
}

// Advice names the log that there is.
func (e *NotDeployedError) Advice() []string {
	return []string{"the log of its newest build: " + display.QuoteCommand("kubectl", "pyflow", "logs", "--build", e.App)}
}

// app returns the app that Target names; false if that is a run. A name of both is a BothError.
func (o *Options) app(ctx context.Context) (found app.App, isApp bool, err error) {
	found, appErr := app.Find(ctx, o.Clients.Kube, o.Namespace, o.Target)
	if appErr != nil && !errors.As(appErr, new(*app.NotFoundError)) {
		return found, false, appErr
	}
	if o.Target == "" || appErr == nil && found.Part {
		if appErr != nil {
			appErr = cmp.Or(platform.CheckNamespace(ctx, o.Clients.Kube, o.Namespace), appErr)
		}
		return found, true, appErr
	}
	_, runErr := pipelinerun.FindRun(ctx, o.Clients.Tekton, o.Namespace, o.Target)
	var missing *pipelinerun.NotFoundError
	switch {
	case appErr == nil && runErr == nil:
		return found, false, &BothError{Name: o.Target, Workload: found.Workloads[0].Meta.Name}
	case appErr == nil:
		return found, true, nil
	case errors.As(runErr, &missing) && slices.Contains(missing.Apps, o.Target):
		return found, false, &NotDeployedError{Namespace: o.Namespace, App: o.Target}
	}
	return found, false, nil // a run, or what find.Run reports
}
