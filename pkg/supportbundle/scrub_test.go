package supportbundle

import (
	"encoding/base64"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func testSecret(name string, kind corev1.SecretType, data map[string]string) *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: kind, Data: map[string][]byte{}}
	for key, value := range data {
		secret.Data[key] = []byte(value)
	}
	return secret
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// testScrubber knows one Secret of every kind.
func testScrubber() *scrubber {
	s := newScrubber("hiking", "mountains")
	for _, secret := range []*corev1.Secret{
		testSecret("app", corev1.SecretTypeOpaque, map[string]string{
			"password": "correct horse\n", "short": "abcde", "namespace": "hiking", "quoted": `back\slash "quote"`,
			"percent": "p@ss/w?rd", "url": "postgres://app:db-passw0rd@db.example.com/app",
			"settings": "[db]\nuser = reader-of-db\nkey: \"file-passw0rd\"\n", "json": `{"nested": [{"key": "json-passw0rd"}]}`,
			"key.pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1234\nabcdefghijklmnop\n-----END RSA PRIVATE KEY-----\n",
			"ca.crt":  "-----BEGIN CERTIFICATE-----\nMIIBpublicpublic\n-----END CERTIFICATE-----\n",
			"huge":    strings.Repeat("x", maxSecret) + "\nhuge-passw0rd\n",
		}),
		testSecret("pull", corev1.SecretTypeDockerConfigJson, map[string]string{
			corev1.DockerConfigJsonKey: `{"auths":{"registry.example.com":{"username":"builder","password":"pull-passw0rd","auth":"` + b64("builder:pull-passw0rd") + `"},` +
				`"other.example.com":{"auth":"` + b64("builder:auth-passw0rd") + `"},"third.example.com":{"identitytoken":"identity-t0ken"}}}`,
		}),
		testSecret("old-pull", corev1.SecretTypeDockercfg, map[string]string{
			corev1.DockerConfigKey: `{"registry.example.com":{"username":"builder","password":"cfg-passw0rd"}}`,
		}),
		testSecret("token", corev1.SecretTypeServiceAccountToken, map[string]string{"token": "service-account-t0ken", "namespace": "longer-namespace", "ca.crt": "whatever-it-is"}),
		testSecret("mountains-x-manifests", corev1.SecretTypeOpaque, map[string]string{
			"resources.yaml": "kind: Deployment\nmetadata: {name: of-a-manifest}\nspec:\n  env:\n  - name: API_TOKEN\n    value: env-t0ken\n" +
				"---\nkind: Secret\nstringData: {a: plain-passw0rd}\ndata: {b: " + b64("encoded-passw0rd") + "}\n",
		}),
	} {
		s.secret(secret)
	}
	s.object(map[string]any{"spec": map[string]any{
		"args": []any{"--build-arg=GIT_TOKEN=argument t0ken", "--build-arg=INDEX=https://me:index-passw0rd@pypi.example.com/simple", "--build-arg=VERSION=3.13.1"},
		"env":  []any{map[string]any{"name": "DB_PASSWORD", "value": "clear-passw0rd"}, map[string]any{"name": "PASSWORD_FILE", "value": "/run/secrets/db"}},
	}})
	s.seal()
	return s
}

