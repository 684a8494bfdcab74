package teardown

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

var (
	// ErrNobodyToAsk says that teardown needs an answer and there is no terminal.
	ErrNobodyToAsk = errors.New("teardown asks before it deletes, and there is no terminal to ask on")
	// ErrDeclined says that the answer was not yes. Nothing has been changed.
	ErrDeclined = errors.New("not confirmed: nothing was changed")
	// ErrTektonInUse says that nobody has decided about others' objects.
	ErrTektonInUse = errors.New("deleting Tekton Pipelines would delete what is not pyflow's")
)

// Run shows what goes, asks, deletes it stage by stage, and returns when it is
// gone. It can be interrupted and run again at any point.
func (o *Options) Run(ctx context.Context) error {
	start := time.Now()
	steps := display.NewSteps(o.Streams.ErrOut)
	done := steps.Start("Checking the cluster")
	cluster, plan, err := o.prepare(ctx)
	done("Cluster checked: "+o.Clients.Config.Host, err)
	if err != nil {
		return err
	}
	if len(cluster.members) == 0 {
		steps.Print("nothing to remove: pyflow is not set up on this cluster")
		return nil
	}
	for _, line := range cluster.describe(plan) {
		steps.Print(line)
	}
	if len(plan.stages)+len(plan.released) == 0 {
		steps.Print("nothing to remove but the stored images")
		return nil
	}
	if o.DryRun {
		if o.KeepTekton == nil && cluster.othersUseTekton() {
			steps.Print("Tekton Pipelines is in use by others: --keep-tekton or --keep-tekton=false decides about it.")
		}
		return o.print(plan)
	}
	if plan, err = o.confirm(ctx, cluster, plan); err != nil {
		return err
	}
	r := &run{Options: o, cluster: cluster, plan: plan, steps: steps, applier: o.applier()}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("teardown is not done after %s", o.Timeout))
	defer cancel()
	if err := r.all(ctx); err != nil {
		if cause := context.Cause(ctx); errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%w: %w", cause, err)
		}
		return err
	}
	steps.Print(fmt.Sprintf("%s deleted in %s", display.Count(len(plan.deleted()), "object"), display.Seconds(time.Since(start))))
	return nil
}

// prepare reads the cluster and makes the plan, where what is not decided yet
// about Tekton is deleted.
func (o *Options) prepare(ctx context.Context) (*cluster, *plan, error) {
	cluster, err := o.inspect(ctx)
	if err != nil {
		return nil, nil, err
	}
	plan := cluster.plan(o.Purge, o.KeepTekton != nil && *o.KeepTekton)
	if len(plan.stages)+len(plan.released) == 0 {
		return cluster, plan, nil
	}
	return cluster, plan, access.Check(ctx, o.Clients.Kube, plan.rights(o.Clients.Mapper))
}

// print names what goes, in order.
func (o *Options) print(plan *plan) error {
	for _, object := range plan.deleted() {
		line := kube.Describe(object)
		if o.Names {
			line, _, _ = strings.Cut(line, " ")
		} else {
			line += " (dry run)"
		}
		if _, err := fmt.Fprintln(o.Streams.Out, line); err != nil {
			return err
		}
	}
	return nil
}

// confirm asks, first what to do about a Tekton that others use, and returns the
// plan that was agreed to.
func (o *Options) confirm(ctx context.Context, cluster *cluster, plan *plan) (*plan, error) {
	undecided := o.KeepTekton == nil && cluster.othersUseTekton()
	switch {
	case undecided && (o.Yes || o.Ask == nil):
		return nil, ErrTektonInUse
	case o.Yes:
		return plan, nil
	case o.Ask == nil:
		return nil, ErrNobodyToAsk
	}
	if undecided {
		answer, err := o.Ask(ctx, "Delete Tekton Pipelines all the same, and what is not pyflow's with it? yes deletes, no leaves Tekton as it is: ")
		if err != nil {
			return nil, err
		}
		switch answer {
		case "yes":
		case "no":
			plan = cluster.plan(o.Purge, true)
			if err := access.Check(ctx, o.Clients.Kube, plan.rights(o.Clients.Mapper)); err != nil {
				return nil, err
			}
		default:
			return nil, ErrDeclined
		}
	}
	answer, err := o.Ask(ctx, fmt.Sprintf("Delete %s of %s? Type yes to go on: ", display.Count(len(plan.deleted()), "object"), o.Clients.Config.Host))
	if err != nil {
		return nil, err
	}
	if answer != "yes" {
		return nil, ErrDeclined
	}
	return plan, nil
}

