package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/nodeaccess"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/rollout"
)

const (
	// accessTimeout is how long one mode may come no closer to being up before the
	// next one is tried.
	accessTimeout = 90 * time.Second
	// probeTimeout is how long one node may take to pull a few hundred bytes.
	probeTimeout = time.Minute
	// forgetTimeout bounds the deletion of the image that nodes pulled.
	forgetTimeout = 10 * time.Second
	// probeRepository is that of the images that nodes pull to prove that they can.
	probeRepository = "probe"
	// maxNames is the number of workloads that a warning names.
	maxNames = 10
)

// accessModes are what --node-access takes.
func accessModes() []string {
	return []string{
		string(manifests.NodeAccessAuto), string(manifests.NodeAccessHostPort), string(manifests.NodeAccessHostNetwork),
		string(manifests.NodeAccessNodePort), string(manifests.NodeAccessNone),
	}
}

// setModes decides which ways may be tried: the one that was asked for, the
// remembered one, or one after the other.
func (p *plan) setModes(asked manifests.NodeAccess) {
	access := &p.config.NodeAccess
	switch {
	case asked != "" && asked != manifests.NodeAccessAuto:
		p.modes = []manifests.NodeAccess{asked}
		access.Auto = false
	case asked == "" && access.Mode != "" && (access.Proven || !access.Auto):
		p.modes = []manifests.NodeAccess{access.Mode}
	default:
		access.Auto = true
		p.modes = []manifests.NodeAccess{manifests.NodeAccessHostPort, manifests.NodeAccessHostNetwork}
		switch {
		case !p.config.Registry.External:
		case len(p.secrets.CACertificate) == 0:
			// A public one: the nodes need nobody's help.
			p.modes = slices.Insert(p.modes, 0, manifests.NodeAccessNone)
		default:
			p.modes = append(p.modes, manifests.NodeAccessNone)
		}
		if i := slices.Index(p.modes, access.Mode); asked == "" && i > 0 {
			// What worked once is tried first, and left alone when it still does.
			p.modes = slices.Concat(p.modes[i:i+1], p.modes[:i], p.modes[i+1:])
		}
	}
	p.setMode(p.modes[0])
}

// setMode makes a way the one that is rendered.
func (p *plan) setMode(mode manifests.NodeAccess) {
	access, registry := &p.config.NodeAccess, &p.config.Registry
	if access.Mode != mode {
		access.Mode, access.Proven = mode, false
	}
	switch mode {
	case manifests.NodeAccessNone:
		registry.NodeHost = registry.Host
	case manifests.NodeAccessNodePort:
		registry.NodeHost = manifests.NodePortHost
	default:
		registry.NodeHost = manifests.NodeHost
	}
}

// access brings up the nodes' way to the registry and proves it: every node pulls
// an image that it can not have. When one way fails the next one is tried, and
// when none is left the one that was there before is restored. What was proven and
// has not changed since is not proven again. before is the inventory that the last
// run left.
func (r *run) access(ctx context.Context, before *unstructured.Unstructured) error {
	var failed error
	for i, mode := range r.modes {
		if i > 0 {
			if err := r.change(ctx, mode); err != nil {
				return errors.Join(failed, err)
			}
		}
		err := r.prove(ctx)
		if err == nil {
			r.config.NodeAccess.Proven = true
			return r.render()
		}
		failed = errors.Join(failed, err)
		var pull *nodeaccess.PullError
		if ctx.Err() != nil || (errors.As(err, &pull) && !pull.Refuted()) {
			// Nothing speaks against the way itself.
			break
		}
		if i+1 < len(r.modes) {
			r.steps.Print(fmt.Sprintf("  node access %s does not work here, trying %s", mode, r.modes[i+1]))
		}
	}
	if ctx.Err() != nil {
		return failed
	}
	return errors.Join(failed, r.unproven(ctx, before))
}

// change goes over to another way.
func (r *run) change(ctx context.Context, mode manifests.NodeAccess) error {
	r.setMode(mode)
	if err := r.render(); err != nil {
		return err
	}
	return r.apply(ctx, "Node access", slices.Concat(r.platform.NodeAccess, r.pullSecret()))
}