func TestScrub(t *testing.T) {
	s := testScrubber()
	for text, want := range map[string]string{
		"a correct horse b":               "a [redacted] b",
		b64("correct horse"):              "[redacted]",
		"echo " + b64("correct horse\n"):  "echo [redacted]",
		`{"a":"back\\slash \"quote\""}`:   `{"a":"[redacted]"}`,
		`back\slash "quote"`:              "[redacted]",
		"p%40ss%2Fw%3Frd":                 "[redacted]",
		"db-passw0rd app:db-passw0rd":     "[redacted] [redacted]",
		"user = reader-of-db":             "[redacted]",
		"reader-of-db file-passw0rd":      "[redacted] [redacted]",
		"json-passw0rd":                   "[redacted]",
		"MIIEpAIBAAKCAQEA1234":            "[redacted]",
		"-----BEGIN RSA PRIVATE KEY-----": "[redacted]",
		"MIIBpublicpublic":                "MIIBpublicpublic",
		"huge-passw0rd":                   "[redacted]",
		"builder pull-passw0rd":           "builder [redacted]",
		"builder:pull-passw0rd":           "[redacted]",
		b64("builder:auth-passw0rd"):      "[redacted]",
		"auth-passw0rd identity-t0ken":    "[redacted] [redacted]",
		"cfg-passw0rd":                    "[redacted]",
		"service-account-t0ken":           "[redacted]",
		"longer-namespace whatever-it-is": "longer-namespace whatever-it-is",
		"of-a-manifest kind: Deployment":  "of-a-manifest kind: Deployment",
		"plain-passw0rd encoded-passw0rd": "[redacted] [redacted]",
		"env-t0ken clear-passw0rd":        "[redacted] [redacted]",
		"argument t0ken":                  "[redacted]",
		"me:index-passw0rd":               "[redacted]",
		"VERSION=3.13.1 /run/secrets/db":  "VERSION=3.13.1 /run/secrets/db",
		"abcde hiking mountains":          "abcde hiking mountains",
		// What is not a known value, but has the form of a secret.
		"https://user:unknown@host/x":                           "https://[redacted]@host/x",
		"https://user:un@known@host/x":                          "https://[redacted]@host/x",
		"https://t0ken@host":                                    "https://[redacted]@host",
		"docker://host/image@sha256:abc":                        "docker://host/image@sha256:abc",
		"https://host/@user":                                    "https://host/@user",
		"Authorization: Basic dW5rbm93bg==":                     "Authorization: Basic [redacted]",
		`"authorization": "Bearer unknown"`:                     `"authorization": "Bearer [redacted]"`,
		"Proxy-Authorization: unknown":                          "Proxy-Authorization: [redacted]",
		"--authorization-mode=Node,RBAC":                        "--authorization-mode=Node,RBAC",
		"rbac.authorization.k8s.io/v1":                          "rbac.authorization.k8s.io/v1",
		"run --build-arg=NPM_TOKEN=unknown --build-arg=A=b":     "run --build-arg=NPM_TOKEN=[redacted] --build-arg=A=b",
		"--build-arg=SECRET=with a space":                       "--build-arg=SECRET=[redacted]",
		"--build-env HTTP_PASSWORD=unknown x":                   "--build-env HTTP_PASSWORD=[redacted] x",
		"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4eHh4In0.c2lnbmF0dXJl": "[redacted]",
	} {
		if got := s.scrub(text); got != want {
			t.Errorf("scrub(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestCredentialNames(t *testing.T) {
	for name, want := range map[string]bool{
		"PASSWORD": true, "db_password": true, "PGPASSWORD": true, "MYSQL_PWD": true, "GITHUB_TOKEN": true, "apiKey": true, "API_KEY": true,
		"AWS_SECRET_ACCESS_KEY": true, "PRIVATE_KEY": true, "BASIC_AUTH": true, "SENTRY_DSN": true, "passphrase": true,
		"PATH": false, "VERSION": false, "AUTHOR": false, "PASSWORD_FILE": false, "SECRET_NAME": false, "KEYBOARD": false, "IMAGE_DIGEST": false,
	} {
		if got := isCredential(name); got != want {
			t.Errorf("isCredential(%s) = %t", name, got)
		}
	}
}

func TestClean(t *testing.T) {
	s := testScrubber()
	object := map[string]any{
		"metadata": map[string]any{
			"name": "web", "managedFields": []any{map[string]any{"manager": "x"}},
			"annotations": map[string]any{corev1.LastAppliedConfigAnnotation: "{}", "kept": "correct horse", "correct horse": "key"},
		},
		"spec": map[string]any{
			"replicas": int64(3),
			"args":     []any{"--build-arg=KEY_TOKEN=a b c", "x"},
			"env":      []any{map[string]any{"name": "TOKEN", "value": "ab"}, map[string]any{"name": "A", "value": "b"}},
		},
	}
	s.clean(object)
	metadata := object["metadata"].(map[string]any)
	annotations := metadata["annotations"].(map[string]any)
	if metadata["managedFields"] != nil || len(annotations) != 2 || annotations["kept"] != redacted || annotations[redacted] != "key" {
		t.Errorf("metadata is %v", metadata)
	}
	spec := object["spec"].(map[string]any)
	env := spec["env"].([]any)
	if spec["replicas"] != int64(3) || spec["args"].([]any)[0] != "--build-arg=KEY_TOKEN=[redacted]" ||
		env[0].(map[string]any)["value"] != redacted || env[1].(map[string]any)["value"] != "b" {
		t.Errorf("spec is %v", spec)
	}
}
