package install

import (
	"bytes"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"ghcr.io":                       {"ghcr.io", ""},
		"ghcr.io/my-org":                {"ghcr.io", "my-org"},
		"https://ghcr.io/my-org/":       {"ghcr.io", "my-org"},
		"registry:5000":                 {"registry:5000", ""},
		"10.89.0.2:30555/org/pyflow":    {"10.89.0.2:30555", "org/pyflow"},
		"registry.example.com/a/b/c":    {"registry.example.com", "a/b/c"},
		"docker.io/me":                  {"index.docker.io", "me"},
		"123.dkr.ecr.eu.amazonaws.com/": {"123.dkr.ecr.eu.amazonaws.com", ""},
	} {
		if got, err := ParseAddress(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"http://registry.example.com":  "with TLS",
		"ftp://registry.example.com":   "with TLS",
		"my-org":                       "does not start with a registry's host",
		"my-org/app":                   "does not start with a registry's host",
		"ghcr.io/My-Org":               "no repository can start with My-Org",
		"ghcr.io/a//b":                 "no repository can start with a//b",
		"ghcr.io/../b":                 "no repository can start with ../b",
		"ghcr.io/app:tag":              "no repository can start with app:tag",
		"user:password@ghcr.io/my-org": "the host is not valid",
		"ghcr io.x":                    "the host is not valid",
		"localhost:5000":               "on themselves",
		"127.0.0.1:5000/x":             "on themselves",
		"[::1]:5000":                   "on themselves",
	} {
		if got, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %+v, %v, want an error with %q", text, got, err, want)
		}
	}
}

func TestParseRegistryCA(t *testing.T) {
	now := time.Now()
	good, _ := authority(t, now.Add(-time.Hour), now.Add(time.Hour))
	old, _ := authority(t, now.Add(-2*time.Hour), now.Add(-time.Hour))
	early, _ := authority(t, now.Add(time.Hour), now.Add(2*time.Hour))
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("key")})
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("none")})
	both := slices.Concat([]byte("# subject: company CA\n"), good, []byte("\n"), good, []byte("the end\n"))
	if got, err := ParseRegistryCA(both, now); err != nil || !bytes.Equal(got, slices.Concat(good, good)) {
		t.Errorf("got %q, %v, want the two certificates alone", got, err)
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"empty":       {nil, "no PEM certificate"},
		"text":        {[]byte("no certificate"), "no PEM certificate"},
		"DER":         {[]byte{0x30, 0x82, 0x01}, "no PEM certificate"},
		"private key": {slices.Concat(good, key), "ec private key"},
		"broken":      {broken, "cannot be read"},
		"expired":     {slices.Concat(good, old), "CN=company CA in it expired on"},
		"too early":   {early, "not valid before"},
	} {
		if got, err := ParseRegistryCA(test.data, now); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %q, %v, want an error with %q", name, got, err, test.want)
		}
	}
}
