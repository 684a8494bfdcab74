package status

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/refresh"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// clearScreen moves to the top of a terminal and clears what is below.
const clearScreen = "\x1b[H\x1b[2J"

// watch prints the report whenever something in it changes.
func (o *Options) watch(ctx context.Context) error {
	printed := map[string]string{}
	return refresh.Run(ctx, o.Watch, o.kinds(), func(ctx context.Context) error {
		snapshot, err := o.collect(ctx)
		if err != nil {
			return err
		}
		if o.Redraw {
			if _, err := fmt.Fprint(o.Streams.Out, clearScreen); err != nil {
				return err
			}
			return o.Print(snapshot, o.Streams.Out)
		}
		if !unprinted(snapshot, printed) {
			return nil
		}
		return o.Print(snapshot, o.Streams.Out)
	})
}

// kinds are what a report is made of and changes while it is watched.
func (o *Options) kinds() []refresh.Kind {
	scope := o.Report.Namespace
	if o.Report.AllNamespaces {
		scope = ""
	}
	apps := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: resource}
	}
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	return []refresh.Kind{
		{Resource: schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}, Namespace: scope},
		{Resource: apps("deployments"), Namespace: scope},
		{Resource: apps("statefulsets"), Namespace: scope},
		{Resource: apps("daemonsets"), Namespace: scope},
		{Resource: pods, Namespace: scope},
		{Resource: pods, Namespace: manifests.SystemNamespace},
	}
}

// unprinted leaves in snapshot what differs from what is printed, and records it there.
// It reports whether that is anything.
func unprinted(snapshot *status.Status, printed map[string]string) bool {
	known := func(key string, value any) bool {
		text, _ := json.Marshal(value) // of strings, numbers and times, so it does not fail
		same := printed[key] == string(text)
		printed[key] = string(text)
		return same
	}
	if known("platform", snapshot.Platform) {
		snapshot.Platform = nil
	}
	snapshot.Runs = slices.DeleteFunc(snapshot.Runs, func(run status.Run) bool {
		if run.Finished == nil {
			run.DurationSeconds = 0
		}
		return known("run "+run.Namespace+"/"+run.Name, run)
	})
	snapshot.Apps = slices.DeleteFunc(snapshot.Apps, func(app status.App) bool {
		return known("app "+app.Namespace+"/"+app.Name, app)
	})
	return len(snapshot.Platform)+len(snapshot.Runs)+len(snapshot.Apps) > 0
}
