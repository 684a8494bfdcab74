package manifests

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// outcome is how a script ended.
type outcome struct {
	code        int
	out, errors string
}

// runScriptFile runs a script of platform/scripts as a step does: by "sh -c", with the
// variables and nothing else of the environment but PATH.
func runScriptFile(t *testing.T, name string, env map[string]string, args ...string) outcome {
	t.Helper()
	script, err := embedded.ReadFile("platform/scripts/" + name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", string(script), name}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), complaints.String()}
}

// written is the content of a file, empty if there is none.
func written(t *testing.T, elements ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elements...))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(content)
}

// writeFiles writes files, and links for contents like ->target.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(content, "->"); ok {
			if err := os.Symlink(target, file); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Every script is in a Task, every Task's script is set, and a Task gives each script the
// variables that its header names.
func TestScriptsAreInTasks(t *testing.T) {
	platform, err := Render(fixed("default"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := embedded.ReadDir("platform/scripts")
	if err != nil {
		t.Fatal(err)
	}
	texts := string(encode(t, platform.Pipeline))
	if strings.Contains(texts, scriptPrefix) {
		t.Error("a Task names a script instead of having its text")
	}
	environments := map[string][]string{}
	for _, task := range platform.Pipeline {
		steps, _, _ := unstructured.NestedSlice(task.Object, "spec", "steps")
		for _, item := range steps {
			step := item.(map[string]any)
			args, _, _ := unstructured.NestedStringSlice(step, "args")
			if len(args) == 0 {
				continue
			}
			environments[args[0]] = []string{"TZ"} // every script is a key, with variables or without
			env, _, _ := unstructured.NestedSlice(step, "env")
			for _, variable := range env {
				environments[args[0]] = append(environments[args[0]], variable.(map[string]any)["name"].(string))
			}
		}
	}
	for _, file := range files {
		text, err := embedded.ReadFile("platform/scripts/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if file.Name() == "run.sh" {
			task := find(platform.Pipeline, "Task", "pyflow-build")
			if task.GetAnnotations()["pyflow.dev/run"] != string(text) {
				t.Error("pyflow-build does not carry run.sh")
			}
			continue
		}
		set := environments[string(text)]
		if set == nil {
			t.Errorf("no step runs %s", file.Name())
			continue
		}
		header, _, _ := strings.Cut(string(text), "\nset -eu\n")
		for _, name := range regexp.MustCompile(`(?m)^#   ([A-Z_]+(?:, [A-Z_]+)*)  `).FindAllStringSubmatch(header, -1) {
			for _, variable := range strings.Split(name[1], ", ") {
				if !slices.Contains(set, variable) && file.Name() != "list.sh" {
					t.Errorf("the step that runs %s does not set %s", file.Name(), variable)
				}
			}
		}
	}
}

// A Pipeline that tests is the one that does not, with the tests' tasks, parameters and
// results.
func TestPipelinesWithAndWithoutTests(t *testing.T) {
	platform, err := Render(fixed("default"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []string{TestTask}
	for plain, tested := range map[string]string{PipelineName: TestedPipelineName, GitPipelineName: GitTestedPipelineName} {
		want := find(platform.Pipeline, "Pipeline", plain).Object["spec"].(map[string]any)
		got := find(platform.Pipeline, "Pipeline", tested).DeepCopy().Object["spec"].(map[string]any)
		keep := func(list string, dropped func(element map[string]any) bool) {
			got[list] = slices.DeleteFunc(got[list].([]any), func(element any) bool { return dropped(element.(map[string]any)) })
		}
		keep("tasks", func(task map[string]any) bool {
			delete(task, "runAfter")
			return slices.Contains(tests, task["name"].(string))
		})
		keep("params", func(param map[string]any) bool {
			return slices.Contains([]string{"test", "test-command", "build-task"}, param["name"].(string))
		})
		keep("results", func(result map[string]any) bool {
			return slices.ContainsFunc(tests, func(task string) bool {
				return strings.HasPrefix(result["value"].(string), "$(tasks."+task+".")
			})
		})
		wanted, err := yaml.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		without, err := yaml.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		without = bytes.Replace(without, []byte("$(params.build-task)"), []byte("pyflow-build"), 1)
		if !bytes.Equal(wanted, without) {
			t.Errorf("%s differs from %s by more than the tests:\n%s\n---\n%s", tested, plain, without, wanted)
		}
	}
}

func TestReportEndsAsTheTest(t *testing.T) {
	for name, test := range map[string]struct {
		// exitCode is what Tekton writes down; if it is empty, nothing.
		exitCode string
		files    map[string]string
		code     int
		out      string
		tested   string
	}{
		"passed":                  {"0", map[string]string{"junit.xml": "<testsuite/>"}, 0, "<testsuite/>\n", "true"},
		"without results":         {"0", nil, 0, "", "true"},
		"failed":                  {"3", map[string]string{"junit.xml": "<testsuite/>"}, 3, "<testsuite/>\n", ""},
		"failed, claims success":  {"1", map[string]string{"TESTED": "true"}, 1, "", ""},
		"ended by a signal":       {"-1", nil, 1, "", ""},
		"no exit code":            {"", map[string]string{"TESTED": "true"}, 1, "", ""},
		"a link in place of them": {"0", map[string]string{"secret": "password", "junit.xml": "->secret"}, 0, "", "true"},
		"results that are large":  {"0", map[string]string{"junit.xml": strings.Repeat("x", 5<<20)}, 0, strings.Repeat("x", 4<<20) + "\n", "true"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFiles(t, dir, test.files)
			if test.exitCode != "" {
				writeFiles(t, dir, map[string]string{"exitCode": test.exitCode})
			}
			got := runScriptFile(t, "report.sh", map[string]string{
				"JUNIT": dir + "/junit.xml", "EXIT_CODE": dir + "/exitCode", "TESTED_RESULT": dir + "/TESTED",
			})
			if result := written(t, dir, "TESTED"); got.code != test.code || got.out != test.out || result != test.tested {
				t.Errorf("it ends with %d, result %q, and prints %d bytes, want %d, %q, %d", got.code, result, len(got.out), test.code, test.tested, len(test.out))
			}
		})
	}
}

func TestUnpackMakesFilesWritable(t *testing.T) {
	dir := t.TempDir()
	var archive bytes.Buffer
	compressed := gzip.NewWriter(&archive)
	writer := tar.NewWriter(compressed)
	for _, header := range []tar.Header{
		{Name: "tests/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "tests/test_main.py", Mode: 0o444},
		{Name: "run.sh", Mode: 0o555},
		{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
	} {
		if err := writer.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(writer.Close(), compressed.Close()); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, map[string]string{"artifact/blobs/sha256/a": archive.String(), "source/.keep": ""})
	got := runScriptFile(t, "unpack.sh", map[string]string{
		"ARTIFACT": dir + "/artifact", "CONTEXT_PATH": "sha256/a", "SOURCE": dir + "/source",
	})
	if got.code != 0 {
		t.Fatalf("it failed: %+v", got)
	}
	for name, mode := range map[string]os.FileMode{"tests": 0o777, "tests/test_main.py": 0o666, "run.sh": 0o777} {
		info, err := os.Stat(filepath.Join(dir, "source", name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v (%v), want %v", name, info.Mode(), err, mode)
		}
	}
	if _, err := os.Stat(dir + "/artifact"); !os.IsNotExist(err) {
		t.Errorf("the artifact should be gone: %v", err)
	}
}

func TestOverlay(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	good := map[string]string{
		"NAME": "shop", "IMAGE": "127.0.0.1:5180/team-a/shop", "DIGEST": digest,
		"SEQUENCE": "2026-03-01T12:00:00Z shop-7", "MANIFESTS": "../manifests", "LAYOUT": "", "USER_OF_PODS": "",
		"RELEASE": "", "RECORD": "{}", "ADOPT": "false",
	}
	for name, test := range map[string]struct {
		variable, value, err string
	}{
		"as a run gives it":     {"", "", ""},
		"without a sequence":    {"SEQUENCE", "", ""},
		"no digest":             {"DIGEST", "", "digest"},
		"a short digest":        {"DIGEST", "sha256:0a", "digest"},
		"another kind":          {"DIGEST", "sha512:" + strings.Repeat("0a", 32), "digest"},
		"YAML in the digest":    {"DIGEST", digest[:50] + "\"\nresources: [x", "digest"},
		"a digest of two lines": {"DIGEST", digest + "\n", "digest"},
		"a quote in the name":   {"NAME", `sh"op`, "image name"},
		"a line in the image":   {"IMAGE", "a\nb", "image"},
		"a quote in the place":  {"SEQUENCE", `a"b`, "sequence"},
		"YAML in the number":    {"RELEASE", "7\"\nx: y", "release"},
		"two lines to record":   {"RECORD", "{}\nkind: Secret", "the record of the release has more than one line"},
	} {
		t.Run(name, func(t *testing.T) {
			env := maps.Clone(good)
			env["OUTPUT"] = t.TempDir()
			if test.variable != "" {
				env[test.variable] = test.value
			}
			got := runScriptFile(t, "overlay.sh", env)
			text := written(t, env["OUTPUT"], "kustomization.yaml")
			if test.err != "" {
				if got.code != 1 || text != "" || !strings.Contains(got.errors, "pyflow: "+test.err) {
					t.Errorf("it should refuse the %s: %+v\n%s", test.err, got, text)
				}
				return
			}
			var kustomization struct {
				Resources []string
				Images    []map[string]string
				Patches   []struct{ Patch string }
			}
			if err := yaml.UnmarshalStrict([]byte(text), &kustomization); err != nil && !strings.Contains(err.Error(), "unknown field") {
				t.Fatalf("%v\n%s", err, text)
			}
			if got.code != 0 || !slices.Equal(kustomization.Resources, []string{"../manifests"}) || len(kustomization.Images) != 1 ||
				kustomization.Images[0]["digest"] != digest || kustomization.Images[0]["newName"] != good["IMAGE"] || kustomization.Images[0]["name"] != "shop" {
				t.Errorf("%+v\n%s", got, text)
			}
			var patch []map[string]string
			if err := yaml.Unmarshal([]byte(kustomization.Patches[0].Patch), &patch); err != nil || patch[0]["value"] != env["SEQUENCE"] {
				t.Errorf("the patch is %v, %v", patch, err)
			}
		})
	}
}

// TestOverlayRecord wants the record of a release, as kustomize renders it, before the objects.
func TestOverlayRecord(t *testing.T) {
	const resources = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\n  annotations:\n    pyflow.dev/manifests: a\nspec:\n  template:\n    spec:\n      containers:\n      - name: shop\n        image: shop\n        args: [\"a: |\\n  b\", '---']\n"
	const secrets = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  annotations:\n    pyflow.dev/manifests: a\nstringData:\n  url: s3cr3t\n"
	for name, test := range map[string]struct {
		secrets bool
		adopt   string
		names   []string
	}{
		"without Secrets": {false, "false", []string{"ConfigMap/shop-release-7", "Deployment/shop"}},
		"with Secrets":    {true, "true", []string{"ConfigMap/shop-release-7", "Secret/shop-release-7", "Secret/db", "Deployment/shop"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string]string{"kustomization.yaml": "resources:\n- resources.yaml\n", "resources.yaml": resources}
			if test.secrets {
				files["kustomization.yaml"], files["secrets.yaml"] = "resources:\n- secrets.yaml\n- resources.yaml\n", secrets
			}
			for _, sub := range []string{"manifests", "overlay"} {
				if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, "manifests", name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			digest := "sha256:" + strings.Repeat("0a", 32)
			record := `{"by":"it's \"me\"","buildArgs":["A=$(x)"]}`
			got := runScriptFile(t, "overlay.sh", map[string]string{
				"NAME": "shop", "IMAGE": "127.0.0.1:5180/team-a/shop", "DIGEST": digest, "SEQUENCE": "2026-03-01T12:00:00Z shop-7",
				"MANIFESTS": "../manifests", "OUTPUT": dir + "/overlay", "LAYOUT": "", "USER_OF_PODS": "", "RELEASE": "7", "RECORD": record, "ADOPT": test.adopt,
			})
			if got.code != 0 {
				t.Fatalf("%+v", got)
			}
			rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir+"/overlay")
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, object := range rendered.Resources() {
				names = append(names, object.GetKind()+"/"+object.GetName())
				annotations := object.GetAnnotations()
				released := annotations["pyflow.dev/release"] == "7" && annotations["pyflow.dev/adopted"] == map[string]string{"true": "true"}[test.adopt]
				if kept := object.GetLabels()["pyflow.dev/release"] == "7"; !kept && !released {
					t.Errorf("%s has the annotations %v", object.GetName(), annotations)
				}
			}
			if !slices.Equal(names, test.names) {
				t.Errorf("the objects are %q, want %q", names, test.names)
			}
			text, err := rendered.Resources()[0].AsYAML()
			if err != nil {
				t.Fatal(err)
			}
			var kept corev1.ConfigMap
			if err := yaml.UnmarshalStrict(text, &kept); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{
				"record.json": record + "\n", "digest": digest + "\n", "resources.yaml": resources, "kustomization.yaml": files["kustomization.yaml"],
			}
			if diff := cmp.Diff(want, kept.Data); diff != "" || kept.Immutable == nil || !*kept.Immutable {
				t.Errorf("the record differs (-want +got):\n%s", diff)
			}
			if strings.Contains(string(text), "s3cr3t") {
				t.Error("the ConfigMap has a Secret in it")
			}
		})
	}
}

// TestOverlayUser wants the user of the image as a number in the Deployment.
func TestOverlayUser(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:10001:10002::/home/app:\ntoor:x:0:0::/:\n"
	const group = "root:x:0:\nweb:x:20:app\n"
	for name, test := range map[string]struct {
		user string
		// given is the user of the settings.
		given  string
		layers []map[string]string
		// uid and gid are set, "" removes the group, err is the end of a failure.
		uid, gid, err string
		warns         bool
	}{
		"a number":                    {user: "10001", uid: "10001"},
		"numbers":                     {user: "10001:20", uid: "10001", gid: "20"},
		"with zeros":                  {user: "010", uid: "10"},
		"a name":                      {user: "app", layers: []map[string]string{{"etc/passwd": passwd}}, uid: "10001", gid: "10002"},
		"as another program packs":    {user: "app", layers: []map[string]string{{"./etc/passwd": passwd}}, uid: "10001", gid: "10002"},
		"a name and a group":          {user: "app:web", layers: []map[string]string{{"etc/passwd": passwd, "etc/group": group}}, uid: "10001", gid: "20"},
		"a number and a group":        {user: "7:web", layers: []map[string]string{{"etc/group": group}}, uid: "7", gid: "20"},
		"of the uppermost layer":      {user: "app", layers: []map[string]string{{"etc/passwd": "app:x:1:1::/:\n"}, {"etc/passwd": passwd}, {"app/main.py": "x"}}, uid: "10001", gid: "10002"},
		"root":                        {user: "root", uid: "1000", gid: "1000", warns: true},
		"zero":                        {user: "0:0", uid: "1000", gid: "1000", warns: true},
		"none":                        {user: "", uid: "1000", gid: "1000", warns: true},
		"another name of root":        {user: "toor", layers: []map[string]string{{"etc/passwd": passwd}}, uid: "1000", gid: "1000", warns: true},
		"a name that nobody has":      {user: "web", layers: []map[string]string{{"etc/passwd": passwd}}, err: `the image runs as "web", and /etc/passwd of the image has no "web"`},
		"a name without a file":       {user: "web", layers: []map[string]string{{"app/main.py": "x"}}, err: `/etc/passwd of the image has no "web"`},
		"a group that nobody has":     {user: "app:db", layers: []map[string]string{{"etc/passwd": passwd, "etc/group": group}}, err: `/etc/group of the image has no "db"`},
		"YAML in the name":            {user: "a\"\nb: c", err: "is not valid"},
		"YAML in the file":            {user: "app", layers: []map[string]string{{"etc/passwd": "app:x:1 # x:1::/:\n"}}, err: "is not valid"},
		"a given name":                {user: "root", given: "app", layers: []map[string]string{{"etc/passwd": passwd}}, uid: "10001", gid: "10002"},
		"a given name and a group":    {user: "7", given: "app:web", layers: []map[string]string{{"etc/passwd": passwd, "etc/group": group}}, uid: "10001", gid: "20"},
		"a given number and a group":  {user: "app", given: "7:web", layers: []map[string]string{{"etc/group": group}}, uid: "7", gid: "20"},
		"a given name nobody has":     {user: "app", given: "web", layers: []map[string]string{{"etc/passwd": passwd}}, err: `the user of the pods is "web", and /etc/passwd of the image has no "web"`},
		"a given name of root":        {user: "app", given: "toor", layers: []map[string]string{{"etc/passwd": passwd}}, err: `the user of the pods is "toor", which is root in the image, as which no pod of the Deployment runs`},
		"a file in another directory": {user: "app", layers: []map[string]string{{"app/etc/passwd": passwd}}, err: `has no "app"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			digest := imageLayout(t, dir+"/image", test.user, test.layers)
			writeFiles(t, dir, map[string]string{
				"manifests/kustomization.yaml": "resources: [resources.yaml]\n", "manifests/resources.yaml": userManifests, "overlay/.keep": "",
			})
			got := runScriptFile(t, "overlay.sh", map[string]string{
				"NAME": "shop", "IMAGE": "127.0.0.1:5180/team-a/shop", "DIGEST": digest,
				"SEQUENCE": "x", "MANIFESTS": "../manifests", "OUTPUT": dir + "/overlay", "LAYOUT": dir + "/image", "USER_OF_PODS": test.given,
				"RELEASE": "", "RECORD": "{}", "ADOPT": "false",
			})
			if test.err != "" {
				text := written(t, dir, "overlay", "kustomization.yaml")
				if got.code != 1 || text != "" || !strings.Contains(got.errors, "pyflow: ") || !strings.HasSuffix(strings.TrimSpace(got.errors), test.err) {
					t.Errorf("%+v\n%s", got, text)
				}
				return
			}
			if got.code != 0 || test.warns != strings.Contains(got.out, "pyflow: warning: the image runs as root, so the pods run as 1000:1000") {
				t.Fatalf("%+v", got)
			}
			want := map[string]string{
				"Deployment/shop": test.uid + ":" + test.gid, "Deployment/shop-worker": test.uid + ":" + test.gid,
				"CronJob/shop-nightly": test.uid + ":" + test.gid, "Job/shop-release": test.uid + ":" + test.gid, "Deployment/redis": "999:999",
			}
			if diff := cmp.Diff(want, podUsers(t, filepath.Join(dir, "overlay"))); diff != "" {
				t.Errorf("the users of the pods differ (-want +got):\n%s", diff)
			}
		})
	}
}

// userManifests are a Deployment as releases recorded it before it had a label, generated objects
// of each kind, and one of the user.
const userManifests = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop}, spec: {template: {spec: {securityContext: {runAsUser: 1000, runAsGroup: 1000}}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop-worker, labels: {pyflow.dev/generated: "true"}}, spec: {template: {spec: {securityContext: {runAsUser: 1000, runAsGroup: 1000}}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: shop-release, labels: {pyflow.dev/generated: "true"}}, spec: {template: {spec: {securityContext: {runAsUser: 1000, runAsGroup: 1000}}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: shop-nightly, labels: {pyflow.dev/generated: "true"}}, spec: {jobTemplate: {spec: {template: {spec: {securityContext: {runAsUser: 1000, runAsGroup: 1000}}}}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: redis}, spec: {template: {spec: {securityContext: {runAsUser: 999, runAsGroup: 999}}}}}
`

// podUsers returns the user and the group of the pods in a kustomization, by kind/name.
func podUsers(t *testing.T, dir string) map[string]string {
	t.Helper()
	users := map[string]string{}
	for _, object := range kustomized(t, dir) {
		path := []string{"spec", "template", "spec", "securityContext"}
		if object.GetKind() == "CronJob" {
			path = append([]string{"spec", "jobTemplate"}, path...)
		}
		pod, _, err := unstructured.NestedMap(object.Object, path...)
		if err != nil {
			t.Fatal(err)
		}
		group := ""
		if pod["runAsGroup"] != nil {
			group = fmt.Sprint(pod["runAsGroup"])
		}
		users[object.GetKind()+"/"+object.GetName()] = fmt.Sprint(pod["runAsUser"]) + ":" + group
	}
	return users
}

// kustomized returns the objects of a kustomization, in its order.
func kustomized(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	var objects []*unstructured.Unstructured
	for _, item := range rendered.Resources() {
		text, err := item.MarshalJSON()
		object := &unstructured.Unstructured{}
		if err == nil {
			err = object.UnmarshalJSON(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	return objects
}

// TestOverlayOrdered wants the parts of a release that has Jobs, each as a kustomization, and all
// of them as the check gets them.
func TestOverlayOrdered(t *testing.T) {
	object := func(kind, name string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: %s, metadata: {name: %s, annotations: {pyflow.dev/manifests: a}}, spec: {template: {spec: {containers: [{name: a, image: shop}]}}}}\n", kind, name)
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  map[string][]string
	}{
		"all parts": {
			map[string]string{"secrets.yaml": object("Secret", "db"), "before.yaml": object("ConfigMap", "config"), "jobs.yaml": object("Job", "migrate") + "---\n" + object("Job", "seed"), "resources.yaml": object("Deployment", "shop")},
			map[string][]string{
				"before": {"ConfigMap/shop-release-7", "Secret/shop-release-7", "Secret/db", "ConfigMap/config"},
				"jobs":   {"Job/migrate", "Job/seed"},
				"after":  {"Deployment/shop"},
				"check":  {"ConfigMap/shop-release-7", "Secret/shop-release-7", "Secret/db", "ConfigMap/config", "Job/migrate-pyflow", "Job/seed-pyflow", "Deployment/shop"},
			},
		},
		"a Job and a workload": {
			map[string]string{"jobs.yaml": object("Job", "migrate"), "resources.yaml": object("Deployment", "shop")},
			map[string][]string{"before": {"ConfigMap/shop-release-7"}, "jobs": {"Job/migrate"}, "after": {"Deployment/shop"}, "check": {"ConfigMap/shop-release-7", "Job/migrate-pyflow", "Deployment/shop"}},
		},
		"nothing but a Job": {
			map[string]string{"jobs.yaml": object("Job", "migrate")},
			map[string][]string{"before": {"ConfigMap/shop-release-7"}, "jobs": {"Job/migrate"}, "after": {"ConfigMap/shop-release-7"}, "check": {"ConfigMap/shop-release-7", "Job/migrate-pyflow"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string]string{"overlay/.keep": ""}
			list := "resources:\n"
			for _, file := range []string{"secrets.yaml", "before.yaml", "jobs.yaml", "resources.yaml"} {
				if text, ok := test.files[file]; ok {
					files["manifests/"+file], list = text, list+"- "+file+"\n"
				}
			}
			files["manifests/kustomization.yaml"] = list
			writeFiles(t, dir, files)
			digest := "sha256:" + strings.Repeat("0a", 32)
			got := runScriptFile(t, "overlay.sh", map[string]string{
				"NAME": "shop", "IMAGE": "127.0.0.1:5180/team-a/shop", "DIGEST": digest, "SEQUENCE": "2026-03-01T12:00:00Z shop-7",
				"MANIFESTS": "../manifests", "OUTPUT": dir + "/overlay", "LAYOUT": "", "USER_OF_PODS": "", "RELEASE": "7", "RECORD": "{}", "ADOPT": "false", "ORDERED": "true",
			})
			if got.code != 0 {
				t.Fatalf("%+v", got)
			}
			for part, want := range test.want {
				var names []string
				for _, object := range kustomized(t, filepath.Join(dir, "overlay", part)) {
					names = append(names, object.GetKind()+"/"+object.GetName())
					if isRecord := object.GetLabels()["pyflow.dev/release"] == "7"; !isRecord && object.GetAnnotations()["pyflow.dev/release"] != "7" {
						t.Errorf("%s: %s has the annotations %v", part, object.GetName(), object.GetAnnotations())
					}
					containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
					for _, container := range containers {
						if image := container.(map[string]any)["image"]; image != "127.0.0.1:5180/team-a/shop@"+digest {
							t.Errorf("%s: %s runs the image %v", part, object.GetName(), image)
						}
					}
				}
				if !slices.Equal(names, want) {
					t.Errorf("%s has %q, want %q", part, names, want)
				}
			}
			record := kustomized(t, filepath.Join(dir, "overlay", "before"))[0]
			data, _, err := unstructured.NestedStringMap(record.Object, "data")
			if err != nil {
				t.Fatal(err)
			}
			delete(data, "record.json")
			delete(data, "digest")
			want := map[string]string{"kustomization.yaml": list}
			maps.Copy(want, test.files)
			delete(want, "secrets.yaml")
			if diff := cmp.Diff(want, data); diff != "" {
				t.Errorf("the record differs (-want +got):\n%s", diff)
			}
		})
	}
}

// imageLayout writes an image as crane pull does, and returns its digest. Labels and
// variables of the image look like what is searched for.
func imageLayout(t *testing.T, dir, user string, layers []map[string]string) string {
	t.Helper()
	image := empty.Image
	for _, files := range layers {
		var content bytes.Buffer
		writer := tar.NewWriter(&content)
		for name, text := range files {
			if err := writer.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err != nil {
				t.Fatal(err)
			}
			if _, err := writer.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			t.Fatal(err)
		}
	}
	image, err := mutate.Config(image, v1.Config{
		User: user, Env: []string{"User=env", `A={"User":"env"}`, "\"User\":\"x\""}, Labels: map[string]string{"User": "label", "b": `\"User":"x"`},
	})
	if err != nil {
		t.Fatal(err)
	}
	path, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = path.AppendImage(image)
	}
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// gitServer serves the repositories below a directory by git's own HTTP backend. With a
// password, it asks for that of the user git.
func gitServer(t *testing.T, dir, password string) string {
	t.Helper()
	server := httptest.NewServer(gitHandler(t, dir, password))
	t.Cleanup(server.Close)
	return server.URL
}

// encrypted serves by https, and returns the URL and the certificate, PEM.
func encrypted(t *testing.T, handler http.Handler) (address, certificate string) {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	return server.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// listener records the passwords that it gets, and accepts every one.
type listener struct {
	http.Handler
	mutex     sync.Mutex
	requests  int
	passwords []string
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, password, given := r.BasicAuth()
	l.mutex.Lock()
	l.requests++
	if given {
		l.passwords = append(l.passwords, password)
	}
	l.mutex.Unlock()
	if !given {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	l.Handler.ServeHTTP(w, r)
}

func gitHandler(t *testing.T, dir, password string) http.Handler {
	t.Helper()
	execPath, err := exec.CommandContext(t.Context(), "git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, given, _ := r.BasicAuth(); password != "" && (user != "git" || given != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	})
}

// repository makes a bare repository dir/name with one commit, and returns the commit.
func repository(t *testing.T, dir, name string, files map[string]string) string {
	t.Helper()
	work := t.TempDir()
	writeFiles(t, work, files)
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
		cmd.Dir = work
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", "--all")
	git("commit", "--quiet", "--message=x")
	git("clone", "--quiet", "--bare", ".", filepath.Join(dir, name))
	return git("rev-parse", "HEAD")
}

// olderGit stands in for git versions before 2.44, whose archive has no --mtime: this
// machine's may be one, the image's is not. It writes the date to $HOME/date.
const olderGit = `#!/bin/sh
for arg; do
  shift
  case $arg in --mtime=*) printf %s "${arg#--mtime=}" >"$HOME/date" ;; *) set -- "$@" "$arg" ;; esac
done
exec "$GIT" "$@"
`

// gitOfImage returns a PATH with a git that knows what the image's does.
func gitOfImage(t *testing.T) map[string]string {
	t.Helper()
	program, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	usage, _ := exec.CommandContext(t.Context(), program, "archive", "-h").CombinedOutput()
	if bytes.Contains(usage, []byte("--mtime")) {
		return nil
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "git"), []byte(olderGit), 0o755); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"PATH": dir + ":" + os.Getenv("PATH"), "GIT": program}
}

func TestClone(t *testing.T) {
	image := gitOfImage(t)
	served := t.TempDir()
	commit := repository(t, served, "shop", map[string]string{
		"Dockerfile": "FROM scratch\n", "api/Dockerfile": "FROM python:3.13\r\nRUN x\\y", "api/main.py": "x\n", "empty/x": "",
		"api/pyproject.toml": "[ tool . kubectl-pyflow ]\n", "api/Procfile": "worker: x\n", "pyproject.toml": "[project]\nname = \"kubectl-pyflow\"\n",
		".gitattributes": "*.bin filter=lfs\nmain.py export-ignore\n", ".gitmodules": "x",
	})
	public := gitServer(t, served, "")
	private, trust := encrypted(t, gitHandler(t, served, "s3cret"))
	// A man in the middle, and a server that sends git to him.
	middle := &listener{Handler: gitHandler(t, served, "")}
	clear := httptest.NewServer(middle)
	t.Cleanup(clear.Close)
	redirecting, _ := encrypted(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, given := r.BasicAuth(); !given && strings.HasPrefix(r.URL.Path, "/private/") {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, clear.URL+"/shop/"+strings.SplitN(r.URL.Path, "/", 3)[2]+"?"+r.URL.RawQuery, http.StatusFound)
	}))

	for name, test := range map[string]struct {
		env         map[string]string
		credentials map[string]string
		// err is what the last line says; without it, files are those of the archive.
		err   string
		files []string
	}{
		"a folder":              {env: map[string]string{"FOLDER": "/./api//"}, files: []string{"Dockerfile", "Procfile", "main.py", "pyproject.toml"}},
		"all of it":             {files: []string{".gitattributes", ".gitmodules", "Dockerfile", "api/", "api/Dockerfile", "api/Procfile", "api/main.py", "api/pyproject.toml", "empty/", "empty/x", "pyproject.toml"}},
		"a commit":              {env: map[string]string{"REVISION": commit, "FOLDER": "api"}, files: []string{"Dockerfile", "Procfile", "main.py", "pyproject.toml"}},
		"no such revision":      {env: map[string]string{"REVISION": "nope"}, err: "revision not found: " + public + `/shop has no branch, tag or full commit "nope"`},
		"an option as revision": {env: map[string]string{"REVISION": "--upload-pack=x"}, err: `"--upload-pack=x" cannot be the name of a revision`},
		"no such folder":        {env: map[string]string{"FOLDER": "web"}, err: `path not found: commit ` + commit + ` has no folder "web"`},
		"no Dockerfile":         {env: map[string]string{"FOLDER": "empty"}, err: `no Dockerfile: commit ` + commit + ` has no file "Dockerfile" in its folder "empty"`},
		"no such repository":    {env: map[string]string{"URL": public + "/nope"}, err: "repository not found: " + public + "/nope"},
		"a password in the URL": {env: map[string]string{"URL": "http://u:p@127.0.0.1/x"}, err: "the URL of the repository contains credentials"},
		"another protocol":      {env: map[string]string{"URL": "file://" + served + "/shop"}, err: "git reaches file://"},
		"ssh without a key":     {env: map[string]string{"URL": "git@127.0.0.1:x"}, credentials: map[string]string{"known_hosts": "x"}, err: "the Secret for git has no key ssh-privatekey"},
		"private": {
			env: map[string]string{"URL": private + "/shop", "FOLDER": "api"}, credentials: map[string]string{"password": "s3cret", "ca.crt": trust},
			files: []string{"Dockerfile", "Procfile", "main.py", "pyproject.toml"},
		},
		"private without credentials": {env: map[string]string{"URL": private + "/shop"}, credentials: map[string]string{"ca.crt": trust}, err: "authentication failed: " + private + "/shop is private"},
		"credentials by http":         {env: map[string]string{"URL": clear.URL + "/shop"}, credentials: map[string]string{"password": "s3cret"}, err: "http sends credentials in clear"},
		"a redirect to http": {
			env: map[string]string{"URL": redirecting + "/private/"}, credentials: map[string]string{"password": "s3cret", "ca.crt": trust},
			err: "git cannot fetch HEAD of " + redirecting,
		},
		"a redirect to http without credentials": {
			env: map[string]string{"URL": redirecting + "/public/"}, credentials: map[string]string{"ca.crt": trust},
			err: "git cannot fetch HEAD of " + redirecting,
		},
		"a wrong password": {
			env: map[string]string{"URL": private + "/shop"}, credentials: map[string]string{"password": "wr0ng", "ca.crt": trust},
			err: "authentication failed: " + private + "/shop does not accept the credentials",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFiles(t, dir, map[string]string{"system.crt": ""})
			env := map[string]string{
				"URL": public + "/shop", "REVISION": "", "FOLDER": "", "DOCKERFILE": "Dockerfile",
				"CREDENTIALS": dir + "/credentials", "CREDENTIALS_BOUND": "false", "SYSTEM_CA": dir + "/system.crt", "BUILD_CA": dir + "/absent.crt",
				"HOME": dir + "/home", "CONTEXT": dir,
				"COMMIT_RESULT": dir + "/COMMIT", "LAYER_RESULT": dir + "/LAYER", "TAG_RESULT": dir + "/TAG", "SUM_RESULT": dir + "/SUM",
				"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "http:https:ssh", "GIT_CONFIG_NOSYSTEM": "1",
			}
			maps.Copy(env, test.env)
			maps.Copy(env, image)
			if test.credentials != nil {
				env["CREDENTIALS_BOUND"] = "true"
				for key, value := range test.credentials {
					writeFiles(t, dir, map[string]string{"credentials/" + key: value})
				}
			}
			got := runScriptFile(t, "clone.sh", env)
			for _, secret := range test.credentials {
				if strings.Contains(got.out+got.errors, secret) && len(secret) > 1 {
					t.Errorf("it prints a secret: %+v", got)
				}
			}
			if test.err != "" {
				lines := strings.Split(strings.TrimSpace(got.errors), "\n")
				if last := lines[len(lines)-1]; got.code != 1 || !strings.HasPrefix(last, "pyflow: "+test.err) {
					t.Errorf("it ends with %d and says\n%s\nwant %s", got.code, got.errors, test.err)
				}
				return
			}
			if got.code != 0 || written(t, dir, "COMMIT") != commit {
				t.Fatalf("it fetched %q: %+v", written(t, dir, "COMMIT"), got)
			}
			archive := written(t, dir, "context.tar.gz")
			sum := sha256.Sum256([]byte(archive))
			layer := hex.EncodeToString(sum[:])
			if written(t, dir, "LAYER") != layer || !strings.HasSuffix(written(t, dir, "TAG"), "-"+layer[:32]) {
				t.Errorf("layer %q and tag %q are not those of %s", written(t, dir, "LAYER"), written(t, dir, "TAG"), layer)
			}
			if names := slices.Sorted(maps.Keys(archived(t, archive))); !slices.Equal(names, test.files) {
				t.Errorf("the archive has %q, want %q", names, test.files)
			}
			printed := "FROM scratch\n"
			if env["FOLDER"] != "" {
				// The file has carriage returns, and no newline at its end.
				printed = "FROM python:3.13\nRUN x\\y\n"
			}
			if text := dockerfileIn(got.out); text != printed || written(t, dir, "SUM") != sumOf(printed) {
				t.Errorf("it prints the Dockerfile %q, and its sum is %s: %s", text, written(t, dir, "SUM"), got.out)
			}
			if !strings.Contains(got.errors, "pyflow: warning: the repository has submodules") || (env["FOLDER"] == "") != strings.Contains(got.errors, "Git LFS") ||
				(env["FOLDER"] != "") != strings.Contains(got.errors, "settings of kubectl pyflow") || (env["FOLDER"] != "") != strings.Contains(got.errors, "the Procfile") {
				t.Errorf("it warns of %s", got.errors)
			}
		})
	}
	if middle.requests > 0 || len(middle.passwords) > 0 {
		t.Errorf("git sent %d requests in clear, with the passwords %q", middle.requests, middle.passwords)
	}
}

// dockerfileIn returns the Dockerfile that clone.sh has printed, without carriage returns.
func dockerfileIn(log string) string {
	var text strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(log, "\r", "")) {
		if line, ok := strings.CutPrefix(line, AnnotationDockerfile+" "); ok {
			text.WriteString(line)
		}
	}
	return text.String()
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestCloneUnreadable wants no sum of a Dockerfile that cannot be checked: one that is a link, or
// that is long.
func TestCloneUnreadable(t *testing.T) {
	image := gitOfImage(t)
	served := t.TempDir()
	repository(t, served, "link", map[string]string{"Dockerfile": "->other", "other": "FROM scratch\n"})
	repository(t, served, "long", map[string]string{"Dockerfile": "FROM scratch\n#" + strings.Repeat("x", 65536)})
	server := gitServer(t, served, "")
	for _, name := range []string{"link", "long"} {
		dir := t.TempDir()
		writeFiles(t, dir, map[string]string{"system.crt": ""})
		env := map[string]string{
			"URL": server + "/" + name, "REVISION": "", "FOLDER": "", "DOCKERFILE": "Dockerfile",
			"CREDENTIALS": dir, "CREDENTIALS_BOUND": "false", "SYSTEM_CA": dir + "/system.crt", "BUILD_CA": dir + "/absent.crt",
			"HOME": dir + "/home", "CONTEXT": dir,
			"COMMIT_RESULT": dir + "/COMMIT", "LAYER_RESULT": dir + "/LAYER", "TAG_RESULT": dir + "/TAG", "SUM_RESULT": dir + "/SUM", "GIT_CONFIG_NOSYSTEM": "1",
		}
		maps.Copy(env, image)
		got := runScriptFile(t, "clone.sh", env)
		if _, err := os.Stat(filepath.Join(dir, "SUM")); got.code != 0 || err != nil || written(t, dir, "SUM") != "" || dockerfileIn(got.out) != "" {
			t.Errorf("%s: the sum is %q (%v): %+v", name, written(t, dir, "SUM"), err, got)
		}
	}
}

// TestCheck wants no run to go on before its Dockerfile has been checked.
func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		sum, before, after, err string
	}{
		"checked before":         {sum: "a1", before: "a1"},
		"checked while it waits": {sum: "a1", after: "a1"},
		"never checked":          {sum: "a1", err: "pyflow: the Dockerfile was not checked within 1 seconds"},
		"another one":            {sum: "a1", after: "a2", err: "pyflow: the run fetched another Dockerfile"},
		"a link":                 {sum: "", before: "", err: "pyflow: the Dockerfile cannot be checked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "sum")
			if err := os.WriteFile(file, []byte(test.before), 0o600); err != nil {
				t.Fatal(err)
			}
			limit := "1"
			if test.after != "" {
				limit = "60"
				later := time.AfterFunc(300*time.Millisecond, func() { _ = os.WriteFile(file, []byte(test.after), 0o600) })
				defer later.Stop()
			}
			got := runScriptFile(t, "check.sh", map[string]string{"SUM": test.sum, "CHECKED": file, "LIMIT": limit, "RUN": "shop-1"})
			if (got.code == 0) != (test.err == "") || !strings.HasPrefix(got.errors, test.err) {
				t.Errorf("%+v, want %q", got, test.err)
			}
		})
	}
	if got := runScriptFile(t, "check.sh", map[string]string{"SUM": "a1", "CHECKED": filepath.Join(t.TempDir(), "absent"), "LIMIT": "60", "RUN": "shop-1"}); got.code == 0 {
		t.Errorf("a file that is not there counts as a check: %+v", got)
	}
}

// archived returns the names in a tar.gz, and the date of each.
func archived(t *testing.T, content string) map[string]time.Time {
	t.Helper()
	plain, err := gzip.NewReader(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	dates := map[string]time.Time{}
	for reader := tar.NewReader(plain); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return dates
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeXGlobalHeader {
			dates[header.Name] = header.ModTime
		}
	}
}

// TestCloneDates wants the same archive of the same files, and other dates for other files.
func TestCloneDates(t *testing.T) {
	image := gitOfImage(t)
	served := t.TempDir()
	for name, page := range map[string]string{"one": "#ffffff", "same": "#ffffff", "other": "#000000"} {
		repository(t, served, name, map[string]string{"Dockerfile": "FROM scratch\n", "page.css": page})
	}
	server := gitServer(t, served, "")
	clone := func(name string) (archive string, date time.Time) {
		dir := t.TempDir()
		writeFiles(t, dir, map[string]string{"system.crt": ""})
		env := map[string]string{
			"URL": server + "/" + name, "REVISION": "", "FOLDER": "", "DOCKERFILE": "Dockerfile",
			"CREDENTIALS": dir, "CREDENTIALS_BOUND": "false", "SYSTEM_CA": dir + "/system.crt", "BUILD_CA": dir + "/absent.crt",
			"HOME": dir + "/home", "CONTEXT": dir,
			"COMMIT_RESULT": dir + "/COMMIT", "LAYER_RESULT": dir + "/LAYER", "TAG_RESULT": dir + "/TAG", "SUM_RESULT": dir + "/SUM", "GIT_CONFIG_NOSYSTEM": "1",
		}
		maps.Copy(env, image)
		got := runScriptFile(t, "clone.sh", env)
		if got.code != 0 {
			t.Fatalf("clone of %s: %+v", name, got)
		}
		archive = written(t, dir, "context.tar.gz")
		date = archived(t, archive)["page.css"]
		if image != nil {
			archive = written(t, dir, "home/date")
			var seconds int64
			if _, err := fmt.Sscanf(archive, "@%d +0000", &seconds); err != nil {
				t.Fatalf("the date %q: %v", archive, err)
			}
			date = time.Unix(seconds, 0)
		}
		return archive, date
	}
	one, first := clone("one")
	same, _ := clone("same")
	_, other := clone("other")
	if one != same {
		t.Error("two repositories of the same files give two archives")
	}
	if first.Equal(other) {
		t.Errorf("two files of one size have the date %s", first)
	}
	for _, date := range []time.Time{first, other} {
		if date.Year() < 1980 || date.After(time.Now()) || date.Unix()%2 != 0 {
			t.Errorf("a file has the date %s", date)
		}
	}
}

// TestDigest reads the digest from a registry, and does not believe what the build has written.
func TestDigest(t *testing.T) {
	const manifest, forged = `{"schemaVersion":2}`, "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user != "team-a" || password != "secret" || !strings.Contains(r.Header.Get("Accept"), "oci.image.manifest"):
			http.Error(w, "no", http.StatusForbidden)
		case r.URL.Path != "/v2/team-a/app/manifests/app-7":
			http.NotFound(w, r)
		default:
			_, _ = io.WriteString(w, manifest)
		}
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	sum := sha256.Sum256([]byte(manifest))
	honest := "sha256:" + hex.EncodeToString(sum[:])
	config, err := DockerConfig(credentials.User{Name: "team-a", Password: "secret"}, host, "127.0.0.1:5180")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		tag, own, pushed, login string
		link                    bool
		want                    string
	}{
		"the registry in the cluster":  {tag: "app-7", own: host, pushed: forged, want: honest},
		"nothing was pushed":           {tag: "app-8", own: host, pushed: forged},
		"a wrong login":                {tag: "app-7", own: host, login: `{"auths":{}}`},
		"an external registry":         {tag: "app-7", own: "other", pushed: forged + "\n", want: forged},
		"an external one, no digest":   {tag: "app-7", own: "other", pushed: "sha256:1;reboot"},
		"an external one, nothing":     {tag: "app-7", own: "other"},
		"an external one, with a link": {tag: "app-7", own: "other", pushed: forged, link: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put := func(name string, content []byte) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			login := config
			if test.login != "" {
				login = []byte(test.login)
			}
			put("config.json", login)
			put("ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
			pushed := filepath.Join(dir, "pushed")
			if test.pushed != "" {
				pushed = put("pushed", []byte(test.pushed))
			}
			if test.link {
				if err := os.Symlink(pushed, pushed+"-link"); err != nil {
					t.Fatal(err)
				}
				pushed += "-link"
			}
			ended := runScriptFile(t, "digest.sh", map[string]string{
				"REGISTRY": host, "OWN_REGISTRY": test.own, "IMAGE": host + "/team-a/app", "TAG": test.tag,
				"LOGIN": dir, "WORK": filepath.Join(dir, "work"), "PUSHED": pushed,
				"DIGEST_RESULT": filepath.Join(dir, "digest"), "URL_RESULT": filepath.Join(dir, "url"),
			})
			if (ended.code == 0) != (test.want != "") {
				t.Errorf("it ended with %d: %s", ended.code, ended.errors)
			}
			if got := written(t, dir, "digest"); got != test.want {
				t.Errorf("the digest is %q, want %q", got, test.want)
			}
			if got := written(t, dir, "url"); test.want != "" && got != host+"/team-a/app:"+test.tag+"@"+test.want {
				t.Errorf("the image is %q", got)
			}
			if strings.Contains(ended.out+ended.errors, base64.StdEncoding.EncodeToString([]byte("team-a:secret"))) {
				t.Errorf("the output has the login: %s", ended.errors)
			}
		})
	}
}
