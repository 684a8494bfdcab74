package manifests

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fixed are options whose secrets are recognizable in a golden file.
func fixed(namespaces ...string) Options {
	users := map[string]credentials.User{}
	for _, namespace := range append([]string{SystemNamespace}, namespaces...) {
		users[namespace] = credentials.User{Name: namespace, Password: "password-of-" + namespace}
	}
	return Options{
		Hosting: true,
		Config: Config{
			Version: "v0.1.0",
			Tekton:  TektonConfig{Version: "v1.15.1", Namespace: TektonNamespace},
			Registry: RegistryConfig{
				Host: RegistryHost, NodeHost: NodeHost, StorageSize: "20Gi",
			},
			Namespaces: namespaces,
		},
		Credentials: credentials.Credentials{
			CACertificate: []byte("ca certificate"), CAKey: []byte("ca key"),
			Front:    credentials.Pair{Certificate: []byte("front certificate"), Key: []byte("front key")},
			Storage:  credentials.Pair{Certificate: []byte("storage certificate"), Key: []byte("storage key")},
			Client:   credentials.Pair{Certificate: []byte("client certificate"), Key: []byte("client key")},
			Accounts: []byte("accounts"), HTTPSecret: []byte("http secret"),
			Users: users,
		},
	}
}

func encode(t *testing.T, objects []*unstructured.Unstructured) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, object := range objects {
		document, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(document)
	}
	return out.Bytes()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); rewrite with -update if that is meant:\n%s", name, diff)
	}
}

func TestRender(t *testing.T) {
	mirrored := fixed("team-a", "team-b")
	mirrored.Config.ImageMirrors = []Mirror{
		{Prefix: "docker.io", Host: "mirror.example.com", Path: "hub"},
		{Prefix: "ghcr.io", Host: "mirror.example.com:5000", Insecure: true},
	}
	mirrored.Config.Registry.StorageClass = "fast"
	ephemeral := fixed("default")
	ephemeral.Config.Registry.Ephemeral = true
	nodePort := fixed("default")
	nodePort.Config.NodeAccess.Mode, nodePort.Config.Registry.NodeHost = NodeAccessNodePort, NodePortHost
	hostNetwork := fixed("default")
	hostNetwork.Config.NodeAccess.Mode = NodeAccessHostNetwork
	external := fixed("team-a")
	external.Config.Registry = RegistryConfig{External: true, Host: "registry.example.com:5443", NodeHost: NodeHost, Prefix: "org/pyflow"}
	public := fixed("team-a")
	public.Config.Registry = RegistryConfig{External: true, Host: "ghcr.io", NodeHost: "ghcr.io", Prefix: "org"}
	public.Config.NodeAccess.Mode = NodeAccessNone
	public.Credentials.CACertificate = nil
	whole := (*Platform).Objects
	access := func(p *Platform) []*unstructured.Unstructured { return p.NodeAccess }
	withoutTasks := func(p *Platform) []*unstructured.Unstructured {
		return slices.Concat(p.System, p.Registry, p.NodeAccess, p.Namespaces)
	}
	for name, test := range map[string]struct {
		options Options
		part    func(*Platform) []*unstructured.Unstructured
	}{
		"default.yaml":     {fixed("default"), whole},
		"mirrored.yaml":    {mirrored, whole},
		"ephemeral.yaml":   {ephemeral, func(p *Platform) []*unstructured.Unstructured { return p.Registry }},
		"nodeport.yaml":    {nodePort, access},
		"hostnetwork.yaml": {hostNetwork, access},
		"external.yaml":    {external, withoutTasks},
		"public.yaml":      {public, withoutTasks},
	} {
		t.Run(name, func(t *testing.T) {
			platform, err := Render(test.options)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, encode(t, test.part(platform)))
		})
	}
}

// TestContract reminds of Contract when a Task or a Pipeline changes.
func TestContract(t *testing.T) {
	platform, err := Render(fixed("default"))
	if err != nil {
		t.Fatal(err)
	}
	tasks := slices.DeleteFunc(platform.Objects(), func(object *unstructured.Unstructured) bool {
		return object.GetKind() != "Task" && object.GetKind() != "Pipeline"
	})
	if len(tasks) == 0 {
		t.Fatal("there are no Tasks and Pipelines")
	}
	got := fmt.Sprintf("%d %x\n", Contract, sha256.Sum256(encode(t, tasks)))
	want, err := os.ReadFile(filepath.Join("testdata", "contract"))
	if err == nil && got != string(want) && !*update {
		t.Error("a Task or a Pipeline has changed: raise Contract if a build of this plugin fails, or makes another image, with what an older plugin installed; then go test ./pkg/manifests -update")
	}
	golden(t, "contract", []byte(got))
}

