package teardown

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// cluster is everything that a teardown depends on, as it was read.
type cluster struct {
	set apply.Set
	// parent is the inventory, nil when it is gone.
	parent *unstructured.Unstructured
	// config is what setup remembered, as it stands there: another version of the
	// plugin may have written it. It is never nil.
	config map[string]any
	// members are what the inventory lists and is still there.
	members []*unstructured.Unstructured
	// tekton is the one that runs, whoever installed it; nil when there is none.
	tekton *platform.Tekton
	// instances are the objects of members that are CustomResourceDefinitions; no
	// members among them, and none that another object brought with it.
	instances []*unstructured.Unstructured
	// guests are objects in namespaces of ours that are not ours.
	guests []*unstructured.Unstructured
	// running are the builds under way, imageUsers the workloads with an image of
	// the registry.
	running, imageUsers []string
	// retained are the volumes that stay behind when their claim is deleted.
	retained map[string]string
}

// inspect reads the cluster, and changes nothing.
func (o *Options) inspect(ctx context.Context) (*cluster, error) {
	// What is known of the cluster's kinds may be hours old.
	o.Clients.Discovery.Invalidate()
	meta.MaybeResetRESTMapper(o.Clients.Mapper)
	c := &cluster{set: apply.Set{Parent: newParent(), Tooling: manifests.FieldManager + "/" + version.Version()}}
	if err := o.readInventory(ctx, c); err != nil || len(c.members) == 0 {
		return c, err
	}
	var err error
	if c.tekton, err = platform.FindTekton(ctx, o.Clients.Kube); err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, *cluster) error{o.readInstances, o.readGuests, o.readRunning, o.readImageUsers, o.readVolumes} {
		if err := read(ctx, c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func newParent() *unstructured.Unstructured {
	parent := &unstructured.Unstructured{}
	parent.SetAPIVersion("v1")
	parent.SetKind("ConfigMap")
	parent.SetNamespace(manifests.SystemNamespace)
	parent.SetName(manifests.ConfigName)
	return parent
}

func (o *Options) applier() *apply.Applier {
	return &apply.Applier{
		Dynamic: o.Clients.Dynamic, Mapper: o.Clients.Mapper, FieldManager: manifests.FieldManager, WebhookPatience: kube.WebhookPatience,
	}
}

// readInventory finds the members. When their list is gone, with the namespace
// that somebody deleted for example, it looks everywhere.
func (o *Options) readInventory(ctx context.Context, c *cluster) error {
	c.config = map[string]any{}
	configMaps := o.Clients.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace(manifests.SystemNamespace)
	parent, err := configMaps.Get(ctx, manifests.ConfigName, metav1.GetOptions{})
	var inventory apply.Inventory
	switch {
	case apierrors.IsNotFound(err):
		kinds, err := o.kinds()
		if err != nil {
			return err
		}
		inventory.Namespaces = []string{metav1.NamespaceAll}
		for _, kind := range kinds {
			inventory.Kinds = append(inventory.Kinds, kind.gvk.GroupKind())
		}
	case err != nil:
		return fmt.Errorf("read the inventory: %w", err)
	default:
		c.parent = parent
		inventory = apply.ReadInventory(parent)
		text, _, _ := unstructured.NestedString(parent.Object, "data", manifests.ConfigKey)
		if yaml.Unmarshal([]byte(text), &c.config) != nil || c.config == nil {
			c.config = map[string]any{} // Without it some advice is missing, and nothing else.
		}
	}
	c.members, err = o.applier().Members(ctx, c.set, inventory)
	return err
}

// kind is a resource of the cluster that can be listed and deleted.
type kind struct {
	gvk        schema.GroupVersionKind
	resource   schema.GroupVersionResource
	namespaced bool
}

// kinds asks the cluster for all of them. That an API does not answer is an
// error: what it serves would go unseen, and a namespace can not be deleted
// without it either.
func (o *Options) kinds() ([]kind, error) {
	lists, err := o.Clients.Discovery.ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("ask the cluster for its kinds: %w", err)
	}
	var kinds []kind
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, resource := range list.APIResources {
			if slices.Contains(resource.Verbs, "list") && slices.Contains(resource.Verbs, "delete") {
				kinds = append(kinds, kind{version.WithKind(resource.Kind), version.WithResource(resource.Name), resource.Namespaced})
			}
		}
	}
	return kinds, nil
}

// readInstances finds what goes with Tekton's kinds.
func (o *Options) readInstances(ctx context.Context, c *cluster) error {
	for _, member := range c.members {
		if member.GetKind() != "CustomResourceDefinition" {
			continue
		}
		instances, err := o.applier().Instances(ctx, member)
		if err != nil {
			return err
		}
		for i := range instances {
			if instance := &instances[i]; !c.set.Has(instance) && metav1.GetControllerOf(instance) == nil {
				c.instances = append(c.instances, instance)
			}
		}
	}
	return nil
}

