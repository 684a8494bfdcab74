package lint

import (
	"cmp"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// Rule is a kind of finding.
type Rule struct {
	// ID is its name, in lower case with hyphens; those of BuildKit's checks have the names
	// that BuildKit gives them.
	ID string `json:"id"`
	// Severity is that of all its findings.
	Severity Severity `json:"severity"`
	// Summary is what it requires, in one sentence without a period.
	Summary string `json:"summary"`
	// URL is the page that describes it.
	URL string `json:"url,omitempty"`

	// check returns its findings, in which only place, message and fix are set. It is nil
	// for the rules of other passes: parser, BuildKit and suppression.
	check func(*image, *inputs) []Finding
}

// Rules returns all rules: those of this package by name, then BuildKit's by name.
func Rules() []Rule {
	own, theirs := ownRules(), buildkitRules()
	byID := func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(own, byID)
	slices.SortFunc(theirs, byID)
	return slices.Concat(own, theirs)
}

// findRule returns the rule of an ID. One that only a newer BuildKit has is a warning.
func findRule(id string) Rule {
	rules := Rules()
	if i := slices.IndexFunc(rules, func(rule Rule) bool { return rule.ID == id }); i >= 0 {
		return rules[i]
	}
	return Rule{ID: id, Severity: Warning, Summary: id}
}

// checkRules returns the findings of the rules of this package.
func checkRules(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, rule := range ownRules() {
		if rule.check != nil {
			findings = append(findings, rule.stamp(rule.check(image, in)...)...)
		}
	}
	return findings
}

// stamp makes findings those of the rule. They may repeat words of a file, so secrets are
// masked.
func (r Rule) stamp(findings ...Finding) []Finding {
	for i := range findings {
		f := &findings[i]
		f.Rule, f.Severity, f.URL = r.ID, r.Severity, r.URL
		f.Message, f.Fix = secret.Mask(f.Message), secret.Mask(f.Fix)
	}
	return findings
}

// ownRules returns the rules of this package. Each has a page in the package pages.
func ownRules() []Rule {
	rules := []Rule{
		{ID: "apt-lists-kept", Severity: Warning, Summary: "The RUN that calls apt-get update removes the package lists", check: keptAptLists},
		{ID: "apt-recommends", Severity: Note, Summary: "apt-get installs no recommended packages", check: aptRecommends},
		{ID: "base-image-floating", Severity: Warning, Summary: "A base image has a tag with a minor version, or a digest", check: floatingBases},
		{ID: "base-image-full", Severity: Warning, Summary: "The image that runs starts from a slim base, without compilers", check: fullBases},
		{ID: "base-image-unsupported", Severity: Error, Summary: "Python and distribution of the base image still get security fixes", check: unsupportedBases},
		{ID: "build-tools-left", Severity: Warning, Summary: "Compilers and headers stay in a build stage", check: buildTools},
		{ID: "code-before-dependencies", Severity: Warning, Summary: "Dependencies are installed before the code is copied", check: codeBeforeDependencies},
		{ID: "dev-dependencies-in-image", Severity: Warning, Summary: "Tools for development and tests are not in the image that runs", check: developmentTools},
		{ID: "dockerfile-invalid", Severity: Error, Summary: "The Dockerfile can be built"},
		{ID: "dockerignore-missing", Severity: Warning, Summary: "A Dockerfile that copies the whole directory has a .dockerignore", check: missingIgnoreFile},
		{ID: "ignore-unknown", Severity: Warning, Summary: "A comment that ignores a rule names one that exists"},
		{ID: "indexes-unhashed", Severity: Warning, Summary: "Packages from several indexes have hashes", check: mixedIndexes},
		{ID: "installer-piped-to-shell", Severity: Warning, Summary: "No shell runs a script straight from a download", check: pipedInstallers},
		{ID: "listens-on-localhost", Severity: Warning, Summary: "The server listens on all addresses of its pod", check: localhostServers},
		{ID: "pip-cache-kept", Severity: Warning, Summary: "Installing packages leaves no download cache in the image", check: keptCaches},
		{ID: "pip-upgraded", Severity: Note, Summary: "pip stays the one of the base image, or has a version", check: upgradedPip},
		{ID: "reload-in-production", Severity: Error, Summary: "The image runs no development server, no reloader and no debug mode", check: developmentServers},
		{ID: "requirements-unhashed", Severity: Note, Summary: "Requirements have hashes", check: unhashedRequirements},
		{ID: "requirements-unpinned", Severity: Warning, Summary: "Every installed package has an exact version", check: unpinnedRequirements},
		{ID: "root-user", Severity: Warning, Summary: "The image does not run as root", check: rootUser},
		{ID: "secret-file-copied", Severity: Warning, Summary: "Files that hold secrets are not copied into the image", check: copiedSecrets},
		{ID: "secret-in-arg-or-env", Severity: Error, Summary: "No secret is in the Dockerfile, in an ARG or in an ENV", check: writtenSecrets},
		{ID: "shell-form-entrypoint", Severity: Warning, Summary: "The server starts without a shell around it", check: shellForm},
		{ID: "single-worker", Severity: Note, Summary: "A synchronous gunicorn has more than one worker or thread", check: singleWorker},
		{ID: "user-by-name", Severity: Note, Summary: "The user is a number, as runAsNonRoot requires", check: userByName},
		{ID: "workers-in-container", Severity: Note, Summary: "An ASGI server runs one process per container", check: manyWorkers},
	}
	for i := range rules {
		rules[i].URL = pageURL(rules[i].ID)
	}
	return rules
}

// pageURL returns where the page of a rule of this package is.
func pageURL(id string) string {
	return "https://github.com/pyflow-dev/kubectl-pyflow/blob/main/pkg/dockerfile/lint/pages/" + id + ".md"
}
