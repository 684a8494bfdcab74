package trust

import (
	"testing"

	"github.com/spf13/cobra"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
)

func TestApply(t *testing.T) {
	t.Setenv("GITHUB_ACTIONS", "")
	for name, test := range map[string]struct {
		ci, source      string
		args            []string
		want, hasNotice bool
	}{
		"a terminal":            {},
		"the flag":              {args: []string{"--untrusted"}, want: true},
		"a merge request":       {ci: "true", source: "merge_request_event", want: true, hasNotice: true},
		"a trusted one":         {ci: "true", source: "merge_request_event", args: []string{"--untrusted=false"}},
		"a branch in a service": {ci: "true", source: "push"},
	} {
		t.Setenv("GITLAB_CI", test.ci)
		t.Setenv("CI_PIPELINE_SOURCE", test.source)
		var flags Flags
		cmd := &cobra.Command{}
		flags.Add(cmd)
		if err := cmd.ParseFlags(test.args); err != nil {
			t.Fatal(err)
		}
		var options build.Options
		flags.Apply(&options)
		if options.Untrusted != test.want || len(options.Notices) > 0 != test.hasNotice {
			t.Errorf("%s: untrusted is %v, notices %v", name, options.Untrusted, options.Notices)
		}
	}
}
