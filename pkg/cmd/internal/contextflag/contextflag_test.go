package contextflag

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
)

func TestDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"repository", "both"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	kubeconfig := filepath.Join(t.TempDir(), "config")
	const text = "apiVersion: v1\nkind: Config\ncontexts: [{name: both, context: {cluster: c}}, {name: arn:aws:eks/prod, context: {cluster: c}}]\n"
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]struct {
		directory, context string
		fails              bool
	}{
		"":                 {},
		".":                {directory: "."},
		"repository":       {directory: "repository"},
		"./both":           {directory: "./both"},
		"both":             {fails: true},
		"arn:aws:eks/prod": {context: "arn:aws:eks/prod"},
		"missing":          {context: "missing"},
		"../missing":       {directory: "../missing"},
	} {
		config := genericclioptions.NewConfigFlags(true)
		config.KubeConfig = &kubeconfig
		directory, err := Directory(config, given)
		if directory != want.directory || *config.Context != want.context || (err != nil) != want.fails {
			t.Errorf("%q: directory %q, context %q, error %v", given, directory, *config.Context, err)
		}
	}
}