func TestRenderIsPure(t *testing.T) {
	options := fixed("default")
	first, err := Render(options)
	if err != nil {
		t.Fatal(err)
	}
	before := encode(t, first.Objects())
	first.Objects()[0].SetName("changed")
	second, err := Render(options)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(encode(t, second.Objects()))); diff != "" {
		t.Errorf("a second rendering differs:\n%s", diff)
	}
}

// TestRestart holds pods to what they read once: a change of it is a change of
// their template, and a change of users is none.
func TestRestart(t *testing.T) {
	templates := func(options Options) map[string]any {
		t.Helper()
		platform, err := Render(options)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]any{}
		for _, object := range platform.Objects() {
			if template, ok, _ := unstructured.NestedMap(object.Object, "spec", "template"); ok {
				found[object.GetName()] = template
			}
		}
		return found
	}
	before := templates(fixed("default"))
	for name, test := range map[string]struct {
		change  func(*Options)
		changed []string
	}{
		"front":   {func(o *Options) { o.Credentials.Front.Certificate = []byte("new") }, []string{RegistryName}},
		"client":  {func(o *Options) { o.Credentials.Client.Certificate = []byte("new") }, []string{RegistryName}},
		"storage": {func(o *Options) { o.Credentials.Storage.Certificate = []byte("new") }, []string{StorageName}},
		"CA": {
			func(o *Options) { o.Credentials.CACertificate = []byte("new") },
			[]string{NodeAccessName, RegistryName, StorageName},
		},
		"users": {func(o *Options) { o.Credentials.Accounts = []byte("new") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			options := fixed("default")
			test.change(&options)
			var changed []string
			for name, template := range templates(options) {
				if !cmp.Equal(template, before[name]) {
					changed = append(changed, name)
				}
			}
			slices.Sort(changed)
			if !slices.Equal(changed, test.changed) {
				t.Errorf("restarted: %q, want %q", changed, test.changed)
			}
		})
	}
}

// TestRefusals holds the policy to the words that its refusals are known by.
func TestRefusals(t *testing.T) {
	platform, err := Render(fixed("default"))
	if err != nil {
		t.Fatal(err)
	}
	policy := find(platform.System, "ValidatingAdmissionPolicy", "pyflow-delivery")
	validations, _, err := unstructured.NestedSlice(policy.Object, "spec", "validations")
	if err != nil || len(validations) == 0 {
		t.Fatalf("the policy has the validations %v: %v", validations, err)
	}
	for i, want := range []string{NotTheApps, Superseded} {
		validation, _ := validations[i].(map[string]any)
		if text, _ := validation["messageExpression"].(string); !strings.Contains(text, want) {
			t.Errorf("message %q does not say %q", text, want)
		}
	}
}

func TestRenderNeedsCredentials(t *testing.T) {
	options := fixed("default")
	options.Config.Namespaces = append(options.Config.Namespaces, "stranger")
	if _, err := Render(options); err == nil || !strings.Contains(err.Error(), "stranger") {
		t.Errorf("got error %v, want one that names the namespace without credentials", err)
	}
}

