// Package remove deletes an app with everything that belongs to it: its objects, the records of
// its releases, its runs, and its images.
package remove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

const (
	// goneTimeout is how long deleted objects may take to go, looked at every goneInterval.
	goneTimeout  = time.Minute
	goneInterval = 500 * time.Millisecond
)

// kinds are those that an app can have, in the order of their deletion: what starts others first,
// and the records of releases last.
func kinds() []schema.GroupVersionResource {
	kind := func(group, version, resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
	}
	return []schema.GroupVersionResource{
		kind("tekton.dev", "v1", "pipelineruns"),
		kind("autoscaling", "v2", "horizontalpodautoscalers"),
		kind("gateway.networking.k8s.io", "v1", "httproutes"),
		kind("networking.k8s.io", "v1", "ingresses"),
		kind("", "v1", "services"),
		kind("batch", "v1", "cronjobs"),
		kind("batch", "v1", "jobs"),
		kind("apps", "v1", "deployments"),
		kind("apps", "v1", "statefulsets"),
		kind("apps", "v1", "daemonsets"),
		kind("policy", "v1", "poddisruptionbudgets"),
		kind("networking.k8s.io", "v1", "networkpolicies"),
		kind("", "v1", "serviceaccounts"),
		kind("", "v1", "persistentvolumeclaims"),
		kind("", "v1", "secrets"),
		kind("", "v1", "configmaps"),
	}
}

// Object is an object to delete.
type Object struct {
	Kind schema.GroupVersionResource
	metav1.ObjectMeta
}

// String returns the object as kubectl names it: deployments.apps/shop.
func (o Object) String() string { return o.Kind.GroupResource().String() + "/" + o.Name }

// Plan is what goes with an app.
type Plan struct {
	Namespace, App string
	// Objects are in the order of their deletion.
	Objects []Object
	// Running are the names of runs that have not ended.
	Running []string
	// Images are the manifests in the registry, an index before its parts.
	Images []images.Deletion
	// Unknown says what is not known, and so stays, in a sentence each.
	Unknown []string
}

// Empty reports whether nothing would be deleted.
func (p *Plan) Empty() bool { return len(p.Objects) == 0 && len(p.Images) == 0 }

// RunningError reports that a run of the app is in progress.
type RunningError struct {
	App  string
	Runs []string
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("app %s is being built: %s", e.App, strings.Join(e.Runs, ", "))
}

// Advice says how to go on.
func (e *RunningError) Advice() []string {
	return []string{"cancel the build first: kubectl pyflow cancel " + e.App + "; or pass --force, which cancels it"}
}

// LeftError reports what is still there after a deletion.
type LeftError struct {
	App  string
	Left []string
	// Errs are why, as far as that is known.
	Errs []error
}

func (e *LeftError) Error() string {
	text := fmt.Sprintf("app %s is not deleted completely: left are %s", e.App, strings.Join(e.Left, ", "))
	for _, err := range e.Errs {
		text += "\n" + err.Error()
	}
	return text
}

// Unwrap returns the reasons.
func (e *LeftError) Unwrap() []error { return e.Errs }

// Advice says how to go on.
func (e *LeftError) Advice() []string {
	return []string{"delete it again to finish: kubectl pyflow delete " + e.App}
}