// run is one teardown under way.
type run struct {
	*Options
	*cluster
	*plan
	applier *apply.Applier
	steps   *display.Steps
}

// all releases before it deletes, so that whatever comes between, no later setup
// takes for its own what was left to others. Until the end the inventory lists
// everything.
func (r *run) all(ctx context.Context) error {
	if err := r.release(ctx); err != nil {
		return err
	}
	if r.parent != nil || len(r.kept) > 0 {
		if err := r.remember(ctx, r.members); err != nil {
			return err
		}
	}
	for _, stage := range r.stages {
		done := r.steps.Start("Deleting " + lowerFirst(stage.name))
		err := r.applier.Remove(ctx, stage.objects, func(left int) {
			r.steps.Update(fmt.Sprintf("Deleting %s: %s left", lowerFirst(stage.name), display.Count(left, "object")))
		})
		done(fmt.Sprintf("%s: %d deleted", stage.name, len(stage.all())), err)
		if err != nil {
			return err
		}
	}
	if len(r.kept) == 0 {
		return nil
	}
	return r.remember(ctx, r.kept)
}

// release takes our labels off what stays with others.
func (r *run) release(ctx context.Context) error {
	if len(r.released) == 0 {
		return nil
	}
	objects := make([]*unstructured.Unstructured, len(r.released))
	for i, released := range r.released {
		objects[i] = released.object
	}
	done := r.steps.Start("Leaving what stays to others")
	err := r.applier.Release(ctx, objects, map[string]string{manifests.LabelManagedBy: manifests.FieldManager})
	done(display.Count(len(objects), "object")+" left as they are", err)
	return err
}

// remember writes the inventory of members, and that nothing is set up any more.
func (r *run) remember(ctx context.Context, members []*unstructured.Unstructured) error {
	parent := newParent()
	if r.parent != nil {
		parent.SetLabels(maps.Clone(r.parent.GetLabels()))
	}
	text, err := yaml.Marshal(r.leftConfig())
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if err := unstructured.SetNestedField(parent.Object, string(text), "data", manifests.ConfigKey); err != nil {
		return err
	}
	labels := parent.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[manifests.LabelManagedBy] = manifests.FieldManager
	parent.SetLabels(labels)
	set := apply.Set{Parent: parent, Tooling: r.set.Tooling}
	others := slices.DeleteFunc(slices.Clone(members), isParent)
	for i := range others {
		others[i] = others[i].DeepCopy() // Mark labels them.
	}
	set.Mark(append(others, parent))
	_, err = r.applier.Apply(ctx, []*unstructured.Unstructured{parent})
	return err
}

// leftConfig is the configuration that the next setup finds: settings stay, what
// was installed does not. When it is lost, the volume tells what has to be known
// to take it over.
func (c *cluster) leftConfig() map[string]any {
	config := maps.Clone(c.config)
	delete(config, "namespaces")
	config["removed"] = true
	if config["version"] == nil {
		config["version"] = version.Version()
	}
	claim := slices.IndexFunc(c.members, isClaim)
	if config["registry"] == nil && claim >= 0 {
		spec, _, _ := unstructured.NestedMap(c.members[claim].Object, "spec")
		size, _, _ := unstructured.NestedString(spec, "resources", "requests", "storage")
		class, _, _ := unstructured.NestedString(spec, "storageClassName")
		config["registry"] = map[string]any{"storageSize": size, "storageClass": class}
	}
	return config
}

// lowerFirst puts a name into the middle of a sentence; a proper name stays.
func lowerFirst(name string) string {
	if strings.HasPrefix(name, "Tekton") {
		return name
	}
	return strings.ToLower(name[:1]) + name[1:]
}
