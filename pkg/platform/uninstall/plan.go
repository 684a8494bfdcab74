// Package uninstall removes the platform: what setup installed, in ordered stages,
// and nothing else.
package uninstall

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/lock"
)

// Plan is what a removal does with each member of the inventory. It does not change.
type Plan struct {
	// stages are deleted one after another.
	stages []stage
	// released stay and are no longer managed: they lose our labels, in this order.
	released []released
	// kept stay and remain managed.
	kept []*unstructured.Unstructured
	// deletesTekton reports that Tekton's kinds are deleted, with every object of them.
	deletesTekton bool
}

// stage is a group of objects that are deleted together. The next stage starts when they
// are gone.
type stage struct {
	name    string
	objects []*unstructured.Unstructured
	// implied are deleted with the objects.
	implied []*unstructured.Unstructured
	// tekton reports that the objects are Tekton's workloads.
	tekton bool
}

func (s stage) all() []*unstructured.Unstructured { return slices.Concat(s.objects, s.implied) }

// released is an object that is no longer managed.
type released struct {
	object *unstructured.Unstructured
	// reason is empty for the parts of Tekton, which share one.
	reason string
}

// Plan decides what to do with each member. It is pure. purge deletes the stored
// images, too. keepTekton leaves a Tekton that setup installed.
func (c *Cluster) Plan(purge, keepTekton bool) *Plan {
	p := &Plan{deletesTekton: c.tektonIsOurs() && !keepTekton}
	images := !purge && c.canKeepImages()
	guests := map[string][]string{}
	for _, guest := range c.guests {
		// Objects of Tekton's kinds are deleted with the kinds.
		if !p.deletesTekton || !isTektonGroup(guest.GroupVersionKind().Group) {
			guests[guest.GetNamespace()] = append(guests[guest.GetNamespace()], kube.Describe(guest))
		}
	}
	s := stages{}
	for _, member := range c.members {
		name, inSystem := member.GetName(), member.GetNamespace() == manifests.SystemNamespace
		switch {
		case isTekton(member) && !p.deletesTekton:
			p.released = append(p.released, released{object: member})
		case isOthers(member) && !isParent(member):
			p.released = append(p.released, released{member, "is managed by another tool now"})
		case images && (isClaim(member) || isParent(member) || (isNamespace(member) && name == manifests.SystemNamespace)):
			p.kept = append(p.kept, member)
		case isNamespace(member) && len(guests[name]) > 0:
			p.released = append(p.released, released{member, "contains objects that setup did not create: " + display.JoinMax(guests[name], maxNames)})
		case isTekton(member):
			s.addTekton(member)
		case inSystem && isTektonGroup(member.GroupVersionKind().Group):
			if p.deletesTekton {
				// Deleting them one by one would need Tekton's webhook.
				s.kinds.implied = append(s.kinds.implied, member)
			} else {
				s.pipeline.add(member)
			}
		case inSystem && (name == manifests.NodeAccessName || strings.HasPrefix(name, manifests.NodeAccessName+"-")):
			s.nodeAccess.add(member)
		case isClaim(member):
			s.images.add(member)
		case isParent(member):
			s.system.add(member)
		case inSystem:
			s.registry.add(member)
		case member.GetNamespace() != "":
			s.apps.add(member)
		default:
			s.system.add(member)
		}
	}
	p.stages = s.inOrder()
	// While the controller has our labels, setup manages Tekton: a setup after an
	// interruption restores the other labels.
	slices.SortStableFunc(p.released, func(a, b released) int { return rank(a.object) - rank(b.object) })
	return p
}

// canKeepImages reports whether there are stored images that are not being deleted.
func (c *Cluster) canKeepImages() bool {
	deleting := func(object *unstructured.Unstructured) bool { return object.GetDeletionTimestamp() != nil }
	return slices.ContainsFunc(c.members, func(member *unstructured.Unstructured) bool { return isClaim(member) && !deleting(member) }) &&
		!slices.ContainsFunc(c.members, func(member *unstructured.Unstructured) bool {
			return isNamespace(member) && member.GetName() == manifests.SystemNamespace && deleting(member)
		})
}

// rank sorts Tekton's controller last.
func rank(object *unstructured.Unstructured) int {
	if object.GetKind() == "Deployment" && object.GetLabels()["app.kubernetes.io/component"] == "controller" {
		return 1
	}
	return 0
}

// stages groups members by their part of the platform.
type stages struct {
	apps, pipeline, nodeAccess, registry, kinds, webhooks, tekton, tektonNamespaces, images, system stage
}

