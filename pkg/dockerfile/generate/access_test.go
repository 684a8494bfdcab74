package generate

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// TestTrimmed runs the commands in a shell: the variables of a mount lose their newline, and
// what is not given stays unknown to programs.
func TestTrimmed(t *testing.T) {
	secret := func(id, variable string) detect.Secret {
		return detect.Secret{ID: id, Variable: variable}
	}
	commands := trimmed([]detect.Secret{secret("a", "TOKEN"), secret("b", "OTHER"), secret("a", "TOKEN"), secret("key", ""), secret("c", "ABSENT")})
	shell := exec.CommandContext(t.Context(), "sh", "-ec", strings.Join(append(commands, "env"), " && "))
	shell.Env = []string{"PATH=/usr/bin:/bin", "TOKEN=a %s\\b\r\n", "OTHER=x\n\n"}
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(commands) != 3 || !slices.Contains(lines, `TOKEN=a %s\b`) || !slices.Contains(lines, "OTHER=x") || strings.Contains(string(out), "ABSENT") {
		t.Errorf("%q print\n%s", commands, out)
	}
}
