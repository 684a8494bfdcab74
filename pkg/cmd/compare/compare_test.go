package compare

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/cmdtest"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/compare"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestPrint(t *testing.T) {
	comparison := &compare.Comparison{
		TypeMeta:  metav1.TypeMeta{Kind: compare.Kind, APIVersion: compare.APIVersion},
		Namespace: "team-a", App: "shop", Changed: "src/shop/main.py", Notes: []string{"distroless is left out"},
		Variants: []compare.Variant{
			{
				Name: "bloated", Digest: "sha256:a", CompressedBytes: 400_000_000, UnpackedBytes: 1_000_000_000, Layers: 9, Root: true,
				Packages:    []inspect.Package{{Name: "gcc-12", Version: "1", Kind: inspect.Debian, Bytes: 150_000_000}, {Name: "numpy", Version: "2", Kind: inspect.Python, Bytes: 90_000_000}},
				ColdSeconds: new(62.4), ChangeSeconds: new(40.2), StartSeconds: new(1.25), Starts: []float64{1.3, 1.25, 1.2},
			},
			{
				Name: "slim", Digest: "sha256:b", CompressedBytes: 50_000_000, UnpackedBytes: 130_000_000, Layers: 8, User: "10001:10001",
				Packages: []inspect.Package{}, ColdSeconds: new(20.0), ChangeSeconds: new(3.1), Starts: []float64{}, Error: "the program exits with code 1: no\x1b[1m module named x",
			},
			{Name: "docker/Lean", Packages: []inspect.Package{}, Starts: []float64{}, Error: "docker/Lean:3: not found"},
		},
	}
	for name, print := range map[string]func(*bytes.Buffer) error{
		"table.txt": func(out *bytes.Buffer) error { return printTable(comparison, 60, true, out) },
		"ascii.txt": func(out *bytes.Buffer) error { return printTable(comparison, 60, false, out) },
		"compare.json": func(out *bytes.Buffer) error {
			printer, err := (&option.Output{Format: "json"}).ToPrinter()
			if err != nil {
				return err
			}
			return printer.PrintObj(comparison, out)
		},
		"chart.svg": func(out *bytes.Buffer) error {
			_, err := out.Write(compare.SVG(comparison))
			return err
		},
	} {
		var out bytes.Buffer
		if err := print(&out); err != nil {
			t.Fatal(err)
		}
		cmdtest.Golden(t, *update, name, out.String())
	}
}

func TestUnicodeLocale(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "LANG=C": false, "LANG=en_US.UTF-8": true, "LANG=de_DE.utf8": true,
		"LANG=en_US.UTF-8 LC_ALL=C": false, "LC_CTYPE=C.UTF-8 LANG=C": true,
	} {
		got := unicodeLocale(func(name string) string {
			for variable := range strings.FieldsSeq(text) {
				if value, ok := strings.CutPrefix(variable, name+"="); ok {
					return value
				}
			}
			return ""
		})
		if got != want {
			t.Errorf("%q: got %t", text, got)
		}
	}
}

// folder makes a project.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func shop() map[string]string {
	return map[string]string{
		"main.py":          "from fastapi import FastAPI\napp = FastAPI()\n",
		"requirements.txt": "fastapi==0.115.0\nuvicorn==0.30.0\n",
		"Dockerfile":       "FROM python:3.13-slim\nARG FLAVOR\nCOPY . /app\nEXPOSE 9000\nCMD [\"x\"]\n",
		"lean/Dockerfile":  "FROM python:3.13-slim\nCMD [\"x\"]\n",
	}
}

