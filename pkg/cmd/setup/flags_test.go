package setup

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/install"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRegistryFlags(t *testing.T) {
	made, err := credentials.Ensure(credentials.Credentials{}, credentials.Request{Now: time.Now()})
	must(t, err)
	ca := made.CACertificate
	file := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(file, ca, 0o600))
	for name, test := range map[string]struct {
		flags   Flags
		changed []string
		want    string
		check   func(*install.Request) bool
	}{
		"nothing": {Flags{}, nil, "", func(r *install.Request) bool { return r.Registry == nil && r.RegistryCA == nil && r.NodeAccess == "" }},
		"external": {
			Flags{Registry: "ghcr.io/my-org", RegistrySecret: "ghcr"},
			[]string{"registry", "registry-secret"},
			"", func(r *install.Request) bool {
				return *r.Registry == install.Address{Host: "ghcr.io", Prefix: "my-org"} && r.RegistrySecret == "ghcr" && r.RegistryCA == nil
			},
		},
		"with a CA": {
			Flags{Registry: "ghcr.io", RegistryCA: file},
			[]string{"registry", "registry-ca"},
			"", func(r *install.Request) bool { return bytes.Equal(r.RegistryCA, ca) },
		},
		"forget the CA":     {Flags{}, []string{"registry-ca"}, "", func(r *install.Request) bool { return r.RegistryCA != nil && len(r.RegistryCA) == 0 }},
		"back":              {Flags{}, []string{"registry"}, "", func(r *install.Request) bool { return *r.Registry == install.Address{} }},
		"back, with size":   {Flags{StorageSize: "5Gi"}, []string{"registry", "registry-storage-size"}, "", nil},
		"back, with secret": {Flags{RegistrySecret: "ghcr"}, []string{"registry", "registry-secret"}, "goes back", nil},
		"back, with CA":     {Flags{RegistryCA: file}, []string{"registry", "registry-ca"}, "goes back", nil},
		"no address":        {Flags{Registry: "my-org"}, []string{"registry"}, "host", nil},
		"with size":         {Flags{Registry: "ghcr.io", StorageSize: "5Gi"}, []string{"registry", "registry-storage-size"}, "leave out", nil},
		"with class":        {Flags{Registry: "ghcr.io", StorageClass: "fast"}, []string{"registry", "registry-storage-class"}, "leave out", nil},
		"ephemeral":         {Flags{Registry: "ghcr.io", Ephemeral: true}, []string{"registry", "registry-ephemeral"}, "leave out", nil},
		"with rotation":     {Flags{Registry: "ghcr.io", Rotate: true}, []string{"registry", "rotate-credentials"}, "--registry-secret", nil},
		"no such file":      {Flags{Registry: "ghcr.io", RegistryCA: file + "x"}, []string{"registry", "registry-ca"}, "--registry-ca", nil},
		"unknown access":    {Flags{NodeAccess: "tunnel"}, []string{"node-access"}, "auto, hostport", nil},
		"empty access":      {Flags{}, []string{"node-access"}, "auto, hostport", nil},
		"known access":      {Flags{NodeAccess: "nodeport"}, []string{"node-access"}, "", func(r *install.Request) bool { return r.NodeAccess == manifests.NodeAccessNodePort }},
	} {
		t.Run(name, func(t *testing.T) {
			request := &install.Request{}
			err := test.flags.registry(request, func(flag string) bool { return slices.Contains(test.changed, flag) })
			switch {
			case test.want == "" && err != nil:
				t.Errorf("unexpected error: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error is %v, want one with %q", err, test.want)
			case test.check != nil && !test.check(request):
				t.Errorf("request is %+v", request)
			}
		})
	}
}

// TestBuildFlags checks what the flags forget and what they refuse.
func TestBuildFlags(t *testing.T) {
	named := func(names ...string) func(string) bool {
		return func(flag string) bool { return slices.Contains(names, flag) }
	}
	request := &install.Request{}
	if err := (&Flags{}).builds(request, named()); err != nil || request.BuildCA != nil || request.BuildVariables != nil {
		t.Errorf("without flags: %+v, %v", request, err)
	}
	if err := (&Flags{BuildEnv: []string{""}}).builds(request, named("build-ca", "build-env")); err != nil || request.BuildCA == nil || request.BuildVariables == nil || len(request.BuildCA)+len(request.BuildVariables) != 0 {
		t.Errorf("'' does not forget: %+v, %v", request, err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := (&Flags{BuildCA: file}).builds(request, named("build-ca")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	must(t, os.WriteFile(file, []byte("no PEM"), 0o600))
	if err := (&Flags{BuildCA: file}).builds(request, named("build-ca")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file without PEM: %v, want its name", err)
	}
	if err := (&Flags{BuildEnv: []string{"PATH=/"}}).builds(request, named("build-env")); err == nil || !strings.Contains(err.Error(), "--build-env") {
		t.Errorf("a reserved variable: %v, want the flag's name", err)
	}
}

// Build arguments are in a ConfigMap that every user of the cluster can read.
func TestSecretBuildArgs(t *testing.T) {
	named := func(flag string) bool { return flag == "build-arg" }
	for _, arg := range []string{
		"PIP_INDEX_URL=https://me:hunter2@pypi.example.com/simple",
		"PIP_INDEX_URL=https://hunter2@pypi.example.com/simple",
		"PIP_EXTRA_INDEX_URL=https://pypi.example.com/simple https://me:hunter2@pypi2.example.com/simple",
		"TOKEN=ghp_hunter2hunter2hunter2hunter2hunter2hu",
	} {
		request := &install.Request{}
		err := (&Flags{BuildArgs: []string{"A=1", arg}}).builds(request, named)
		name, _, _ := strings.Cut(arg, "=")
		if err == nil || !strings.Contains(err.Error(), "--build-env "+name+"=") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", arg, err)
		}
	}
	if err := (&Flags{BuildArgs: []string{"hunter2"}}).builds(&install.Request{}, named); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an argument without a name: %v", err)
	}
	for _, mirror := range []string{"docker.io=me:hunter2@m.example.com", "docker.io=https://me:hunter2@m.example.com/x"} {
		err := (&Flags{ImageMirrors: []string{mirror}}).builds(&install.Request{}, func(flag string) bool { return flag == "image-mirror" })
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a mirror with a password: %v", err)
		}
	}
	for _, registry := range []string{"me:hunter2@ghcr.io/x", "https://me:hunter2@ghcr.io/x"} {
		err := (&Flags{Registry: registry}).registry(&install.Request{}, func(flag string) bool { return flag == "registry" })
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a registry with a password: %v", err)
		}
	}
}
