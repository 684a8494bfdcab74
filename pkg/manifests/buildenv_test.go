package manifests

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestParseBuildVariables(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want map[string]string
		err  string
	}{
		"none":                {nil, map[string]string{}, ""},
		"several":             {[]string{"A=1", "_b2=x=y "}, map[string]string{"A": "1", "_b2": "x=y "}, ""},
		"empty value":         {[]string{"A="}, map[string]string{"A": ""}, ""},
		"proxy in lower case": {[]string{"https_proxy=p:1"}, map[string]string{"HTTPS_PROXY": "p:1"}, ""},
		"no value":            {[]string{"A=1", "secret"}, nil, "build variable 2 is not of the form KEY=VALUE"},
		"no name":             {[]string{"=secret"}, nil, "build variable 1: what stands before"},
		"no variable's name":  {[]string{"pip.index=secret"}, nil, "build variable 1: what stands before"},
		"a URL":               {[]string{"https://me:secret@pypi.example.com/?a=b"}, nil, "build variable 1: what stands before"},
		"twice":               {[]string{"A=secret", "A=2"}, nil, "A is named twice"},
		"twice, in two cases": {[]string{"HTTP_PROXY=secret", "http_proxy=secret"}, nil, "HTTP_PROXY is named twice"},
		"PATH":                {[]string{"PATH=secret"}, nil, "PATH is not one to set"},
		"HOME":                {[]string{"HOME=secret"}, nil, "HOME is not one to set"},
		"the loader's":        {[]string{"LD_PRELOAD=secret"}, nil, "LD_PRELOAD is not one to set"},
		"two lines":           {[]string{"A=secret\nB=2"}, nil, "A has a value of more than one line"},
		"too long":            {[]string{"A=" + strings.Repeat("secret", maxBuildValue)}, nil, "A has a value of"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseBuildVariables(test.args)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got error %v, want %q", err, test.err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the value: %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
		})
	}
}

// certificate makes a certificate that is good for an hour around now.
func certificate(t *testing.T, now time.Time, change func(*x509.Certificate)) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Company Root"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestParseBuildCA(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	good, other := certificate(t, now, nil), certificate(t, now, nil)
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("key")})
	for name, test := range map[string]struct {
		data []byte
		want []byte
		err  string
	}{
		"one":                     {good, good, ""},
		"two, with text between":  {slices.Concat([]byte("# Company Root\n"), good, []byte("\n# Other\n"), other), slices.Concat(good, other), ""},
		"empty":                   {nil, nil, "no PEM certificate"},
		"binary":                  {[]byte{0x30, 0x82, 0x01}, nil, "no PEM certificate"},
		"private key":             {slices.Concat(good, key), nil, "private key (EC PRIVATE KEY)"},
		"something else":          {slices.Concat(good, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST"})), nil, "block 2 is a CERTIFICATE REQUEST"},
		"not a certificate":       {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), nil, "certificate 1: "},
		"expired":                 {slices.Concat(good, certificate(t, now.Add(-2*time.Hour), nil)), nil, "certificate 2 (CN=Company Root) expired on 2026-03-01"},
		"not valid yet":           {certificate(t, now.AddDate(0, 0, 1), nil), nil, "not valid before 2026-03-02"},
		"a server's":              {certificate(t, now, func(c *x509.Certificate) { c.IsCA = false }), nil, "is not a CA's"},
		"without basicConstraint": {certificate(t, now, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }), nil, "is not a CA's"},
		"too many":                {bytes.Repeat(good, maxBuildCA/len(good)+1), nil, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseBuildCA(test.data, now)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got error %v, want %q", err, test.err)
			}
			if diff := cmp.Diff(string(test.want), string(got)); diff != "" {
				t.Errorf("certificates (-want +got):\n%s", diff)
			}
		})
	}
}

