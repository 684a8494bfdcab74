// Package input reads what a person writes to describe a build: its secrets, the address
// of a repository, and what its pod requests. Its errors hold no secret.
package input

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/tonistiigi/go-csvvalue"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
)

// secretID matches what is valid as a file name in a volume and as an id in a Dockerfile.
var secretID = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// secretLimit leaves room for other secrets of a build below the 1 MiB that a
// Secret may take.
const secretLimit = 512 << 10

// secretForm is how to write a secret.
const secretForm = "write id=ID,src=FILE or id=ID,env=VARIABLE or id=ID,secret=NAME[,key=KEY]" //nolint:gosec // the form of a flag

// ParseSecrets parses secrets in Docker's form, extended by secret and key for a Secret of
// the namespace, and reads their files and variables. No error contains a value.
func ParseSecrets(values []string) ([]pipelinerun.BuildSecret, error) {
	var secrets []pipelinerun.BuildSecret
	seen := map[string]bool{}
	for _, value := range values {
		secret, err := parseSecret(value)
		if err != nil {
			return nil, err
		}
		if seen[secret.ID] {
			return nil, fmt.Errorf("there are two secrets %s", secret.ID)
		}
		seen[secret.ID] = true
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

// parseSecret parses one secret and reads its value.
func parseSecret(text string) (pipelinerun.BuildSecret, error) {
	none := pipelinerun.BuildSecret{}
	set, err := secretFields(text)
	if err != nil {
		return none, err
	}
	id := set["id"]
	if !secretID.MatchString(id) {
		return none, fmt.Errorf("id %q is not made of letters, digits, -, _ and . (not at its start); %s", id, secretForm)
	}
	if set["src"]+set["env"]+set["secret"]+set["key"] == "" {
		if set, err = shorthand(id); err != nil {
			return none, err
		}
	}
	sources := 0
	for _, key := range []string{"src", "env", "secret"} {
		if set[key] != "" {
			sources++
		}
	}
	if sources != 1 || set["key"] != "" && set["secret"] == "" {
		return none, fmt.Errorf("secret %s: %s", id, secretForm)
	}
	if set["secret"] != "" {
		return pipelinerun.BuildSecret{ID: id, Secret: set["secret"], Key: cmp.Or(set["key"], id)}, nil
	}
	value, err := secretValue(set)
	if err != nil {
		return none, fmt.Errorf("secret %s: %w", id, err)
	}
	return pipelinerun.BuildSecret{ID: id, Value: value}, nil
}

// shorthand returns the fields of a secret that only has an ID. As in Docker it is the variable
// of that name, else the file.
func shorthand(id string) (map[string]string, error) {
	if _, ok := os.LookupEnv(id); ok {
		return map[string]string{"env": id}, nil
	}
	if _, err := os.Stat(id); err != nil {
		return nil, fmt.Errorf("secret %s: there is neither a variable nor a file of that name; %s", id, secretForm)
	}
	return map[string]string{"src": id}, nil
}

// SecretIDs returns the IDs of secrets in the form of ParseSecrets, and reads no value. A text
// without an ID is left out: ParseSecrets reports it.
func SecretIDs(values []string) []string {
	var ids []string
	for _, value := range values {
		if set, err := secretFields(value); err == nil && secretID.MatchString(set["id"]) {
			ids = append(ids, set["id"])
		}
	}
	return ids
}

// WithSettings returns secrets with those that settings provide and that are not among them,
// in the order of their IDs.
func WithSettings(given []pipelinerun.BuildSecret, set map[string]project.Value[settings.SecretSource]) []pipelinerun.BuildSecret {
	all := slices.Clone(given)
	for _, id := range slices.Sorted(maps.Keys(set)) {
		if !slices.ContainsFunc(given, func(one pipelinerun.BuildSecret) bool { return one.ID == id }) {
			source := set[id].Value
			all = append(all, pipelinerun.BuildSecret{ID: id, Secret: source.Secret, Key: source.Key})
		}
	}
	return all
}

// secretFields splits a secret into its fields. An unknown field is not repeated in the
// error, as it may be the secret itself.
func secretFields(text string) (map[string]string, error) {
	fields, err := csvvalue.Fields(text, nil)
	if err != nil {
		return nil, fmt.Errorf("not a list of KEY=VALUE; %s", secretForm)
	}
	set := map[string]string{}
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		switch key {
		case "source":
			key = "src"
		case "id", "src", "env", "secret", "key", "type":
		default:
			return nil, fmt.Errorf("a field is none of id, src, env, secret and key; %s", secretForm)
		}
		if !ok || value == "" {
			return nil, fmt.Errorf("%s has no value; %s", key, secretForm)
		}
		set[key] = value
	}
	switch set["type"] {
	case "", "file":
	case "env":
		// As in Docker, src names the variable.
		if set["env"] == "" {
			set["env"], set["src"] = set["src"], ""
		}
	default:
		return nil, fmt.Errorf("the type is neither file nor env; %s", secretForm)
	}
	return set, nil
}

// secretValue reads the value of a secret from its variable or file.
func secretValue(set map[string]string) ([]byte, error) {
	var value []byte
	if variable := set["env"]; variable != "" {
		text, ok := os.LookupEnv(variable)
		if !ok {
			// The name is not repeated: with env=$VARIABLE it is the secret.
			return nil, errors.New("the variable that env names is not set")
		}
		value = []byte(text)
	} else {
		var err error
		if value, err = os.ReadFile(set["src"]); err != nil {
			return nil, err
		}
	}
	if len(value) > secretLimit {
		return nil, fmt.Errorf("it has %d KiB, more than %d", len(value)>>10, secretLimit>>10)
	}
	return value, nil
}
