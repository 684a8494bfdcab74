package platform

import (
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"shop":                               "unknown command",
		"--tekton-manifest /nowhere":         "/nowhere",
		"--tekton-manifest platform_test.go": "tekton manifest",
		"--without-tekton --tekton-manifest release.yaml": "exclude each other",
	} {
		cmd := NewCommand(genericiooptions.NewTestIOStreamsDiscard())
		cmd.SetArgs(strings.Fields(args))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", args, err, want)
		}
	}
}

func TestPlatform(t *testing.T) {
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	cmd := NewCommand(streams)
	cmd.SetArgs([]string{"--without-tekton"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) < 5 || !strings.Contains(out.String(), "docker.io/library/registry:3.1.2\n") || strings.Contains(out.String(), "tekton") {
		t.Errorf("it prints\n%s", out)
	}
}
