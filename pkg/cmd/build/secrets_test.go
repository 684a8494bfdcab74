package build

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
)

// private is a Python project with a private index, and one setting.
func private(t *testing.T, settings string) string {
	t.Helper()
	return folder(t, testApp, map[string]string{
		"requirements.txt": "--extra-index-url https://robot:${PIP_TOKEN}@packages.example.com/simple\nfastapi\nuvicorn\nlib @ git+ssh://git@git.example.com/lib@v1\n",
		"main.py":          "from fastapi import FastAPI\napp = FastAPI()\n",
		"pyproject.toml":   settings,
	})
}

// secretArgs returns the secrets that the engine of the newest run gets, and what provides
// them: SECRET/KEY.
func secretArgs(t *testing.T, c *cluster) (ids, sources []string) {
	t.Helper()
	runs := c.runs(t)
	run := &runs[len(runs)-1]
	for _, arg := range parameter(run, "engine-args").ArrayVal {
		if id, ok := strings.CutPrefix(arg, "--secret=id="); ok {
			id, _, _ = strings.Cut(id, ",")
			ids = append(ids, id)
		}
	}
	for _, workspace := range run.Spec.Workspaces {
		if workspace.Projected == nil {
			continue
		}
		for _, source := range workspace.Projected.Sources {
			sources = append(sources, strings.TrimPrefix(source.Secret.Name, run.Name)+"/"+source.Secret.Items[0].Key)
		}
	}
	return ids, sources
}

func TestMissingSecretsStopABuild(t *testing.T) {
	c := newCluster(t)
	got := c.build(t, private(t, ""), nil)
	var missing *build.MissingSecretsError
	if !errors.As(got.err, &missing) {
		t.Fatalf("error is %v", got.err)
	}
	want := "the build lacks 3 secrets: PIP_TOKEN (requirements.txt:1), known_hosts (requirements.txt:4), ssh-privatekey (requirements.txt:4)"
	if got.err.Error() != want {
		t.Errorf("error is %v, want %s", got.err, want)
	}
	if flags := missing.Flags(); !slices.Equal(flags, []string{
		"--build-secret id=PIP_TOKEN,env=PIP_TOKEN", "--build-secret id=known_hosts,src=FILE", "--build-secret id=ssh-privatekey,src=FILE",
	}) {
		t.Errorf("flags are %q", flags)
	}
	if sent, runs := c.stored(), c.runs(t); len(sent) > 0 || len(runs) > 0 {
		t.Errorf("uploaded was %q, and there are %d runs", sent, len(runs))
	}
}

// A Secret that the namespace does not have, or not with that key, is in the same error as
// what is missing.
func TestSecretsOfTheNamespace(t *testing.T) {
	c := newCluster(t)
	login := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "git-login"}, Data: map[string][]byte{"ssh-privatekey": []byte("key"), "known_hosts": []byte("host")}}
	_, err := c.kube.CoreV1().Secrets("team").Create(t.Context(), login, metav1.CreateOptions{})
	must(t, err)
	settings := "[tool.kubectl-pyflow.build.secrets]\nPIP_TOKEN = \"secret=company,key=token\"\nknown_hosts = \"secret=git-login\"\n"
	got := c.build(t, private(t, settings), func(f *Flags) { f.Secrets = []string{"id=known_hosts,secret=git-login,key=hosts"} })
	for _, says := range []string{
		"lacks 1 secret: ssh-privatekey (requirements.txt:4)", "build secret PIP_TOKEN: namespace team has no Secret company",
		"build secret known_hosts: the Secret git-login has no key hosts; it has known_hosts, ssh-privatekey",
	} {
		if got.err == nil || !strings.Contains(got.err.Error(), says) {
			t.Errorf("error is %v, want it to say %q", got.err, says)
		}
	}
	_, err = c.kube.CoreV1().Secrets("team").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "company"}, Data: map[string][]byte{"token": []byte("hunter2")},
	}, metav1.CreateOptions{})
	must(t, err)
	must(t, c.build(t, private(t, settings), func(f *Flags) { f.Secrets = []string{"id=ssh-privatekey,secret=git-login"} }).err)
	ids, sources := secretArgs(t, c)
	if !slices.Equal(ids, []string{"ssh-privatekey", "PIP_TOKEN", "known_hosts"}) || !slices.Equal(sources, []string{"git-login/ssh-privatekey", "company/token", "git-login/known_hosts"}) {
		t.Errorf("the build gets %q from %q", ids, sources)
	}
}

