package install

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// unclean stands for the UID of a namespace as long as the registry may have content of a former
// one.
const unclean = "of a former namespace"

// namespaceUIDs returns the UIDs of namespaces by name.
func namespaceUIDs(namespaces map[string]*corev1.Namespace) map[string]string {
	uids := map[string]string{}
	for name, namespace := range namespaces {
		uids[name] = string(namespace.UID)
	}
	return uids
}

// replaced returns those of the namespaces that are others than those whose content the registry
// has, and the UIDs to record. A namespace without a recorded UID is the same if an earlier version
// recorded its name, or if teardown has forgotten the names.
func replaced(config manifests.Config, previous *manifests.Config, uids map[string]string) (former []string, record map[string]string) {
	record = maps.Clone(config.NamespaceUIDs)
	if record == nil {
		record = map[string]string{}
	}
	for _, name := range config.Namespaces {
		before, known := record[name]
		if !known && previous != nil && (previous.Removed || slices.Contains(previous.Namespaces, name)) {
			before = uids[name]
		}
		if before != uids[name] && previous != nil {
			former = append(former, name)
		}
		record[name] = uids[name]
	}
	return former, record
}

// withUnclean returns objects with a configuration that says of the former namespaces that their
// content is still there: a setup that is interrupted deletes it the next time.
func withUnclean(objects []*unstructured.Unstructured, former []string) ([]*unstructured.Unstructured, error) {
	if len(former) == 0 {
		return objects, nil
	}
	objects = slices.Clone(objects)
	at := slices.IndexFunc(objects, func(object *unstructured.Unstructured) bool {
		return object.GetKind() == "ConfigMap" && object.GetName() == manifests.ConfigName
	})
	parent := objects[at].DeepCopy()
	data, _, err := unstructured.NestedStringMap(parent.Object, "data")
	if err != nil {
		return nil, err
	}
	config, err := manifests.ParseConfig(data)
	if err != nil {
		return nil, err
	}
	for _, name := range former {
		config.NamespaceUIDs[name] = unclean
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		return nil, err
	}
	objects[at] = parent
	return objects, unstructured.SetNestedField(parent.Object, string(text), "data", manifests.ConfigKey)
}

// deleteFormer deletes what the registry has of former namespaces, before the new owners of their
// names get credentials.
func deleteFormer(ctx context.Context, i *Installer) error {
	if len(i.Plan.former) == 0 || i.Plan.config.Registry.External {
		return nil
	}
	client, err := platform.Registry(i.Clients, i.Plan.config.Registry, i.Plan.secrets.Users[manifests.SystemNamespace], i.Plan.secrets.CACertificate)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, namespace := range i.Plan.former {
		err := images.DeleteNamespace(ctx, client, i.Plan.config.Registry, namespace, func(repository string, count int) {
			i.Progress.Print(fmt.Sprintf("  %s: %d manifests of a former namespace deleted", repository, count))
		})
		if err != nil {
			return err
		}
	}
	return nil
}
