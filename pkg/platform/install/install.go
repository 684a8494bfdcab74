package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

// Step is one part of an installation.
type Step struct {
	// Name describes the step in a few words.
	Name string
	// Run runs the step. It can be repeated: a later run continues where an
	// interrupted one stopped.
	Run func(context.Context, *State) error
}

// State is what the steps of one run pass on to later ones.
type State struct {
	// Changes are the changes so far.
	Changes []apply.Change

	// rendering is what the run applies; the step that chooses the node access
	// replaces it.
	rendering *rendering
	// inventory is the parent object that the previous run left; nil if there is
	// none.
	inventory *unstructured.Unstructured
}

// Installer runs a plan.
type Installer struct {
	Clients  *kube.Clients
	Plan     *Plan
	Progress platform.Progress
	// Timeout bounds the run.
	Timeout time.Duration
}

// Run runs the steps in order and returns the changes when everything is available.
// It can be interrupted and repeated at any point.
func (i *Installer) Run(ctx context.Context) ([]apply.Change, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, i.Timeout, fmt.Errorf("setup has not finished after %s: see why with kubectl pyflow status, and raise --timeout if it only needs longer", i.Timeout))
	defer cancel()
	state := &State{rendering: i.Plan.initial}
	for _, step := range i.Steps() {
		if err := step.Run(ctx, state); err != nil {
			if cause := context.Cause(ctx); errors.Is(ctx.Err(), context.DeadlineExceeded) {
				err = fmt.Errorf("%w (%w)", cause, err)
			}
			return state.Changes, err
		}
	}
	return state.Changes, nil
}

// Steps returns the steps in order. The first ones apply everything that depends on
// nothing, so that images are pulled and pods start in parallel.
func (i *Installer) Steps() []Step {
	tekton := "Tekton Pipelines " + i.Plan.config.Tekton.Version
	return []Step{
		{"Inventory of the previous run", i.readInventory},
		{"Configuration", i.applyConfiguration},
		{tekton, i.applyTekton(tekton)},
		{"Registry", i.applyRegistry},
		{"Node access", i.applyPart("Node access", func(p *manifests.Platform) []*unstructured.Unstructured { return p.NodeAccess })},
		{tekton + " available", i.waitForPart(tekton, func(p *manifests.Platform) []*unstructured.Unstructured { return p.Tekton })},
		{"Registry available", i.waitForPart("Registry", func(p *manifests.Platform) []*unstructured.Unstructured { return p.Registry })},
		{"Registry accepts the credentials", i.checkCredentials},
		{"Content of former namespaces", func(ctx context.Context, _ *State) error { return deleteFormer(ctx, i) }},
		{"Node access proven", i.chooseNodeAccess},
		{"User namespaces of builds", proveUserNamespaces(i)},
		{"Tasks and Pipelines", i.applyPart("Tasks and Pipelines", func(p *manifests.Platform) []*unstructured.Unstructured { return p.Pipeline })},
		{"Pod Security of the namespaces", applyPodSecurity(i)},
		{"Access of the namespaces", i.applyNamespaces},
		{"Inventory", i.prune},
		{"Former node access", i.warnOfFormerHost},
		{"Former credentials", i.dropFormerCredentials},
	}
}

// part selects objects of the platform.
type part func(*manifests.Platform) []*unstructured.Unstructured

func (i *Installer) applyPart(name string, part part) func(context.Context, *State) error {
	return func(ctx context.Context, state *State) error {
		return i.apply(ctx, state, name, part(state.rendering.platform))
	}
}

func (i *Installer) waitForPart(name string, part part) func(context.Context, *State) error {
	return func(ctx context.Context, state *State) error {
		return i.waitFor(ctx, name, part(state.rendering.platform), func() {})
	}
}

func (i *Installer) applyTekton(name string) func(context.Context, *State) error {
	tekton := i.Plan.config.Tekton
	if !tekton.Adopted {
		return i.applyPart(name, func(p *manifests.Platform) []*unstructured.Unstructured { return p.Tekton })
	}
	return func(context.Context, *State) error {
		i.Progress.Print(fmt.Sprintf("✓ %s in namespace %s adopted unchanged", name, tekton.Namespace))
		return nil
	}
}

// applyConfiguration applies the platform's namespace and configuration. Until the
// prune, the inventory lists what the previous run installed, too.
func (i *Installer) applyConfiguration(ctx context.Context, state *State) error {
	objects, err := withUnclean(state.withInventory(state.rendering.platform.System), i.Plan.former)
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return i.apply(ctx, state, "Configuration", objects)
}

// apply applies objects as one line of progress.
func (i *Installer) apply(ctx context.Context, state *State, name string, objects []*unstructured.Unstructured) error {
	if len(objects) == 0 {
		return nil
	}
	done := i.Progress.Start("Applying: " + name)
	changes, err := i.applier().Apply(ctx, objects)
	done(name+": "+Summary(changes), err)
	state.Changes = append(state.Changes, changes...)
	return err
}

func (i *Installer) applier() *apply.Applier {
	return &apply.Applier{
		Dynamic: i.Clients.Dynamic, Mapper: i.Clients.Mapper, FieldManager: manifests.FieldManager, WebhookPatience: i.Timeout,
	}
}

// withInventory returns objects with the parent object replaced by one that lists
// the members of the previous run, too.
func (s *State) withInventory(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	if s.inventory == nil {
		return objects
	}
	set := s.rendering.set
	objects = slices.Clone(objects)
	objects[slices.Index(objects, set.Parent)] = set.Extend(s.inventory)
	return objects
}

// Summary counts changes by result: "3 created, 1 configured" or "nothing changed".
func Summary(changes []apply.Change) string {
	counts := map[apply.Result]int{}
	for _, change := range changes {
		counts[change.Result]++
	}
	var parts []string
	for _, result := range []apply.Result{apply.Created, apply.Configured, apply.Pruned} {
		if counts[result] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[result], result))
		}
	}
	if len(parts) == 0 {
		return "nothing changed"
	}
	return strings.Join(parts, ", ")
}
