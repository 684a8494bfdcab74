package session

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// TestAtomic rolls back by default where nobody looks.
func TestAtomic(t *testing.T) {
	for name, test := range map[string]struct {
		ci    string
		args  []string
		want  bool
		fails string
	}{
		"at a terminal":         {},
		"in CI":                 {ci: "true", want: true},
		"where CI says no":      {ci: "false"},
		"asked for":             {args: []string{"--atomic"}, want: true},
		"not wanted in CI":      {ci: "true", args: []string{"--atomic=false"}},
		"in CI, and not waited": {ci: "true", args: []string{"--detach"}},
		"not waited":            {args: []string{"--atomic", "--detach"}, fails: "--detach does not wait"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CI", test.ci)
			flags, cmd := NewFlags(), &cobra.Command{}
			flags.Add(cmd)
			if err := cmd.ParseFlags(test.args); err != nil {
				t.Fatal(err)
			}
			s, err := flags.ToSession(genericiooptions.NewTestIOStreamsDiscard())
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil || s.Atomic != test.want {
				t.Errorf("atomic is %v, %v", s.Atomic, err)
			}
		})
	}
}
