package teardown

import (
	"fmt"
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
)

// plan is what a run is going to do with each member.
type plan struct {
	// stages are deleted one after the other.
	stages []stage
	// released are left to others: our labels go off them, in this order.
	released []released
	// kept stay, and stay ours.
	kept []*unstructured.Unstructured
	// deletesTekton says that Tekton's kinds go, with every object of them.
	deletesTekton bool
}

// stage is what is deleted together; the next has to wait until it is gone.
type stage struct {
	name    string
	objects []*unstructured.Unstructured
	// implied go with the objects, without being deleted one by one.
	implied []*unstructured.Unstructured
}

func (s stage) all() []*unstructured.Unstructured { return slices.Concat(s.objects, s.implied) }

// released is an object that is no longer ours.
type released struct {
	object *unstructured.Unstructured
	// reason is empty for a part of Tekton, which has one for all.
	reason string
}

// plan decides what becomes of every member: it is pure. keepTekton counts only
// where there is a Tekton to decide about.
func (c *cluster) plan(purge, keepTekton bool) *plan {
	p := &plan{deletesTekton: c.tektonIsOurs() && !keepTekton}
	images := !purge && c.canKeepImages()
	guests := map[string][]string{}
	for _, guest := range c.guests {
		// Objects of Tekton's kinds go with the kinds wherever they are.
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
			p.released = append(p.released, released{member, "is managed by others now"})
		case images && (isClaim(member) || isParent(member) || (isNamespace(member) && name == manifests.SystemNamespace)):
			p.kept = append(p.kept, member)
		case isNamespace(member) && len(guests[name]) > 0:
			p.released = append(p.released, released{member, "has what is not pyflow's: " + display.JoinMax(guests[name], maxNames)})
		case isTekton(member):
			s.addTekton(member)
		case inSystem && isTektonGroup(member.GroupVersionKind().Group):
			if p.deletesTekton {
				// Deleting them one by one would need Tekton's webhook to work.
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
	// Until the controller's own labels are off, Tekton counts as setup's, and a
	// setup after an interruption restores the others.
	slices.SortStableFunc(p.released, func(a, b released) int { return rank(a.object) - rank(b.object) })
	return p
}

// canKeepImages says whether there are stored images that are not on their way out.
func (c *cluster) canKeepImages() bool {
	leaving := func(object *unstructured.Unstructured) bool { return object.GetDeletionTimestamp() != nil }
	return slices.ContainsFunc(c.members, func(member *unstructured.Unstructured) bool { return isClaim(member) && !leaving(member) }) &&
		!slices.ContainsFunc(c.members, func(member *unstructured.Unstructured) bool {
			return isNamespace(member) && member.GetName() == manifests.SystemNamespace && leaving(member)
		})
}

// rank puts Tekton's controller after all else.
func rank(object *unstructured.Unstructured) int {
	if object.GetKind() == "Deployment" && object.GetLabels()["app.kubernetes.io/component"] == "controller" {
		return 1
	}
	return 0
}

// stages sorts members by the part they are of.
type stages struct {
	apps, pipeline, nodeAccess, registry, kinds, webhooks, tekton, tektonNamespaces, images, system stage
}

func (s *stage) add(object *unstructured.Unstructured) { s.objects = append(s.objects, object) }

// addTekton keeps Tekton's controller and webhook working until the objects of its
// kinds are gone: they take the finalizers off, and answer for every change. The
// webhooks' registrations go before the webhook that they name.
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

// inOrder leaves out what is empty. What uses a part goes before it.
func (s *stages) inOrder() []stage {
	namespaces := map[string]bool{}
	for _, object := range s.apps.objects {
		namespaces[object.GetNamespace()] = true
	}
	s.apps.name = "Access of the namespaces " + strings.Join(slices.Sorted(maps.Keys(namespaces)), ", ")
	s.pipeline.name = "Tasks and Pipeline"
	s.nodeAccess.name = "Node access"
	s.registry.name = "Registry"
	s.kinds.name = "Tekton's kinds and every object of them"
	s.webhooks.name = "Tekton's webhook registrations"
	s.tekton.name = "Tekton Pipelines"
	s.tektonNamespaces.name = "Tekton's namespaces"
	s.images.name = "Stored images"
	s.system.name = "Configuration"
	return slices.DeleteFunc(
		[]stage{s.apps, s.pipeline, s.nodeAccess, s.registry, s.kinds, s.webhooks, s.tekton, s.tektonNamespaces, s.images, s.system},
		func(s stage) bool { return len(s.all()) == 0 })
}

// tektonIsOurs says whether there is a Tekton to decide about: setup installed it
// and nobody has taken it over.
func (c *cluster) tektonIsOurs() bool {
	return (c.tekton == nil || c.tekton.Managed) && slices.ContainsFunc(c.members, isTekton)
}

// isTekton says whether a member is of Tekton's install manifest.
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

// othersUseTekton says whether deleting Tekton loses what is not pyflow's.
func (c *cluster) othersUseTekton() bool {
	return c.tektonIsOurs() && (slices.ContainsFunc(c.instances, isOthers) || slices.ContainsFunc(c.guests, func(guest *unstructured.Unstructured) bool {
		return guest.GetNamespace() != manifests.SystemNamespace
	}))
}

func isOthers(object *unstructured.Unstructured) bool {
	return object.GetLabels()[manifests.LabelManagedBy] != manifests.FieldManager
}

// deleted are all objects that go, in order.
func (p *plan) deleted() []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for _, stage := range p.stages {
		objects = slices.Concat(objects, stage.all())
	}
	return objects
}

// rights are what the plan takes.
func (p *plan) rights(mapper meta.RESTMapper) []access.Permission {
	var rights []access.Permission
	need := func(verb string, object *unstructured.Unstructured) {
		resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		if mapping, err := mapper.RESTMapping(object.GroupVersionKind().GroupKind()); err == nil {
			resource = mapping.Resource
		}
		right := access.Permission{Verb: verb, Group: resource.Group, Resource: resource.Resource, Namespace: object.GetNamespace()}
		if !slices.Contains(rights, right) {
			rights = append(rights, right)
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
	return rights
}

// describe says to a person what the plan does to the cluster, line by line.
func (c *cluster) describe(p *plan) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if len(p.stages) > 0 {
		add("This goes:")
	}
	for _, stage := range p.stages {
		add("  %s: %s", stage.name, display.Count(len(stage.all()), "object"))
	}
	if p.deletesTekton {
		c.describeTekton(add)
	}
	if len(c.running) > 0 && len(p.stages) > 0 {
		add("%s under way and will fail: %s", be(len(c.running), "build"), display.JoinMax(c.running, maxNames))
	}
	if len(c.imageUsers) > 0 && len(p.stages) > 0 {
		add("These run images of the registry: they keep running, and can not start on a node that has to pull.")
		lines = append(lines, indent(c.imageUsers)...)
	}
	c.describeStays(p, add)
	return lines
}

func (c *cluster) describeTekton(add func(string, ...any)) {
	runs, others := 0, map[string]int{}
	for _, instance := range c.instances {
		if isOthers(instance) {
			others[instance.GetNamespace()+"\x00"+strings.ToLower(instance.GetKind())]++
		} else if instance.GetKind() == "PipelineRun" {
			runs++
		}
	}
	if runs > 0 {
		add("With Tekton's kinds goes the history of %s.", display.Count(runs, "build"))
	}
	if len(others) > 0 {
		add("With Tekton's kinds go these, which are NOT pyflow's:")
	}
	for _, key := range slices.Sorted(maps.Keys(others)) {
		namespace, kind, _ := strings.Cut(key, "\x00")
		where := "in namespace " + namespace
		if namespace == "" {
			where = "of the whole cluster"
		}
		add("  %s %s", display.Count(others[key], kind), where)
	}
}

func (c *cluster) describeStays(p *plan, add func(string, ...any)) {
	for _, object := range p.kept {
		if isClaim(object) {
			add("%s stays with the stored images, for the next setup; --purge deletes them.", kube.Describe(object))
		}
	}
	if c.external() {
		add("The images in the registry %s stay: it is not pyflow's.", c.registry("host"))
	}
	tekton := 0
	for _, released := range p.released {
		if released.reason == "" {
			tekton++
			continue
		}
		add("%s stays: it %s.", kube.Describe(released.object), released.reason)
	}
	switch {
	case tekton > 0 && c.tekton != nil && !c.tekton.Managed:
		add("Tekton Pipelines in namespace %s stays (%s): another tool has taken it over.", c.tekton.Namespace, display.Count(tekton, "object"))
	case tekton > 0:
		add("Tekton Pipelines stays (%s); the next setup adopts it.", display.Count(tekton, "object"))
	case c.tekton != nil && !c.tekton.Managed:
		add("Tekton Pipelines in namespace %s stays: setup has not installed it.", c.tekton.Namespace)
	}
	for _, object := range p.deleted() {
		if volume := c.retained[object.GetName()]; volume != "" && isClaim(object) {
			add("persistentvolume/%s stays with the stored images: its reclaim policy is Retain, so it is for you to delete.", volume)
		}
	}
}

// be begins a sentence: 1 build is, 2 builds are.
func be(n int, thing string) string {
	if n == 1 {
		return display.Count(n, thing) + " is"
	}
	return display.Count(n, thing) + " are"
}

// maxNames is the number of names that a line lists.
const maxNames = 10

func indent(items []string) []string {
	lines := make([]string, len(items))
	for i, item := range items {
		lines[i] = "  " + item
	}
	return lines
}