func (s *stage) add(object *unstructured.Unstructured) { s.objects = append(s.objects, object) }

// addTekton keeps Tekton's controller and webhook running until the objects of its
// kinds are gone: they remove finalizers and admit every change. The webhook
// configurations go before the webhook that they name, and the namespaces after their
// pods: the cluster waits for half of a pod's grace period at a time.
func (s *stages) addTekton(member *unstructured.Unstructured) {
	switch {
	case member.GetKind() == "CustomResourceDefinition":
		s.kinds.add(member)
	case strings.HasSuffix(member.GetKind(), "WebhookConfiguration"):
		s.webhooks.add(member)
	case isNamespace(member):
		s.tektonNamespaces.add(member)
	default:
		s.tekton.add(member)
	}
}

// inOrder returns the stages that are not empty. Objects that use a part go before the
// part.
func (s *stages) inOrder() []stage {
	namespaces := map[string]bool{}
	for _, object := range s.apps.objects {
		namespaces[object.GetNamespace()] = true
	}
	s.apps.name = "Access of the namespaces " + strings.Join(slices.Sorted(maps.Keys(namespaces)), ", ")
	s.pipeline.name = "Tasks and Pipelines"
	s.nodeAccess.name = "Node access"
	s.registry.name = "Registry"
	s.kinds.name = "Tekton's kinds and every object of them"
	s.webhooks.name = "Tekton's webhook configurations"
	s.tekton.name, s.tekton.tekton = "Tekton Pipelines", true
	s.tektonNamespaces.name = "Tekton's namespaces"
	s.images.name = "Stored images"
	s.system.name = "Configuration"
	return slices.DeleteFunc(
		[]stage{s.apps, s.pipeline, s.nodeAccess, s.registry, s.kinds, s.webhooks, s.tekton, s.tektonNamespaces, s.images, s.system},
		func(s stage) bool { return len(s.all()) == 0 })
}

// tektonIsOurs reports whether setup installed Tekton and still manages it.
func (c *Cluster) tektonIsOurs() bool {
	return (c.tekton == nil || c.tekton.Managed) && slices.ContainsFunc(c.members, isTekton)
}

// isTekton reports whether a member is part of Tekton's install manifest.
func isTekton(member *unstructured.Unstructured) bool {
	if member.GetKind() == "CustomResourceDefinition" {
		_, group, _ := strings.Cut(member.GetName(), ".")
		return isTektonGroup(group)
	}
	key, value, _ := strings.Cut(platform.TektonSelector, "=")
	return member.GetLabels()[key] == value
}

func isTektonGroup(group string) bool {
	return group == "tekton.dev" || strings.HasSuffix(group, ".tekton.dev")
}

func isParent(object *unstructured.Unstructured) bool {
	return object.GetKind() == "ConfigMap" && object.GetName() == manifests.ConfigName && object.GetNamespace() == manifests.SystemNamespace
}

// OthersUseTekton reports whether deleting Tekton deletes objects of others.
func (c *Cluster) OthersUseTekton() bool {
	return c.tektonIsOurs() && (slices.ContainsFunc(c.instances, isOthers) || slices.ContainsFunc(c.guests, func(guest *unstructured.Unstructured) bool {
		return guest.GetNamespace() != manifests.SystemNamespace
	}))
}

func isOthers(object *unstructured.Unstructured) bool {
	return object.GetLabels()[manifests.LabelManagedBy] != manifests.FieldManager
}

// Empty reports whether the plan changes nothing.
func (p *Plan) Empty() bool { return len(p.stages)+len(p.released) == 0 }

// Objects returns the objects that the plan deletes, in order.
func (p *Plan) Objects() []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for _, stage := range p.stages {
		objects = slices.Concat(objects, stage.all())
	}
	return objects
}

// Permissions returns the permissions to run the plan.
func (p *Plan) Permissions(mapper meta.RESTMapper) []access.Permission {
	var needed []access.Permission
	need := func(verb string, object *unstructured.Unstructured) {
		resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		if mapping, err := mapper.RESTMapping(object.GroupVersionKind().GroupKind()); err == nil {
			resource = mapping.Resource
		}
		permission := access.Permission{Verb: verb, Group: resource.Group, Resource: resource.Resource, Namespace: object.GetNamespace()}
		if !slices.Contains(needed, permission) {
			needed = append(needed, permission)
		}
	}
	for _, stage := range p.stages {
		for _, object := range stage.objects {
			need("get", object)
			need("delete", object)
		}
	}
	for _, released := range p.released {
		need("patch", released.object)
	}
	need("patch", newParent())
	return append(needed, lock.Permissions()...)
}
