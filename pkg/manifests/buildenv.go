package manifests

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// wrapRunKey is the key of BuildSecret that makes Kaniko start every RUN by
	// way of the script in the Task. Its dash keeps it from being a variable.
	wrapRunKey = "wrap-run"

	// maxBuildCA limits the CA certificates in bytes; a Secret holds twice that, and
	// all public CAs are less than half of it.
	maxBuildCA = 512 << 10
	// maxBuildValue limits a variable's value in bytes: Linux accepts twice that in a
	// program's environment.
	maxBuildValue = 64 << 10
)

// BuildEnv is what every build gets in addition to its Dockerfile. It is secret: the
// URL of a package index often contains a password.
type BuildEnv struct {
	// CA are PEM certificates that builds trust in addition to the public ones.
	CA []byte
	// Variables are set for every RUN, and those of a proxy for what the build
	// engine fetches itself.
	Variables map[string]string
	// Direct are hosts and networks that are reached without a proxy, in addition to
	// those in the variable NO_PROXY.
	Direct []string
}

// ParseBuildVariables reads variables of the form KEY=VALUE. The names of proxies
// are returned in upper case, which stands for both. An error names the variable and
// the problem, and never contains a value.
func ParseBuildVariables(args []string) (map[string]string, error) {
	variables := map[string]string{}
	for i, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		switch {
		case !ok:
			return nil, fmt.Errorf("build variable %d is not of the form KEY=VALUE", i+1)
		case !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(key):
			return nil, fmt.Errorf("build variable %d: what stands before the = is not the name of an environment variable: letters, digits and _", i+1)
		case reserved(key):
			return nil, fmt.Errorf("build variable %s is not one to set from outside: the image or its shell depends on it", key)
		case strings.ContainsAny(value, "\n\r\x00"):
			return nil, fmt.Errorf("build variable %s has a value of more than one line", key)
		case len(value) > maxBuildValue:
			return nil, fmt.Errorf("build variable %s has a value of %d bytes, more than %d", key, len(value), maxBuildValue)
		}
		if slices.Contains(proxyVariables(), strings.ToUpper(key)) {
			key = strings.ToUpper(key)
		}
		if _, twice := variables[key]; twice {
			return nil, fmt.Errorf("build variable %s is named twice", key)
		}
		variables[key] = value
	}
	return variables, nil
}

// proxyVariables are those that programs read in upper or in lower case.
func proxyVariables() []string {
	return []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", noProxy}
}

const noProxy = "NO_PROXY"

// reserved reports variables that a shell refuses to set, and those with which a
// command would no longer find its programs, its files or its user.
func reserved(key string) bool {
	switch key {
	case "PATH", "HOME", "USER", "LOGNAME", "SHELL", "HOSTNAME", "PWD", "OLDPWD", "SHLVL", "TMPDIR",
		"IFS", "ENV", "PS1", "PS2", "PS4", "OPTARG", "OPTIND", "OPTERR", "PPID", "UID", "EUID", "GROUPS",
		"SHELLOPTS", "POSIXLY_CORRECT", "_":
		return true
	}
	return slices.ContainsFunc([]string{"BASH", "LD_", "_pyflow_"}, func(prefix string) bool {
		return strings.HasPrefix(key, prefix)
	})
}

// ParseBuildCA checks a file of PEM certificates, and returns the certificates alone.
// Each has to be that of a CA, and valid now; a private key in the file is an error.
func ParseBuildCA(data []byte, now time.Time) ([]byte, error) {
	var out bytes.Buffer
	for number := 1; ; number++ {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, fmt.Errorf("it holds a private key (%s): a CA's key is not for builds, whoever has it can sign for every host", block.Type)
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is a %s, not a CERTIFICATE", number, block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", number, err)
		}
		if err := checkCA(certificate, now); err != nil {
			return nil, fmt.Errorf("certificate %d (%s) %w", number, certificate.Subject, err)
		}
		// A buffer returns no error.
		_ = pem.Encode(&out, &pem.Block{Type: block.Type, Bytes: block.Bytes})
	}
	switch {
	case out.Len() == 0:
		return nil, errors.New("it holds no PEM certificate (-----BEGIN CERTIFICATE-----)")
	case out.Len() > maxBuildCA:
		return nil, fmt.Errorf("its certificates have %d bytes, more than %d", out.Len(), maxBuildCA)
	}
	return out.Bytes(), nil
}

