package secret

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"
)

// made returns n characters that look random and are always the same. No real token is in this file,
// nor one that a scanner of it would take for real.
func made(n int) string {
	var text strings.Builder
	for i := 0; text.Len() < n; i++ {
		sum := sha256.Sum256(fmt.Append(nil, i))
		text.WriteString(strings.NewReplacer("+", "9", "/", "8", "=", "").Replace(base64.StdEncoding.EncodeToString(sum[:])))
	}
	return text.String()[:n]
}

func madeHex(n int) string {
	sum := sha256.Sum256([]byte("x"))
	return strings.Repeat(hex.EncodeToString(sum[:]), 1+n/64)[:n]
}

func pemKey(kind string) string {
	return "-----BEGIN " + kind + "PRIVATE KEY-----\n" + made(64) + "\n" + made(64) + "\n-----END " + kind + "PRIVATE KEY-----\n"
}

func TestInFile(t *testing.T) {
	auth := base64.StdEncoding.EncodeToString([]byte("me:" + made(12)))
	for name, test := range map[string]struct {
		file, content, kind string
		line                int
	}{
		"a key":                   {"app/tls.key", "# mine\n" + pemKey("RSA "), "private key", 2},
		"a key without a kind":    {"id", pemKey(""), "private key", 1},
		"an encrypted key":        {"id", pemKey("ENCRYPTED "), "private key", 1},
		"a PGP key":               {"k.asc", strings.ReplaceAll(pemKey("PGP "), "KEY-----", "KEY BLOCK-----"), "private key", 1},
		"a service account":       {"sa.json", `{"type": "service_account", "private_key_id": "1",` + "\n" + `"private_key": "` + strings.ReplaceAll(pemKey(""), "\n", `\n`) + `"}`, "key of a service account", 2},
		"a token of GitHub":       {"main.py", "import x\nTOKEN = \"ghp_" + made(36) + "\"\n", "github pat", 2},
		"a token of GitLab":       {"ci.yml", "token: glpat-" + made(20), "gitlab pat", 1},
		"a token of PyPI":         {"x", "pypi-AgEIcHlwaS5vcmc" + made(70), "pypi upload token", 1},
		"a token of Slack":        {"x.py", "bot = 'xoxb-8263901745-9182736450-" + made(24) + "'", "slack bot token", 1},
		"a key of Stripe":         {"x.py", "key = 'sk_live_" + made(24) + "'", "stripe access token", 1},
		"a key of Anthropic":      {".env", "ANTHROPIC_API_KEY=sk-ant-api03-" + made(93) + "AA", "anthropic api key", 1},
		"a token of Hugging Face": {"x.py", "hf_" + strings.Map(func(r rune) rune { return 'a' + r%26 }, made(34)), "huggingface access token", 1},
		"a long line":             {"x.js", strings.Repeat("var a=1;", 900) + " ghp_" + made(36) + " " + strings.Repeat("x ", 5000), "github pat", 1},
		"a secret key of AWS":     {".aws/credentials", "[default]\naws_secret_access_key = " + made(40), "secret access key of AWS", 2},
		"an npm token":            {".npmrc", "registry=https://npm.corp.io\n//npm.corp.io/:_authToken=" + madeHex(36), "credentials of a package index", 2},
		"an npm password":         {"web/.npmrc", "//npm.corp.io/:_password = " + made(12), "credentials of a package index", 1},
		"pip.conf":                {"pip.conf", "[global]\nindex-url = https://me:short@pypi.corp.io/simple", "password in a URL", 2},
		"requirements":            {"requirements-dev.txt", "--extra-index-url https://me:t1@pypi.corp.io/simple\nflask", "password in a URL", 1},
		"a .pypirc":               {".pypirc", "[pypi]\nusername = me\npassword = " + made(9), "credentials password", 3},
		"a .netrc":                {".netrc", "machine h.corp.io login me password pa55", "credentials", 1},
		"a .netrc, lines":         {"_netrc", "machine h.corp.io\n  login me\n  password pa55", "credentials", 3},
		"a .pgpass":               {".pgpass", "db:5432:app:me:pa55", "password", 1},
		".git-credentials":        {".git-credentials", "https://me:" + made(8) + "@git.corp.io", "password in a URL", 1},
		"a docker config":         {".docker/config.json", `{"auths":{"r.corp.io":{"auth":"` + auth + `"}}}`, "credentials of a registry", 1},
		"a database":              {"settings.py", "DB = 'postgres://app:" + made(16) + "@db.corp.io:5432/app'", "password in a URL", 1},
		"a kubeconfig":            {"k8s.yaml", "apiVersion: v1\nkind: Config\nusers:\n- user:\n    token: " + made(30), "kubeconfig with credentials", 5},
		"a kubeconfig's key":      {"kubeconfig", "kind: Config\nclient-key-data: " + made(90), "kubeconfig with credentials", 2},
		"a Terraform variable":    {"prod.tfvars", "region = \"eu\"\ndb_password = \"" + made(10) + "\"", "Terraform variable db_password", 2},
		"a Terraform state":       {"terraform.tfstate", "{\n\"password\": \"" + made(10) + "\",\n", "Terraform state password", 2},
		"Streamlit":               {".streamlit/secrets.toml", "db_password = '" + made(8) + "'", "secrets db_password", 1},
		"a token of Vault":        {".vault-token", "hvs." + made(24), "token", 1},
	} {
		t.Run(name, func(t *testing.T) {
			found, ok := InFile(test.file, []byte(test.content))
			if !ok || !found.Sure || found.Kind != test.kind || found.Line != test.line {
				t.Errorf("got %+v, %t, want %s in line %d", found, ok, test.kind, test.line)
			}
			for _, file := range []string{"tests/" + test.file, "docs/" + test.file} {
				if found, ok := InFile(file, []byte(test.content)); !ok || found.Sure {
					t.Errorf("%s: %+v, %t, want one that is not sure", file, found, ok)
				}
			}
		})
	}
}

