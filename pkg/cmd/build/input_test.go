package build

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/rerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display/buildview"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
)

const testDockerfile = "ARG VERSION=3\nFROM python:$VERSION AS base\nARG INDEX\nEXPOSE 9000\nFROM base AS test\nFROM python\nEXPOSE 8080\n"

func TestToOptions(t *testing.T) {
	dir := folder(t, "My_Shop", map[string]string{"Dockerfile": testDockerfile, "sub/other.Dockerfile": "FROM scratch\n"})
	delivered := folder(t, "till", map[string]string{"Dockerfile": testDockerfile, "deploy/kustomization.yaml": "resources: []\n"})
	for name, test := range map[string]struct {
		args   []string
		change func(*Flags)
		check  func(*Options) bool
	}{
		"defaults": {check: func(o *Options) bool {
			return o.Folder.Dir == dir && o.App == "my-shop" && o.Dockerfile == "Dockerfile" && o.Release.Port == 8080 && o.Release.Replicas == 1 && o.Git == nil && o.Release.Directory == "" &&
				!o.Force && o.Release != nil && len(o.Secrets) == 0 && o.Resources.CPU.IsZero() && o.Resources.NodeSelector == nil &&
				o.Mode == buildview.Auto && o.Session.Timeout == 30*time.Minute && o.WaitTimeout == 5*time.Minute && o.Keep == 10 && !o.Detach && o.Clients.Namespace == "team"
		}},
		"a name": {change: func(f *Flags) { f.Name = "web" }, check: func(o *Options) bool { return o.App == "web" }},
		"another Dockerfile": {change: func(f *Flags) { f.Dockerfile = "sub/other.Dockerfile" }, check: func(o *Options) bool {
			return o.Dockerfile == "sub/other.Dockerfile" && o.Release.Port == project.DefaultPort
		}},
		"a target": {change: func(f *Flags) { f.Target = "TEST" }, check: func(o *Options) bool { return o.Target == "TEST" && o.Release.Port == 9000 }},
		"a port":   {change: func(f *Flags) { f.Deployment.Port = 80 }, check: func(o *Options) bool { return o.Release.Port == 80 }},
		"build arguments": {
			change: func(f *Flags) { f.BuildArgs = []string{"INDEX=a=b", "VERSION=3.13", "https_proxy=p"} },
			check:  func(o *Options) bool { return len(o.BuildArgs) == 3 },
		},
		"no cache": {change: func(f *Flags) { f.NoCache = true }, check: func(o *Options) bool { return o.NoCache && o.Force }},
		"resources": {
			change: func(f *Flags) { f.CPU, f.Memory, f.Storage, f.NodeSelector = "500m", "2Gi", "10Gi", "disk=ssd, zone=b" },
			check: func(o *Options) bool {
				return o.Resources.CPU.String() == "500m" && o.Resources.Memory.String() == "2Gi" && o.Resources.Storage.String() == "10Gi" &&
					reflect.DeepEqual(o.Resources.NodeSelector, map[string]string{"disk": "ssd", "zone": "b"})
			},
		},
		"a kustomize directory":                {args: []string{delivered}, check: func(o *Options) bool { return o.Release.Directory == filepath.Join(delivered, "deploy") }},
		"a kustomize directory, not delivered": {args: []string{delivered}, change: func(f *Flags) { f.NoDeploy = true }, check: func(o *Options) bool { return o.Release == nil }},
		"another kustomize directory":          {change: func(f *Flags) { f.Written.Manifests = "../k8s" }, check: func(o *Options) bool { return o.Release.Directory == "../k8s" }},
		"json":                                 {change: func(f *Flags) { f.Output, f.Detach = "json", true }, check: func(o *Options) bool { return o.Mode == buildview.JSON && o.Detach }},
		"name":                                 {change: func(f *Flags) { f.Output, f.Detach = "name", true }, check: func(o *Options) bool { return o.Mode == buildview.Auto && o.Detach && o.Names }},
		"quiet":                                {change: func(f *Flags) { f.Quiet, f.Keep, f.WaitTimeout = true, 0, 0 }, check: func(o *Options) bool { return o.Mode == buildview.Quiet && o.Keep == 0 && o.WaitTimeout == 0 }},
		"plain":                                {change: func(f *Flags) { f.Progress = "plain" }, check: func(o *Options) bool { return o.Mode == buildview.Plain }},
		"a test": {
			change: func(f *Flags) { f.Dockerfile, f.Test = "sub/other.Dockerfile", "pytest -k 'not slow'" },
			check: func(o *Options) bool {
				return reflect.DeepEqual(o.Test, &pipelinerun.Test{Command: []string{"pytest", "-k", "not slow"}})
			},
		},
		"no test": {
			change: func(f *Flags) { f.NoTest = true },
			check:  func(o *Options) bool { return o.Test == nil },
		},
		"nothing to test": {
			change: func(f *Flags) { f.Dockerfile = "sub/other.Dockerfile" },
			check:  func(o *Options) bool { return o.Test == nil },
		},
		"a test of a repository": {
			args:   []string{},
			change: func(f *Flags) { f.Git, f.Test, f.JUnit = "https://git.example.com/api", "pytest", "results.xml" },
			check: func(o *Options) bool {
				return reflect.DeepEqual(o.Test, &pipelinerun.Test{Command: []string{"pytest"}}) && o.JUnit == "results.xml"
			},
		},
		"a repository": {
			args: []string{},
			change: func(f *Flags) {
				f.Git, f.Revision, f.Path, f.GitSecret = "git@git.example.com:team/My.Api.git", "main", "services/./api/", "login"
			},
			check: func(o *Options) bool {
				want := pipelinerun.Git{URL: "git@git.example.com:team/My.Api.git", Revision: "main", Path: "services/api", Secret: "login"}
				return o.Git != nil && *o.Git == want && o.App == "my-api" && o.Folder == nil && o.Dockerfile == "Dockerfile"
			},
		},
		"all of a repository": {
			args: []string{},
			change: func(f *Flags) {
				f.Git, f.Name, f.Dockerfile = "https://git.example.com/api", "web", "docker/Dockerfile"
			},
			check: func(o *Options) bool {
				return *o.Git == pipelinerun.Git{URL: "https://git.example.com/api"} && o.App == "web" && o.Dockerfile == "docker/Dockerfile"
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			flags := testFlags(t)
			if test.change != nil {
				test.change(flags)
			}
			args := test.args
			if args == nil {
				args = []string{dir}
			}
			options, err := flags.ToOptions(args, genericiooptions.NewTestIOStreamsDiscard())
			must(t, err)
			if !test.check(options) {
				t.Errorf("got %+v", options)
			}
		})
	}
}

