package setup

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/rollout"
)

// run is one setup under way.
type run struct {
	*Options
	*plan
	applier *apply.Applier
	steps   *display.Steps
	changes []apply.Change
}

// Run plans, applies stage by stage, and returns when everything is available.
// It can be interrupted and run again at any point.
func (o *Options) Run(ctx context.Context) error {
	start := time.Now()
	steps := display.NewSteps(o.Streams.ErrOut)
	done := steps.Start("Checking the cluster")
	plan, err := o.plan(ctx)
	done("Cluster checked", err)
	if err != nil {
		return err
	}
	if o.DryRun {
		return o.print(plan)
	}
	if plan.leaving != "" {
		steps.Print(plan.leaving)
	}
	r := &run{Options: o, plan: plan, steps: steps, applier: &apply.Applier{
		Dynamic:         o.Clients.Dynamic,
		Mapper:          o.Clients.Mapper,
		FieldManager:    manifests.FieldManager,
		WebhookPatience: o.Timeout,
	}}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("setup is not done after %s: see why with kubectl pyflow status, and raise --timeout when it only needs longer", o.Timeout))
	defer cancel()
	if err := r.all(ctx); err != nil {
		if cause := context.Cause(ctx); errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%w (%w)", cause, err)
		}
		return err
	}
	steps.Print(fmt.Sprintf("%s in %s; namespace %s is ready for builds", summary(r.changes), display.Seconds(time.Since(start)), o.Clients.Namespace))
	return nil
}

func (o *Options) print(plan *plan) error {
	for _, object := range plan.platform.Objects() {
		if err := o.Printer.PrintObj(object, o.Streams.Out); err != nil {
			return err
		}
	}
	return nil
}

// part is what one line of progress is about.
type part struct {
	name    string
	objects []*unstructured.Unstructured
}

// all applies what does not wait for anything first, so that images are pulled
// and pods start side by side.
func (r *run) all(ctx context.Context) error {
	before, err := r.currentParent(ctx)
	if err != nil {
		return err
	}
	p := r.platform
	tekton := "Tekton Pipelines " + r.config.Tekton.Version
	if r.config.Tekton.Adopted {
		r.steps.Print(fmt.Sprintf("✓ %s in namespace %s adopted as it is", tekton, r.config.Tekton.Namespace))
	}
	if err := r.apply(ctx, "Configuration", r.withParent(p.System, before)); err != nil {
		return err
	}
	store := p.Registry
	if r.accounts != nil {
		store = withAccounts(store, r.accounts)
	}
	parts := []part{{tekton, p.Tekton}, {"Registry", store}, {"Node access", p.NodeAccess}}
	for _, part := range parts {
		if err := r.apply(ctx, part.name, part.objects); err != nil {
			return err
		}
	}
	for _, part := range parts[:2] {
		if err := r.wait(ctx, part.name, part.objects, func() {}); err != nil {
			return err
		}
	}
	if err := r.logIn(ctx); err != nil {
		return err
	}
	if err := r.access(ctx, before); err != nil {
		return err
	}
	// The nodes' way decides on names, so from here on the objects may be others.
	p = r.platform
	if err := r.apply(ctx, "Tasks and Pipeline", p.Pipeline); err != nil {
		return err
	}
	if err := r.apply(ctx, "Access of the namespaces "+strings.Join(r.config.Namespaces, ", "), p.Namespaces); err != nil {
		return err
	}
	if err := r.prune(ctx, before); err != nil {
		return err
	}
	r.warnOfFormerHost(ctx)
	return r.dropFormerLogins(ctx)
}

func (r *run) apply(ctx context.Context, name string, objects []*unstructured.Unstructured) error {
	if len(objects) == 0 {
		return nil
	}
	done := r.steps.Start("Applying " + lowerFirst(name))
	changes, err := r.applier.Apply(ctx, objects)
	done(fmt.Sprintf("%s: %s", name, summary(changes)), err)
	r.changes = append(r.changes, changes...)
	return err
}