// A false alarm stops a build for nothing.
func TestInFileAccepts(t *testing.T) {
	for name, test := range map[string]struct{ file, content string }{
		"a certificate":            {"ca.pem", "-----BEGIN CERTIFICATE-----\n" + made(64) + "\n-----END CERTIFICATE-----\n"},
		"a public key":             {"id.pub", "ssh-ed25519 " + made(60) + " me@host"},
		"a public key, PEM":        {"k.pem", "-----BEGIN PUBLIC KEY-----\n" + made(64) + "\n-----END PUBLIC KEY-----"},
		"words of a key":           {"auth.py", "if text.startswith('-----BEGIN RSA PRIVATE KEY-----'):\n    raise"},
		"a cut key":                {"README", "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----"},
		"a token's prefix":         {"x.py", `re.compile(r"ghp_[A-Za-z0-9]{36}")`},
		"a dummy token":            {"x.py", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
		"a counted token":          {"x.py", "ghp_1234567890abcdefghijklmnopqrstuvwxyz"},
		"the example of AWS":       {"x.py", "AKIAIOSFODNN7EXAMPLE aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		"an npm variable":          {".npmrc", "//npm.corp.io/:_authToken=${NPM_TOKEN}\nalways-auth=true"},
		"an npm comment":           {".npmrc", "# //npm.corp.io/:_authToken=" + madeHex(36)},
		"pip.conf without one":     {"pip.conf", "[global]\nindex-url = https://pypi.corp.io/simple"},
		"pip.conf with a variable": {"pip.conf", "index-url = https://${USER}:${PASSWORD}@pypi.corp.io/simple"},
		"pip.conf, documentation":  {"pip.conf", "index-url = https://user:pass@pypi.example.com/simple"},
		"a local database":         {"settings.py", "postgres://app:" + made(16) + "@localhost:5432/app redis://:" + made(16) + "@127.0.0.1"},
		"a database of compose":    {"compose.yaml", "DATABASE_URL: postgresql://postgres:postgres@db:5432/app"},
		"a simple password":        {"settings.py", "amqp://guest:guest@rabbit.corp.io"},
		"an example":               {"settings.py", "https://user:" + made(16) + "@host.example.com"},
		"a format string":          {"db.py", "f'postgresql://{user}:{password}@{host}/{name}' 'mysql://%s:%s@%s/x' \"https://$USER:$PASS@h.corp.io\""},
		"a URL with a port":        {"x.py", "http://h.corp.io:8080/a@b http://[::1]:80/@"},
		"a .pypirc with a token's": {".pypirc", "[pypi]\nusername = __token__\npassword = ${TOKEN}"},
		"tfvars":                   {"x.tfvars", "password_length = 16\ndb_password = \"\"\ntoken = var.token\nsecret_name = \"app\""},
		"tfvars with a dummy":      {"x.tfvars", "db_password = \"changeme\""},
		"a tfstate":                {"x.tfstate", "{\"password\": null, \"secret\": \"\", \"token_ttl\": \"3600\"}"},
		"an empty kubeconfig":      {"k.yaml", "kind: Config\nclient-certificate-data: " + made(80)},
		"a manifest with a token":  {"k.yaml", "kind: ConfigMap\ndata:\n  token: " + made(20)},
		"hashes":                   {"poetry.lock", "{file = \"x\", hash = \"sha256:" + madeHex(64) + "\"}\n" + madeHex(40)},
		"base64":                   {"x.svg", "<image href=\"data:image/png;base64," + made(3000) + "\"/>"},
		"a JSON Web Token":         {"x.py", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + made(43)},
		"no text":                  {"x.bin", "\x00\x01ghp_" + made(36)},
		"nothing":                  {"x", ""},
		"Django's setting":         {"settings.py", "SECRET_KEY = 'django-insecure-" + made(50) + "'"},
		"a docker config's helper": {".docker/config.json", `{"auths":{"r.corp.io":{}},"credsStore":"x","auth":"` + base64.StdEncoding.EncodeToString([]byte("me:${PASSWORD}")) + `"}`},
	} {
		if found, ok := InFile(test.file, []byte(test.content)); ok {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// Every format compiles, and has a name and keywords.
func TestFormats(t *testing.T) {
	count := 0
	for _, bucket := range formats().buckets {
		for _, word := range bucket {
			count++
			if word.format.pattern().NumSubexp() < 0 || word.format.Name == "" || len(word.format.allowed()) != len(word.format.Allow) {
				t.Errorf("%+v", word.format)
			}
		}
	}
	if count < 100 {
		t.Errorf("only %d keywords", count)
	}
}

// Hostile content costs no more than other content.
func TestInFileIsLinear(t *testing.T) {
	for name, part := range map[string]string{
		"keywords":     "ghp_glpat-sk-ant-api03-xoxb-pypi-AgEIcHlwaS5vcmc",
		"one line":     "a",
		"URLs":         "https://a:b@c:d@",
		"at signs":     "://:@",
		"keys":         "\n-----BEGIN PRIVATE KEY-----",
		"quoted keys":  `"-----BEGIN A `,
		"short lines":  "\n",
		"AWS":          "secret_key=",
		"pieces":       "ghp_" + strings.Repeat("a", 40),
		"netrc":        "password ",
		"docker":       `"auth":"`,
		"base64 of it": "QUtJQQ",
	} {
		content := []byte(strings.Repeat(part, (64<<10)/len(part)))
		start := time.Now()
		for _, file := range []string{"x.py", ".npmrc", ".netrc", ".docker/config.json", "a.tfvars"} {
			InFile(file, content)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: %s for five times 64 KiB", name, took)
		}
	}
}

func FuzzInFile(f *testing.F) {
	f.Add(".npmrc", "//h/:_authToken=x\nhttps://a:b@c")
	f.Add("x.tfvars", "a = 1\npassword = \"x\" # y")
	f.Add(".docker/config.json", `{"auth":"YTpi"}`)
	f.Add("x", pemKey("RSA ")+"ghp_"+made(36))
	f.Fuzz(func(t *testing.T, name, content string) {
		found, ok := InFile(name, []byte(content))
		if lines := 1 + strings.Count(content, "\n"); ok && (found.Kind == "" || found.Line < 1 || found.Line > lines) {
			t.Errorf("%+v in %d lines", found, lines)
		}
		if masked := Mask(content); len(masked) != len(content) {
			t.Errorf("Mask makes %d bytes of %d", len(masked), len(content))
		}
		MaskLine(content)
		Redact(content)
		_ = CheckArgument(content)
	})
}
