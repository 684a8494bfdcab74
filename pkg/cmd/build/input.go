package build

import (
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/tonistiigi/go-csvvalue"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
)

// secretID is what can be a file's name in every volume, and an id in a Dockerfile.
var secretID = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// secretLimit leaves room for other secrets of a build below the 1 MiB that a
// Secret may take.
const secretLimit = 512 << 10

// parseSecrets reads the values of --build-secret, in Docker's form and with
// secret and key beside it. Files and variables are read at once. No error holds a
// value.
func parseSecrets(values []string) ([]pipelinerun.BuildSecret, error) {
	var secrets []pipelinerun.BuildSecret
	seen := map[string]bool{}
	for _, value := range values {
		secret, err := parseSecret(value)
		if err != nil {
			return nil, err
		}
		if seen[secret.ID] {
			return nil, option.Usagef("--build-secret: there are two secrets %s", secret.ID)
		}
		seen[secret.ID] = true
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

func parseSecret(value string) (pipelinerun.BuildSecret, error) {
	const form = "write id=ID,src=FILE or id=ID,env=VARIABLE or id=ID,secret=NAME[,key=KEY]"
	none := pipelinerun.BuildSecret{}
	fields, err := csvvalue.Fields(value, nil)
	if err != nil {
		return none, option.Usagef("--build-secret is not a list of KEY=VALUE; %s", form)
	}
	set := map[string]string{}
	for _, field := range fields {
		key, text, ok := strings.Cut(field, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		switch key {
		case "source":
			key = "src"
		case "id", "src", "env", "secret", "key", "type":
		default:
			// Not the text, which may be the secret itself.
			return none, option.Usagef("--build-secret: there is something else than id, src, env, secret and key; %s", form)
		}
		if !ok || text == "" {
			return none, option.Usagef("--build-secret: %s has no value; %s", key, form)
		}
		set[key] = text
	}
	switch set["type"] {
	case "", "file":
	case "env":
		// As Docker reads it.
		if set["env"] == "" {
			set["env"], set["src"] = set["src"], ""
		}
	default:
		return none, option.Usagef("--build-secret: the type is neither file nor env; %s", form)
	}
	id := set["id"]
	if !secretID.MatchString(id) {
		return none, option.Usagef("--build-secret: id %q is not made of letters, digits, -, _ and . (not at its start); %s", id, form)
	}
	sources := 0
	for _, key := range []string{"src", "env", "secret"} {
		if set[key] != "" {
			sources++
		}
	}
	if sources != 1 || set["key"] != "" && set["secret"] == "" {
		return none, option.Usagef("--build-secret %s: %s", id, form)
	}
	secret := pipelinerun.BuildSecret{ID: id}
	switch {
	case set["secret"] != "":
		secret.Secret, secret.Key = set["secret"], set["key"]
		if secret.Key == "" {
			secret.Key = id
		}
		return secret, nil
	case set["env"] != "":
		text, ok := os.LookupEnv(set["env"])
		if !ok {
			// Not its name: env=$VARIABLE puts the secret in its place.
			return none, option.Usagef("--build-secret %s: the variable that env names is not set", id)
		}
		secret.Value = []byte(text)
	default:
		if secret.Value, err = os.ReadFile(set["src"]); err != nil {
			return none, option.Usagef("--build-secret %s: %w", id, err)
		}
	}
	if len(secret.Value) > secretLimit {
		return none, option.Usagef("--build-secret %s has %d KiB, more than %d", id, len(secret.Value)>>10, secretLimit>>10)
	}
	return secret, nil
}

// scpLike is git's short form of an ssh address.
var scpLike = regexp.MustCompile(`^([A-Za-z0-9._-]+@)?[A-Za-z0-9.-]+:[^/\s@]+(/\S*)?$`)

// repositoryName checks a repository's address and returns the last part of its
// path, without .git.
func repositoryName(address string) (string, error) {
	invalid := func(why string) (string, error) {
		return "", option.Usagef("--git: %s; write https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH", why)
	}
	repository := ""
	switch parsed, err := url.Parse(address); {
	case strings.HasPrefix(address, "-"):
		return invalid("that is not the address of a repository")
	case !strings.Contains(address, "://"):
		// An @ in the first part of the path: what is before it would be a login.
		if !scpLike.MatchString(address) {
			return invalid("that is not the address of a repository")
		}
		_, repository, _ = strings.Cut(address, ":")
	case err != nil || parsed.Host == "":
		// Not the address, which may hold a password.
		return invalid("that is not the address of a repository")
	case parsed.Scheme != "https" && parsed.Scheme != "http" && parsed.Scheme != "ssh":
		return invalid("the scheme " + parsed.Scheme + " is not known")
	default:
		if _, has := parsed.User.Password(); has || parsed.User != nil && parsed.Scheme != "ssh" {
			return "", option.Usagef("--git: the address holds a login, which everyone could read in the run: put it into a Secret and name that with --git-secret")
		}
		repository = parsed.Path
	}
	name := strings.TrimSuffix(path.Base(strings.TrimRight(repository, "/")), ".git")
	if name == "" || name == "." || name == ".." || name == "/" {
		return invalid("the address has no path")
	}
	return name, nil
}
