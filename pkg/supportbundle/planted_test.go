package supportbundle

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// planted returns lines with secrets that no Secret of the cluster holds, by what they are, and the part
// of each that a bundle must not have. They are made up, and put together here, so that no scanner
// takes this file for a secret.
func planted() map[string][2]string {
	sum := sha256.Sum256([]byte("planted"))
	random := hex.EncodeToString(sum[:]) + hex.EncodeToString(sum[:])
	letters := strings.Map(func(r rune) rune { return 'a' + r%26 }, random)
	line := func(before, secret string, after ...string) [2]string {
		return [2]string{before + secret + strings.Join(after, ""), secret}
	}
	return map[string][2]string{
		"github":             line("cloning with ghp_", random[:36]),
		"github, fine":       line("github_pat_", random[:82], "."),
		"gitlab":             line("token=glpat-", random[:20]),
		"slack":              line("posting to 'xoxb-8263901745-9182736450-", random[:24], "'"),
		"stripe":             line("key sk_live_", random[:24]),
		"anthropic":          line("sk-ant-api03-", random[:93]+"AA"),
		"hugging face":       line("login hf_", letters[:34]),
		"google":             line("AIza", random[:35]),
		"pypi":               line("pypi-AgEIcHlwaS5vcmc", random[:70]),
		"npm":                line("//registry.npmjs.org/:_authToken=npm_", random[:36]),
		"aws":                line("AKIA", strings.ToUpper(letters[:16])),
		"a JSON Web Token":   line("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4eHh4In0.", random[:43]),
		"a URL":              line("GET https://me:", "pl4nted-in-url", "@index.corp.io/simple 401"),
		"a database":         line("postgres://app:", "pl4nted-in-dsn", "@db:5432/app: refused"),
		"a token as user":    line("fatal: https://", "pl4nted-user", "@git.corp.io/x.git not found"),
		"basic":              line("> Authorization: Basic ", "cGw0bnRlZDpiYXNpYw=="),
		"bearer":             line("'authorization': 'Bearer ", "pl4nted-bearer", "'"),
		"proxy":              line("Proxy-Authorization: ", "pl4nted-proxy"),
		"cookie":             line("Cookie: session=", "pl4nted-cookie", "; theme=dark"),
		"set-cookie":         line("set-cookie: sid=", "pl4nted-sid", "; HttpOnly"),
		"an API key header":  line("X-Api-Key: ", "pl4nted-header"),
		"GitLab's header":    line("PRIVATE-TOKEN: ", "pl4nted-private"),
		"curl":               line("+ curl -fsS -u me:", "pl4nted-curl", " https://h"),
		"a variable":         line("export DB_PASSWORD=", "pl4nted-variable"),
		"a quoted variable":  line("API_TOKEN=\"", "pl4nted quoted", "\""),
		"a query":            line("GET /x?a=1&access_token=", "pl4nted-query", "&b=2"),
		"JSON":               line("{\"password\": \"", "pl4nted-json", "\", \"port\": 1}"),
		"a build argument":   line("--build-arg NPM_TOKEN=", "pl4nted-argument"),
		"a key in one line":  line(`{"k": "-----BEGIN PRIVATE`+` KEY-----\n`, random[:64], `\n-----END PRIVATE`+` KEY-----"}`),
		"a key":              line("-----BEGIN RSA PRIVATE"+" KEY-----\n", random[:64], "\n"+letters[:40]+"\n-----END RSA PRIVATE"+" KEY-----"),
		"an encrypted key":   line("-----BEGIN EC PRIVATE"+" KEY-----\nProc-Type: 4,ENCRYPTED\n\n", random[2:66], "\n-----END EC PRIVATE"+" KEY-----"),
		"a PGP key":          line("-----BEGIN PGP PRIVATE"+" KEY BLOCK-----\n\n", letters[2:66], "\n-----END PGP PRIVATE"+" KEY BLOCK-----"),
		"a key without end":  line("-----BEGIN PRIVATE"+" KEY-----\n", random[3:67]),
		"a key with a stamp": line("-----BEGIN OPENSSH PRIVATE"+" KEY-----\n| ", random[4:68]+" |"),
	}
}

// A bundle has none of the secrets that programs print, whether the cluster has them in a Secret or not.
func TestBundleHasNoPlantedSecret(t *testing.T) {
	all := planted()
	var text strings.Builder
	annotations := map[string]string{}
	var variables []corev1.EnvVar
	for name, one := range all {
		text.WriteString("the line before\n" + one[0] + "\nthe line after " + name + "\n")
		key := strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(name)
		annotations["example.com/"+key] = one[0]
		variables = append(variables, corev1.EnvVar{Name: "X_" + key, Value: one[0]})
	}
	planted := pod("demo", "web-5-p", nil, "web-5", 0, "web")
	planted.Annotations = annotations
	planted.Spec.Containers[0].Env = variables
	planted.Spec.Containers[0].Command = []string{"sh", "-c", text.String()}
	clients, run := testCluster(t, planted,
		&corev1.Event{ObjectMeta: meta("demo", "planted", nil, ""), Message: text.String(), LastTimestamp: metav1.NewTime(testNow)})
	clients.Logs.(logs)["web-5-p/web"] = text.String()
	clients.Logs.(logs)["web-1-build-pod/step-build"] = text.String()
	files, _, _, _ := write(t, clients, Options{Namespace: "demo", Run: run, App: "web", Root: "web-1", Now: testNow})
	for file, content := range files {
		for name, one := range all {
			if strings.Contains(content, one[1]) {
				t.Errorf("%s has the secret of %q", file, name)
			}
		}
	}
	log := files["app/logs/web-5-p/web.log"]
	if n := strings.Count(log, "the line before\n"); n != len(all) || strings.Count(log, "the line after ") != len(all) {
		t.Errorf("%d of %d lines without a secret are left:\n%s", n, len(all), log)
	}
}

// What is scrubbed by lines is scrubbed as a whole, and nothing hangs.
func FuzzScrub(f *testing.F) {
	for _, one := range planted() {
		f.Add(one[0])
	}
	s := newScrubber()
	s.value("known-value")
	s.seal()
	f.Fuzz(func(t *testing.T, text string) {
		whole := s.scrub(text)
		var byLine strings.Builder
		clean := s.lines()
		for line := range strings.Lines(text) {
			body := strings.TrimSuffix(line, "\n")
			byLine.WriteString(clean(body) + line[len(body):])
		}
		if whole != byLine.String() {
			t.Errorf("%q as a whole: %q, by lines: %q", text, whole, byLine.String())
		}
		if strings.Contains(whole, "known-value") {
			t.Errorf("%q keeps a value", text)
		}
	})
}
