package nodeaccess

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Modes returns the modes that a user may ask for.
func Modes() []manifests.NodeAccess {
	return []manifests.NodeAccess{
		manifests.NodeAccessAuto, manifests.NodeAccessHostPort, manifests.NodeAccessHostNetwork,
		manifests.NodeAccessNodePort, manifests.NodeAccessNone,
	}
}

// Host returns the registry's host for the nodes in a mode.
func Host(mode manifests.NodeAccess, registryHost string) string {
	switch mode {
	case manifests.NodeAccessNone:
		return registryHost
	case manifests.NodeAccessNodePort:
		return manifests.NodePortHost
	default:
		return manifests.NodeHost
	}
}

// Candidates are the modes to choose from.
type Candidates struct {
	// Modes are tried in this order. There is at least one.
	Modes []manifests.NodeAccess
	// Auto reports that setup chooses the mode, not the user.
	Auto bool
	// Fallback is the node access that worked before this run. Choose restores it if
	// no mode works. It may be empty.
	Fallback manifests.NodeAccessConfig
}

// NewCandidates returns the mode that the user asked for, otherwise the remembered
// one if it was proven or chosen by the user, otherwise every mode that setup may
// choose, a remembered one first. publicCA reports that nodes trust the registry's
// certificate. NodePort is never chosen: it opens a port on every address of a node.
func NewCandidates(asked manifests.NodeAccess, remembered manifests.NodeAccessConfig, external, publicCA bool) Candidates {
	switch {
	case asked != "" && asked != manifests.NodeAccessAuto:
		return Candidates{Modes: []manifests.NodeAccess{asked}}
	case asked == "" && remembered.Mode != "" && (remembered.Proven || !remembered.Auto):
		return Candidates{Modes: []manifests.NodeAccess{remembered.Mode}, Auto: remembered.Auto}
	}
	modes := []manifests.NodeAccess{manifests.NodeAccessHostPort, manifests.NodeAccessHostNetwork}
	switch {
	case external && publicCA:
		modes = slices.Insert(modes, 0, manifests.NodeAccessNone)
	case external:
		modes = append(modes, manifests.NodeAccessNone)
	}
	if i := slices.Index(modes, remembered.Mode); asked == "" && i > 0 {
		modes = slices.Concat(modes[i:i+1], modes[:i], modes[i+1:])
	}
	return Candidates{Modes: modes, Auto: true}
}

// Prover brings up node access modes and proves them.
type Prover interface {
	// Prove brings up mode and returns nil if every node can pull in it. A
	// *PullError that does not refute the mode ends the choice.
	Prove(ctx context.Context, mode manifests.NodeAccess) error
	// Switch is called before Choose leaves a mode that failed for the next one.
	// restore reports that next is the fallback.
	Switch(failed, next manifests.NodeAccess, restore bool)
}

// Choice is the node access that Choose leaves in effect.
type Choice struct {
	manifests.NodeAccessConfig
	// Restored reports that no candidate works and the fallback is in effect.
	Restored bool
}

// Choose returns the first candidate that prover proves. If none works it restores
// the fallback, proves it once, and returns an error with the reason of each failure
// beside the Choice. A candidate that nothing refutes, because nodes are full or
// went away, ends the search: another mode would fail as well. If ctx ends, Choose
// leaves the current mode.
func Choose(ctx context.Context, candidates Candidates, prover Prover) (Choice, error) {
	var failures error
	var current manifests.NodeAccess
	choice := func(proven bool) Choice {
		return Choice{NodeAccessConfig: manifests.NodeAccessConfig{Mode: current, Auto: candidates.Auto, Proven: proven}}
	}
	for _, mode := range candidates.Modes {
		if current != "" {
			prover.Switch(current, mode, false)
		}
		current = mode
		err := prover.Prove(ctx, mode)
		if err == nil {
			return choice(true), nil
		}
		failures = errors.Join(failures, err)
		if ctx.Err() != nil {
			return choice(false), failures
		}
		if pull, ok := errors.AsType[*PullError](err); ok && !pull.Refuted() {
			break
		}
	}
	fallback := candidates.Fallback
	if fallback.Mode == "" || fallback.Mode == current {
		return choice(false), failures
	}
	prover.Switch(current, fallback.Mode, true)
	err := prover.Prove(ctx, fallback.Mode)
	fallback.Proven = err == nil
	if err != nil {
		failures = errors.Join(failures, fmt.Errorf("go back to node access %s: %w", fallback.Mode, err))
	}
	return Choice{NodeAccessConfig: fallback, Restored: true}, failures
}