// What every build of the platform gets needs no flag.
func TestSecretsOfThePlatform(t *testing.T) {
	c := newCluster(t)
	configMaps := c.kube.CoreV1().ConfigMaps(manifests.SystemNamespace)
	object, err := configMaps.Get(t.Context(), manifests.ConfigName, metav1.GetOptions{})
	must(t, err)
	var config manifests.Config
	must(t, yaml.Unmarshal([]byte(object.Data[manifests.ConfigKey]), &config))
	config.BuildEnv = []string{"PIP_TOKEN"}
	text, err := yaml.Marshal(config)
	must(t, err)
	object.Data[manifests.ConfigKey] = string(text)
	_, err = configMaps.Update(t.Context(), object, metav1.UpdateOptions{})
	must(t, err)
	_, err = c.kube.CoreV1().Secrets("team").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: manifests.BuildSecret}, Data: map[string][]byte{"PIP_TOKEN": []byte("hunter2")},
	}, metav1.CreateOptions{})
	must(t, err)
	dir := private(t, "")
	must(t, os.WriteFile(filepath.Join(dir, "requirements.txt"), []byte("--index-url https://${PIP_TOKEN}@packages.example.com/simple\nfastapi\nuvicorn\n"), 0o600))
	must(t, c.build(t, dir, nil).err)
	if ids, sources := secretArgs(t, c); !slices.Equal(ids, []string{"PIP_TOKEN"}) || !slices.Equal(sources, []string{manifests.BuildSecret + "/PIP_TOKEN"}) {
		t.Errorf("the build gets %q from %q", ids, sources)
	}
}

// The same check holds for the folder's own Dockerfile, of the stages that are built.
func TestSecretsOfAnOwnDockerfile(t *testing.T) {
	c := newCluster(t)
	dir := folder(t, testApp, map[string]string{"Dockerfile": `FROM scratch AS needed
RUN --mount=type=secret,id=key,required=true true
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf true
FROM scratch AS other
RUN --mount=type=secret,id=other,required=true true
FROM needed
`})
	got := c.build(t, dir, nil)
	if got.err == nil || got.err.Error() != "the build lacks 1 secret: key (Dockerfile:2)" {
		t.Errorf("error is %v", got.err)
	}
	t.Setenv("PYFLOW_TEST_KEY", "hunter2\n")
	got = c.build(t, dir, func(f *Flags) {
		f.Secrets = []string{"id=key,env=PYFLOW_TEST_KEY", "id=typo,env=PYFLOW_TEST_KEY"}
	})
	must(t, got.err)
	var notices []string
	for _, notice := range got.of(event.Notice) {
		notices = append(notices, notice.Reason+" "+notice.Message)
	}
	for _, says := range []string{
		" Not given, and optional: 1 secret, pip.conf (Dockerfile:3); to give it, pass --build-secret id=pip.conf,src=FILE", "Warning No RUN of the build mounts the secret typo",
	} {
		if !slices.Contains(notices, says) {
			t.Errorf("notices are %q, want one that says %q", notices, says)
		}
	}
	runs := c.runs(t)
	values, err := c.kube.CoreV1().Secrets("team").Get(t.Context(), runs[0].Name+"-build-secrets", metav1.GetOptions{})
	must(t, err)
	if string(values.Data["key"]) != "hunter2\n" {
		t.Errorf("the secret is %q: of an own Dockerfile it is not changed", values.Data["key"])
	}
}

// A Secret or a ConfigMap that the app reads, and that is not there, stops a build before the
// upload.
func TestMissingConfigurationStopsABuild(t *testing.T) {
	c := newCluster(t)
	dir := private(t, "[tool.kubectl-pyflow]\nenv.DATABASE_URL = {secret = \"shop-db\", key = \"url\"}\nenv-from = [{config-map = \"shop\"}]\n")
	sources := func(f *Flags) { f.NoTest, f.Secrets = true, given(t) }
	got := c.build(t, dir, sources)
	want := "pyproject.toml:3: namespace team has no ConfigMap shop\npyproject.toml:2: DATABASE_URL: namespace team has no Secret shop-db"
	if got.err == nil || got.err.Error() != want {
		t.Fatalf("error is %v, want %s", got.err, want)
	}
	if sent, runs := c.stored(), c.runs(t); len(sent) > 0 || len(runs) > 0 {
		t.Errorf("uploaded was %q, and there are %d runs", sent, len(runs))
	}
	_, err := c.kube.CoreV1().ConfigMaps("team").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop"}}, metav1.CreateOptions{})
	must(t, err)
	_, err = c.kube.CoreV1().Secrets("team").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop-db"}, Data: map[string][]byte{"url": []byte("hunter2")},
	}, metav1.CreateOptions{})
	must(t, err)
	must(t, c.build(t, dir, sources).err)
}

