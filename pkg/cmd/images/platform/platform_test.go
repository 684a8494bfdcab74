package platform

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
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

// run returns what the verb prints.
func run(t *testing.T, args ...string) string {
	t.Helper()
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	cmd := NewCommand(streams)
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestFormats(t *testing.T) {
	lines := run(t)
	if names := run(t, "-o", "name"); names != lines {
		t.Errorf("-o name prints\n%s\nnot\n%s", names, lines)
	}
	wide := run(t, "-o", "wide", "--without-tekton")
	if header, rows, _ := strings.Cut(wide, "\n"); !slices.Equal(strings.Fields(header), []string{"REPOSITORY", "TAG", "DIGEST"}) ||
		!slices.ContainsFunc(strings.Split(rows, "\n"), func(row string) bool {
			return strings.HasPrefix(strings.Join(strings.Fields(row), " "), "docker.io/library/registry 3.1.2 ")
		}) {
		t.Errorf("-o wide prints\n%s", wide)
	}
	var list images.PlatformList
	if err := json.Unmarshal([]byte(run(t, "-o", "json")), &list); err != nil || list.Kind != images.PlatformListKind || len(list.Items) != strings.Count(lines, "\n") {
		t.Errorf("-o json: %+v, %v", list, err)
	}
	if got := run(t, "--without-tekton", "--sort-by", "{.tag}", "-o", "jsonpath={.items[*].tag}"); !slices.IsSorted(strings.Fields(got)) {
		t.Errorf("sorted by tag: %s", got)
	}
}

func TestPlatform(t *testing.T) {
	out := run(t, "--without-tekton")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) < 5 || !strings.Contains(out, "docker.io/library/registry:3.1.2\n") || strings.Contains(out, "tekton") {
		t.Errorf("it prints\n%s", out)
	}
}
