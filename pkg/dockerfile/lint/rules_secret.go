package lint

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const (
	secretRule = "secret-in-arg-or-env" //nolint:gosec // the name of a rule
	otherWay   = "for a build use RUN --mount=type=secret, for the service a Secret of the namespace"
	changeIt   = "take it out, and change it where it is valid; "
)

// secrets finds secrets in the Dockerfile. No message has a value.
func (c *checker) secrets(image *image) {
	file := image.target().at.path
	for i := range image.arguments {
		c.argumentSecrets(&image.arguments[i], c.argumentPlace(file, &image.arguments[i]))
	}
	for _, step := range image.needed() {
		switch command := step.command.(type) {
		case *instructions.ArgCommand:
			c.argumentSecrets(command, step.at)
		case *instructions.EnvCommand:
			for _, pair := range command.Env {
				at := c.within(step.at, pair.Key)
				if noSecret(pair.Value) || secretName(pair.Key) || aboutSecret(pair.Key) {
					c.replace(linter.RuleSecretsUsedInArgOrEnv.Name, step.at, strconv.Quote(pair.Key))
				}
				switch {
				case noSecret(pair.Value):
				case secretName(pair.Key):
					c.find(secretRule, at, "ENV "+pair.Key+" is a secret, by its name, that everyone reads who has the image", changeIt+otherWay)
				case looksSecret(pair.Value):
					c.find(secretRule, at, "the value of ENV "+pair.Key+" looks like a password or a token", changeIt+otherWay)
				}
			}
		default:
			c.textSecrets(step.at)
		}
	}
}

func looksSecret(value string) bool {
	_, _, found := secretIn(value)
	return found
}

// argumentPlace finds an ARG before the first FROM.
func (c *checker) argumentPlace(file string, command *instructions.ArgCommand) place {
	ranges := command.Location()
	if len(ranges) == 0 {
		return place{path: file}
	}
	return c.lines(file, ranges[0].Start.Line, ranges[len(ranges)-1].End.Line)
}

func (c *checker) argumentSecrets(command *instructions.ArgCommand, at place) {
	for _, pair := range command.Args {
		if secretName(pair.Key) || aboutSecret(pair.Key) || pair.Value != nil && noSecret(*pair.Value) {
			c.replace(linter.RuleSecretsUsedInArgOrEnv.Name, at, strconv.Quote(pair.Key))
		}
		switch {
		case secretName(pair.Key) && (pair.Value == nil || *pair.Value == ""):
			c.find(secretRule, c.within(at, pair.Key), "ARG "+pair.Key+" takes a secret, by its name, and its value stays in the history of the image", otherWay)
		case pair.Value != nil && noSecret(*pair.Value):
		case secretName(pair.Key):
			c.find(secretRule, c.within(at, pair.Key), "ARG "+pair.Key+" has a secret, by its name, that stays in the history of the image", changeIt+otherWay)
		case pair.Value != nil && looksSecret(*pair.Value):
			c.find(secretRule, c.within(at, pair.Key), "the default of ARG "+pair.Key+" looks like a password or a token", changeIt+otherWay)
		}
	}
}

// textSecrets finds secrets in the lines of an instruction.
func (c *checker) textSecrets(at place) {
	source := c.sources[at.path]
	for number := max(at.line, 1); number <= at.endLine && number <= len(source.lines); number++ {
		line := source.lines[number-1]
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		if start, end, found := secretIn(line); found {
			column := len([]rune(line[:start])) + 1
			c.find(secretRule, place{at.path, number, column, number, column + len([]rune(line[start:end]))}, "this looks like a password or a token", changeIt+otherWay)
		}
	}
}