func checkCA(certificate *x509.Certificate, now time.Time) error {
	switch {
	case !certificate.BasicConstraintsValid || !certificate.IsCA:
		return errors.New("is not a CA's: basicConstraints does not say CA:TRUE, so no program would accept what it signed")
	case now.After(certificate.NotAfter):
		return fmt.Errorf("expired on %s", certificate.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(certificate.NotBefore):
		return fmt.Errorf("is not valid before %s", certificate.NotBefore.UTC().Format(time.DateOnly))
	}
	return nil
}

// ParseBuildEnv reads what an earlier setup left in the BuildSecret of
// SystemNamespace; no data is an empty BuildEnv.
func ParseBuildEnv(data map[string][]byte) BuildEnv {
	env := BuildEnv{CA: data[CAKey], Variables: map[string]string{}}
	for key, value := range data {
		if key != CAKey {
			env.Variables[key] = string(value)
		}
	}
	return env
}

// Empty reports whether builds get nothing.
func (e BuildEnv) Empty() bool { return len(e.CA) == 0 && len(e.Variables) == 0 }

// Proxied reports whether a variable names a proxy.
func (e BuildEnv) Proxied() bool {
	return slices.ContainsFunc(proxyVariables(), func(name string) bool {
		return name != noProxy && e.Variables[name] != ""
	})
}

// Describe writes into config what is not secret: the names of the variables and of
// the CAs.
func (e BuildEnv) Describe(config *Config) {
	config.BuildEnv, config.BuildCA = slices.Sorted(maps.Keys(e.Variables)), nil
	for data := e.CA; ; {
		block, rest := pem.Decode(data)
		if block == nil {
			return
		}
		data = rest
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			config.BuildCA = append(config.BuildCA, fmt.Sprintf("%s, until %s", certificate.Subject, certificate.NotAfter.UTC().Format(time.DateOnly)))
		}
	}
}

// remembered returns the data that ParseBuildEnv reads.
func (e BuildEnv) remembered() map[string][]byte {
	data := map[string][]byte{}
	for key, value := range e.Variables {
		data[key] = []byte(value)
	}
	if len(e.CA) > 0 {
		data[CAKey] = e.CA
	}
	return data
}

// applied returns the data that builds read: with a proxy, the cluster itself is
// reached directly.
func (e BuildEnv) applied() map[string][]byte {
	data := e.remembered()
	data[wrapRunKey] = []byte("true")
	named := strings.FieldsFunc(e.Variables[noProxy], func(r rune) bool { return r == ',' || r == ' ' })
	// Programs do not understand an asterisk next to other entries.
	if e.Proxied() && !slices.Contains(named, "*") {
		var direct []string
		for _, host := range slices.Concat(named, []string{"localhost", "127.0.0.1", "::1", ".svc", ".cluster.local"}, e.Direct) {
			if !slices.Contains(direct, host) {
				direct = append(direct, host)
			}
		}
		data[noProxy] = []byte(strings.Join(direct, ","))
	}
	return data
}

// buildSecret returns the Secret that builds in namespace read, or, in SystemNamespace,
// the one that the next setup reads; none if BuildEnv is empty.
func (r *renderer) buildSecret(namespace string) []*unstructured.Unstructured {
	if r.BuildEnv.Empty() {
		return nil
	}
	data := r.BuildEnv.applied()
	if namespace == SystemNamespace {
		data = r.BuildEnv.remembered()
	}
	objects := r.read("namespace/build.yaml")
	secret := find(objects, "Secret", BuildSecret)
	secret.SetNamespace(namespace)
	r.setData(secret, data)
	return objects
}