// wait returns once the workloads among objects do their work. Progress is called
// when more of them does.
func (r *run) wait(ctx context.Context, name string, objects []*unstructured.Unstructured, progress func()) error {
	byNamespace := map[string][]release.Workload{}
	for _, object := range objects {
		if kind := object.GetKind(); kind == "Deployment" || kind == "StatefulSet" || kind == "DaemonSet" {
			namespace := object.GetNamespace()
			byNamespace[namespace] = append(byNamespace[namespace], release.Workload{Kind: kind, Name: object.GetName()})
		}
	}
	if len(byNamespace) == 0 {
		return nil
	}
	done := r.steps.Start("Waiting for " + lowerFirst(name))
	group, ctx := errgroup.WithContext(ctx)
	for namespace, workloads := range byNamespace {
		group.Go(func() error {
			before := map[release.Workload]string{}
			err := rollout.Watch(ctx, r.Clients.Kube, namespace, workloads, "", func(update rollout.Update) {
				r.steps.Update("Waiting for " + lowerFirst(name) + ": " + cmp.Or(update.Trouble, update.State.Message))
				// What troubles a pod may come and go, and is no progress.
				if before[update.Workload] != update.State.Message {
					before[update.Workload] = update.State.Message
					progress()
				}
			})
			if err != nil {
				return fmt.Errorf("namespace %s: %w", namespace, err)
			}
			return nil
		})
	}
	err := group.Wait()
	done(name+" available", err)
	var failure *rollout.Failure
	if errors.As(err, &failure) {
		r.steps.Log(failure.Pod, failure.Log...)
	}
	return err
}

