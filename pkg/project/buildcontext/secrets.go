package buildcontext

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// SecretFile is a file of the build context whose content is a secret.
type SecretFile struct {
	// Path is relative to the directory, with slashes.
	Path string
	// Line is where the secret starts, from 1, and Kind what it is, as a short phrase.
	Line int
	Kind string
}

// String returns the place and the kind, and never the value.
func (f SecretFile) String() string {
	return quoted(f.Path) + ":" + strconv.Itoa(f.Line) + ": " + f.Kind
}

// SecretsError reports the files that Pack does not pack because their content is a secret: everyone
// who may read the registry or the image could read it.
type SecretsError struct {
	// Files are in the order of the walk, at most 20; More is the number of further ones.
	Files []SecretFile
	More  int
}

// Error returns a line for each file.
func (e *SecretsError) Error() string {
	var text strings.Builder
	if len(e.Files) == 1 && e.More == 0 {
		text.WriteString("a file of the build context holds a secret, which everyone who may read the registry or the image could read:")
	} else {
		fmt.Fprintf(&text, "%d files of the build context hold secrets, which everyone who may read the registry or the image could read:", len(e.Files)+e.More)
	}
	for _, file := range e.Files {
		text.WriteString("\n  " + file.String())
	}
	if e.More > 0 {
		fmt.Fprintf(&text, "\n  and %d more", e.More)
	}
	return text.String()
}

// Advice returns the ways on.
func (e *SecretsError) Advice() []string {
	first := e.Files[0].Path
	return []string{
		"if the build does not need it, exclude it in .dockerignore: /" + first,
		"if a RUN needs it, give it as a secret: --build-secret id=" + secretID(first) + ",src=FILE, and RUN --mount=type=secret,id=" + secretID(first),
		"if the running app needs it, keep it in a Secret: kubectl pyflow env set APP NAME --secret",
		"if it is no secret, or is meant to be in the image: --allow-secret-file " + strconv.Quote(first) + ", or allow-secret-files = [" + strconv.Quote(first) + "] in [tool.kubectl-pyflow.build]",
	}
}

// secretID returns an ID for the secret in a file.
func secretID(name string) string {
	id := strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return r
		}
		return '-'
	}, strings.TrimLeft(path.Base(name), "."))
	if id == "" {
		return "ID"
	}
	return id
}

// add adds a file.
func (e *SecretsError) add(file SecretFile) {
	if len(e.Files) == problemLimit {
		e.More++
		return
	}
	e.Files = append(e.Files, file)
}

func (e *SecretsError) orNil() error {
	if len(e.Files) == 0 {
		return nil
	}
	return e
}

// CheckAllowed checks a pattern of Options.AllowSecrets.
func CheckAllowed(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || pattern == "" || path.IsAbs(pattern) {
		return fmt.Errorf("%q is not the path of a file in the build context, such as config/dev.key or certs/*.pem", pattern)
	}
	return nil
}

// allowed reports whether a file may hold a secret.
func allowed(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		matches, err := path.Match(path.Clean(pattern), name)
		return err == nil && matches
	})
}

// judge stops at a file with a secret, and warns of one that may be one.
func (p *packer) judge(name string, size int64, found secret.Found) {
	switch {
	case found.Kind != "" && allowed(p.allow, name):
		return
	case found.Sure:
		p.secrets.add(SecretFile{Path: name, Line: found.Line, Kind: found.Kind})
	}
	p.warnings.file(name, size, found.Kind)
}
