package apply

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
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

// Include adds objects that Prune has kept to the inventory of the marked parent:
// what is still there has to stay in it, so that a later removal finds it.
func (s Set) Include(objects []*unstructured.Unstructured) {
	kinds, namespaces := []string{}, []string{}
	for _, object := range objects {
		kinds = append(kinds, object.GroupVersionKind().GroupKind().String())
		if namespace := object.GetNamespace(); namespace != s.Parent.GetNamespace() {
			namespaces = append(namespaces, namespace)
		}
	}
	annotations := s.Parent.GetAnnotations()
	annotations[groupKindsAnnotation] = joinUnion(annotations[groupKindsAnnotation], strings.Join(kinds, ","))
	annotations[namespacesAnnotation] = joinUnion(annotations[namespacesAnnotation], strings.Join(namespaces, ","))
	s.Parent.SetAnnotations(annotations)
}

// Has says whether object carries the label of a member.
func (s Set) Has(object *unstructured.Unstructured) bool {
	return object.GetLabels()[partOfLabel] == s.ID()
}

// Inventory says where the members of a set are looked for.
type Inventory struct {
	Kinds []schema.GroupKind
	// Namespaces are those to look in; metav1.NamespaceAll stands for all of them.
	Namespaces []string
}

// ReadInventory reads what the parent of a set lists.
func ReadInventory(parent *unstructured.Unstructured) Inventory {
	annotations := parent.GetAnnotations()
	inventory := Inventory{Namespaces: append(split(annotations[namespacesAnnotation]), parent.GetNamespace())}
	for _, text := range split(annotations[groupKindsAnnotation]) {
		inventory.Kinds = append(inventory.Kinds, schema.ParseGroupKind(text))
	}
	return inventory
}

// Members lists every object that carries the set's label, by kind and namespace
// in the order of the inventory. A kind that the cluster does not know any more
// has no objects.
func (a *Applier) Members(ctx context.Context, set Set, inventory Inventory) ([]*unstructured.Unstructured, error) {
	var places []dynamic.ResourceInterface
	for _, kind := range inventory.Kinds {
		mapping, err := a.Mapper.RESTMapping(kind)
		if meta.IsNoMatchError(err) {
			continue // The kind itself is gone, and its objects with it.
		}
		if err != nil {
			return nil, fmt.Errorf("find the resource of kind %s: %w", kind, err)
		}
		scopes := []string{metav1.NamespaceNone}
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			scopes = inventory.Namespaces
		}
		for _, scope := range scopes {
			places = append(places, a.Dynamic.Resource(mapping.Resource).Namespace(scope))
		}
	}
	found := make([][]*unstructured.Unstructured, len(places))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, place := range places {
		group.Go(func() error {
			list, err := place.List(ctx, metav1.ListOptions{LabelSelector: partOfLabel + "=" + set.ID()})
			if apierrors.IsNotFound(err) {
				return nil // The kind has gone since the cluster was asked for its kinds.
			}
			if err != nil {
				return fmt.Errorf("list members of the inventory: %w", err)
			}
			for j := range list.Items {
				found[i] = append(found[i], &list.Items[j])
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// Prune deletes every member of the set that parent, as it was before, lists
// kinds and namespaces for and that keep does not hold, but those whose kind is
// never pruned: it returns them as kept. Changes come in no order.
func (a *Applier) Prune(ctx context.Context, set Set, parent *unstructured.Unstructured, keep []*unstructured.Unstructured) (changes []Change, kept []*unstructured.Unstructured, err error) {
	wanted := map[string]bool{}
	for _, object := range keep {
		wanted[memberKey(object)] = true
	}
	members, err := a.Members(ctx, set, ReadInventory(parent))
	if err != nil {
		return nil, nil, err
	}
	for _, member := range members {
		switch {
		case wanted[memberKey(member)]:
		case !isPruned(member.GroupVersionKind().GroupKind()):
			kept = append(kept, member)
		default:
			if err := a.delete(ctx, member, metav1.DeletePropagationBackground); err != nil {
				return changes, kept, err
			}
			changes = append(changes, Change{member, Pruned})
		}
	}
	return changes, kept, nil
}

// isPruned says whether members of a kind are deleted just because they are no
// longer wanted. With the others, things would be lost that nobody has asked about.
func isPruned(kind schema.GroupKind) bool {
	switch kind {
	case schema.GroupKind{Kind: "Namespace"}, // what is in it may not be ours
		schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}, // its instances may not be ours
		schema.GroupKind{Kind: "PersistentVolumeClaim"}:                                   // what is stored on it can not be made again
		return false
	}
	return true
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
