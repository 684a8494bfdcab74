package build

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display/buildview"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
)

func TestRepositoryName(t *testing.T) {
	for address, want := range map[string]string{
		"https://git.example.com/team/api.git":        "api",
		"https://git.example.com/team/api":            "api",
		"https://git.example.com:8443/team/api/":      "api",
		"http://git.example.com/api.git":              "api",
		"ssh://git@git.example.com:2222/team/api.git": "api",
		"ssh://git.example.com/~me/api":               "api",
		"git@git.example.com:team/api.git":            "api",
		"git.example.com:api":                         "api",
		"me@host:~me/x@y/api.git":                     "api",
	} {
		if got, err := repositoryName(address); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", address, got, err, want)
		}
	}
	for address, says := range map[string]string{
		"":                                      "not the address",
		"api":                                   "not the address",
		"/srv/git/api.git":                      "not the address",
		"--upload-pack=touch x":                 "not the address",
		"-uhunter2@host:api":                    "not the address",
		"me:hunter2@git.example.com/team/api":   "not the address",
		"git@host:api hunter2":                  "not the address",
		"https://me:hunter2@git.example.com/a%": "not the address",
		"https:///hunter2":                      "not the address",
		"file://host/hunter2":                   "the scheme file",
		"ext::sh -c hunter2://x/y":              "not the address",
		"https://me:hunter2@git.example.com/a":  "--git-secret",
		"https://hunter2@git.example.com/a":     "--git-secret",
		"ssh://git:hunter2@git.example.com/a":   "--git-secret",
		"https://git.example.com":               "no path",
		"https://git.example.com/.git":          "no path",
		"https://git.example.com/a/..":          "no path",
	} {
		_, err := repositoryName(address)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error is %v, want it to say %q", address, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error is %v, which repeats what may be a password", address, err)
		}
	}
}

