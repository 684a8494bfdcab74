package apply

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// Labels and annotations of the ApplySet specification, KEP-3659.
const (
	idLabel              = "applyset.kubernetes.io/id"
	partOfLabel          = "applyset.kubernetes.io/part-of"
	toolingAnnotation    = "applyset.kubernetes.io/tooling"
	groupKindsAnnotation = "applyset.kubernetes.io/contains-group-kinds"
	namespacesAnnotation = "applyset.kubernetes.io/additional-namespaces"
)

// Set is an inventory after the ApplySet specification (KEP-3659): its parent
// object lists the kinds and namespaces in use, and every member carries the
// parent's ID as a label. Tools that know ApplySets recognize it.
type Set struct {
	// Parent is the object that the set hangs on; it has to be a member too.
	Parent *unstructured.Unstructured
	// Tooling is <tool>/<version>.
	Tooling string
}

// ID is the value that marks members, as the specification computes it from the
// parent's name, namespace, kind and group.
func (s Set) ID() string {
	gvk := s.Parent.GroupVersionKind()
	sum := sha256.Sum256([]byte(strings.Join([]string{s.Parent.GetName(), s.Parent.GetNamespace(), gvk.Kind, gvk.Group}, ".")))
	return fmt.Sprintf("applyset-%s-v1", base64.RawURLEncoding.EncodeToString(sum[:]))
}

// Mark labels the objects as members and writes the inventory of all of them to
// the parent, which has to be among them. The objects of a rendering that was
// marked are exactly what Apply sends.
func (s Set) Mark(objects []*unstructured.Unstructured) {
	kinds, namespaces := map[string]bool{}, map[string]bool{}
	for _, object := range objects {
		setLabel(object, partOfLabel, s.ID())
		kinds[object.GroupVersionKind().GroupKind().String()] = true
		if namespace := object.GetNamespace(); namespace != "" && namespace != s.Parent.GetNamespace() {
			namespaces[namespace] = true
		}
	}
	setLabel(s.Parent, idLabel, s.ID())
	annotations := s.Parent.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[toolingAnnotation] = s.Tooling
	annotations[groupKindsAnnotation] = strings.Join(slices.Sorted(maps.Keys(kinds)), ",")
	annotations[namespacesAnnotation] = strings.Join(slices.Sorted(maps.Keys(namespaces)), ",")
	s.Parent.SetAnnotations(annotations)
}

// Extend adds to the inventory of a marked parent what the parent in the
// cluster lists: until the prune is done, the set is the union of both, so that
// an interrupted upgrade still finds everything.
func (s Set) Extend(current *unstructured.Unstructured) *unstructured.Unstructured {
	union := s.Parent.DeepCopy()
	annotations := union.GetAnnotations()
	for _, key := range []string{groupKindsAnnotation, namespacesAnnotation} {
		annotations[key] = joinUnion(annotations[key], current.GetAnnotations()[key])
	}
	union.SetAnnotations(annotations)
	return union
}

func joinUnion(lists ...string) string {
	items := map[string]bool{}
	for _, list := range lists {
		for item := range strings.SplitSeq(list, ",") {
			if item != "" {
				items[item] = true
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(items)), ",")
}

func setLabel(object *unstructured.Unstructured, key, value string) {
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[key] = value
	object.SetLabels(labels)
}

// Prune deletes every member of the set that parent, as it was before, lists
// kinds and namespaces for and that keep does not hold. Namespaces and
// CustomResourceDefinitions are never deleted: what is in them, or an instance of
// them, may not be ours. Changes come in no order.
func (a *Applier) Prune(ctx context.Context, set Set, parent *unstructured.Unstructured, keep []*unstructured.Unstructured) ([]Change, error) {
	kept := map[string]bool{}
	for _, object := range keep {
		kept[memberKey(object)] = true
	}
	var changes []Change
	annotations := parent.GetAnnotations()
	namespaces := append(split(annotations[namespacesAnnotation]), parent.GetNamespace())
	for _, text := range split(annotations[groupKindsAnnotation]) {
		kind := schema.ParseGroupKind(text)
		if isFoundation(kind.Kind) {
			continue
		}
		mapping, err := a.Mapper.RESTMapping(kind)
		if meta.IsNoMatchError(err) {
			continue // The kind itself is gone, and its objects with it.
		}
		if err != nil {
			return changes, fmt.Errorf("find the resource of kind %s: %w", text, err)
		}
		scopes := []string{metav1.NamespaceNone}
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			scopes = namespaces
		}
		for _, scope := range scopes {
			resource := a.Dynamic.Resource(mapping.Resource).Namespace(scope)
			members, err := resource.List(ctx, metav1.ListOptions{LabelSelector: partOfLabel + "=" + set.ID()})
			if err != nil {
				return changes, fmt.Errorf("list %s: %w", mapping.Resource.Resource, err)
			}
			for i := range members.Items {
				member := &members.Items[i]
				if kept[memberKey(member)] {
					continue
				}
				uid := member.GetUID()
				err := resource.Delete(ctx, member.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
				if err != nil && !apierrors.IsNotFound(err) {
					return changes, fmt.Errorf("delete %s: %w", kube.Describe(member), err)
				}
				changes = append(changes, Change{member, Pruned})
			}
		}
	}
	return changes, nil
}

func memberKey(object *unstructured.Unstructured) string {
	return strings.Join([]string{object.GroupVersionKind().GroupKind().String(), object.GetNamespace(), object.GetName()}, "/")
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
