package console

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// scaleArgs returns the command that sets the replicas of a process.
func scaleArgs(form url.Values) ([]string, error) {
	replicas, err := strconv.ParseInt(strings.TrimSpace(form.Get("replicas")), 10, 32)
	if err != nil || replicas < 0 {
		return nil, errors.New("how many replicas the process has is not a number")
	}
	return onApp("scale", form, []string{strconv.FormatInt(replicas, 10)})
}

// processes returns the workloads of an app with what can be done with each.
func (v *appViews) processes(ctx context.Context, app status.App) []view.Process {
	rows := view.NewProcesses(app)
	for i := range rows {
		row := &rows[i]
		// The only workload of an app is the app.
		name := app.Name
		if len(rows) > 1 {
			name += "/" + row.Name
		}
		permission := access.Permission{Verb: "patch", Group: appsv1.GroupName, Resource: workload.Resource(row.Kind), Namespace: app.Namespace}
		restart := v.action(ctx, view.Action{
			Name: "restart", ID: fmt.Sprint("restart-", i), Label: "Restart", Spoken: "Restart " + name, Title: "Restart " + name + "?",
			Text:   "Replaces its pods one after another, as a rollout does, and waits until the new ones are ready.",
			Fields: fields("namespace", app.Namespace, "name", name),
		}, permission)
		row.Restart = &restart
		if row.Kind == workload.DaemonSet {
			continue
		}
		permission.Subresource = "scale"
		scale := v.action(ctx, view.Action{
			Name: "scale", ID: fmt.Sprint("scale-", i), Label: "Scale", Spoken: "Scale " + name, Title: "Scale " + name,
			Text:   "Sets the number of replicas, and waits until they are ready. Builds keep the number from then on.",
			Fields: fields("namespace", app.Namespace, "name", name),
			Inputs: []view.Input{{Name: "replicas", Label: "Replicas", Value: strconv.Itoa(int(row.Desired)), Hint: "0 stops the process", Required: true}},
		}, permission)
		row.Scale = &scale
	}
	return rows
}