// unproven leaves a cluster whose nodes were not proven to pull with the way that
// they had before, if they had one, and otherwise with the last that was tried.
func (r *run) unproven(ctx context.Context, before *unstructured.Unstructured) error {
	// The next run has to prove it again, whatever it finds unchanged.
	r.config.NodeAccess.Proven = false
	failed := r.config.NodeAccess.Mode
	if !r.restorable() {
		if err := r.render(); err != nil {
			return err
		}
		r.steps.Print(fmt.Sprintf("  node access is %s, which was not proven: run setup again, with another --node-access if it can not work", failed))
		return r.apply(ctx, "Configuration", r.withParent([]*unstructured.Unstructured{r.set.Parent}, before))
	}
	mode := r.remembered.NodeAccess.Mode
	r.steps.Print(fmt.Sprintf("  node access %s does not work here, going back to %s", failed, mode))
	r.config.NodeAccess.Auto = r.remembered.NodeAccess.Auto
	err := r.change(ctx, mode)
	if err == nil {
		err = r.prove(ctx)
		r.config.NodeAccess.Proven = err == nil
	}
	// What belongs to the way that failed goes in any case.
	if err = errors.Join(err, r.render(), r.prune(ctx, before)); err != nil {
		return fmt.Errorf("go back to node access %s: %w", mode, err)
	}
	r.steps.Print(fmt.Sprintf("  node access is %s again, as before this run", mode))
	return nil
}

// restorable says whether the nodes had another way to this registry before.
func (r *run) restorable() bool {
	was := r.remembered
	return was != nil && !was.Removed && was.NodeAccess.Proven && was.NodeAccess.Mode != r.config.NodeAccess.Mode &&
		!isAnother(was.Registry, r.config.Registry)
}

// warnOfFormerHost names the workloads whose image references lead where nodes
// could pull from before this run, and no longer can. What another registry is the
// reason for has been said before.
func (r *run) warnOfFormerHost(ctx context.Context) {
	now := r.config.Registry
	if r.remembered == nil || r.remembered.Removed {
		return
	}
	was := r.remembered.Registry
	if was.NodeHost == "" || was.NodeHost == now.NodeHost || isAnother(was, now) {
		return
	}
	users, err := platform.ImageUsers(ctx, r.Clients.Kube, was.NodeHost+"/")
	switch {
	case err != nil:
		r.steps.Print(fmt.Sprintf("  warning: nodes pull from %s now; what still pulls from %s is not known: %v", now.NodeHost, was.NodeHost, err))
	case len(users) > 0:
		r.steps.Print(fmt.Sprintf("  warning: nodes pull from %s now; these still name %s, and need a new build before they can start elsewhere: %s",
			now.NodeHost, was.NodeHost, display.JoinMax(users, maxNames)))
	}
}

// pullSecret is the platform's own login, by which the probe pulls.
func (r *run) pullSecret() []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(r.platform.Registry), func(object *unstructured.Unstructured) bool {
		return object.GetName() != manifests.RegistrySecret
	})
}

// prove waits until the way is up and lets every node pull.
func (r *run) prove(ctx context.Context) error {
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stuck := time.AfterFunc(accessTimeout, func() {
		stop(fmt.Errorf("node access %s has come no further for %s", r.config.NodeAccess.Mode, accessTimeout))
	})
	defer stuck.Stop()
	err := r.wait(waiting, "Node access", r.platform.NodeAccess, func() { stuck.Reset(accessTimeout) })
	var failure *rollout.Failure
	switch {
	case err != nil && waiting.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("%w: %w", context.Cause(waiting), err)
	case errors.As(err, &failure):
		return fmt.Errorf("node access %s: %w", r.config.NodeAccess.Mode, err)
	case err != nil:
		return err
	}
	if r.config.NodeAccess.Proven && r.NodeAccess == "" && !r.changedSince() {
		return nil
	}
	done := r.steps.Start("Letting every node pull an image")
	nodes, err := r.probe(ctx)
	done(fmt.Sprintf("Node access %s: %s pulled from the registry", r.config.NodeAccess.Mode, nodes), err)
	return err
}