// given returns secrets for the build of private.
func given(t *testing.T) []string {
	t.Helper()
	t.Setenv("PYFLOW_TEST_SECRET", "x")
	var all []string
	for _, id := range []string{"PIP_TOKEN", "known_hosts", "ssh-privatekey"} {
		all = append(all, "id="+id+",env=PYFLOW_TEST_SECRET")
	}
	return all
}

// A host that nothing routes, or that another app has, stops a build before the upload.
func TestHostStopsABuild(t *testing.T) {
	c := newCluster(t)
	dir := private(t, "[tool.kubectl-pyflow]\nhost = \"shop.example.com\"\nautoscale = {max = 2}\n")
	build := func() outcome { return c.build(t, dir, func(f *Flags) { f.NoTest, f.Secrets = true, given(t) }) }
	refused := func(want string) {
		t.Helper()
		if got := build(); got.err == nil || got.err.Error() != want {
			t.Fatalf("error is %v, want %s", got.err, want)
		}
		if sent, runs := c.stored(), c.runs(t); len(sent) > 0 || len(runs) > 0 {
			t.Errorf("uploaded was %q, and there are %d runs", sent, len(runs))
		}
	}
	refused("pyproject.toml:2: the cluster has no IngressClass and no Gateway: nothing would route shop.example.com to the app")
	_, err := c.kube.NetworkingV1().IngressClasses().Create(t.Context(), &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}}, metav1.CreateOptions{})
	must(t, err)
	other := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "till"}, Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: "shop.example.com"}}}}
	_, err = c.kube.NetworkingV1().Ingresses("other").Create(t.Context(), other, metav1.CreateOptions{})
	must(t, err)
	refused("pyproject.toml:2: host shop.example.com is taken: Ingress till in namespace other routes it")
	must(t, c.kube.NetworkingV1().Ingresses("other").Delete(t.Context(), "till", metav1.DeleteOptions{}))
	got := build()
	must(t, got.err)
	if !slices.ContainsFunc(got.events, func(e event.Event) bool { return strings.Contains(e.Message, "the cluster has no metrics API") }) {
		t.Error("nothing says that the autoscaler has no metrics")
	}
}

// A file that holds a secret stops a build before anything is sent, unless it is allowed.
func TestSecretFilesStopABuild(t *testing.T) {
	c, value := newCluster(t), "c0rrect-h0rse-battery"
	files := map[string]string{
		"Dockerfile": "FROM scratch\nCOPY . /\n", ".npmrc": "# ours\n//npm.corp.io/:_authToken=" + value + "\n", "prod.tfvars": "db_password = \"" + value + "\"\n",
		"tests/key.pem": "-----BEGIN PRIVATE" + " KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA\n",
	}
	got := c.build(t, folder(t, testApp, files), nil)
	var found *buildcontext.SecretsError
	if !errors.As(got.err, &found) || len(found.Files) != 2 {
		t.Fatalf("error is %v", got.err)
	}
	text := got.err.Error() + strings.Join(found.Advice(), "\n")
	for _, want := range []string{".npmrc:2: credentials of a package index", "prod.tfvars:1: Terraform variable db_password", ".dockerignore", "--build-secret id=npmrc,src=FILE", `--allow-secret-file ".npmrc"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, value) {
		t.Errorf("the value is in\n%s", text)
	}
	if sent, runs := c.stored(), c.runs(t); len(sent) > 0 || len(runs) > 0 {
		t.Errorf("sent was %q, and there are %d runs", sent, len(runs))
	}
	got = c.build(t, folder(t, testApp, files), func(f *Flags) { f.AllowSecretFiles = []string{".npmrc", "*.tfvars"} })
	must(t, got.err)
	files["pyproject.toml"] = "[tool.kubectl-pyflow.build]\nallow-secret-files = ['.npmrc', 'prod.tfvars']\n"
	must(t, c.build(t, folder(t, testApp, files), nil).err)
	delete(files, "pyproject.toml")
	files[".dockerignore"] = ".npmrc\n*.tfvars\n"
	must(t, c.build(t, folder(t, testApp, files), nil).err)
}