func TestToOptionsOfTheWorkingDirectory(t *testing.T) {
	dir := folder(t, "here", map[string]string{"Dockerfile": testDockerfile})
	t.Chdir(dir)
	options, err := testFlags(t).ToOptions(nil, genericiooptions.NewTestIOStreamsDiscard())
	must(t, err)
	if options.App != "here" || !filepath.IsAbs(options.Folder.Dir) {
		t.Errorf("app %s of %s", options.App, options.Folder.Dir)
	}
}

// Each is refused before anything is asked of a cluster; there is none.
func TestCommandLines(t *testing.T) {
	dir := folder(t, "shop", map[string]string{"Dockerfile": testDockerfile})
	python := folder(t, "python", map[string]string{"main.py": ""})
	file := filepath.Join(dir, "Dockerfile")
	for line, says := range map[string]string{
		"DIR too":                      "accepts at most 1 arg",
		dir + "/absent":                "absent",
		file:                           "is not a directory",
		folder(t, "empty", nil):        "neither a Dockerfile nor a Python project",
		python:                         "no application was found: name it with --entrypoint",
		"DIR -f ../Dockerfile":         "there is no Dockerfile",
		"DIR --context /no/such":       "--context /no/such",
		"DIR --context DIR/Dockerfile": "it is not a directory",
		"DIR --name Shop":              "choose one with --name",
		"DIR --target tset":            `--target: Dockerfile has no stage "tset"`,
		"DIR --build-arg INDX=hunter2": "--build-arg: Dockerfile has no ARG INDX",
		"DIR --build-arg INDEX":        "--build-arg: build argument 1 of 1 is not of the form KEY=VALUE",
		"DIR --build-arg INDEX=https://me:hunter2@pypi.example.com/simple": "--build-secret id=INDEX,env=INDEX",
		"DIR --build-arg INDEX=https://a.example.com,https://me:hunter2@b": "build argument INDEX has credentials in a URL",
		"--git http://h/a --git-secret login":                              "--git: http sends credentials in clear",
		"--git HTTP://h/a --git-secret login":                              "--git: http sends credentials in clear",
		"DIR --build-secret id=x,env=hunter2":                              "is not set",
		"DIR --cpu many":                                                   "--cpu many is not a quantity, such as 2 or 500m",
		"DIR --memory -1Gi":                                                "--memory -1Gi is not a quantity",
		"DIR --storage 0":                                                  "--storage 0 is not a quantity",
		"DIR --node-selector gpu":                                          "--node-selector gpu",
		"DIR --node-selector a=b/c":                                        "--node-selector a=b/c",
		"DIR --replicas -1":                                                "--replicas -1 is negative",
		"DIR --port 65536":                                                 "--port 65536 is not a port",
		"DIR --port 80 --manifests k8s":                                    "--port has no effect on manifests of your own",
		"DIR --no-deploy --manifests k8s":                                  "--no-deploy deploys nothing",
		"DIR --revision main":                                              "--revision goes with --git",
		"DIR --path api":                                                   "--path goes with --git",
		"DIR --git-secret login":                                           "--git-secret goes with --git",
		"DIR --git https://h/a":                                            "name one of them",
		"--git https://me:hunter2@h/a":                                     "--git-secret",
		"--git https://h/a --path ../b":                                    "--path ../b leaves the repository",
		"--git https://h/a --path /b":                                      "--path /b leaves the repository",
		"--git https://h/a --revision=--all":                               "is not a branch",
		"--git https://h/a -f ../Dockerfile":                               "--file ../Dockerfile leaves",
		"--git https://h/山":                                                "choose one with --name",
		"DIR --progress loud":                                              "--progress is one of auto, tty, plain, not",
		"DIR --progress json":                                              "--progress is one of auto, tty, plain, not",
		"DIR -o yaml":                                                      "--output is one of json, name",
		"DIR -o json --quiet":                                              "exclude each other",
		"DIR -o name":                                                      "pass --detach as well",
		"DIR --detach --quiet":                                             "--detach does not wait for",
		"DIR --keep -1":                                                    "--keep -1 is negative",
		"DIR --timeout 0s":                                                 "--timeout 0s is not positive",
		"DIR --wait-timeout -1s":                                           "--wait-timeout -1s is negative",
	} {
		flags := testFlags(t)
		cmd := NewCommand(flags.config, genericiooptions.NewTestIOStreamsDiscard())
		wantRefused(t, cmd, strings.Fields(strings.ReplaceAll(line, "DIR", dir)), says)
	}
	for line, says := range map[string]string{
		"a b":                "accepts at most 1 arg",
		"--progress loud":    "--progress is one of auto, tty, plain, not",
		"--detach --quiet":   "--detach does not wait for",
		"--wait-timeout -1s": "is negative",
	} {
		wantRefused(t, rerun.NewCommand(testFlags(t).config, genericiooptions.NewTestIOStreamsDiscard()), strings.Fields(line), says)
	}
}

func wantRefused(t *testing.T, cmd *cobra.Command, args []string, says string) {
	t.Helper()
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s %q: error is %v, want it to say %q", cmd.Name(), args, err, says)
	}
}
