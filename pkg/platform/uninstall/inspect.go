package uninstall

import (
	"cmp"
	"context"
	"errors"
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
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// Cluster is the state of the cluster that a removal depends on.
type Cluster struct {
	clients *kube.Clients

	set apply.Set
	// parent is the object with the inventory; nil if it is gone.
	parent *unstructured.Unstructured
	// config is the remembered configuration as stored, because another version of
	// the plugin may have written it. It is never nil.
	config settings
	// members are the existing objects of the inventory.
	members []*unstructured.Unstructured
	// tekton is the running Tekton, installed by setup or not; nil if there is none.
	tekton *platform.Tekton
	// instances are the objects of the kinds that members define, without members and
	// without objects that a controller owns.
	instances []*unstructured.Unstructured
	// guests are objects of others in the platform's namespaces.
	guests []*unstructured.Unstructured
	// running are the running builds, imageUsers the workloads with an image of the
	// registry.
	running, imageUsers []string
	// retained are the volumes, by claim, that stay when their claim is deleted.
	retained map[string]string
}

// Inspect reads what setup installed and what depends on it. It changes nothing.
func Inspect(ctx context.Context, clients *kube.Clients) (*Cluster, error) {
	// Cached discovery may be hours old.
	clients.Discovery.Invalidate()
	meta.MaybeResetRESTMapper(clients.Mapper)
	c := &Cluster{clients: clients, set: apply.Set{Parent: newParent(), Tooling: manifests.FieldManager + "/" + version.Version()}}
	if err := c.readInventory(ctx); err != nil || len(c.members) == 0 {
		return c, err
	}
	var err error
	if c.tekton, err = platform.FindTekton(ctx, clients.Kube); err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context) error{c.readInstances, c.readGuests, c.readRunning, c.readImageUsers, c.readVolumes} {
		if err := read(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// ErrChanged reports that a setup changed the platform after it was inspected. Nothing was deleted.
var ErrChanged = errors.New("setup has changed the platform since it was listed, and nothing was deleted: run teardown again")

// checkUnchanged returns ErrChanged if a setup ran since the inspection: each one that changes
// something writes the inventory.
func (c *Cluster) checkUnchanged(ctx context.Context) error {
	configMaps := c.clients.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace(manifests.SystemNamespace)
	current, err := configMaps.Get(ctx, manifests.ConfigName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read the inventory: %w", err)
	case c.parent == nil || c.parent.GetUID() != current.GetUID() || c.parent.GetResourceVersion() != current.GetResourceVersion():
		return ErrChanged
	}
	return nil
}

// Installed reports whether there is anything to remove.
func (c *Cluster) Installed() bool { return len(c.members) > 0 }

// Check lets the API server check the deletions of a plan without deleting anything.
func (c *Cluster) Check(ctx context.Context, plan *Plan) error {
	for _, stage := range plan.stages {
		if err := c.applier().PreviewRemove(ctx, stage.objects); err != nil {
			return err
		}
	}
	return nil
}

func newParent() *unstructured.Unstructured {
	parent := &unstructured.Unstructured{}
	parent.SetAPIVersion("v1")
	parent.SetKind("ConfigMap")
	parent.SetNamespace(manifests.SystemNamespace)
	parent.SetName(manifests.ConfigName)
	return parent
}

func (c *Cluster) applier() *apply.Applier {
	return &apply.Applier{
		Dynamic: c.clients.Dynamic, Mapper: c.clients.Mapper, FieldManager: manifests.FieldManager, WebhookPatience: kube.WebhookPatience,
	}
}

// readInventory finds the members. If the inventory is gone, for example because its
// namespace was deleted, it looks everywhere.
func (c *Cluster) readInventory(ctx context.Context) error {
	c.config = settings{}
	configMaps := c.clients.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace(manifests.SystemNamespace)
	parent, err := configMaps.Get(ctx, manifests.ConfigName, metav1.GetOptions{})
	var inventory apply.Inventory
	switch {
	case apierrors.IsNotFound(err):
		kinds, err := readKinds(c.clients.Discovery)
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
			c.config = settings{} // Only some advice needs it.
		}
	}
	c.members, err = c.applier().Members(ctx, c.set, inventory)
	return err
}

// kind is a resource of the cluster that can be listed and deleted.
type kind struct {
	gvk        schema.GroupVersionKind
	resource   schema.GroupVersionResource
	namespaced bool
}

// readKinds lists all kinds of the cluster. An API that does not answer is an error: its
// objects would be missed, and namespaces cannot be deleted without it.
func readKinds(client discovery.DiscoveryInterface) ([]kind, error) {
	lists, err := client.ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("list the kinds of the cluster: %w", err)
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

// readInstances finds what is deleted with Tekton's kinds.
func (c *Cluster) readInstances(ctx context.Context) error {
	for _, member := range c.members {
		if member.GetKind() != "CustomResourceDefinition" {
			continue
		}
		instances, err := c.applier().Instances(ctx, member)
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

// readGuests finds objects of others that would be deleted with the platform's
// namespaces.
func (c *Cluster) readGuests(ctx context.Context) error {
	kinds, err := readKinds(c.clients.Discovery)
	if err != nil {
		return err
	}
	kinds = slices.DeleteFunc(kinds, func(kind kind) bool { return !kind.namespaced || isTransient(kind.resource) })
	namespaces := c.namespaces()
	found := make([][]*unstructured.Unstructured, len(namespaces)*len(kinds))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, namespace := range namespaces {
		for j, kind := range kinds {
			group.Go(func() error {
				list, err := c.clients.Dynamic.Resource(kind.resource).Namespace(namespace).List(ctx, metav1.ListOptions{})
				if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
					return nil
				}
				if err != nil {
					return fmt.Errorf("list %s in namespace %s: %w", kind.resource.GroupResource(), namespace, err)
				}
				for k := range list.Items {
					// Transient objects of the platform are in no inventory.
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

// namespaces returns the names of the namespaces among the members.
func (c *Cluster) namespaces() []string {
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

// isTransient reports whether objects of a resource come and go by themselves.
func isTransient(resource schema.GroupVersionResource) bool {
	switch resource.Resource {
	case "events", "leases", "endpoints", "endpointslices":
		return true
	}
	return false
}

// isGenerated reports whether the cluster itself created an object, for another one
// or in every namespace.
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

// readRunning finds the running builds.
func (c *Cluster) readRunning(ctx context.Context) error {
	resource := schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}
	list, err := c.clients.Dynamic.Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: manifests.LabelManagedBy + "=" + manifests.FieldManager})
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

// settings is the configuration that setup wrote, as far as it can be read.
type settings map[string]any

// registry returns a setting of the registry.
func (s settings) registry(key string) string {
	text, _, _ := unstructured.NestedString(s, "registry", key)
	return text
}

// external reports whether the registry is not part of the platform, so that its
// images stay available.
func (s settings) external() bool {
	external, _, _ := unstructured.NestedBool(s, "registry", "external")
	return external
}

// readImageUsers finds the workloads that need the registry to start.
func (c *Cluster) readImageUsers(ctx context.Context) error {
	if c.config.external() {
		return nil
	}
	var err error
	c.imageUsers, err = platform.ImageUsers(ctx, c.clients.Kube,
		cmp.Or(c.config.registry("nodeHost"), manifests.NodeHost)+"/", cmp.Or(c.config.registry("host"), manifests.RegistryHost)+"/")
	return err
}

// readVolumes finds the volumes that stay when their claims are deleted.
func (c *Cluster) readVolumes(ctx context.Context) error {
	c.retained = map[string]string{}
	for _, member := range c.members {
		name, _, _ := unstructured.NestedString(member.Object, "spec", "volumeName")
		if !isClaim(member) || name == "" {
			continue
		}
		volume, err := c.clients.Kube.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
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
