package buildcontext

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pem returns an invalid key, assembled so that no scanner takes this file for one.
func pem(kind string) string {
	return "-----BEGIN " + kind + "-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA\n-----END " + kind + "-----\n"
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		content string
		want    string
	}{
		".env":                          {"A=1", "environment file"},
		"sub/.env.production":           {"A=1", "environment file"},
		".env.local":                    {"A=1", "environment file"},
		".env.example":                  {"A=1", ""},
		".env.production.sample":        {"A=1", ""},
		".env.template":                 {"A=1", ""},
		".envrc.py":                     {"A=1", ""},
		"env":                           {"A=1", ""},
		"empty/.env":                    {"", ""},
		"home/.netrc":                   {"machine x", "credentials"},
		".pypirc":                       {"[pypi]", "credentials of a package index"},
		"ID_RSA":                        {"x", "SSH key"},
		"keys/id_ed25519":               {"x", "SSH key"},
		"keys/id_ed25519.pub":           {"ssh-ed25519 AAAA", ""},
		"store.P12":                     {"x", "key store"},
		"kubeconfig":                    {"x", "kubeconfig"},
		"ci/prod.kubeconfig":            {"x", "kubeconfig"},
		".kube/config":                  {"x", "kubeconfig"},
		"x.kube/config":                 {"x", ""},
		"deploy/credentials.json":       {"{}", "credentials"},
		"client_secret_12.json":         {"{}", "credentials"},
		".aws/credentials":              {"x", "credentials"},
		"aws/credentials":               {"x", ""},
		"home/.docker/config.json":      {"{}", "credentials of registries"},
		"docker/config.json":            {"{}", ""},
		".streamlit/secrets.toml":       {"a=1", "secrets"},
		"tls/server.pem":                {pem("PRIVATE" + " KEY"), "private key"},
		"tls/rsa":                       {"some words\n" + pem("RSA PRIVATE"+" KEY"), "private key"},
		"tls/ssh":                       {strings.ReplaceAll(pem("OPENSSH PRIVATE"+" KEY"), "\n", "\r\n"), "private key"},
		"tls/pgp.asc":                   {pem("PGP PRIVATE" + " KEY BLOCK"), "private key"},
		"tls/old.key":                   {"-----BEGIN RSA PRIVATE" + " KEY-----\nProc-Type: 4,ENCRYPTED\n", "private key"},
		"tls/ca.pem":                    {pem("CERTIFICATE"), ""},
		"tls/public.pem":                {pem("PUBLIC KEY"), ""},
		"account.json":                  {`{"type": "service_account", "private_key": "` + strings.ReplaceAll(pem("PRIVATE"+" KEY"), "\n", `\n`) + `"}`, "private key"},
		"values.yaml":                   {"tls:\n  key: |\n    " + strings.ReplaceAll(pem("EC PRIVATE"+" KEY"), "\n", "\n    "), "private key"},
		"src/checks.py":                 {"if text.startswith('-----BEGIN PRIVATE" + " KEY-----'):\n    return True\n", ""},
		"src/words.md":                  {"A key begins with\n-----BEGIN PRIVATE" + " KEY-----\nand so on.\n", ""},
		"large.txt":                     {strings.Repeat("x", secretLimit) + "\n" + pem("PRIVATE"+" KEY"), ""},
		"cluster.yaml":                  {"users:\n- name: me\n  user:\n    client-key-data: LS0tLS1CRUdJTiBSU0E=\n", "kubeconfig"},
		".npmrc":                        {"//npm.example.com/:_authToken=npm_abc\n", "credentials of a package index"},
		"ui/.npmrc":                     {"//npm.example.com/:_authToken=${NPM_TOKEN}\n", ""},
		"terraform/prod.tfstate":        {"{}", "Terraform state"},
		"docs/\x1b[31m/.env":            {"A=1", "environment file"},
		"node/.git-credentials":         {"https://u:p@h", "credentials"},
		"app/main.py":                   {"print()", ""},
		"etc/.htpasswd":                 {"u:$2y$", "passwords"},
		"etc/application.keystore/x.py": {"x", ""},
	}
	dir := t.TempDir()
	made, want := tree{}, []string{}
	for name, test := range tests {
		made[name] = node{content: test.content}
		if test.want != "" {
			want = append(want, name+": "+test.want)
		}
	}
	made["link/.env"] = node{link: "../app/main.py"}
	made.write(t, dir)
	archive := mustPack(t, dir, Options{})
	var got []string
	for _, warning := range archive.Warnings {
		if warning.Kind != Secret || warning.Size != int64(len(tests[warning.Path].content)) {
			t.Errorf("warning is %+v", warning)
		}
		got = append(got, warning.Path+": "+warning.Reason)
	}
	slices.SortFunc(want, func(a, b string) int {
		a, _, _ = strings.Cut(a, ": ")
		b, _, _ = strings.Cut(b, ": ")
		return strings.Compare(a, b)
	})
	if !slices.Equal(got, want) || archive.MoreWarnings != 0 {
		t.Errorf("warnings are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// What is not packed needs no warning. The patterns of the documentation exclude it.
	must(t, os.WriteFile(filepath.Join(dir, ignoreFile), []byte("*\n!app\n"), 0o644))
	if left := mustPack(t, dir, Options{}).Warnings; len(left) != 0 {
		t.Errorf("warnings about what is not packed: %v", left)
	}
}

func TestWarningsAboutSize(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int64{"a.bin": largeFile, "b.bin": largeFile - 1, "sub/.env": largeFile + 1} {
		file := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, nil, 0o644))
		must(t, os.Truncate(file, size))
	}
	texts := func() (texts []string) {
		for _, warning := range mustPack(t, dir, Options{}).Warnings {
			texts = append(texts, warning.String())
		}
		return texts
	}
	want := []string{"sub/.env looks like a secret (environment file)", "a.bin has 50 MiB", "sub/.env has 50 MiB"}
	if got := texts(); !slices.Equal(got, want) {
		t.Errorf("warnings are %q, want %q", got, want)
	}
	must(t, os.Truncate(filepath.Join(dir, "b.bin"), largeFile))
	must(t, os.Truncate(filepath.Join(dir, "a.bin"), largeContext-2*largeFile-1))
	want = []string{"sub/.env looks like a secret (environment file)", "the build context has 200 MiB", "a.bin has 100 MiB", "b.bin has 50 MiB", "sub/.env has 50 MiB"}
	if got := texts(); !slices.Equal(got, want) {
		t.Errorf("warnings are %q, want %q", got, want)
	}
}

func TestWarningsAreLimited(t *testing.T) {
	dir := t.TempDir()
	for i := range warningLimit + 7 {
		sub := filepath.Join(dir, fmt.Sprintf("%03d", i))
		must(t, os.Mkdir(sub, 0o755))
		must(t, os.WriteFile(filepath.Join(sub, ".env"), []byte("A=1"), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(dir, "large"), nil, 0o644))
	must(t, os.Truncate(filepath.Join(dir, "large"), largeFile))
	archive := mustPack(t, dir, Options{})
	if len(archive.Warnings) != warningLimit || archive.MoreWarnings != 8 || archive.Warnings[99].Path != "099/.env" {
		t.Errorf("%d warnings and %d more, the last %v", len(archive.Warnings), archive.MoreWarnings, archive.Warnings[len(archive.Warnings)-1])
	}
}

func TestWarningQuotesOddNames(t *testing.T) {
	if got, want := (Warning{Path: "a\nb", Kind: Secret, Reason: "token"}).String(), `"a\nb" looks like a secret (token)`; got != want {
		t.Errorf("warning is %s, want %s", got, want)
	}
}