// secretData is what the BuildSecret of each namespace holds.
func secretData(t *testing.T, options Options) map[string]map[string][]byte {
	t.Helper()
	platform, err := Render(options)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string][]byte{}
	for _, object := range platform.Objects() {
		if object.GetKind() != "Secret" || object.GetName() != BuildSecret {
			continue
		}
		encoded, _, err := unstructured.NestedStringMap(object.Object, "data")
		if err != nil {
			t.Fatal(err)
		}
		data := map[string][]byte{}
		for key, value := range encoded {
			if data[key], err = base64.StdEncoding.DecodeString(value); err != nil {
				t.Fatal(err)
			}
		}
		found[object.GetNamespace()] = data
	}
	return found
}

func TestBuildSecrets(t *testing.T) {
	options := fixed("team-a", "team-b")
	if found := secretData(t, options); len(found) != 0 {
		t.Errorf("without an environment there are the secrets %v", found)
	}
	options.BuildEnv = BuildEnv{
		CA:        certificate(t, time.Now(), nil),
		Variables: map[string]string{"HTTP_PROXY": "http://me:geheim@proxy:3128", "NO_PROXY": ".example.com, localhost", "A": "1"},
		Direct:    []string{"10.96.0.0/16", "registry.example.com"},
	}
	found := secretData(t, options)
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, []string{SystemNamespace, "team-a", "team-b"}) {
		t.Fatalf("the secrets are in namespaces %q", got)
	}
	remembered := ParseBuildEnv(found[SystemNamespace])
	remembered.Direct = options.BuildEnv.Direct
	if diff := cmp.Diff(options.BuildEnv, remembered); diff != "" {
		t.Errorf("what setup remembers differs from what it got (-want +got):\n%s", diff)
	}
	want := map[string][]byte{
		"HTTP_PROXY": []byte("http://me:geheim@proxy:3128"), "A": []byte("1"), CAKey: options.BuildEnv.CA, wrapRunKey: []byte("true"),
		"NO_PROXY": []byte(".example.com,localhost,127.0.0.1,::1,.svc,.cluster.local,10.96.0.0/16,registry.example.com"),
	}
	for _, namespace := range options.Config.Namespaces {
		if diff := cmp.Diff(want, found[namespace]); diff != "" {
			t.Errorf("namespace %s (-want +got):\n%s", namespace, diff)
		}
	}

	options.BuildEnv.Variables = map[string]string{"NO_PROXY": "*", "ALL_PROXY": "p:1"}
	if got := string(secretData(t, options)["team-a"]["NO_PROXY"]); got != "*" {
		t.Errorf("NO_PROXY is %q, want the asterisk alone", got)
	}
	options.BuildEnv.Variables = map[string]string{"PIP_INDEX_URL": "u"}
	if got, ok := secretData(t, options)["team-a"]["NO_PROXY"]; ok {
		t.Errorf("NO_PROXY is %q without a proxy", got)
	}
}

func TestDescribeTellsNoSecret(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	config := Config{BuildEnv: []string{"OLD"}, BuildCA: []string{"old"}}
	env := BuildEnv{CA: certificate(t, now, nil), Variables: map[string]string{"B": "geheim", "A": "geheim"}}
	env.Describe(&config)
	want := Config{BuildEnv: []string{"A", "B"}, BuildCA: []string{"CN=Company Root, until 2026-03-01"}}
	if diff := cmp.Diff(want, config); diff != "" {
		t.Errorf("description (-want +got):\n%s", diff)
	}
}

