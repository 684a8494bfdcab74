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

// Set is an inventory as the ApplySet specification (KEP-3659) defines it: its parent
// object lists kinds and namespaces, and every member has the parent's ID as a
// label.
type Set struct {
	// Parent is the object with the inventory. It is a member, too.
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

// Mark labels the objects as members and writes their inventory to the parent, which
// is one of them.
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

// Extend returns the marked parent with the inventory of current, the parent in the
// cluster, added: until the prune, an interrupted upgrade has to find both.
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

// Include adds objects that Prune has kept to the inventory of the marked parent, so
// that a later removal finds them.
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

// Has reports whether object is labeled as a member.
func (s Set) Has(object *unstructured.Unstructured) bool {
	return object.GetLabels()[partOfLabel] == s.ID()
}

// Inventory is where to look for the members of a set.
type Inventory struct {
	Kinds []schema.GroupKind
	// Namespaces are the namespaces to look in; metav1.NamespaceAll is all of them.
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

// Members lists every object with the set's label, by kind and namespace in the order
// of the inventory. A kind that the cluster no longer knows has no objects.
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
				return nil // The kind is gone since discovery.
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

// Prune deletes the members in the inventory of parent that are not in keep. It
// returns members whose kind is never pruned as kept. The changes are in no order.
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
			if err := a.delete(ctx, member, metav1.DeletePropagationBackground, nil); err != nil {
				return changes, kept, err
			}
			changes = append(changes, Change{member, Pruned})
		}
	}
	return changes, kept, nil
}

// isPruned reports whether members of a kind are deleted because they are no longer
// wanted. The other kinds may hold data or objects of other owners.
func isPruned(kind schema.GroupKind) bool {
	switch kind {
	case schema.GroupKind{Kind: "Namespace"}, // may contain objects of others
		schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}, // may have instances of others
		schema.GroupKind{Kind: "PersistentVolumeClaim"}:                                   // stores data
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
