package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/rollout"
)

// waitFor returns when the workloads among objects are available. It calls progress
// whenever one of them comes closer to that.
func (i *Installer) waitFor(ctx context.Context, name string, objects []*unstructured.Unstructured, progress func()) error {
	byNamespace := map[string][]release.Workload{}
	for _, object := range objects {
		if kind := object.GetKind(); kind == "Deployment" || kind == "StatefulSet" || kind == "DaemonSet" {
			namespace := object.GetNamespace()
			byNamespace[namespace] = append(byNamespace[namespace], release.Workload{Kind: kind, Name: object.GetName()})
		}
	}
	if len(byNamespace) == 0 {
		return nil
	}
	done := i.Progress.Start("Waiting: " + name)
	group, ctx := errgroup.WithContext(ctx)
	for namespace, workloads := range byNamespace {
		group.Go(func() error {
			before := map[release.Workload]string{}
			err := rollout.Watch(ctx, i.Clients.Kube, namespace, workloads, "", func(update rollout.Update) {
				i.Progress.Update("Waiting: " + name + ": " + cmp.Or(update.Trouble, update.State.Message))
				// A pod's trouble may come and go; that is no progress.
				if before[update.Workload] != update.State.Message {
					before[update.Workload] = update.State.Message
					progress()
				}
			})
			if err != nil {
				return fmt.Errorf("namespace %s: %w", namespace, err)
			}
			return nil
		})
	}
	err := group.Wait()
	done(name+" available", err)
	if failure, ok := errors.AsType[*rollout.Failure](err); ok {
		i.Progress.Log(failure.Pod, failure.Log...)
	}
	return err
}