// readGuests finds what would go with namespaces of ours and is not ours.
func (o *Options) readGuests(ctx context.Context, c *cluster) error {
	kinds, err := o.kinds()
	if err != nil {
		return err
	}
	kinds = slices.DeleteFunc(kinds, func(kind kind) bool { return !kind.namespaced || comesByItself(kind.resource) })
	namespaces := c.namespaces()
	found := make([][]*unstructured.Unstructured, len(namespaces)*len(kinds))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, namespace := range namespaces {
		for j, kind := range kinds {
			group.Go(func() error {
				list, err := o.Clients.Dynamic.Resource(kind.resource).Namespace(namespace).List(ctx, metav1.ListOptions{})
				if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
					return nil
				}
				if err != nil {
					return fmt.Errorf("list %s in namespace %s: %w", kind.resource.GroupResource(), namespace, err)
				}
				for k := range list.Items {
					// A pod of ours that comes and goes is in no inventory.
					if item := &list.Items[k]; !c.set.Has(item) && isOthers(item) && !isGenerated(item) {
						found[i*len(kinds)+j] = append(found[i*len(kinds)+j], item)
					}
				}
				return nil
			})
		}
	}
	err = group.Wait()
	c.guests = slices.Concat(found...)
	return err
}

// namespaces are the members of that kind, by name.
func (c *cluster) namespaces() []string {
	var names []string
	for _, member := range c.members {
		if isNamespace(member) {
			names = append(names, member.GetName())
		}
	}
	return names
}

func isNamespace(object *unstructured.Unstructured) bool {
	return object.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "Namespace"}
}

// comesByItself says that a resource holds nothing that anybody would miss.
func comesByItself(resource schema.GroupVersionResource) bool {
	switch resource.Resource {
	case "events", "leases", "endpoints", "endpointslices":
		return true
	}
	return false
}

// isGenerated says that the cluster itself made an object, for another or in
// every namespace.
func isGenerated(object *unstructured.Unstructured) bool {
	if len(object.GetOwnerReferences()) > 0 {
		return true
	}
	name := object.GetName()
	switch object.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Kind: "ConfigMap"}:
		return slices.Contains([]string{"kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"}, name)
	case schema.GroupKind{Kind: "ServiceAccount"}:
		return slices.Contains([]string{"default", "builder", "deployer"}, name)
	case schema.GroupKind{Kind: "Secret"}:
		_, ofServiceAccount := object.GetAnnotations()["kubernetes.io/service-account.name"]
		return ofServiceAccount
	case schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:
		return strings.HasPrefix(name, "system:")
	}
	return false
}

// readRunning finds the builds that would be cut off.
func (o *Options) readRunning(ctx context.Context, c *cluster) error {
	resource := schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}
	list, err := o.Clients.Dynamic.Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: manifests.LabelManagedBy + "=" + manifests.FieldManager})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	for i := range list.Items {
		run := &list.Items[i]
		if finished, _, _ := unstructured.NestedString(run.Object, "status", "completionTime"); finished == "" {
			c.running = append(c.running, kube.Describe(run))
		}
	}
	return nil
}

// registry is a text of the remembered registry settings.
func (c *cluster) registry(key string) string {
	text, _, _ := unstructured.NestedString(c.config, "registry", key)
	return text
}

// external says that the registry is not ours, so that its images stay within reach.
func (c *cluster) external() bool {
	external, _, _ := unstructured.NestedBool(c.config, "registry", "external")
	return external
}

// readImageUsers finds the workloads that need the registry to start again.
func (o *Options) readImageUsers(ctx context.Context, c *cluster) error {
	if c.external() {
		return nil
	}
	var err error
	c.imageUsers, err = platform.ImageUsers(ctx, o.Clients.Kube,
		cmp.Or(c.registry("nodeHost"), manifests.NodeHost)+"/", cmp.Or(c.registry("host"), manifests.RegistryHost)+"/")
	return err
}

// readVolumes finds out what becomes of the volumes when their claims go.
func (o *Options) readVolumes(ctx context.Context, c *cluster) error {
	c.retained = map[string]string{}
	for _, member := range c.members {
		name, _, _ := unstructured.NestedString(member.Object, "spec", "volumeName")
		if !isClaim(member) || name == "" {
			continue
		}
		volume, err := o.Clients.Kube.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("get persistent volume %s: %w", name, err)
		}
		if volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain {
			c.retained[member.GetName()] = name
		}
	}
	return nil
}

func isClaim(object *unstructured.Unstructured) bool {
	return object.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "PersistentVolumeClaim"}
}
