// Package live says which release of an app the cluster runs.
package live

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/rollout"
)

// parallel is how many requests are under way at once.
const parallel = 8

// Clients are what Has asks the cluster with.
type Clients struct {
	Dynamic dynamic.Interface
	Mapper  meta.RESTMapper
}

// Has says whether the cluster runs exactly this: every object is there as it was
// delivered with these manifests, those that run the built image with this one,
// and every workload of it is rolled out. An object that the user may not read
// counts as one that is there.
func Has(ctx context.Context, clients Clients, namespace string, wanted *release.Manifests, image string) (bool, error) {
	found := make([]bool, len(wanted.Objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, object := range wanted.Objects {
		group.Go(func() error {
			mapping, err := clients.Mapper.RESTMapping(object.GroupKind(), object.Version)
			if meta.IsNoMatchError(err) {
				return nil // the delivery says so
			}
			if err != nil {
				return fmt.Errorf("find %s %s: %w", object.Kind, object.Name, err)
			}
			got, err := clients.Dynamic.Resource(mapping.Resource).Namespace(namespace).Get(ctx, object.Name, metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				return nil
			case apierrors.IsForbidden(err):
				found[i] = true
				return nil
			case err != nil:
				return fmt.Errorf("get %s %s: %w", object.Kind, object.Name, err)
			}
			if object.Built && !release.Runs(got, image) {
				return nil
			}
			found[i], err = is(got, wanted.Hash)
			return err
		})
	}
	err := group.Wait()
	return err == nil && !slices.Contains(found, false), err
}

// is judges one object, but for its image.
func is(object *unstructured.Unstructured, hash string) (bool, error) {
	if object.GetAnnotations()[manifests.AnnotationManifests] != hash || object.GetDeletionTimestamp() != nil {
		return false, nil
	}
	if object.GroupVersionKind().Group != appsv1.GroupName {
		return true, nil
	}
	var state rollout.State
	convert := func(into any) error {
		return runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
	}
	var err error
	switch object.GetKind() {
	case "Deployment":
		var deployment appsv1.Deployment
		err = convert(&deployment)
		state = rollout.Status(&deployment)
	case "StatefulSet":
		var set appsv1.StatefulSet
		err = convert(&set)
		state = rollout.StatefulSetStatus(&set)
	case "DaemonSet":
		var set appsv1.DaemonSet
		err = convert(&set)
		state = rollout.DaemonSetStatus(&set)
	default:
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return state.Done, nil
}

// App is what the cluster runs of an app.
type App struct {
	// Workloads are those that the last run has delivered; those that run an image
	// of the app's repository are Built.
	Workloads []release.Workload
	// Digest is that of the image which they run, sha256:<hex>; empty when none does.
	Digest string
	// Sequence is the greatest manifests.AnnotationSequence: of the run that
	// delivered last.
	Sequence string
}

// Find reads what there is of an app. The repository is the one that nodes pull
// the app's image from. What the user may not read is left out.
func Find(ctx context.Context, client kubernetes.Interface, namespace, app, repository string) (App, error) {
	var found App
	options := metav1.ListOptions{LabelSelector: manifests.LabelApp + "=" + app}
	add := func(kind string, object metav1.ObjectMeta, pod corev1.PodSpec) {
		switch sequence := object.Annotations[manifests.AnnotationSequence]; {
		case sequence < found.Sequence:
			return // left by an earlier one
		case sequence > found.Sequence:
			found = App{Sequence: sequence}
		}
		workload := release.Workload{Kind: kind, Name: object.Name}
		for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
			if digest, ok := strings.CutPrefix(container.Image, repository+"@"); ok {
				workload.Built, found.Digest = true, digest
			}
		}
		found.Workloads = append(found.Workloads, workload)
	}
	apps := client.AppsV1()
	deployments, err := apps.Deployments(namespace).List(ctx, options)
	if err == nil {
		for _, object := range deployments.Items {
			add("Deployment", object.ObjectMeta, object.Spec.Template.Spec)
		}
	} else if !apierrors.IsForbidden(err) {
		return App{}, fmt.Errorf("list deployments: %w", err)
	}
	sets, err := apps.StatefulSets(namespace).List(ctx, options)
	if err == nil {
		for _, object := range sets.Items {
			add("StatefulSet", object.ObjectMeta, object.Spec.Template.Spec)
		}
	} else if !apierrors.IsForbidden(err) {
		return App{}, fmt.Errorf("list statefulsets: %w", err)
	}
	daemons, err := apps.DaemonSets(namespace).List(ctx, options)
	if err == nil {
		for _, object := range daemons.Items {
			add("DaemonSet", object.ObjectMeta, object.Spec.Template.Spec)
		}
	} else if !apierrors.IsForbidden(err) {
		return App{}, fmt.Errorf("list daemonsets: %w", err)
	}
	return found, nil
}

// Run is the name of the run in a sequence.
func Run(sequence string) string {
	_, name, _ := strings.Cut(sequence, " ")
	return name
}
