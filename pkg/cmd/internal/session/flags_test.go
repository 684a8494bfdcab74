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

func TestTags(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		fails string
	}{
		"a version":          {args: []string{"--tag", "v1.2", "--tag", "latest"}},
		"empty":              {args: []string{"--tag", ""}, fails: "is not a tag"},
		"a slash":            {args: []string{"--tag", "a/b"}, fails: "is not a tag"},
		"a reference":        {args: []string{"--tag", "shop:v1"}, fails: "is not a tag"},
		"a period first":     {args: []string{"--tag", ".v1"}, fails: "is not a tag"},
		"too long":           {args: []string{"--tag", strings.Repeat("a", 129)}, fails: "is not a tag"},
		"before it is built": {args: []string{"--tag", "v1", "--detach"}, fails: "--detach does not wait"},
	} {
		flags, cmd := NewFlags(), &cobra.Command{}
		flags.Add(cmd)
		if err := cmd.ParseFlags(test.args); err != nil {
			t.Fatal(err)
		}
		_, err := flags.ToSession(genericiooptions.NewTestIOStreamsDiscard())
		if test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}
