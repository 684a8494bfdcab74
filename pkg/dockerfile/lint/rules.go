package lint

// Rule is a kind of finding.
type Rule struct {
	// ID is its name, in lower case with hyphens; those of BuildKit's checks are
	// theirs.
	ID string `json:"id"`
	// Severity is that of all its findings.
	Severity Severity `json:"severity"`
	// Summary is what it asks for, in one sentence without a period.
	Summary string `json:"summary"`
	// URL is the page that says more.
	URL string `json:"url,omitempty"`
}

// Rules returns all rules: those of this package by name, then BuildKit's by name.
func Rules() []Rule {
	var rules []Rule
	for _, group := range [][]Rule{ownRules(), buildkitRules()} {
		index := byID(group)
		for _, id := range names(group) {
			rules = append(rules, index[id])
		}
	}
	return rules
}

// severityOf returns the severity of a rule; one that a newer BuildKit has is a
// warning.
func severityOf(id string) Severity {
	for _, rules := range [][]Rule{ownRules(), buildkitRules()} {
		if rule, ok := byID(rules)[id]; ok {
			return rule.Severity
		}
	}
	return Warning
}

// pageURL is where the page of a rule of ours is read.
func pageURL(id string) string {
	return "https://github.com/pyflow-dev/kubectl-pyflow/blob/main/pkg/dockerfile/lint/pages/" + id + ".md"
}

// ownRules are the rules of this package. Each has a page in pkg/dockerfile/lint/pages.
func ownRules() []Rule {
	rules := []Rule{
		{ID: "apt-lists-kept", Severity: Warning, Summary: "The RUN that calls apt-get update removes the package lists"},
		{ID: "apt-recommends", Severity: Note, Summary: "apt-get installs what is named, without the packages it recommends"},
		{ID: "base-image-floating", Severity: Warning, Summary: "A base image is named by a tag with a minor version, or by digest"},
		{ID: "base-image-full", Severity: Warning, Summary: "The image that runs starts from a slim base, not from the one with compilers"},
		{ID: "base-image-unsupported", Severity: Error, Summary: "Python and distribution of the base image still get security fixes"},
		{ID: "build-tools-left", Severity: Warning, Summary: "Compilers and headers stay in a build stage"},
		{ID: "code-before-dependencies", Severity: Warning, Summary: "Dependencies are installed before the code is copied"},
		{ID: "dev-dependencies-in-image", Severity: Warning, Summary: "Tools for development and tests are not in the image that runs"},
		{ID: "dockerfile-invalid", Severity: Error, Summary: "The Dockerfile can be built as it is written"},
		{ID: "dockerignore-missing", Severity: Warning, Summary: "A Dockerfile that copies the whole directory has a .dockerignore"},
		{ID: "ignore-unknown", Severity: Warning, Summary: "A comment that ignores a rule names one that exists"},
		{ID: "installer-piped-to-shell", Severity: Warning, Summary: "What is downloaded is not run unseen by a shell"},
		{ID: "listens-on-localhost", Severity: Warning, Summary: "The server listens on all addresses of its pod"},
		{ID: "pip-cache-kept", Severity: Warning, Summary: "Installing packages leaves no download cache in the image"},
		{ID: "pip-upgraded", Severity: Note, Summary: "pip stays the one of the base image, or has a version"},
		{ID: "reload-in-production", Severity: Error, Summary: "The image runs no development server, no reloader and no debug mode"},
		{ID: "requirements-unhashed", Severity: Note, Summary: "Requirements have hashes"},
		{ID: "requirements-unpinned", Severity: Warning, Summary: "What is installed has an exact version"},
		{ID: "root-user", Severity: Warning, Summary: "The image runs as another user than root"},
		{ID: "secret-file-copied", Severity: Warning, Summary: "Files that hold secrets are not copied into the image"},
		{ID: "secret-in-arg-or-env", Severity: Error, Summary: "No secret is in the Dockerfile, in an ARG or in an ENV"},
		{ID: "shell-form-entrypoint", Severity: Warning, Summary: "The server is started without a shell around it"},
		{ID: "single-worker", Severity: Note, Summary: "A synchronous gunicorn has more than one worker or thread"},
		{ID: "user-by-name", Severity: Note, Summary: "The user is a number, as runAsNonRoot needs it"},
		{ID: "workers-in-container", Severity: Note, Summary: "An ASGI server runs one process per container"},
	}
	for i := range rules {
		rules[i].URL = pageURL(rules[i].ID)
	}
	return rules
}
