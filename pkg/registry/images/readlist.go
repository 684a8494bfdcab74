package images

import (
	"context"
	"errors"
	"fmt"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

// ErrNoImages reports that an app has no images.
var ErrNoImages = errors.New("no images")

// ReadList returns the images in scope, with the workloads that use them. With
// scope.AllKinds it also returns what each namespace stores. Waiting is called while
// ReadList waits for the registry. If scope names an app and that app has no images,
// the error holds ErrNoImages.
func ReadList(ctx context.Context, clients *kube.Clients, scope Scope, waiting func(error)) (*List, error) {
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, err
	}
	repositories, err := Fetch(ctx, clients, config, scope, waiting)
	if err != nil {
		return nil, err
	}
	usage, err := Workloads(ctx, clients.Dynamic, scope.Namespace, repositories)
	if err != nil {
		return nil, err
	}
	list := NewList(config.Registry, repositories, usage)
	if scope.AllKinds {
		list.Stored = Sum(repositories)
	}
	if scope.App != "" && len(list.Items) == 0 {
		return nil, fmt.Errorf("app %q has %w %s", scope.App, ErrNoImages, scope.Where())
	}
	return list, nil
}

// Where returns the namespaces of s as a phrase: "in namespace shop".
func (s Scope) Where() string {
	if s.Namespace == "" {
		return "in any namespace"
	}
	return "in namespace " + s.Namespace
}
