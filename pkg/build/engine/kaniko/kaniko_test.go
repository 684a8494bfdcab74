package kaniko

import (
	"slices"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
)

// TestChange compares the change of arguments with the arguments of a build that has had the
// settings from the start; the order of flags means nothing to Kaniko.
func TestChange(t *testing.T) {
	params := engine.Params{
		Repository: "registry/team/web", Target: "runtime", SecretIDs: []string{"pip"},
		BuildArgs: []string{"INDEX=of-setup", "MODE=slow", "EMPTY=", "MODE=fast"},
		Extra:     []string{"--snapshot-mode=full"},
	}
	for name, test := range map[string]struct {
		params    engine.Params
		change    engine.Change
		want      func(*engine.Params)
		buildArgs []string
	}{
		"nothing": {params, engine.Change{}, func(*engine.Params) {}, params.BuildArgs},
		"no cache": {
			params, engine.Change{NoCache: true}, func(p *engine.Params) { p.NoCache = true }, params.BuildArgs,
		},
		"no cache twice": {
			engine.Params{NoCache: true}, engine.Change{NoCache: true}, func(*engine.Params) {}, nil,
		},
		"replaces": {
			params,
			engine.Change{BuildArgs: []string{"MODE=new=x"}},
			func(p *engine.Params) { p.BuildArgs = []string{"INDEX=of-setup", "EMPTY=", "MODE=new=x"} },
			[]string{"INDEX=of-setup", "EMPTY=", "MODE=new=x"},
		},
		"adds, and the later of two": {
			params,
			engine.Change{BuildArgs: []string{"MOD=1", "MOD=2"}},
			func(p *engine.Params) { p.BuildArgs = append(slices.Clone(p.BuildArgs), "MOD=2") },
			append(slices.Clone(params.BuildArgs), "MOD=2"),
		},
		"to nothing": {
			engine.Params{BuildArgs: []string{"MODE=slow"}},
			engine.Change{BuildArgs: []string{"MODE="}},
			func(p *engine.Params) { p.BuildArgs = []string{"MODE="} },
			[]string{"MODE="},
		},
	} {
		before := Engine{}.Args(test.params)
		args := slices.Clone(before)
		changed, buildArgs := Engine{}.Change(args, test.change)
		test.want(&test.params)
		want := Engine{}.Args(test.params)
		if !slices.Equal(args, before) {
			t.Errorf("%s: the earlier arguments have become %q", name, args)
		}
		if !slices.Equal(buildArgs, test.buildArgs) {
			t.Errorf("%s: build arguments %q", name, buildArgs)
		}
		slices.Sort(changed)
		slices.Sort(want)
		if !slices.Equal(changed, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, changed, want)
		}
	}
}
