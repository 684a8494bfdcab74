package teardown

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/lock"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/uninstall"
)

var (
	// ErrNotInteractive reports that teardown needs an answer and there is no terminal.
	ErrNotInteractive = errors.New("teardown asks before it deletes, and there is no terminal to ask on")
	// ErrDeclined reports that the answer was not yes. Nothing was changed.
	ErrDeclined = errors.New("not confirmed: nothing was changed")
	// ErrTektonInUse reports that nothing decides about the objects of others.
	ErrTektonInUse = errors.New("deleting Tekton Pipelines would delete objects that are not pyflow's")
)

// Run shows what would be deleted, asks, deletes it, and returns when it is gone. It
// can be interrupted and repeated at any point.
func (o *Options) Run(ctx context.Context) error {
	start := time.Now()
	steps := display.NewSteps(o.Streams.ErrOut)
	done := steps.Start("Checking the cluster")
	cluster, err := uninstall.Inspect(ctx, o.Clients)
	var plan *uninstall.Plan
	if err == nil {
		// What is not decided yet about Tekton is deleted.
		plan, err = o.plan(ctx, cluster, o.KeepTekton != nil && *o.KeepTekton)
	}
	done("Cluster checked: "+o.Clients.Config.Host, err)
	if err != nil {
		return err
	}
	if !cluster.Installed() {
		steps.Print("nothing to remove: pyflow is not set up on this cluster")
		return nil
	}
	for _, line := range cluster.Describe(plan) {
		steps.Print(line)
	}
	if plan.Empty() {
		steps.Print("nothing to remove but the stored images")
		return nil
	}
	if o.DryRun == option.DryRunClient || o.DryRun == option.DryRunServer {
		if o.KeepTekton == nil && cluster.OthersUseTekton() {
			steps.Print("Tekton Pipelines is in use by others: decide with --keep-tekton or --keep-tekton=false.")
		}
		return o.dryRun(ctx, cluster, plan)
	}
	if plan, err = o.confirm(ctx, cluster, plan); err != nil {
		return err
	}
	uninstaller := &uninstall.Uninstaller{Cluster: cluster, Plan: plan, Progress: steps, Timeout: o.Timeout}
	if err := o.exclusively(ctx, steps, uninstaller.Run); err != nil {
		return err
	}
	steps.Print(fmt.Sprintf("%s deleted in %s", display.Count(len(plan.Objects()), "object"), display.Seconds(time.Since(start))))
	return nil
}

// exclusively runs remove while no setup and no other teardown changes the platform. Without the
// platform's namespace, as an interrupted teardown leaves it, there is nothing to lock, and no setup
// to wait for.
func (o *Options) exclusively(ctx context.Context, steps *display.Steps, remove func(context.Context) error) error {
	ready, err := lock.Ready(ctx, o.Clients.Kube)
	if err != nil {
		return err
	}
	if !ready {
		return remove(ctx)
	}
	exclusive := &lock.Lock{
		Client: o.Clients.Kube, Command: "teardown", Timeout: o.Timeout,
		Waiting: func(holder lock.Holder) { steps.Print("waiting for " + holder.String()) },
	}
	return exclusive.Hold(ctx, remove)
}

// plan decides what to delete, and checks the permissions for it.
func (o *Options) plan(ctx context.Context, cluster *uninstall.Cluster, keepTekton bool) (*uninstall.Plan, error) {
	plan := cluster.Plan(o.Purge, keepTekton)
	if plan.Empty() {
		return plan, nil
	}
	return plan, access.Check(ctx, o.Clients.Kube, plan.Permissions(o.Clients.Mapper))
}

// dryRun names what would be deleted, in order. With the server strategy the API
// server checks the deletions.
func (o *Options) dryRun(ctx context.Context, cluster *uninstall.Cluster, plan *uninstall.Plan) error {
	suffix := " (dry run)"
	if o.DryRun == option.DryRunServer {
		if err := cluster.Check(ctx, plan); err != nil {
			return err
		}
		suffix = " (server dry run)"
	}
	for _, object := range plan.Objects() {
		line := kube.Describe(object)
		if o.Names {
			line, _, _ = strings.Cut(line, " ")
		} else {
			line += suffix
		}
		if _, err := fmt.Fprintln(o.Streams.Out, line); err != nil {
			return err
		}
	}
	return nil
}

// confirm asks, first about a Tekton that others use, and returns the plan that the
// user agrees to.
func (o *Options) confirm(ctx context.Context, cluster *uninstall.Cluster, plan *uninstall.Plan) (*uninstall.Plan, error) {
	undecided := o.KeepTekton == nil && cluster.OthersUseTekton()
	switch {
	case undecided && (o.Yes || o.Ask == nil):
		return nil, ErrTektonInUse
	case o.Yes:
		return plan, nil
	case o.Ask == nil:
		return nil, ErrNotInteractive
	}
	if undecided {
		answer, err := o.Ask(ctx, "Delete Tekton Pipelines and the objects that are not pyflow's? yes deletes them, no leaves Tekton unchanged: ")
		if err != nil {
			return nil, err
		}
		switch answer {
		case "yes":
		case "no":
			if plan, err = o.plan(ctx, cluster, true); err != nil {
				return nil, err
			}
		default:
			return nil, ErrDeclined
		}
	}
	answer, err := o.Ask(ctx, fmt.Sprintf("Delete %s of %s? Type yes to continue: ", display.Count(len(plan.Objects()), "object"), o.Clients.Config.Host))
	if err != nil {
		return nil, err
	}
	if answer != "yes" {
		return nil, ErrDeclined
	}
	return plan, nil
}