// changedSince says whether this run changed anything on the nodes' way.
func (r *run) changedSince() bool {
	parts := slices.Concat(r.platform.Registry, r.platform.NodeAccess)
	return slices.ContainsFunc(r.changes, func(change apply.Change) bool {
		return change.Result != apply.Unchanged && slices.ContainsFunc(parts, func(object *unstructured.Unstructured) bool {
			return object.GetKind() == change.Object.GetKind() && object.GetName() == change.Object.GetName() && object.GetKind() != "Secret"
		})
	})
}

// probe pushes an image and lets the nodes pull it. It returns how many did, in
// words.
func (r *run) probe(ctx context.Context) (string, error) {
	daemonSet, err := r.daemonSet()
	if err != nil {
		return "", err
	}
	nodes, skipped, err := nodeaccess.Nodes(ctx, r.Clients.Kube, daemonSet)
	if err != nil {
		return "", err
	}
	for _, node := range skipped {
		if node.NotReady {
			r.steps.Print(fmt.Sprintf("  warning: whether node %s can pull is not known: %s", node.Node, node.Reason))
		}
	}
	if len(nodes) == 0 {
		return "", errors.New("no node is ready, so none can pull")
	}
	index, err := nodeaccess.ProbeImage(rand.String(32))
	if err != nil {
		return "", fmt.Errorf("make the image for the nodes: %w", err)
	}
	client, err := platform.Registry(r.Clients, r.config.Registry, r.secrets.Users[manifests.SystemNamespace], r.secrets.CACertificate)
	if err != nil {
		return "", err
	}
	defer client.Close()
	repository := r.config.Registry.Path(manifests.SystemNamespace, probeRepository)
	digest, err := client.Push(ctx, repository, "latest", index)
	if err != nil {
		return "", err
	}
	defer forget(context.WithoutCancel(ctx), client, repository, digest, index)
	results, err := nodeaccess.Probe(ctx, r.Clients.Kube, nodeaccess.Options{
		Namespace:  manifests.SystemNamespace,
		Image:      r.config.Registry.NodeRepository(manifests.SystemNamespace, probeRepository) + "@" + digest,
		PullSecret: manifests.RegistrySecret,
		Nodes:      nodes,
		Timeout:    probeTimeout,
	}, func(done, all int) {
		r.steps.Update(fmt.Sprintf("Letting every node pull an image: %d of %d", done, all))
	})
	if err != nil {
		return "", err
	}
	if err := nodeaccess.Check(r.config.NodeAccess.Mode, results); err != nil {
		return "", err
	}
	return display.Count(len(results), "node"), nil
}

// forget deletes the image: nobody needs it any more. An external registry may
// refuse that, and keeps less than a megabyte.
func forget(ctx context.Context, client *registry.Client, repository, digest string, index v1.ImageIndex) {
	ctx, cancel := context.WithTimeout(ctx, forgetTimeout)
	defer cancel()
	digests := []string{digest}
	if manifest, err := index.IndexManifest(); err == nil {
		for _, image := range manifest.Manifests {
			digests = append(digests, image.Digest.String())
		}
	}
	for _, digest := range digests {
		_ = client.DeleteManifest(ctx, repository, digest)
	}
}

// daemonSet is what gives nodes access, which also says which nodes that are, in
// the mode without it as well.
func (r *run) daemonSet() (*appsv1.DaemonSet, error) {
	config := r.config
	config.NodeAccess.Mode = manifests.NodeAccessHostPort
	rendered, err := manifests.Render(manifests.Options{Config: config, Credentials: r.secrets})
	if err != nil {
		return nil, err
	}
	for _, object := range rendered.NodeAccess {
		if object.GetKind() == "DaemonSet" {
			daemonSet := &appsv1.DaemonSet{}
			return daemonSet, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, daemonSet)
		}
	}
	return nil, errors.New("node access has no daemonset")
}
