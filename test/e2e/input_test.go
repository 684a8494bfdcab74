//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestBadInput tries what can be wrong before anything is changed. Every case is one
// clear error, and the cluster stays as it was.
func TestBadInput(t *testing.T) {
	ns := env.KeptNamespace(t)
	mountains := env.Root("examples", "mountains")
	file := filepath.Join(t.TempDir(), "file")
	env.Check(t, os.WriteFile(file, nil, 0o644))
	empty := env.Project(t, "empty", map[string]string{"README": ""})
	python := env.Project(t, "python", map[string]string{"pyproject.toml": "[project]\nname = \"x\"\n"})
	fresh := ns.EmptyNamespace(t)
	stranger := "--as=e2e-nobody"
	absent := filepath.Join(t.TempDir(), "absent")
	stale := staleKubeconfig(t, ns)
	// No config of the home directory, none of the environment.
	none := "KUBECONFIG="

	type input struct {
		name  string
		env   string
		args  []string
		words []string
	}
	usage := []input{
		{"misspelled verb", "", []string{"buidl"}, []string{"buidl"}},
		{"unknown flag", "", []string{"build", "--prot", "1"}, []string{"--prot"}},
		{"two directories", "", []string{"build", mountains, mountains}, []string{"arg"}},
		{"bad name", "", []string{"build", mountains, "--name", "Bad_Name"}, []string{"Bad_Name"}},
		{"bad build argument", "", []string{"build", mountains, "--build-arg", "novalue"}, []string{"--build-arg", "KEY=VALUE"}},
		{"build argument that the Dockerfile does not have", "", []string{"build", mountains, "--build-arg", "PYTHONVERSION=3"}, []string{"Dockerfile has no ARG PYTHONVERSION", "PYTHON_VERSION"}},
		{"stage that the Dockerfile does not have", "", []string{"build", mountains, "--target", "biuld"}, []string{`no stage "biuld"`, "build"}},
		{"secret without a file", "", []string{"build", mountains, "--build-secret", "id=pip,src=" + absent}, []string{"pip", absent}},
		{"secret without a source", "", []string{"build", mountains, "--build-secret", "id=pip"}, []string{"pip", "src=FILE"}},
		{"bad amount of memory", "", []string{"build", mountains, "--memory", "much"}, []string{"--memory much", "2Gi"}},
		{"bad node selector", "", []string{"build", mountains, "--node-selector", "gpu"}, []string{"--node-selector gpu", "KEY=VALUE"}},
		{"bad progress", "", []string{"build", mountains, "--progress", "loud"}, []string{"loud", "plain"}},
		{"bad format", "", []string{"build", mountains, "-o", "yaml"}, []string{"yaml", "json"}},
		{"two outputs", "", []string{"build", mountains, "-o", "json", "-q"}, []string{"--output", "--quiet"}},
		{"repository and folder", "", []string{"build", mountains, "--git", "https://git.example.com/a/b"}, []string{"--git", mountains}},
		{"repository with a password", "", []string{"build", "--git", "https://me:e2e-git-password@git.example.com/a/b"}, []string{"--git-secret"}},
		{"no repository", "", []string{"build", "--git", "git.example.com"}, []string{"--git", "https://"}},
		{"path out of the repository", "", []string{"build", "--git", "https://git.example.com/a/b", "--path", "../c"}, []string{"--path ../c"}},
		{"revision of a folder", "", []string{"build", mountains, "--revision", "main"}, []string{"--revision", "--git"}},
		{"bad port", "", []string{"build", mountains, "--port", "99999"}, []string{"port"}},
		{"bad timeout", "", []string{"build", mountains, "--timeout", "-1s"}, []string{"timeout"}},
		{"bad mirror", "", []string{"setup", "--image-mirror", "docker.io"}, []string{"image mirror", "docker.io"}},
		{"bad output", "", []string{"status", "-o", "xml"}, []string{"xml"}},
	}
	inputs := []input{
		{"not there", "", []string{"build", absent}, []string{absent}},
		{"not a directory", "", []string{"build", file}, []string{file, "not a directory"}},
		{"neither Dockerfile nor Python", "", []string{"build", empty}, []string{empty, "neither a Dockerfile nor a Python project"}},
		{"no app", "", []string{"build", python}, []string{python, "no application was found", "--entrypoint module:attribute"}},
		{"several apps", "", []string{"build", env.Project(t, "apps", env.Tree(t, "several-apps"))}, []string{"there are 2 apps, name one with --entrypoint", "internal.main:app (internal/main.py:3)", "public:app"}},
		{"several projects", "", []string{"build", env.Project(t, "mono", env.Tree(t, "monorepo"))}, []string{"holds 2 projects", "services/api", "services/worker"}},
		{"a lock of something else", "", []string{"build", env.Project(t, "lock", env.Tree(t, "lock-mismatch-uv"))}, []string{"uv.lock does not match pyproject.toml: redis>=5", "run uv lock"}},
		{"no such Python", "", []string{"build", env.Project(t, "old", env.Tree(t, "old-python"))}, []string{"pyproject.toml:4: there is no image of Python >=2.7,<3.8"}},
		{"no TOML", "", []string{"build", env.Project(t, "invalid", env.Tree(t, "invalid-pyproject"))}, []string{"pyproject.toml:4:1: "}},
		{"no such setting", "", []string{"build", env.Project(t, "settings", map[string]string{"main.py": "", "pyproject.toml": "[tool.kubectl-pyflow]\nreplica = 3\n"})}, []string{"pyproject.toml:2:1: ", "replica", "replicas"}},
		{"no such Dockerfile", "", []string{"build", mountains, "--file", "Containerfile"}, []string{"Containerfile"}},
		{"terminal where there is none", "", []string{"build", mountains, "--progress", "tty"}, []string{"terminal"}},
		{"run that is not there", "", []string{"logs", "e2e-none", "-n", ns.Name}, []string{"e2e-none"}},
		{"repeat a run that is not there", "", []string{"rerun", "e2e-none", "-n", ns.Name}, []string{"e2e-none"}},
		{"cancel a run that is not there", "", []string{"cancel", "e2e-none", "-n", ns.Name}, []string{"e2e-none"}},
		{"namespace without setup", "", []string{"build", mountains, "-n", fresh}, []string{"not set up in namespace " + fresh, "setup"}},
		{"namespace that does not exist", "", []string{"setup", "-n", "e2e-no-such-namespace"}, []string{`namespace "e2e-no-such-namespace" does not exist`, "kubectl create namespace e2e-no-such-namespace"}},
		{"the platform's namespace", "", []string{"setup", "-n", manifests.SystemNamespace}, []string{manifests.SystemNamespace}},
	}
	for _, verb := range []struct {
		name, directory    string
		withoutPermissions []string
	}{
		{"setup", "", []string{"e2e-nobody", `cannot list resource "namespaces"`}},
		{"build", mountains, []string{"missing permissions", "get secrets pyflow-registry in namespace " + ns.Name, "ask a cluster administrator"}},
		// Every authenticated user may see the state of the platform.
		{"status", "", nil},
	} {
		with := func(flags ...string) []string {
			args := append([]string{verb.name}, flags...)
			if verb.directory != "" {
				args = append(args, verb.directory)
			}
			return args
		}
		inputs = append(inputs,
			input{verb.name + " without kubeconfig", none, with(), []string{"kubeconfig"}},
			input{verb.name + " with a kubeconfig that is not there", "", with("--kubeconfig", absent), []string{absent}},
			input{verb.name + " in a context that is not there", "", with("--context", "e2e-none"), []string{"e2e-none", "get-contexts"}},
			input{verb.name + " with a server that does not answer", "", with("--server", "https://127.0.0.1:1"), []string{"127.0.0.1:1", "does not answer"}},
			input{verb.name + " with a token that has expired", "KUBECONFIG=" + stale, with(), []string{"credentials"}},
		)
		if verb.withoutPermissions != nil {
			inputs = append(inputs, input{verb.name + " without permissions", "", with(stranger, "-n", ns.Name), verb.withoutPermissions})
		}
	}

	before, runs := ns.Inventory(t), len(ns.Runs(t))
	for i, input := range append(usage, inputs...) {
		code := 1
		if i < len(usage) {
			code = 2
		}
		t.Run(input.name, func(t *testing.T) {
			cmd := ns.Command(t.Context(), "kubectl", append([]string{"pyflow"}, input.args...)...)
			if input.env != "" {
				cmd.Env = append(cmd.Env, input.env)
			}
			r := env.Finish(t, cmd, cmd.Run).FailedWith(t, code, input.words...)
			if r.Stdout != "" || strings.Contains(r.Stderr, "e2e-git-password") {
				t.Errorf("stdout should be empty, and stderr without passwords\n%s", r)
			}
			lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(r.Stderr), "\n"), func(line string) bool {
				return strings.HasPrefix(line, "✓ ") || strings.HasPrefix(line, "✗ ") // a step
			})
			if len(lines) == 0 || !strings.HasPrefix(lines[0], "error: ") || len(lines) > 2 {
				t.Errorf("stderr should be an error and perhaps a hint\n%s", r)
			}
		})
	}
	ns.Unchanged(t, before)
	if after := len(ns.Runs(t)); after != runs {
		t.Errorf("%d runs were created", after-runs)
	}
}

// staleKubeconfig returns the kubeconfig with a token that the cluster does not know.
func staleKubeconfig(t *testing.T, ns *env.NS) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(ns.Kubeconfig)
	env.Check(t, err)
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: "stale"}
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	env.Check(t, clientcmd.WriteToFile(*config, file))
	return file
}

// TestNoTemporaryDirectory builds with a TMPDIR that does not exist.
func TestNoTemporaryDirectory(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	absent := filepath.Join(t.TempDir(), "absent")
	build := ns.Start(t, []string{"TMPDIR=" + absent}, "build", "--no-deploy", env.Page(t, "notmp", "", ""))
	build.Ends(t).Hints(t, "set TMPDIR", absent, "no such file or directory")
}
