package lint

import (
	"path"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

const (
	otherWay = "use RUN --mount=type=secret for the build, and a Secret of the namespace for the service"
	changeIt = "remove it, and change it where it is valid; "
)

// writtenSecrets finds secrets in the Dockerfile and in the requirements files. No message
// has a value.
func writtenSecrets(image *image, in *inputs) []Finding {
	var findings []Finding
	for i := range image.file.Global {
		findings = append(findings, in.secretsOf(&image.file.Global[i])...)
	}
	for _, step := range image.neededSteps() {
		findings = append(findings, in.secretsOf(step)...)
	}
	for _, file := range in.files {
		findings = append(findings, in.secretsIn(place{path: file, line: 1, endLine: len(in.sources[file])})...)
	}
	return findings
}

// secretsOf finds secrets in an instruction.
func (in *inputs) secretsOf(step *dockerfile.Step) []Finding {
	var findings []Finding
	switch command := step.Command.(type) {
	case *instructions.ArgCommand:
		for _, pair := range command.Args {
			value := ""
			if pair.Value != nil {
				value = *pair.Value
			}
			if message, fix := secretArg(pair.Key, value); message != "" {
				findings = append(findings, finding(in.sources.within(in.at(step), pair.Key), message, fix))
			}
		}
	case *instructions.EnvCommand:
		for _, pair := range command.Env {
			if message := secretEnv(pair.Key, pair.Value); message != "" {
				findings = append(findings, finding(in.sources.within(in.at(step), pair.Key), message, changeIt+otherWay))
			}
		}
	default:
		return in.secretsIn(in.at(step))
	}
	return findings
}

// secretArg returns the message about an ARG that takes or has a secret.
func secretArg(name, value string) (message, fix string) {
	switch {
	case secret.IsName(name) && value == "":
		return "by its name, ARG " + name + " takes a secret, and its value stays in the history of the image", otherWay
	case secret.IsHarmless(value):
		return "", ""
	case secret.IsName(name):
		return "by its name, ARG " + name + " has a secret, which stays in the history of the image", changeIt + otherWay
	case looksSecret(value):
		return "the default of ARG " + name + " looks like a password or a token", changeIt + otherWay
	}
	return "", ""
}

// secretEnv returns the message about an ENV that is a secret.
func secretEnv(name, value string) string {
	switch {
	case secret.IsHarmless(value):
		return ""
	case secret.IsName(name):
		return "by its name, ENV " + name + " is a secret, and everyone who has the image can read it"
	case looksSecret(value):
		return "the value of ENV " + name + " looks like a password or a token"
	}
	return ""
}

func looksSecret(value string) bool {
	_, _, found := secret.Find(value)
	return found
}

// secretsIn finds secrets in the lines of a place, without comments.
func (in *inputs) secretsIn(at place) []Finding {
	var findings []Finding
	lines := in.sources[at.path]
	for number := max(at.line, 1); number <= at.endLine && number <= len(lines); number++ {
		line := lines[number-1]
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		if start, end, found := secret.Find(line); found {
			findings = append(findings, finding(span(at.path, number, line, start, end), "this looks like a password or a token", changeIt+otherWay))
		}
	}
	return findings
}

// missingIgnoreFile finds the first copy of the whole build context without an ignore file.
func missingIgnoreFile(image *image, in *inputs) []Finding {
	if in.ignore != nil || in.folder == "" {
		return nil
	}
	for _, step := range image.neededSteps() {
		for _, source := range copied(step) {
			if !dockerfile.IsRemote(source) && wholeContext(source) {
				return []Finding{finding(in.at(step), "the whole directory is copied, and there is no .dockerignore",
					"add a .dockerignore with .git, .env, .venv, tests, and what else the image does not need")}
			}
		}
	}
	return nil
}

// copiedSecrets finds files with secrets that are copied into the image.
func copiedSecrets(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, step := range image.steps() {
		for _, source := range copied(step) {
			switch {
			case dockerfile.IsRemote(source):
			case wholeContext(source):
				findings = append(findings, in.secretFiles(in.at(step))...)
			case isSecretFile(contextPath(source)):
				findings = append(findings, finding(in.sources.within(in.at(step), source),
					source+" holds secrets, and everyone who has the image can read them", otherWay))
			}
		}
	}
	return findings
}

// contextPath returns a source as a path of the build context.
func contextPath(source string) string { return strings.TrimPrefix(path.Clean("/"+source), "/") }

// secretFiles finds the files with secrets that a copy of the whole directory takes.
func (in *inputs) secretFiles(at place) []Finding {
	var findings []Finding
	for _, name := range []string{".env", ".env.local", ".env.production", ".netrc", ".pypirc", "id_rsa", "id_ed25519", "credentials.json"} {
		if in.folder.has(name) && (in.ignore == nil || !in.ignore(name)) {
			findings = append(findings, finding(at, name+" is copied with the whole directory, and everyone who has the image can read it",
				"add a line "+name+" to .dockerignore"))
		}
	}
	return findings
}

// isSecretFile reports whether a file is known to hold secrets.
func isSecretFile(name string) bool {
	base := path.Base(name)
	if oneOf(base, ".netrc", ".pypirc", ".git-credentials", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".ssh", ".aws", "credentials.json", ".htpasswd") {
		return true
	}
	rest, ok := strings.CutPrefix(base, ".env")
	if !ok {
		return false
	}
	for _, harmless := range []string{"example", "sample", "template", "dist", "default", "test", "ci"} {
		if strings.Contains(rest, harmless) {
			return false
		}
	}
	return rest == "" || rest[0] == '.' || rest == "*"
}