// TestTektonImages holds the manifest that make generate assembles to the names
// under which Tekton publishes its images.
func TestTektonImages(t *testing.T) {
	manifest := Tekton()
	options := fixed()
	options.TektonManifest = manifest
	options.Config.ImageMirrors = []Mirror{{Prefix: "ghcr.io/tektoncd", Host: "mirror.example.com"}}
	platform, err := Render(options)
	if err != nil {
		t.Fatal(err)
	}
	images := Images(platform.Tekton)
	version, err := TektonVersion(manifest)
	if err != nil {
		t.Fatal(err)
	}
	// The controller's published name is known from Tekton's releases.
	controller := "mirror.example.com/pipeline/controller-10a3e32792f33651396d02b6855a6e36:" + version
	if !slices.Contains(images, controller) {
		t.Errorf("%s is not among %q", controller, images)
	}
	for _, command := range []string{"entrypoint", "nop", "webhook", "events", "resolvers", "sidecarlogresults", "workingdirinit"} {
		if !slices.ContainsFunc(images, func(image string) bool {
			return strings.HasPrefix(image, "mirror.example.com/pipeline/"+command+"-") && strings.HasSuffix(image, ":"+version)
		}) {
			t.Errorf("no mirrored image of %s among %q", command, images)
		}
	}
	flags := find(platform.Tekton, "ConfigMap", "feature-flags")
	if wait, _, _ := unstructured.NestedString(flags.Object, "data", sidecarFlag); wait != "false" {
		t.Errorf("without a webhook that injects sidecars, %s is %q", sidecarFlag, wait)
	}
	options.Config.Tekton.Sidecars = true
	injected, err := Render(options)
	if err != nil {
		t.Fatal(err)
	}
	flags = find(injected.Tekton, "ConfigMap", "feature-flags")
	if wait, _, _ := unstructured.NestedString(flags.Object, "data", sidecarFlag); wait != "true" {
		t.Errorf("with a webhook that may inject sidecars, %s is %q", sidecarFlag, wait)
	}
	resolvers := func(platform *Platform) string {
		flags := find(platform.Tekton, "ConfigMap", "resolvers-feature-flags")
		var on []string
		for _, resolver := range Resolvers() {
			if value, _, _ := unstructured.NestedString(flags.Object, "data", "enable-"+string(resolver)+"-resolver"); value != "false" {
				on = append(on, string(resolver))
			}
		}
		namespaces, _, _ := unstructured.NestedString(find(platform.Tekton, "ConfigMap", "cluster-resolver-config").Object, "data", "allowed-namespaces")
		return strings.Join(on, " ") + " in " + namespaces
	}
	if got := resolvers(platform); got != "cluster in pyflow-system" {
		t.Errorf("the resolvers are %s", got)
	}
	options.Config.Tekton.Resolvers = []Resolver{ResolverCluster, ResolverGit}
	open, err := Render(options)
	if err != nil {
		t.Fatal(err)
	}
	if got := resolvers(open); got != "cluster git in " {
		t.Errorf("the resolvers are %s", got)
	}
	if text := string(encode(t, platform.Tekton)); strings.Contains(text, "ko://") || strings.Contains(text, ": devel\n") {
		t.Error("placeholders of Tekton's development tree are left")
	}
}

func TestParseMirror(t *testing.T) {
	for text, want := range map[string]Mirror{
		"docker.io=mirror.example.com":                {Prefix: "docker.io", Host: "mirror.example.com"},
		"docker.io=http://10.0.0.1:5000":              {Prefix: "docker.io", Host: "10.0.0.1:5000", Insecure: true},
		"docker.io/library/=https://m.example.com/a/": {Prefix: "docker.io/library", Host: "m.example.com", Path: "a"},
		"localhost:5000=m.example.com/x/y":            {Prefix: "localhost:5000", Host: "m.example.com", Path: "x/y"},
	} {
		got, err := ParseMirror(text)
		if err != nil || got != want {
			t.Errorf("ParseMirror(%q) = %+v, %v; want %+v", text, got, err, want)
		}
		if again, err := ParseMirror(got.String()); err != nil || again != got {
			t.Errorf("ParseMirror(%q) = %+v, %v; want the mirror it was written from", got.String(), again, err)
		}
	}
	for _, text := range []string{
		"", "docker.io", "=mirror.example.com", "docker.io=", "library=mirror.example.com",
		"docker.io=ftp://mirror.example.com", "docker.io=https://user:word@mirror.example.com", "docker.io=http://",
	} {
		if got, err := ParseMirror(text); err == nil {
			t.Errorf("ParseMirror(%q) = %+v, want an error", text, got)
		}
	}
}

func TestRedirect(t *testing.T) {
	mirrors := []Mirror{
		{Prefix: "docker.io", Host: "m.example.com", Path: "hub"},
		{Prefix: "docker.io/library/python", Host: "python.example.com", Path: "library/python"},
	}
	for image, want := range map[string]string{
		"docker.io/library/caddy:2":             "m.example.com/hub/library/caddy:2",
		"docker.io/library/python:3.13-slim":    "python.example.com/library/python:3.13-slim",
		"docker.io/library/python@sha256:0":     "python.example.com/library/python@sha256:0",
		"docker.io/library/python-extras:1":     "m.example.com/hub/library/python-extras:1",
		"docker.io.example.com/library/caddy:2": "docker.io.example.com/library/caddy:2",
		"registry.k8s.io/kubectl:v1.36.3":       "registry.k8s.io/kubectl:v1.36.3",
	} {
		if got := redirect(image, mirrors); got != want {
			t.Errorf("redirect(%q) = %q, want %q", image, got, want)
		}
	}
}