// copies checks what is copied from the build context.
func (c *checker) copies(image *image) {
	file := image.target().at.path
	patterns, ignores := c.ignorePatterns(file)
	var matcher *patternmatcher.PatternMatcher
	if ignores {
		matcher, _ = patternmatcher.New(patterns) // a bad pattern is an error of the build
	}
	ignored := func(name string) bool {
		if matcher == nil {
			return false
		}
		match, err := matcher.MatchesOrParentMatches(name)
		return err == nil && match
	}
	missing := false
	skip := c.skipsCopyIgnored(file)
	for _, step := range image.needed() {
		sources, ok := contextSources(step)
		if !ok {
			continue
		}
		for _, source := range sources {
			if strings.Contains(source, "://") || strings.HasPrefix(source, "git@") {
				continue
			}
			at := c.within(step.at, source)
			name := strings.TrimPrefix(path.Clean("/"+source), "/")
			switch {
			case wholeContext(source):
				if !ignores && !missing && c.options.Dir != "" {
					missing = true
					c.find("dockerignore-missing", step.at, "all of the directory is copied, and there is no .dockerignore",
						"add a .dockerignore with .git, .env, .venv, tests, and what else the image does not need")
				}
				if step.stage.inImage {
					c.secretsAlong(step.at, ignored)
				}
			case isSecretFile(name) && step.stage.inImage:
				c.find("secret-file-copied", at, source+" holds secrets, which everyone reads who has the image", otherWay)
			case !skip && !strings.ContainsAny(name, "*?[$") && ignored(name):
				c.findings = append(c.findings, Finding{
					Rule: linter.RuleCopyIgnoredFile.Name, Severity: severityOf(linter.RuleCopyIgnoredFile.Name), URL: linter.RuleCopyIgnoredFile.URL,
					Message: maskTokens(linter.RuleCopyIgnoredFile.Format(strings.ToUpper(step.command.Name()), source)),
					Path:    at.path, Line: at.line, Column: at.column, EndLine: at.endLine, EndColumn: at.endColumn,
				})
			}
		}
	}
}

// secretsAlong finds files with secrets that a copy of the whole directory takes.
func (c *checker) secretsAlong(at place, ignored func(string) bool) {
	for _, name := range []string{".env", ".env.local", ".env.production", ".netrc", ".pypirc", "id_rsa", "id_ed25519", "credentials.json"} {
		if _, ok := c.file(name); ok && !ignored(name) {
			c.find("secret-file-copied", at, name+" is copied with all of the directory, and everyone reads it who has the image", "add a line "+name+" to .dockerignore")
		}
	}
}

// isSecretFile says whether a file is known to hold secrets.
func isSecretFile(name string) bool {
	base := path.Base(name)
	if slices.Contains([]string{
		".netrc", ".pypirc", ".git-credentials", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".ssh", ".aws", "credentials.json", ".htpasswd",
	}, base) {
		return true
	}
	if rest, ok := strings.CutPrefix(base, ".env"); ok {
		for _, harmless := range []string{"example", "sample", "template", "dist", "default", "test", "ci"} {
			if strings.Contains(rest, harmless) {
				return false
			}
		}
		return rest == "" || rest[0] == '.' || rest == "*"
	}
	return false
}

// ignorePatterns returns those of the Dockerfile's own ignore file, or of the
// directory's.
func (c *checker) ignorePatterns(dockerfile string) ([]string, bool) {
	if c.options.Ignore != nil {
		patterns, err := ignorefile.ReadAll(bytes.NewReader(c.options.Ignore))
		return patterns, err == nil
	}
	for _, name := range []string{dockerfile + ".dockerignore", ".dockerignore"} {
		if content, ok := c.file(name); ok {
			patterns, err := ignorefile.ReadAll(bytes.NewReader(content))
			return patterns, err == nil
		}
	}
	return nil, false
}

// skipsCopyIgnored says whether the Dockerfile's check directive leaves out the
// check that BuildKit makes with the build context alone.
func (c *checker) skipsCopyIgnored(file string) bool {
	text := strings.Join(c.sources[file].lines, "\n")
	value, _, _, ok := parser.ParseDirective("check", []byte(text))
	if !ok {
		return false
	}
	config, err := linter.ParseLintOptions(value)
	return err == nil && (config.SkipAll || slices.Contains(config.SkipRules, linter.RuleCopyIgnoredFile.Name))
}
