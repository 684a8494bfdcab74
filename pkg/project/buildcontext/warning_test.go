package buildcontext

import (
	"errors"
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
		"tls/ca.pem":                    {pem("CERTIFICATE"), ""},
		"tls/public.pem":                {pem("PUBLIC KEY"), ""},
		"src/checks.py":                 {"if text.startswith('-----BEGIN PRIVATE" + " KEY-----'):\n    return True\n", ""},
		"src/words.md":                  {"A key begins with\n-----BEGIN PRIVATE" + " KEY-----\nand so on.\n", ""},
		"large.txt":                     {strings.Repeat("x", secretLimit) + "\n" + pem("PRIVATE"+" KEY"), ""},
		"ui/.npmrc":                     {"//npm.example.com/:_authToken=${NPM_TOKEN}\n", ""},
		"terraform/prod.tfstate":        {"{}", "Terraform state"},
		"docs/\x1b[31m/.env":            {"A=1", "environment file"},
		"app/main.py":                   {"print()", ""},
		"tests/tls/server.pem":          {pem("PRIVATE" + " KEY"), "private key"},
		"tls/server.pem.example":        {pem("PRIVATE" + " KEY"), "private key"},
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

// The content of a file that is sent must not be a secret.
func TestSecrets(t *testing.T) {
	tests := map[string]struct{ content, kind string }{
		"tls/server.pem":        {pem("PRIVATE" + " KEY"), "private key"},
		"tls/rsa":               {"some words\n" + pem("RSA PRIVATE"+" KEY"), "private key"},
		"tls/ssh":               {strings.ReplaceAll(pem("OPENSSH PRIVATE"+" KEY"), "\n", "\r\n"), "private key"},
		"tls/pgp.asc":           {pem("PGP PRIVATE" + " KEY BLOCK"), "private key"},
		"tls/old.key":           {"-----BEGIN RSA PRIVATE" + " KEY-----\nProc-Type: 4,ENCRYPTED\n", "private key"},
		"account.json":          {`{"type": "service_account", "private_key": "` + strings.ReplaceAll(pem("PRIVATE"+" KEY"), "\n", `\n`) + `"}`, "private key"},
		"values.yaml":           {"tls:\n  key: |\n    " + strings.ReplaceAll(pem("EC PRIVATE"+" KEY"), "\n", "\n    "), "private key"},
		"cluster.yaml":          {"users:\n- name: me\n  user:\n    client-key-data: LS0tLS1CRUdJTiBSU0E=\n", "kubeconfig with credentials"},
		".npmrc":                {"//npm.example.com/:_authToken=npm_abc\n", "credentials of a package index"},
		"node/.git-credentials": {"https://u:p@h", "password in a URL"},
		"prod.tfvars":           {"db_password = \"c0rrect-h0rse\"\n", "Terraform variable db_password"},
		"pip.conf":              {"[global]\nindex-url = https://me:c0rrect-h0rse@pypi.corp.io/simple\n", "password in a URL"},
	}
	made := tree{"app/main.py": node{content: "print()\n"}, ".env": node{content: "A=1"}}
	var want []string
	for name, test := range tests {
		made[name] = node{content: test.content}
		want = append(want, name+": "+test.kind)
	}
	slices.Sort(want)
	dir := t.TempDir()
	made.write(t, dir)
	_, err := Pack(t.Context(), dir, Options{AllowSecrets: []string{"other"}})
	var found *SecretsError
	if !errors.As(err, &found) {
		t.Fatalf("Pack: %v", err)
	}
	var got []string
	for _, file := range found.Files {
		got = append(got, file.Path+": "+file.Kind)
		if !strings.Contains(err.Error(), fmt.Sprintf("%s:%d: %s", file.Path, file.Line, file.Kind)) {
			t.Errorf("the error does not name %+v: %v", file, err)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("secrets are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	text := err.Error() + strings.Join(found.Advice(), "\n")
	for _, value := range []string{"MIIEvQ", "npm_abc", "c0rrect", "u:p@"} {
		if strings.Contains(text, value) {
			t.Errorf("the error repeats %s: %s", value, text)
		}
	}

	// What is allowed, or not sent, stops nothing.
	archive := mustPack(t, dir, Options{AllowSecrets: []string{"tls/*", "*.json", "./values.yaml", "cluster.yaml", ".npmrc", "node/.git-credentials", "prod.tfvars", "pip.conf"}})
	if len(archive.Warnings) != 1 || archive.Warnings[0].Path != ".env" {
		t.Errorf("warnings: %v", archive.Warnings)
	}
	must(t, os.WriteFile(filepath.Join(dir, ignoreFile), []byte("*\n!app\n"), 0o644))
	mustPack(t, dir, Options{})
}

func TestSecretsAreLimited(t *testing.T) {
	dir := t.TempDir()
	for i := range problemLimit + 3 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.key", i)), []byte(pem("PRIVATE"+" KEY")), 0o644))
	}
	_, err := Pack(t.Context(), dir, Options{})
	var found *SecretsError
	if !errors.As(err, &found) || len(found.Files) != problemLimit || found.More != 3 || !strings.HasSuffix(err.Error(), "and 3 more") {
		t.Errorf("Pack: %v", err)
	}
}

func TestCheckAllowed(t *testing.T) {
	for pattern, want := range map[string]bool{"a": true, "a/*.pem": true, "./a": true, "": false, "/a": false, "[": false} {
		if err := CheckAllowed(pattern); (err == nil) != want {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

// BenchmarkPack packs 5,000 files of source code.
func BenchmarkPack(b *testing.B) {
	dir := b.TempDir()
	text := strings.Repeat("def handler(request):\n    return request.args.get(\"name\", \"https://h.corp.io/path\")\n\n", 90)
	for i := range 5000 {
		name := filepath.Join(dir, fmt.Sprintf("%02d", i%50), fmt.Sprintf("%d.py", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, fmt.Appendf(nil, "# %d\n%s", i, text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		archive, err := Pack(b.Context(), dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		_ = archive.Close()
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