func TestParseSecrets(t *testing.T) {
	dir := t.TempDir()
	file, large := filepath.Join(dir, "pip.conf"), filepath.Join(dir, "large")
	must(t, os.WriteFile(file, []byte("hunter2\n"), 0o600))
	must(t, os.WriteFile(large, make([]byte, secretLimit+1), 0o600))
	t.Setenv("PYFLOW_TEST_TOKEN", "hunter2")
	t.Setenv("PYFLOW_TEST_EMPTY", "")
	ofFile := pipelinerun.BuildSecret{ID: "pip", Value: []byte("hunter2\n")}
	ofVariable := pipelinerun.BuildSecret{ID: "pip", Value: []byte("hunter2")}
	for value, want := range map[string]pipelinerun.BuildSecret{
		"id=pip,src=" + file:                      ofFile,
		"id=pip,source=" + file:                   ofFile,
		"type=file,id=pip,src=" + file:            ofFile,
		`"src=` + file + `",ID=pip`:               ofFile,
		"id=pip,env=PYFLOW_TEST_TOKEN":            ofVariable,
		"type=env,id=pip,env=PYFLOW_TEST_TOKEN":   ofVariable,
		"type=env,id=pip,src=PYFLOW_TEST_TOKEN":   ofVariable,
		"id=pip,env=PYFLOW_TEST_EMPTY":            {ID: "pip", Value: []byte{}},
		"id=pip.conf_2-x,secret=login":            {ID: "pip.conf_2-x", Secret: "login", Key: "pip.conf_2-x"},
		"id=pip,secret=login,key=token=with=sign": {ID: "pip", Secret: "login", Key: "token=with=sign"},
	} {
		got, err := parseSecrets([]string{value})
		if err != nil || !reflect.DeepEqual(got, []pipelinerun.BuildSecret{want}) {
			t.Errorf("%s: got %+v, %v", value, got, err)
		}
	}
	for _, test := range []struct {
		values []string
		says   string
	}{
		{[]string{""}, "id=ID,src=FILE"},
		{[]string{`id=pip,"src=hunter2`}, "not a list"},
		{[]string{"hunter2"}, "something else"},
		{[]string{"id=pip,value=hunter2"}, "something else"},
		{[]string{"id=pip,hunter2=="}, "something else"},
		{[]string{"id=pip,src"}, "src has no value"},
		{[]string{"id=pip,env="}, "env has no value"},
		{[]string{"env=PYFLOW_TEST_TOKEN"}, "id"},
		{[]string{"id=../x,env=PYFLOW_TEST_TOKEN"}, `"../x"`},
		{[]string{"id=.x,env=PYFLOW_TEST_TOKEN"}, `".x"`},
		{[]string{"id=pip"}, "secret pip: write"},
		{[]string{"id=pip,env=PYFLOW_TEST_TOKEN,src=" + file}, "secret pip: write"},
		{[]string{"id=pip,env=PYFLOW_TEST_TOKEN,key=x"}, "secret pip: write"},
		{[]string{"id=pip,type=vault,env=PYFLOW_TEST_TOKEN"}, "neither file nor env"},
		// What a shell makes of env=$TOKEN.
		{[]string{"id=pip,env=hunter2"}, "pip: the variable"},
		{[]string{"id=pip,src=" + filepath.Join(dir, "absent")}, "absent"},
		{[]string{"id=pip,src=" + large}, "more than 512"},
		{[]string{"id=pip,src=" + file, "id=pip,env=PYFLOW_TEST_TOKEN"}, "two secrets pip"},
	} {
		_, err := parseSecrets(test.values)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: error is %v, want it to say %q", test.values, err, test.says)
		}
		if err != nil && strings.Contains(strings.ToLower(err.Error()), "hunter2") {
			t.Errorf("%q: error is %v, which repeats a value", test.values, err)
		}
	}
}

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
			return o.Dir == dir && o.App == "my-shop" && o.File == "Dockerfile" && o.Release.Port == 8080 && o.Release.Replicas == 1 && o.Git == nil && o.Release.Directory == "" &&
				!o.Force && !o.NoDeploy && len(o.Secrets) == 0 && o.CPU.IsZero() && o.NodeSelector == nil &&
				o.mode == buildview.Auto && o.timeout == 30*time.Minute && o.waitTimeout == 5*time.Minute && o.keep == 10 && !o.detach && o.clients.Namespace == "team"
		}},
		"a name": {change: func(f *Flags) { f.Name = "web" }, check: func(o *Options) bool { return o.App == "web" }},
		"another Dockerfile": {change: func(f *Flags) { f.Dockerfile = "sub/other.Dockerfile" }, check: func(o *Options) bool {
			return o.File == "sub/other.Dockerfile" && o.Release.Port == project.DefaultPort
		}},
		"a target": {change: func(f *Flags) { f.Target = "TEST" }, check: func(o *Options) bool { return o.Target == "TEST" && o.Release.Port == 9000 }},
		"a port":   {change: func(f *Flags) { f.Port = 80 }, check: func(o *Options) bool { return o.Release.Port == 80 }},
		"build arguments": {
			change: func(f *Flags) { f.BuildArgs = []string{"INDEX=a=b", "VERSION=3.13", "https_proxy=p"} },
			check:  func(o *Options) bool { return len(o.BuildArgs) == 3 },
		},
		"no cache": {change: func(f *Flags) { f.NoCache = true }, check: func(o *Options) bool { return o.NoCache && o.Force }},
		"resources": {
			change: func(f *Flags) { f.CPU, f.Memory, f.Storage, f.NodeSelector = "500m", "2Gi", "10Gi", "disk=ssd, zone=b" },
			check: func(o *Options) bool {
				return o.CPU.String() == "500m" && o.Memory.String() == "2Gi" && o.Storage.String() == "10Gi" &&
					reflect.DeepEqual(o.NodeSelector, map[string]string{"disk": "ssd", "zone": "b"})
			},
		},
		"a kustomize directory":                {args: []string{delivered}, check: func(o *Options) bool { return o.Release.Directory == filepath.Join(delivered, "deploy") }},
		"a kustomize directory, not delivered": {args: []string{delivered}, change: func(f *Flags) { f.NoDeploy = true }, check: func(o *Options) bool { return o.Release.Directory == "" && o.NoDeploy }},
		"another kustomize directory":          {change: func(f *Flags) { f.Manifests = "../k8s" }, check: func(o *Options) bool { return o.Release.Directory == "../k8s" }},
		"json":                                 {change: func(f *Flags) { f.Output, f.Detach = "json", true }, check: func(o *Options) bool { return o.mode == buildview.JSON && o.detach }},
		"quiet":                                {change: func(f *Flags) { f.Quiet, f.Keep, f.WaitTimeout = true, 0, 0 }, check: func(o *Options) bool { return o.mode == buildview.Quiet && o.keep == 0 && o.waitTimeout == 0 }},
		"plain":                                {change: func(f *Flags) { f.Progress = "plain" }, check: func(o *Options) bool { return o.mode == buildview.Plain }},
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
				return reflect.DeepEqual(o.Test, &pipelinerun.Test{Command: []string{"pytest"}}) && o.junit == "results.xml"
			},
		},
		"a repository": {
			args: []string{},
			change: func(f *Flags) {
				f.Git, f.Revision, f.Path, f.GitSecret = "git@git.example.com:team/My.Api.git", "main", "services/./api/", "login"
			},
			check: func(o *Options) bool {
				want := pipelinerun.Git{URL: "git@git.example.com:team/My.Api.git", Revision: "main", Path: "services/api", Secret: "login"}
				return o.Git != nil && *o.Git == want && o.App == "my-api" && o.Dir == "" && o.Dockerfile == nil && o.File == "Dockerfile"
			},
		},
		"all of a repository": {
			args: []string{},
			change: func(f *Flags) {
				f.Git, f.Name, f.Dockerfile = "https://git.example.com/api", "web", "docker/Dockerfile"
			},
			check: func(o *Options) bool {
				return *o.Git == pipelinerun.Git{URL: "https://git.example.com/api"} && o.App == "web" && o.File == "docker/Dockerfile"
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
	if options.App != "here" || !filepath.IsAbs(options.Dir) {
		t.Errorf("app %s of %s", options.App, options.Dir)
	}
}

// Each is refused before anything is asked of a cluster; there is none.
func TestCommandLines(t *testing.T) {
	dir := folder(t, "shop", map[string]string{"Dockerfile": testDockerfile})
	python := folder(t, "python", map[string]string{"main.py": ""})
	file := filepath.Join(dir, "Dockerfile")
	for line, says := range map[string]string{
		"DIR too":                             "accepts at most 1 arg",
		dir + "/absent":                       "absent",
		file:                                  "is not a directory",
		folder(t, "empty", nil):               "neither a Dockerfile nor a Python project",
		python:                                "no application was found: name it with --entrypoint",
		"DIR -f ../Dockerfile":                "inside the directory",
		"DIR --name Shop":                     "choose one with --name",
		"DIR --target tset":                   `--target: Dockerfile has no stage "tset"`,
		"DIR --build-arg INDX=hunter2":        "--build-arg: Dockerfile has no ARG INDX",
		"DIR --build-arg INDEX":               `"INDEX" is not of the form KEY=VALUE`,
		"DIR --build-secret id=x,env=hunter2": "is not set",
		"DIR --cpu many":                      "--cpu many is not a quantity, such as 2 or 500m",
		"DIR --memory -1Gi":                   "--memory -1Gi is not a quantity",
		"DIR --storage 0":                     "--storage 0 is not a quantity",
		"DIR --node-selector gpu":             "--node-selector gpu",
		"DIR --node-selector a=b/c":           "--node-selector a=b/c",
		"DIR --replicas -1":                   "--replicas -1 is negative",
		"DIR --port 65536":                    "--port 65536 is not a port",
		"DIR --port 80 --manifests k8s":       "--port has no effect on a kustomize directory",
		"DIR --no-deploy --manifests k8s":     "--no-deploy deploys nothing",
		"DIR --revision main":                 "--revision goes with --git",
		"DIR --path api":                      "--path goes with --git",
		"DIR --git-secret login":              "--git-secret goes with --git",
		"DIR --git https://h/a":               "name one of them",
		"--git https://me:hunter2@h/a":        "--git-secret",
		"--git https://h/a --path ../b":       "--path ../b leaves the repository",
		"--git https://h/a --path /b":         "--path /b leaves the repository",
		"--git https://h/a --revision=--all":  "is not a branch",
		"--git https://h/a -f ../Dockerfile":  "--file ../Dockerfile leaves",
		"--git https://h/山":                   "choose one with --name",
		"DIR --progress loud":                 "--progress is one of auto, tty, plain, not",
		"DIR --progress json":                 "--progress is one of auto, tty, plain, not",
		"DIR -o yaml":                         "--output is json, not",
		"DIR -o json --quiet":                 "exclude each other",
		"DIR --detach --quiet":                "--detach does not wait for",
		"DIR --keep -1":                       "--keep -1 is negative",
		"DIR --timeout 0s":                    "--timeout 0s is not positive",
		"DIR --wait-timeout -1s":              "--wait-timeout -1s is negative",
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
		wantRefused(t, NewRerunCommand(testFlags(t).config, genericiooptions.NewTestIOStreamsDiscard()), strings.Fields(line), says)
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