// Find returns what goes with an app: the objects with the labels of the app and of the program,
// and without keepImages what the registry has. It changes nothing. An app that has nothing is
// an *app.NotFoundError.
func Find(ctx context.Context, clients *kube.Clients, name string, keepImages bool) (*Plan, error) {
	plan := &Plan{Namespace: clients.Namespace, App: name}
	if len(validation.IsDNS1123Label(name)) > 0 {
		return nil, &app.NotFoundError{Namespace: plan.Namespace, Name: name}
	}
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, fmt.Errorf("read the platform's configuration: %w", err)
	}
	if err := plan.findObjects(ctx, clients); err != nil {
		return nil, err
	}
	switch {
	case keepImages:
	case config.Registry.External:
		plan.Unknown = append(plan.Unknown, "the images stay: "+images.ErrExternal.Error())
	default:
		if err := plan.findImages(ctx, clients, config); err != nil {
			return nil, err
		}
	}
	if plan.Empty() {
		missing := &app.NotFoundError{Namespace: plan.Namespace, Name: name}
		if apps, err := app.List(ctx, clients.Kube, plan.Namespace); err == nil {
			for _, one := range apps {
				missing.Apps = append(missing.Apps, one.Name)
			}
		}
		return nil, missing
	}
	return plan, nil
}

// findObjects adds the objects. What the user may not list is Unknown.
func (p *Plan) findObjects(ctx context.Context, clients *kube.Clients) error {
	p.Objects = nil
	for _, kind := range kinds() {
		objects, err := objectsOf(ctx, clients, kind, p.Namespace, p.App)
		switch {
		case apierrors.IsForbidden(err):
			p.Unknown = append(p.Unknown, "you may not "+access.Permission{Verb: "list", Group: kind.Group, Resource: kind.Resource, Namespace: p.Namespace}.String())
			continue
		case err != nil:
			return err
		}
		for i := range objects {
			p.add(kind, &objects[i])
		}
	}
	return nil
}

// objectsOf returns the objects of a kind that have the labels of an app and of the program; none
// if the server does not have the kind.
func objectsOf(ctx context.Context, clients *kube.Clients, kind schema.GroupVersionResource, namespace, app string) ([]unstructured.Unstructured, error) {
	selector := labels.Set{manifests.LabelApp: app, manifests.LabelManagedBy: manifests.FieldManager}.String()
	list, err := clients.Dynamic.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s in namespace %s: %w", kind.GroupResource(), namespace, err)
	}
	return list.Items, nil
}

// add adds an object, unless another one takes it along.
func (p *Plan) add(kind schema.GroupVersionResource, object *unstructured.Unstructured) {
	if metav1.GetControllerOf(object) != nil {
		return
	}
	for _, owner := range object.GetOwnerReferences() {
		if owner.Kind == pipelinerunKind {
			return // a Secret of a run
		}
	}
	p.Objects = append(p.Objects, Object{Kind: kind, ObjectMeta: metav1.ObjectMeta{Name: object.GetName(), UID: object.GetUID()}})
	if kind.Group != "tekton.dev" {
		return
	}
	if running(object) {
		p.Running = append(p.Running, object.GetName())
	}
}

const pipelinerunKind = "PipelineRun"

// running reports whether a PipelineRun has not ended.
func running(object *unstructured.Unstructured) bool {
	_, ended, err := unstructured.NestedString(object.Object, "status", "completionTime")
	return err == nil && !ended
}

// findImages adds what the registry has of the app: images, build contexts and cached layers.
func (p *Plan) findImages(ctx context.Context, clients *kube.Clients, config *manifests.Config) error {
	repositories, err := images.Fetch(ctx, clients, config, images.Scope{Namespace: p.Namespace, App: p.App, AllKinds: true}, func(error) {})
	if err != nil {
		return fmt.Errorf("read the images: %w", err)
	}
	var indexes, others []images.Deletion
	for _, repository := range repositories {
		for _, manifest := range repository.Manifests {
			deletion := images.Deletion{Repository: repository, Manifest: manifest}
			if len(manifest.Children) > 0 {
				indexes = append(indexes, deletion)
			} else {
				others = append(others, deletion)
			}
		}
	}
	p.Images = slices.Concat(indexes, others)
	return nil
}

