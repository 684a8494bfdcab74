package install

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
	// modeTimeout is how long a mode may make no progress before the next is tried.
	modeTimeout = 90 * time.Second
	// pullTimeout is how long a node may take to pull a few hundred bytes.
	pullTimeout = time.Minute
	// cleanupTimeout bounds the deletion of the image that nodes pulled.
	cleanupTimeout = 10 * time.Second
	// probeRepository holds the images that nodes pull as a proof.
	probeRepository = "probe"
)

// chooseNodeAccess chooses the mode in which every node pulls an image that it
// cannot have yet, and leaves its rendering in state. If no mode works, the previous
// one is restored.
func (i *Installer) chooseNodeAccess(ctx context.Context, state *State) error {
	choice, failed := nodeaccess.Choose(ctx, i.Plan.access, &prover{Installer: i, state: state})
	if ctx.Err() != nil {
		return failed
	}
	chosen, err := i.Plan.render(choice.NodeAccessConfig)
	if err != nil {
		return errors.Join(failed, err)
	}
	state.rendering = chosen
	switch {
	case failed == nil:
		return nil
	case choice.Restored:
		// Delete the objects of the mode that failed.
		if err = i.prune(ctx, state); err == nil && choice.Proven {
			i.Progress.Print(fmt.Sprintf("  node access is %s again, as before this run", choice.Mode))
		}
	default:
		i.Progress.Print(fmt.Sprintf("  node access %s is not proven: run setup again, with another --node-access if it cannot work", choice.Mode))
		err = i.apply(ctx, state, "Configuration", state.withInventory([]*unstructured.Unstructured{chosen.set.Parent}))
	}
	return errors.Join(failed, err)
}

// prover proves modes with the installed platform.
type prover struct {
	*Installer
	state *State
}

// Switch reports the change of mode.
func (p *prover) Switch(failed, next manifests.NodeAccess, restore bool) {
	what := "trying"
	if restore {
		what = "going back to"
	}
	p.Progress.Print(fmt.Sprintf("  node access %s does not work here, %s %s", failed, what, next))
}

// Prove brings up mode, waits for it and makes every node pull. It skips the pull if
// an earlier run proved the mode and nothing has changed.
func (p *prover) Prove(ctx context.Context, mode manifests.NodeAccess) error {
	if p.state.rendering.config.NodeAccess.Mode != mode {
		rendering, err := p.Plan.render(manifests.NodeAccessConfig{Mode: mode, Auto: p.Plan.access.Auto})
		if err != nil {
			return err
		}
		p.state.rendering = rendering
		if err := p.apply(ctx, p.state, "Node access", slices.Concat(rendering.platform.NodeAccess, pullSecret(rendering.platform))); err != nil {
			return err
		}
	}
	if err := p.waitForMode(ctx, mode); err != nil {
		return err
	}
	if p.state.rendering == p.Plan.initial && p.Plan.proven && !p.state.nodeAccessChanged() {
		return nil
	}
	done := p.Progress.Start("Letting every node pull an image")
	nodes, err := p.pull(ctx, mode)
	done(fmt.Sprintf("Node access %s: %s pulled from the registry", mode, nodes), err)
	return err
}

// waitForMode waits for the workloads of a mode, as long as they make progress.
func (p *prover) waitForMode(ctx context.Context, mode manifests.NodeAccess) error {
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stalled := time.AfterFunc(modeTimeout, func() {
		stop(fmt.Errorf("node access %s has made no progress for %s", mode, modeTimeout))
	})
	defer stalled.Stop()
	err := p.waitFor(waiting, "Node access", p.state.rendering.platform.NodeAccess, func() { stalled.Reset(modeTimeout) })
	var failure *rollout.Failure
	switch {
	case err != nil && waiting.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("%w: %w", context.Cause(waiting), err)
	case errors.As(err, &failure):
		return fmt.Errorf("node access %s: %w", mode, err)
	}
	return err
}

// nodeAccessChanged reports whether this run changed anything between the nodes and
// the registry. Changed Secrets do not count: the pull secret is tried by builds.
func (s *State) nodeAccessChanged() bool {
	parts := slices.Concat(s.rendering.platform.Registry, s.rendering.platform.NodeAccess)
	return slices.ContainsFunc(s.Changes, func(change apply.Change) bool {
		return change.Result != apply.Unchanged && slices.ContainsFunc(parts, func(object *unstructured.Unstructured) bool {
			return object.GetKind() == change.Object.GetKind() && object.GetName() == change.Object.GetName() && object.GetKind() != "Secret"
		})
	})
}

