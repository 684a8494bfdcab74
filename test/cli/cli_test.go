// Package cli tests the command line where it needs no cluster. Each file in testdata
// is a script of commands and what they print.
package cli

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/completion"
)

func TestMain(m *testing.M) {
	run := func() {
		streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
		os.Exit(cmd.Run(context.Background(), streams, completion.Args(os.Args)))
	}
	testscript.Main(m, map[string]func(){"kubectl-pyflow": run, completion.Name: run})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("KUBECONFIG", env.WorkDir+"/kubeconfig")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a command and compares its exit code: exits CODE COMMAND ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = err.Error()
	}
	if code != args[0] && code != "exit status "+args[0] {
		ts.Fatalf("%v: got %s, want %s", args[1:], code, args[0])
	}
}
