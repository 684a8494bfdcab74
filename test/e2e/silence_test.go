//go:build e2e

package e2e

import (
	"sync"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/servers"
)

// TestHangingServer stops every byte between the program and the API server, without breaking a
// connection: a running build says so within 5 seconds, and goes on; a completion ends.
func TestHangingServer(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const name = "hanging"
	way, kubeconfig := servers.NewLine(t, ns.Cluster)
	behind := []string{"KUBECONFIG=" + kubeconfig}
	build := ns.Start(t, behind, "build", "--no-deploy", env.Page(t, name, "", env.HeldInstruction))
	ns.Held(t, name)

	resume := sync.OnceFunc(way.Pause())
	t.Cleanup(resume)
	start := time.Now()
	build.Says(t, "the API server has not answered for ")
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("the build is silent for %s", took)
	}
	for _, words := range [][]string{{"logs", ""}, {"images", "delete", ""}, {"status", "--namespace", ""}} {
		completion := ns.Command(t.Context(), "kubectl-pyflow", append([]string{"__complete"}, words...)...)
		completion.Env = append(completion.Env, behind...)
		if r := env.Finish(t, completion, completion.Run); r.Code != 0 || r.Took > 2500*time.Millisecond {
			t.Errorf("the completion should end in 2 seconds\n%s", r)
		}
	}
	resume()
	build.Says(t, "The API server answers again after ")
	ns.Release(t, name)
	build.Ends(t).Succeeded(t)
}