// currentParent is the inventory that the last run left, nil when there is none.
func (r *run) currentParent(ctx context.Context) (*unstructured.Unstructured, error) {
	configMaps := corev1.SchemeGroupVersion.WithResource("configmaps")
	resource := r.Clients.Dynamic.Resource(configMaps).Namespace(manifests.SystemNamespace)
	parent, err := resource.Get(ctx, manifests.ConfigName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return parent, err
}

// withParent replaces the inventory among objects by one that still lists what
// the last run installed.
func (r *run) withParent(objects []*unstructured.Unstructured, before *unstructured.Unstructured) []*unstructured.Unstructured {
	if before == nil {
		return objects
	}
	objects = slices.Clone(objects)
	objects[slices.Index(objects, r.set.Parent)] = r.set.Extend(before)
	return objects
}

// prune deletes what the last run installed and this one does not, and leaves
// the configuration as it is now.
func (r *run) prune(ctx context.Context, before *unstructured.Unstructured) error {
	done := r.steps.Start("Looking for what is no longer needed")
	var pruned []apply.Change
	var kept []*unstructured.Unstructured
	err := error(nil)
	if before != nil {
		pruned, kept, err = r.applier.Prune(ctx, r.set, before, r.platform.Objects())
	}
	if err == nil {
		r.set.Include(kept)
		var parent []apply.Change
		parent, err = r.applier.Apply(ctx, []*unstructured.Unstructured{r.set.Parent})
		r.changes = append(r.changes, parent...)
	}
	done("Inventory: "+summary(pruned), err)
	for _, object := range kept {
		if object.GetKind() == "PersistentVolumeClaim" {
			r.steps.Print(kube.Describe(object) + " is not in use any more and stays, for what is stored on it")
		}
	}
	r.changes = append(r.changes, pruned...)
	return err
}

// logIn proves that the platform's and the namespace's logins open the registry.
// A registry that runs already reads changed users from its volume when the
// kubelet has brought them there, within about a minute; a changed annotation on
// the pod makes that at once.
func (r *run) logIn(ctx context.Context) error {
	done := r.steps.Start("Logging in to the registry")
	err := r.usersRead(ctx)
	for _, namespace := range []string{manifests.SystemNamespace, r.Clients.Namespace} {
		if err == nil {
			err = r.ping(ctx, r.secrets.Users[namespace], func(err error) bool { return err == nil })
		}
	}
	done("Registry accepts the login of namespace "+r.Clients.Namespace, err)
	return err
}

// usersRead makes the registry read its users, if they have changed.
func (r *run) usersRead(ctx context.Context) error {
	if !slices.ContainsFunc(r.changes, func(change apply.Change) bool {
		return change.Result == apply.Configured && change.Object.GetKind() == "Secret" && change.Object.GetName() == manifests.AuthName
	}) {
		return nil
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"pyflow.dev/users-changed":%q}}}`, time.Now().UTC().Format(time.RFC3339Nano))
	_, err := r.Clients.Kube.CoreV1().Pods(manifests.SystemNamespace).Patch(ctx, manifests.RegistryPod, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manifests.FieldManager})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("annotate pod %s: %w", manifests.RegistryPod, err)
	}
	return nil
}

// ping asks the registry until its answer is the one that is waited for.
func (r *run) ping(ctx context.Context, user credentials.User, enough func(error) bool) error {
	client, err := platform.Registry(r.Clients, r.config.Registry, user, r.secrets.CACertificate)
	if err != nil {
		return err
	}
	defer client.Close()
	var last error
	err = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		last = client.Ping(ctx)
		return enough(last), nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// withAccounts replaces the registry's user file among objects.
func withAccounts(objects []*unstructured.Unstructured, accounts []byte) []*unstructured.Unstructured {
	objects = slices.Clone(objects)
	for i, object := range objects {
		if object.GetKind() == "Secret" && object.GetName() == manifests.AuthName {
			objects[i] = object.DeepCopy()
			// The rendering made a map of it.
			_ = unstructured.SetNestedField(objects[i].Object, base64.StdEncoding.EncodeToString(accounts), "data", manifests.AccountsKey)
		}
	}
	return objects
}

// dropFormerLogins ends the time in which the logins that were replaced are good
// as well: when no build needs them any more. Pods that run need none, and those
// that start take the new one from their namespace's Secret.
func (r *run) dropFormerLogins(ctx context.Context) error {
	if r.accounts == nil {
		return nil
	}
	done := r.steps.Start("Waiting for builds that use the old passwords")
	err := r.waitForBuilds(ctx)
	done("No build uses the old passwords", err)
	if err != nil {
		r.steps.Print("  warning: the old passwords are still good as well; a setup after the builds have ended takes them away")
		return err
	}
	if err := r.apply(ctx, "Logins", slices.DeleteFunc(slices.Clone(r.platform.Registry), func(object *unstructured.Unstructured) bool {
		return object.GetKind() != "Secret" || object.GetName() != manifests.AuthName
	})); err != nil {
		return err
	}
	done = r.steps.Start("Making the registry forget the old passwords")
	err = r.usersRead(ctx)
	if err != nil || r.former.Name == "" {
		// What an interrupted run has replaced is not there any more to be tried.
		done("Registry told to forget the old passwords", err)
		return err
	}
	err = r.ping(ctx, r.former, func(err error) bool { return errors.Is(err, registry.ErrUnauthorized) })
	done("Registry refuses the old passwords", err)
	return err
}

// waitForBuilds returns when every run that is under way now has ended. Later ones
// begin with the new logins.
func (r *run) waitForBuilds(ctx context.Context) error {
	var before map[types.UID]bool
	return wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		open := map[types.UID]bool{}
		for _, namespace := range r.config.Namespaces {
			runs, err := r.Clients.Tekton.TektonV1().PipelineRuns(namespace).List(ctx, metav1.ListOptions{
				LabelSelector: manifests.LabelManagedBy + "=" + manifests.FieldManager,
			})
			if err != nil {
				return false, fmt.Errorf("list pipelineruns in namespace %s: %w", namespace, err)
			}
			for _, run := range runs.Items {
				if !run.IsDone() && (before == nil || before[run.UID]) {
					open[run.UID] = true
					r.steps.Update("Waiting for run " + run.Name + " in namespace " + namespace + ", which uses the old password")
				}
			}
		}
		before = open
		return len(open) == 0, nil
	})
}

// summary counts changes by result: "3 created, 1 configured", or "nothing changed".
func summary(changes []apply.Change) string {
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

// lowerFirst puts a name into the middle of a sentence; a proper name stays.
func lowerFirst(name string) string {
	if strings.HasPrefix(name, "Tekton") {
		return name
	}
	return strings.ToLower(name[:1]) + name[1:]
}
