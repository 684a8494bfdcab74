package nodeaccess

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	auto     = manifests.NodeAccessAuto
	hostPort = manifests.NodeAccessHostPort
	network  = manifests.NodeAccessHostNetwork
	nodePort = manifests.NodeAccessNodePort
	none     = manifests.NodeAccessNone
)

func TestNewCandidates(t *testing.T) {
	for name, test := range map[string]struct {
		asked      manifests.NodeAccess
		remembered manifests.NodeAccessConfig
		external   bool
		publicCA   bool
		modes      []manifests.NodeAccess
		auto       bool
	}{
		"the first time":             {modes: []manifests.NodeAccess{hostPort, network}, auto: true},
		"asked for":                  {asked: nodePort, modes: []manifests.NodeAccess{nodePort}},
		"asked for another":          {asked: none, remembered: manifests.NodeAccessConfig{Mode: hostPort, Auto: true, Proven: true}, modes: []manifests.NodeAccess{none}},
		"remembered":                 {remembered: manifests.NodeAccessConfig{Mode: network, Auto: true, Proven: true}, modes: []manifests.NodeAccess{network}, auto: true},
		"remembered, not proven":     {remembered: manifests.NodeAccessConfig{Mode: network, Auto: true}, modes: []manifests.NodeAccess{network, hostPort}, auto: true},
		"chosen by the user":         {remembered: manifests.NodeAccessConfig{Mode: nodePort}, modes: []manifests.NodeAccess{nodePort}},
		"auto starts from scratch":   {asked: auto, remembered: manifests.NodeAccessConfig{Mode: network, Proven: true}, modes: []manifests.NodeAccess{hostPort, network}, auto: true},
		"external with a private CA": {external: true, modes: []manifests.NodeAccess{hostPort, network, none}, auto: true},
		"external with a public CA":  {external: true, publicCA: true, modes: []manifests.NodeAccess{none, hostPort, network}, auto: true},
	} {
		t.Run(name, func(t *testing.T) {
			got := NewCandidates(test.asked, test.remembered, test.external, test.publicCA)
			if !slices.Equal(got.Modes, test.modes) || got.Auto != test.auto {
				t.Errorf("got %+v, want %q, auto %v", got, test.modes, test.auto)
			}
		})
	}
}

func TestHost(t *testing.T) {
	for mode, want := range map[manifests.NodeAccess]string{
		hostPort: manifests.NodeHost, network: manifests.NodeHost, nodePort: manifests.NodePortHost, none: "registry.example.com", "": manifests.NodeHost,
	} {
		if got := Host(mode, "registry.example.com"); got != want {
			t.Errorf("mode %q: got %s, want %s", mode, got, want)
		}
	}
}

// script is a Prover that answers from a list and records what Choose does.
type script struct {
	answers []error
	cancel  context.CancelFunc // called before the last answer, unless nil
	did     []string
}

func (s *script) Prove(_ context.Context, mode manifests.NodeAccess) error {
	s.did = append(s.did, string(mode))
	err := s.answers[0]
	s.answers = s.answers[1:]
	if len(s.answers) == 0 && s.cancel != nil {
		s.cancel()
	}
	return err
}

func (s *script) Switch(failed, next manifests.NodeAccess, restore bool) {
	s.did = append(s.did, fmt.Sprintf("%s->%s restore=%v", failed, next, restore))
}

