//go:build e2e

package env

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Inventory reads every object that setup applied, by the inventory that setup
// keeps: group, kind and name to the object.
func (c *Cluster) Inventory(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	parent, err := c.Kube.CoreV1().ConfigMaps(manifests.SystemNamespace).Get(t.Context(), manifests.ConfigName, metav1.GetOptions{})
	Check(t, err)
	selector := "applyset.kubernetes.io/part-of=" + parent.Labels["applyset.kubernetes.io/id"]
	members := map[string]*unstructured.Unstructured{}
	for kind := range strings.SplitSeq(parent.Annotations["applyset.kubernetes.io/contains-group-kinds"], ",") {
		mapping, err := c.Mapper.RESTMapping(schema.ParseGroupKind(kind))
		Check(t, err)
		list, err := c.Dynamic.Resource(mapping.Resource).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
		Check(t, err)
		for i := range list.Items {
			members[Key(&list.Items[i])] = &list.Items[i]
		}
	}
	if len(members) < 20 {
		t.Fatalf("the inventory has only %d objects", len(members))
	}
	return members
}

// Key names an object by group, kind, namespace and name.
func Key(object *unstructured.Unstructured) string {
	return object.GroupVersionKind().GroupKind().String() + " " + object.GetNamespace() + "/" + object.GetName()
}

// Unchanged fails the test when the inventory differs from an earlier one.
func (c *Cluster) Unchanged(t *testing.T, before map[string]*unstructured.Unstructured) {
	t.Helper()
	if changes := changes(before, c.Inventory(t)); len(changes) > 0 {
		t.Errorf("the platform has changed:\n%s", strings.Join(changes, "\n"))
	}
}

// changes compares two inventories. What controllers write into status does not
// count; for everything else the resource version must be the same.
func changes(before, after map[string]*unstructured.Unstructured) []string {
	var changes []string
	for name, object := range after {
		was, ok := before[name]
		switch {
		case !ok:
			changes = append(changes, name+" is new")
		case was.GetResourceVersion() != object.GetResourceVersion() && withoutStatus(was) != withoutStatus(object):
			changes = append(changes, name+" has changed")
		}
	}
	for name, object := range before {
		// Namespaces of tests that ended meanwhile are deleted.
		if _, ok := after[name]; !ok && !strings.HasPrefix(object.GetNamespace(), namespacePrefix) {
			changes = append(changes, name+" is gone")
		}
	}
	slices.Sort(changes)
	return changes
}

func withoutStatus(object *unstructured.Unstructured) string {
	bare := object.DeepCopy()
	bare.SetResourceVersion("")
	entries := slices.DeleteFunc(bare.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Subresource == "status"
	})
	// When a status was written in the second of an object's creation, applying it
	// again puts the entries in another order and sets their time.
	for i := range entries {
		entries[i].Time = nil
	}
	bare.SetManagedFields(entries)
	delete(bare.Object, "status")
	// A map that came from JSON goes back into it.
	data, _ := json.Marshal(bare.Object)
	return string(data)
}

// Objects lists every object of the cluster but those in namespaces of the tests,
// those that come and go on their own, and those that belong to others.
func (c *Cluster) Objects(ctx context.Context) (map[string]bool, error) {
	lists, err := c.Kube.Discovery().ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, resource := range list.APIResources {
			// Each Service has addresses of its own, those of apps too.
			passing := []string{"events", "leases", "endpoints", "endpointslices", "ipaddresses", "certificatesigningrequests"}
			if !slices.Contains(resource.Verbs, "list") || !slices.Contains(resource.Verbs, "delete") || slices.Contains(passing, resource.Name) {
				continue
			}
			objects, err := c.Dynamic.Resource(version.WithResource(resource.Name)).List(ctx, metav1.ListOptions{})
			if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
				continue // The kind was removed meanwhile.
			}
			if err != nil {
				return nil, err
			}
			for i := range objects.Items {
				object := &objects.Items[i]
				ofTests := strings.HasPrefix(object.GetNamespace(), namespacePrefix) || (resource.Name == "namespaces" && strings.HasPrefix(object.GetName(), namespacePrefix))
				if !ofTests && len(object.GetOwnerReferences()) == 0 {
					found[Key(object)] = true
				}
			}
		}
	}
	return found, nil
}

// objectsFile holds the names of the objects that the cluster had before the first
// setup. It outlives this process: each package of tests has its own.
func objectsFile() string {
	dir := os.Getenv("PYFLOW_E2E_DIR")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "objects-before-setup")
}

// recordObjects writes objectsFile when the platform is not installed yet.
func (c *Cluster) recordObjects(ctx context.Context) error {
	file := objectsFile()
	if file == "" {
		return nil
	}
	_, err := c.Kube.CoreV1().Namespaces().Get(ctx, manifests.SystemNamespace, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	objects, err := c.Objects(ctx)
	if err != nil {
		return err
	}
	var text strings.Builder
	for name := range objects {
		text.WriteString(name + "\n")
	}
	return os.WriteFile(file, []byte(text.String()), 0o600)
}

// ObjectsBeforeSetup returns what the cluster had before the tests installed the
// platform. It skips the test when the platform was installed before.
func (c *Cluster) ObjectsBeforeSetup(t *testing.T) map[string]bool {
	t.Helper()
	content, err := os.ReadFile(objectsFile())
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the cluster was set up before the tests started")
	}
	Check(t, err)
	objects := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		objects[strings.TrimSuffix(line, "\n")] = true
	}
	return objects
}

// DryRun wants a dry run of setup to print exactly what was applied.
func (n *NS) DryRun(t *testing.T) {
	t.Helper()
	members := n.Inventory(t)
	r := n.Pyflow(t, "setup", "--dry-run=client", "-o", "yaml").Succeeded(t)
	objects, err := manifests.Decode([]byte(r.Stdout))
	Check(t, err)
	printed := map[string]*unstructured.Unstructured{}
	for _, object := range objects {
		printed[Key(object)] = object
		if members[Key(object)] == nil {
			t.Errorf("%s is printed and not in the cluster", Key(object))
		}
	}
	for name := range members {
		if printed[name] == nil {
			t.Errorf("%s is in the cluster and not printed", name)
		}
	}
	diff := n.Run(t, strings.NewReader(r.Stdout), "kubectl", "diff", "--server-side", "--force-conflicts",
		"--field-manager="+manifests.FieldManager, "-f", "-")
	if diff.Code != 0 {
		t.Errorf("what is printed differs from what was applied\n%s", diff)
	}
}

// Hosting reads what other tools learn of the cluster's registry (KEP-1755).
func (c *Cluster) Hosting(t *testing.T) map[string]string {
	t.Helper()
	object, err := c.Kube.CoreV1().ConfigMaps(manifests.HostingNamespace).Get(t.Context(), manifests.HostingName, metav1.GetOptions{})
	Check(t, err)
	hosting := map[string]string{}
	Check(t, yaml.UnmarshalStrict([]byte(object.Data["localRegistryHosting.v1"]), &hosting))
	return hosting
}