func TestMirrorOfWholeRegistry(t *testing.T) {
	for _, test := range []struct {
		mirror             Mirror
		registry, location string
		ok                 bool
	}{
		{Mirror{Prefix: "docker.io", Host: "m", Path: "hub"}, "docker.io", "m/hub", true},
		{Mirror{Prefix: "docker.io", Host: "m"}, "docker.io", "m", true},
		{Mirror{Prefix: "docker.io/library/python", Host: "m", Path: "library/python"}, "docker.io", "m", true},
		{Mirror{Prefix: "docker.io/library/python", Host: "m", Path: "a/library/python"}, "docker.io", "m/a", true},
		{Mirror{Prefix: "docker.io/library/python", Host: "m", Path: "python"}, "", "", false},
		{Mirror{Prefix: "docker.io/library/python", Host: "m", Path: "xlibrary/python"}, "", "", false},
	} {
		registry, location, ok := test.mirror.Registry()
		if registry != test.registry || location != test.location || ok != test.ok {
			t.Errorf("%+v.Registry() = %q, %q, %v; want %q, %q, %v", test.mirror, registry, location, ok, test.registry, test.location, test.ok)
		}
	}
}

func TestDecode(t *testing.T) {
	objects, err := Decode([]byte("---\n# nothing\n---\nkind: A\napiVersion: v1\nmetadata: {name: a}\n---\nkind: List\napiVersion: v1\nitems:\n- {kind: B, apiVersion: v1, metadata: {name: b}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range objects {
		names = append(names, object.GetName())
	}
	if !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("got %q, want a and b", names)
	}
	for text, want := range map[string]string{
		"kind: A\napiVersion: v1\nmetadata: {name: a}\n---\nfoo: bar\n": "document 2",
		"kind: A\napiVersion: v1\n":                                     "no name",
		"{":                                                             "document 1",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Decode(%q): error %v, want one with %q", text, err, want)
		}
	}
}

func TestDockerConfig(t *testing.T) {
	user := credentials.User{Name: "team-a", Password: "hunter2"}
	text, err := DockerConfig(user, RegistryHost, NodeHost)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string][]byte{dockerConfigKey: text}
	for _, host := range []string{RegistryHost, NodeHost} {
		if got, err := ParseDockerConfig(data, host); err != nil || got != user {
			t.Errorf("ParseDockerConfig for %s = %v, %v; want %v", host, got, err, user)
		}
	}
	_, err = ParseDockerConfig(data, "elsewhere.example.com")
	if err == nil || strings.Contains(err.Error(), user.Password) {
		t.Errorf("got error %v, want one without the password", err)
	}
}

func TestCheckBuildArgs(t *testing.T) {
	if err := CheckBuildArgs([]string{"A=1", "B=", "C=x=y"}); err != nil {
		t.Error(err)
	}
	for _, arg := range []string{"", "A", "=1"} {
		if err := CheckBuildArgs([]string{"A=1", arg}); err == nil {
			t.Errorf("%q was accepted", arg)
		}
	}
	for _, arg := range []string{"ghp_abcdefghijklmnopqrstuvwxyz0123456789", "=hunter2x", "A=https://u:hunter2x@h"} {
		err := CheckBuildArgs([]string{arg})
		if err == nil || strings.Contains(err.Error(), "hunter2x") || strings.Contains(err.Error(), "ghp_") {
			t.Errorf("%q: %v", arg, err)
		}
	}
}

func TestParseConfig(t *testing.T) {
	want := fixed("default").Config
	text, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseConfig(map[string]string{ConfigKey: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("the configuration changed on its way (-want +got):\n%s", diff)
	}
	for _, data := range []map[string]string{{}, {ConfigKey: "unknown: 1"}} {
		if _, err := ParseConfig(data); err == nil {
			t.Errorf("ParseConfig(%q) accepted it", data)
		}
	}
}

func TestArgumentWarning(t *testing.T) {
	if got := (&Config{BuildArgs: []string{"A=1"}}).ArgumentWarning(); got != "" {
		t.Errorf("without secrets: %q", got)
	}
	got := (&Config{BuildArgs: []string{"A=1", "INDEX=https://me:hunter2x@h"}}).ArgumentWarning()
	if !strings.Contains(got, "INDEX;") || !strings.Contains(got, "kubectl pyflow setup --build-arg A=… --build-env INDEX=…") || strings.Contains(got, "hunter2x") {
		t.Errorf("with a secret: %q", got)
	}
	got = (&Config{BuildArgs: []string{"INDEX=https://me:hunter2x@h"}}).ArgumentWarning()
	if !strings.HasSuffix(got, "kubectl pyflow setup --build-arg '' --build-env INDEX=…") {
		t.Errorf("with nothing else: %q", got)
	}
}