func TestChoose(t *testing.T) {
	refuted := func(mode manifests.NodeAccess) error {
		return &PullError{Mode: mode, Probed: 1, Failures: []Result{{Node: "n", Tried: true, Reason: "ErrImagePull", Message: "refused by " + string(mode)}}}
	}
	full := &PullError{Mode: hostPort, Probed: 1, Failures: []Result{{Node: "n", Reason: "OutOfpods"}}}
	stalled := errors.New("node access hostport has made no progress")
	before := manifests.NodeAccessConfig{Mode: none, Proven: true}
	both := []manifests.NodeAccess{hostPort, network}
	for name, test := range map[string]struct {
		modes    []manifests.NodeAccess
		fallback manifests.NodeAccessConfig
		answers  []error
		cancel   bool
		did      string
		want     Choice
		says     []string // of the error; none for success
	}{
		"the first works": {
			modes: both, answers: []error{nil}, did: "hostport",
			want: Choice{NodeAccessConfig: manifests.NodeAccessConfig{Mode: hostPort, Auto: true, Proven: true}},
		},
		"the second works": {
			modes: both, answers: []error{refuted(hostPort), nil}, did: "hostport, hostport->hostnetwork restore=false, hostnetwork",
			want: Choice{NodeAccessConfig: manifests.NodeAccessConfig{Mode: network, Auto: true, Proven: true}},
		},
		"the first does not come up": {
			modes: both, answers: []error{stalled, nil}, did: "hostport, hostport->hostnetwork restore=false, hostnetwork",
			want: Choice{NodeAccessConfig: manifests.NodeAccessConfig{Mode: network, Auto: true, Proven: true}},
		},
		"none works": {
			modes: both, answers: []error{refuted(hostPort), refuted(network)}, did: "hostport, hostport->hostnetwork restore=false, hostnetwork",
			want: Choice{NodeAccessConfig: manifests.NodeAccessConfig{Mode: network, Auto: true}},
			says: []string{"refused by hostport", "refused by hostnetwork"},
		},
		"nothing refutes the first": {
			modes: both, answers: []error{full}, did: "hostport",
			want: Choice{NodeAccessConfig: manifests.NodeAccessConfig{Mode: hostPort, Auto: true}}, says: []string{"OutOfpods"},
		},
		"the fallback is restored and proven once": {
			modes: []manifests.NodeAccess{nodePort}, fallback: before, answers: []error{refuted(nodePort), nil},
			did:  "nodeport, nodeport->none restore=true, none",
			want: Choice{NodeAccessConfig: before, Restored: true}, says: []string{"refused by nodeport"},
		},
		"the fallback fails, too": {
			modes: []manifests.NodeAccess{nodePort}, fallback: before, answers: []error{refuted(nodePort), refuted(none)},
			did:  "nodeport, nodeport->none restore=true, none",
			want: Choice{NodeAccessConfig: manifests.NodeAccessConfig{Mode: none}, Restored: true},
			says: []string{"refused by nodeport", "go back to node access none", "refused by none"},
		},
		"the fallback is restored though nothing refutes the mode": {
			modes: []manifests.NodeAccess{nodePort}, fallback: before, answers: []error{full, nil},
			did:  "nodeport, nodeport->none restore=true, none",
			want: Choice{NodeAccessConfig: before, Restored: true}, says: []string{"OutOfpods"},
		},
		"the remembered mode fails": {
			modes: []manifests.NodeAccess{none}, fallback: before, answers: []error{refuted(none)}, did: "none",
			want: Choice{NodeAccessConfig: manifests.NodeAccessConfig{Mode: none, Auto: true}}, says: []string{"refused by none"},
		},
		"interrupted": {
			modes: both, fallback: before, answers: []error{context.Canceled}, cancel: true, did: "hostport",
			want: Choice{NodeAccessConfig: manifests.NodeAccessConfig{Mode: hostPort, Auto: true}}, says: []string{"context canceled"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			prover := &script{answers: test.answers}
			if test.cancel {
				prover.cancel = cancel
			}
			got, err := Choose(ctx, Candidates{Modes: test.modes, Auto: true, Fallback: test.fallback}, prover)
			if did := strings.Join(prover.did, ", "); did != test.did {
				t.Errorf("it did %s, want %s", did, test.did)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if (err == nil) != (len(test.says) == 0) {
				t.Fatalf("error is %v, want %q", err, test.says)
			}
			for _, words := range test.says {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("error %q does not say %q", err, words)
				}
			}
		})
	}
}