// runScript starts a command as Kaniko starts a RUN: by way of the script that
// the Task carries, with the files of the BuildSecret. The shell is the image's.
func runScript(t *testing.T, shell []string, secret map[string]string, environment []string, command ...string) string {
	t.Helper()
	platform, err := Render(fixed("default"))
	if err != nil {
		t.Fatal(err)
	}
	script, _, err := unstructured.NestedString(find(platform.Pipeline, "Task", "pyflow-build").Object, "metadata", "annotations", "pyflow.dev/run")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "build-env"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range secret {
		if err := os.WriteFile(filepath.Join(dir, "build-env", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "tini")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(script, "/kaniko/", dir+"/")), 0o555); err != nil {
		t.Fatal(err)
	}
	arguments := slices.Concat(shell, []string{file, "-s", "--"}, command)
	cmd := exec.CommandContext(t.Context(), arguments[0], arguments[1:]...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, environment...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
	return strings.ReplaceAll(string(out), dir, "/kaniko")
}

func TestRunScript(t *testing.T) {
	trusted := filepath.Join(t.TempDir(), "trusted.crt")
	if err := os.WriteFile(trusted, []byte("image's"), 0o644); err != nil {
		t.Fatal(err)
	}
	odd := `it's "$HOME" \n $(id)` + "`id` ; *"
	shells := map[string][]string{}
	for name, shell := range map[string][]string{"sh": {"sh"}, "dash": {"dash"}, "bash": {"bash", "--posix"}, "busybox": {"busybox", "sh"}} {
		if _, err := exec.LookPath(shell[0]); err == nil {
			shells[name] = shell
		}
	}
	for name, test := range map[string]struct {
		secret      map[string]string
		environment []string
		command     []string
		want        string
	}{
		"nothing is there":           {nil, nil, []string{"echo", "a  b", ""}, "a  b \n"},
		"a value as it is":           {map[string]string{"A": odd}, nil, []string{"printenv", "A"}, odd + "\n"},
		"an empty value":             {map[string]string{"A": ""}, nil, []string{"sh", "-c", "echo ${A-unset}"}, "\n"},
		"the image's wins":           {map[string]string{"A": "ours"}, []string{"A=image's"}, []string{"printenv", "A"}, "image's\n"},
		"the image's empty one wins": {map[string]string{"A": "ours"}, []string{"A="}, []string{"printenv", "A"}, "\n"},
		"both cases of a proxy":      {map[string]string{"HTTP_PROXY": "p"}, nil, []string{"sh", "-c", "echo $HTTP_PROXY-$http_proxy"}, "p-p\n"},
		"the other case wins":        {map[string]string{"HTTP_PROXY": "p"}, []string{"http_proxy="}, []string{"sh", "-c", "echo ${HTTP_PROXY-unset}${http_proxy-unset}"}, "unset\n"},
		"files are no variables":     {map[string]string{"ca.crt": "c", "wrap-run": "true", "A": "1"}, nil, []string{"sh", "-c", "env | grep -c -e wrap -e 'ca.crt=' -e _pyflow || :"}, "0\n"},
		"exit code":                  {map[string]string{"A": "1"}, nil, []string{"sh", "-c", "sh -c 'exit 7' || echo $?"}, "7\n"},
		"the CA joins the image's": {
			map[string]string{"ca.crt": "company's"},
			[]string{"SSL_CERT_FILE=" + trusted, "CURL_CA_BUNDLE=/own"},
			[]string{"sh", "-c", `cat "$SSL_CERT_FILE" && echo && cat "$PIP_CERT" && echo && echo $CURL_CA_BUNDLE && cat $NODE_EXTRA_CA_CERTS`},
			"image's\ncompany's\nimage's\ncompany's\n/own\ncompany's",
		},
		"apt": {
			map[string]string{"ca.crt": "company's"},
			[]string{"SSL_CERT_FILE=" + trusted},
			[]string{"sh", "-c", `sed "s,$SSL_CERT_FILE,FILE," "$APT_CONFIG"`},
			"Acquire::https::CaInfo \"FILE\";\n",
		},
	} {
		for kind, shell := range shells {
			t.Run(name+"/"+kind, func(t *testing.T) {
				if got := runScript(t, shell, test.secret, test.environment, test.command...); got != test.want {
					t.Errorf("the command wrote %q, want %q", got, test.want)
				}
			})
		}
	}
}