func TestCandidates(t *testing.T) {
	for name, test := range map[string]struct {
		flags Flags
		files func(map[string]string)
		want  []string
		ports []int
		notes int
		err   string
		file  string
	}{
		"all variants":      {want: []string{"bloated", "slim", "distroless"}, ports: []int{9000, 9000, 9000}, file: "main.py", flags: Flags{Python: "3.13"}},
		"one that is no go": {want: []string{"bloated", "slim"}, ports: []int{9000, 9000}, notes: 1, file: "main.py", flags: Flags{Python: "3.12"}},
		"only that":         {flags: Flags{Python: "3.12", Variants: []string{"distroless"}}, err: "distroless is left out"},
		"own": {
			want: []string{"Dockerfile", "lean/Dockerfile"}, ports: []int{9000, 8000}, file: "main.py",
			flags: Flags{Dockerfiles: []string{"Dockerfile", "lean/Dockerfile"}},
		},
		"own and another": {
			want: []string{"Dockerfile", "slim"}, ports: []int{7000, 7000}, file: "requirements.txt",
			flags: Flags{Dockerfiles: []string{"Dockerfile"}, Variants: []string{"slim"}, Port: 7000, Change: "./requirements.txt"},
		},
		"an argument of one": {
			want: []string{"Dockerfile", "lean/Dockerfile"}, ports: []int{9000, 8000}, file: "main.py",
			flags: Flags{Dockerfiles: []string{"Dockerfile", "lean/Dockerfile"}, BuildArgs: []string{"FLAVOR=x"}},
		},
		"an argument of none": {flags: Flags{Dockerfiles: []string{"lean/Dockerfile"}, BuildArgs: []string{"FLAVOR=x"}}, err: "none of the Dockerfiles has an ARG FLAVOR"},
		"a stage of another": {
			flags: Flags{Dockerfiles: []string{"Dockerfile"}},
			files: func(files map[string]string) {
				files["pyproject.toml"] = "[tool.kubectl-pyflow]\nbuild.target = \"run\"\n"
			},
			err: `pyproject.toml:2: tool.kubectl-pyflow.build.target: Dockerfile has no stage "run"`,
		},
		"no such variant":            {flags: Flags{Variants: []string{"tiny"}}, err: "choose bloated, slim or distroless"},
		"the same twice":             {flags: Flags{Variants: []string{"slim", "slim"}}, err: "slim and slim have names that are too similar"},
		"no such Dockerfile":         {flags: Flags{Dockerfiles: []string{"gone"}}, err: "there is no Dockerfile"},
		"nothing to change":          {flags: Flags{Dockerfiles: []string{"Dockerfile"}}, files: func(files map[string]string) { delete(files, "main.py") }, err: "--change FILE"},
		"a file that does not exist": {flags: Flags{Change: "gone.py"}, want: []string{"bloated", "slim"}, err: "gone.py"},
	} {
		t.Run(name, func(t *testing.T) {
			files := shop()
			if test.files != nil {
				test.files(files)
			}
			flags := test.flags
			flags.config = genericclioptions.NewConfigFlags(true)
			flags.config.KubeConfig = new(filepath.Join(folder(t, map[string]string{"config": kubeconfig}), "config"))
			flags.Name, flags.Timeout, flags.StartTimeout = "shop", 1e12, 1e12
			options, err := flags.ToOptions([]string{folder(t, files)}, genericiooptions.NewTestIOStreamsDiscard())
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			var ports []int
			for _, candidate := range options.Candidates {
				names, ports = append(names, candidate.Name), append(ports, candidate.Port)
				if wants := slices.Contains(candidate.Dockerfile.Args, "FLAVOR"); len(flags.BuildArgs) > 0 && wants != (len(candidate.BuildArgs) > 0) {
					t.Errorf("%s has the arguments %q", candidate.Name, candidate.BuildArgs)
				}
			}
			if !slices.Equal(names, test.want) || !slices.Equal(ports, test.ports) || len(options.Notes) != test.notes || options.Changed != test.file {
				t.Errorf("got %q, %v, notes %q, change of %s", names, ports, options.Notes, options.Changed)
			}
		})
	}
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: x
contexts: [{name: x, context: {cluster: x, user: x}}]
clusters: [{name: x, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: x, user: {}}]
`

func TestFlags(t *testing.T) {
	dir := folder(t, shop())
	for args, want := range map[string]string{
		"a b":                 "accepts at most 1 arg(s)",
		"--timeout 0s":        "--timeout 0s is not positive",
		"--wait-timeout -1s":  "--wait-timeout -1s is negative",
		"--start-timeout 1ms": "--start-timeout 1ms is less than a second",
		"--port 70000":        "--port 70000 is not a port",
		"-o table":            "--output is one of json",
		"--build-arg x":       "is not of the form KEY=VALUE",
		"--chart no/where":    "there is no directory",
		"--chart .":           "--chart . is a directory",
		"/nowhere":            "/nowhere",
		dir + " --name -x":    "choose one with --name",
	} {
		cmd := NewCommand(genericclioptions.NewConfigFlags(true), genericiooptions.NewTestIOStreamsDiscard())
		cmd.SetArgs(strings.Fields(args))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", args, err, want)
		}
	}
}