// pullSecret returns the platform's own Secret, with which the nodes pull.
func pullSecret(rendered *manifests.Platform) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(rendered.Registry), func(object *unstructured.Unstructured) bool {
		return object.GetName() != manifests.RegistrySecret
	})
}

// pull pushes an image, makes every ready node pull it, and returns the number of nodes
// as text.
func (p *prover) pull(ctx context.Context, mode manifests.NodeAccess) (string, error) {
	nodes, err := p.nodes(ctx)
	if err != nil {
		return "", err
	}
	index, err := nodeaccess.ProbeImage(rand.String(32))
	if err != nil {
		return "", fmt.Errorf("make the image for the nodes: %w", err)
	}
	config, secrets := p.state.rendering.config.Registry, p.Plan.secrets
	client, err := platform.Registry(p.Clients, config, secrets.Users[manifests.SystemNamespace], secrets.CACertificate)
	if err != nil {
		return "", err
	}
	defer client.Close()
	repository := config.Path(manifests.SystemNamespace, probeRepository)
	digest, err := client.Push(ctx, repository, "latest", index)
	if err != nil {
		return "", err
	}
	defer deleteImage(context.WithoutCancel(ctx), client, repository, digest, index)
	results, err := nodeaccess.Probe(ctx, p.Clients.Kube, nodeaccess.Options{
		Namespace:  manifests.SystemNamespace,
		Image:      config.NodeRepository(manifests.SystemNamespace, probeRepository) + "@" + digest,
		PullSecret: manifests.RegistrySecret,
		Nodes:      nodes,
		Timeout:    pullTimeout,
	}, func(done, all int) {
		p.Progress.Update(fmt.Sprintf("Letting every node pull an image: %d of %d", done, all))
	})
	if err != nil {
		return "", err
	}
	return display.Count(len(results), "node"), nodeaccess.Check(mode, results)
}

// nodes returns the ready nodes that need access, and warns about those that are not
// ready.
func (p *prover) nodes(ctx context.Context) ([]string, error) {
	daemonSet, err := p.Plan.daemonSet()
	if err != nil {
		return nil, err
	}
	nodes, skipped, err := nodeaccess.Nodes(ctx, p.Clients.Kube, daemonSet)
	if err != nil {
		return nil, err
	}
	for _, node := range skipped {
		if node.NotReady {
			p.Progress.Print(fmt.Sprintf("  warning: node %s was not tested: %s", node.Node, node.Reason))
		}
	}
	if len(nodes) == 0 {
		return nil, errors.New("no node is ready, so none can pull")
	}
	return nodes, nil
}

// deleteImage deletes the image that nodes pulled. An external registry may refuse
// that, and keeps less than a megabyte.
func deleteImage(ctx context.Context, client *registry.Client, repository, digest string, index v1.ImageIndex) {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
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

// daemonSet returns the DaemonSet that gives nodes access. Its pod template selects
// the nodes that need access, also in the mode without a DaemonSet.
func (p *Plan) daemonSet() (*appsv1.DaemonSet, error) {
	rendering, err := p.render(manifests.NodeAccessConfig{Mode: manifests.NodeAccessHostPort})
	if err != nil {
		return nil, err
	}
	for _, object := range rendering.platform.NodeAccess {
		if object.GetKind() == "DaemonSet" {
			daemonSet := &appsv1.DaemonSet{}
			return daemonSet, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, daemonSet)
		}
	}
	return nil, errors.New("node access has no daemonset")
}

// warnOfFormerHost names workloads whose images refer to a host from which nodes could
// pull before this run and no longer can. NewPlan warns about another registry.
func (i *Installer) warnOfFormerHost(ctx context.Context, state *State) error {
	now, previous := state.rendering.config.Registry, i.Plan.previous
	if previous == nil || previous.Removed {
		return nil
	}
	was := previous.Registry
	if was.NodeHost == "" || was.NodeHost == now.NodeHost || isAnother(was, now) {
		return nil
	}
	users, err := platform.ImageUsers(ctx, i.Clients.Kube, was.NodeHost+"/")
	switch {
	case err != nil:
		// The installation itself is complete.
		i.Progress.Print(fmt.Sprintf("  warning: nodes now pull from %s; cannot list what still pulls from %s: %v", now.NodeHost, was.NodeHost, err))
	case len(users) > 0:
		i.Progress.Print(fmt.Sprintf("  warning: nodes now pull from %s; these workloads still name %s and need a new build before they can start on another node: %s",
			now.NodeHost, was.NodeHost, display.JoinMax(users, maxNames)))
	}
	return nil
}
