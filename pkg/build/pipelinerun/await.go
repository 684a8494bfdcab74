package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"sync"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	tektoninformers "github.com/tektoncd/pipeline/pkg/client/informers/externalversions/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
)

// ErrDeleted says that a run was deleted before it ended.
var ErrDeleted = errors.New("the run was deleted")

// AwaitEnd returns the run with that name and UID once it has ended, whatever its
// end was. One that is gone is ErrDeleted. A broken watch is replaced until
// ctx ends, whose cause is returned then.
func AwaitEnd(ctx context.Context, client versioned.Interface, namespace, name string, uid types.UID) (*tektonv1.PipelineRun, error) {
	watching, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer func() {
		stop()
		group.Wait()
	}()
	informer := tektoninformers.NewFilteredPipelineRunInformer(client, namespace, 0, nil, func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
	})
	heard := watch.New()
	changed := heard.Changed()
	heard.Watch(watching, &group, informer, func(error) {}) // each is tried again
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the end of run %s: %w", name, context.Cause(ctx))
		case <-changed:
		}
		changed = heard.Changed()
		if !informer.HasSynced() {
			continue
		}
		run := watch.Get[tektonv1.PipelineRun](informer, namespace+"/"+name)
		switch {
		case run == nil || run.UID != uid:
			return nil, fmt.Errorf("wait for the end of run %s: %w", name, ErrDeleted)
		case run.IsDone():
			return run, nil
		}
	}
}
