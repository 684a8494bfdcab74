package pipelinerun

import (
	"context"
	"fmt"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	tektoninformers "github.com/tektoncd/pipeline/pkg/client/informers/externalversions/pipeline/v1"
)

// AwaitEnd returns the run with that name and UID once it has ended, whatever its
// end was. One that is gone is ErrDeleted. A watch that breaks is made anew until
// ctx ends, whose cause is returned then.
func AwaitEnd(ctx context.Context, client versioned.Interface, namespace, name string, uid types.UID) (*tektonv1.PipelineRun, error) {
	watching, stop := context.WithCancel(ctx)
	changed := make(chan struct{}, 1)
	touch := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	informer := tektoninformers.NewFilteredPipelineRunInformer(client, namespace, 0, nil, func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
	})
	// It fails only once the informer has been stopped.
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { touch() },
		UpdateFunc: func(any, any) { touch() },
		DeleteFunc: func(any) { touch() },
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		informer.RunWithContext(watching)
	}()
	defer func() {
		stop()
		<-done
	}()
	go func() {
		// An empty list changes nothing that the handler would hear of.
		cache.WaitForCacheSync(watching.Done(), informer.HasSynced)
		touch()
	}()
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the end of run %s: %w", name, context.Cause(ctx))
		case <-changed:
		}
		if !informer.HasSynced() {
			continue
		}
		object, exists, err := informer.GetStore().GetByKey(namespace + "/" + name)
		run, _ := object.(*tektonv1.PipelineRun)
		switch {
		case err != nil:
			return nil, err
		case !exists || run == nil || run.UID != uid:
			return nil, fmt.Errorf("wait for the end of run %s: %w", name, ErrDeleted)
		case run.IsDone():
			return run, nil
		}
	}
}
