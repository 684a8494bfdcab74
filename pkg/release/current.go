package release

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// parallel is the number of concurrent requests.
const parallel = 8

// Clients are the clients that UpToDate needs.
type Clients struct {
	Dynamic dynamic.Interface
	Mapper  meta.RESTMapper
}

// UpToDate reports whether the cluster runs exactly this release: every object exists as it was
// deployed with these manifests, the objects that are Built have this image, every workload has
// rolled out, and every Job has completed, unless its time to live is over. An object that the
// user may not read counts as up to date.
func UpToDate(ctx context.Context, clients Clients, namespace string, wanted *Manifests, image string) (bool, error) {
	current := make([]bool, len(wanted.Objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, object := range wanted.Objects {
		group.Go(func() (err error) {
			current[i], err = objectUpToDate(ctx, clients, namespace, object, wanted.Hash, image)
			return err
		})
	}
	err := group.Wait()
	return err == nil && !slices.Contains(current, false), err
}

func objectUpToDate(ctx context.Context, clients Clients, namespace string, object Object, hash, image string) (bool, error) {
	got, err := clients.get(ctx, namespace, object.GroupVersionKind, object.Name)
	switch {
	case apierrors.IsForbidden(err):
		return true, nil
	case got == nil && err == nil && object.Kind == "Job":
		return true, nil // it has run, else nothing of the release was applied, and its time is over
	case err != nil || got == nil:
		return false, err
	case object.Built && !Runs(got, image):
		return false, nil
	}
	return matches(got, hash)
}

// get reads an object; nil if it does not exist. That the cluster does not know the kind is the
// same: the deployment reports it.
func (c Clients) get(ctx context.Context, namespace string, kind schema.GroupVersionKind, name string) (*unstructured.Unstructured, error) {
	mapping, err := c.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return nil, nil //nolint:nilnil // no object is no error
	}
	if err != nil {
		return nil, fmt.Errorf("find %s %s: %w", kind.Kind, name, err)
	}
	got, err := c.Dynamic.Resource(mapping.Resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // no object is no error
	}
	if err != nil {
		return nil, fmt.Errorf("get %s %s: %w", kind.Kind, name, err)
	}
	return got, nil
}

// matches reports whether an object was deployed with the manifests of that hash and, if it is
// a workload, has rolled out.
func matches(object *unstructured.Unstructured, hash string) (bool, error) {
	if object.GetAnnotations()[manifests.AnnotationManifests] != hash || object.GetDeletionTimestamp() != nil {
		return false, nil
	}
	if isJob(object) {
		return completed(object), nil
	}
	if object.GroupVersionKind().Group != appsv1.GroupName || !workload.IsKind(object.GetKind()) {
		return true, nil
	}
	state, err := workload.Status(object)
	return state.Done, err
}

// completed reports whether a Job has ended well, ended whether it has ended.
func completed(job *unstructured.Unstructured) bool { return hasCondition(job, batchv1.JobComplete) }

func ended(job *unstructured.Unstructured) bool {
	return completed(job) || hasCondition(job, batchv1.JobFailed)
}

func hasCondition(job *unstructured.Unstructured, kind batchv1.JobConditionType) bool {
	conditions, _, _ := unstructured.NestedSlice(job.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(item any) bool {
		condition, _ := item.(map[string]any)
		return condition["type"] == string(kind) && condition["status"] == string(corev1.ConditionTrue)
	})
}

// Deployed is what the cluster runs of an app.
type Deployed struct {
	// Workloads are those of the last run that deployed the app. Those with an image of the
	// app's repository are Built.
	Workloads []Workload
	// Digest is that of the image in the workloads, sha256:<hex>; empty if there is none.
	Digest string
	// Sequence is the greatest manifests.AnnotationSequence, that of the last run.
	Sequence string
	// Release is the number of the release of that run; 0 if it has none.
	Release int
}

// Current reads what the cluster runs of an app. repository is the one from which nodes pull
// the app's image. Current leaves out what the user may not read.
func Current(ctx context.Context, client kubernetes.Interface, namespace, app, repository string) (Deployed, error) {
	var found Deployed
	options := metav1.ListOptions{LabelSelector: manifests.LabelApp + "=" + app}
	for _, kind := range workload.Kinds() {
		list, err := workload.List(ctx, client, kind, namespace, options)
		if apierrors.IsForbidden(err) {
			continue
		}
		if err == nil {
			err = meta.EachListItem(list, func(object runtime.Object) error {
				w, err := workload.Of(object)
				found = found.with(w, repository)
				return err
			})
		}
		if err != nil {
			return Deployed{}, fmt.Errorf("list %s: %w", workload.Resource(kind), err)
		}
	}
	return found, nil
}

// with returns d with one more workload. A workload of an earlier run is left out, a workload
// of a later run replaces the others.
func (d Deployed) with(w workload.Workload, repository string) Deployed {
	switch sequence := w.Meta.Annotations[manifests.AnnotationSequence]; {
	case sequence < d.Sequence:
		return d
	case sequence > d.Sequence:
		d = Deployed{Sequence: sequence}
	}
	d.Release, _ = strconv.Atoi(w.Meta.Annotations[manifests.AnnotationRelease])
	one := Workload{Kind: w.Kind, Name: w.Meta.Name}
	for _, container := range w.Containers() {
		if digest, ok := strings.CutPrefix(container.Image, repository+"@"); ok {
			one.Built, d.Digest = true, digest
		}
	}
	d.Workloads = append(d.Workloads, one)
	return d
}

// RunOf returns the name of the run in a sequence.
func RunOf(sequence string) string {
	_, name, _ := strings.Cut(sequence, " ")
	return name
}