// Run deletes what the plan has, and calls deleted with each object after it, and with the
// images. With force it cancels running runs first; otherwise they are a *RunningError, and
// nothing is deleted. It goes on after a failure, and returns a *LeftError that names what is
// left; another Find and Run finish it.
func (p *Plan) Run(ctx context.Context, clients *kube.Clients, force bool, deleted func(string)) error {
	if len(p.Running) > 0 && !force {
		return &RunningError{App: p.App, Runs: p.Running}
	}
	left := &LeftError{App: p.App}
	for _, name := range p.Running {
		if err := p.cancel(ctx, clients, name); err != nil {
			return err
		}
	}
	for _, object := range p.Objects {
		if err := p.remove(ctx, clients, object); err != nil {
			left.Left, left.Errs = append(left.Left, object.String()), append(left.Errs, err)
			continue
		}
		deleted(object.String())
	}
	if err := p.removeImages(ctx, clients, deleted); err != nil {
		left.Left, left.Errs = append(left.Left, "images"), append(left.Errs, err)
	}
	if len(left.Errs) == 0 {
		names, err := p.awaitGone(ctx, clients)
		if err != nil {
			return err
		}
		left.Left = names
	}
	if len(left.Left) > 0 {
		return left
	}
	return nil
}

// cancel cancels a run and waits for its end, so that it deploys nothing afterwards.
func (p *Plan) cancel(ctx context.Context, clients *kube.Clients, name string) error {
	run, err := pipelinerun.FindRun(ctx, clients.Tekton, p.Namespace, name)
	if errors.As(err, new(*pipelinerun.NotFoundError)) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := pipelinerun.Cancel(ctx, clients.Tekton, p.Namespace, name, pipelinerun.Ending{Reason: pipelinerun.ReasonDeleted, Message: "the app was deleted"}); err != nil && !errors.As(err, new(*pipelinerun.EndedError)) {
		return err
	}
	return await(ctx, clients, run)
}

func await(ctx context.Context, clients *kube.Clients, run *tektonv1.PipelineRun) error {
	_, err := pipelinerun.AwaitEnd(ctx, clients.Tekton, run.Namespace, run.Name, run.UID)
	return err
}

// remove deletes one object, and nothing of its name that was made after Find.
func (p *Plan) remove(ctx context.Context, clients *kube.Clients, object Object) error {
	background := metav1.DeletePropagationBackground
	err := clients.Dynamic.Resource(object.Kind).Namespace(p.Namespace).Delete(ctx, object.Name, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &object.UID},
	})
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return app.Denied(err, access.Permission{Verb: "delete", Group: object.Kind.Group, Resource: object.Kind.Resource, Namespace: p.Namespace})
}

// removeImages deletes the images with the credentials of the namespace.
func (p *Plan) removeImages(ctx context.Context, clients *kube.Clients, deleted func(string)) error {
	if len(p.Images) == 0 {
		return nil
	}
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return err
	}
	client, err := images.Open(ctx, clients, config, p.Namespace)
	if err != nil {
		return err
	}
	defer client.Close()
	gone, err := images.Delete(ctx, client, p.Images, func(int) {})
	if len(gone) > 0 {
		deleted(fmt.Sprintf("%d manifests of images, build contexts and cached layers", len(gone)))
	}
	return err
}

// awaitGone waits until the objects are gone, and returns those that are not in time: an object
// with a finalizer takes as long as its controller.
func (p *Plan) awaitGone(ctx context.Context, clients *kube.Clients) ([]string, error) {
	ours := map[string]bool{}
	for _, object := range p.Objects {
		ours[string(object.UID)] = true
	}
	for deadline := time.Now().Add(goneTimeout); ; {
		now := &Plan{Namespace: p.Namespace, App: p.App}
		if err := now.findObjects(ctx, clients); err != nil {
			return nil, err
		}
		var left []string
		for _, object := range now.Objects {
			if ours[string(object.UID)] {
				left = append(left, object.String())
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left, nil
		}
		if !watch.WaitFor(ctx, nil, goneInterval) {
			return nil, context.Cause(ctx)
		}
	}
}
