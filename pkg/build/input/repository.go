package input

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// ErrCredentials reports the address of a repository that contains credentials, which
// everyone who may read the run could read.
var ErrCredentials = errors.New("the address contains credentials, which everyone could read in the run")

// ErrClear reports the address of a repository that is fetched over a connection that is not
// encrypted, with credentials that everyone on the way could read.
var ErrClear = errors.New("http sends credentials in clear, so name a repository that needs a Secret by https or ssh")

// scpLike matches git's short form of an ssh address.
var scpLike = regexp.MustCompile(`^([A-Za-z0-9._-]+@)?[A-Za-z0-9.-]+:[^/\s@]+(/\S*)?$`)

// RepositoryName checks the address of a repository and returns the last part of its path
// without .git. secret reports that git gets credentials for it. An error does not repeat the
// address, as it may contain a password.
func RepositoryName(address string, secret bool) (string, error) {
	invalid := func(why string) (string, error) {
		return "", fmt.Errorf("%s; write https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH", why)
	}
	repository := ""
	switch parsed, err := url.Parse(address); {
	case strings.HasPrefix(address, "-"):
		return invalid("that is not the address of a repository")
	case !strings.Contains(address, "://"):
		// An @ in the first part of the path: what is before it may be credentials.
		if !scpLike.MatchString(address) {
			return invalid("that is not the address of a repository")
		}
		_, repository, _ = strings.Cut(address, ":")
	case err != nil || parsed.Host == "":
		return invalid("that is not the address of a repository")
	case parsed.Scheme != "https" && parsed.Scheme != "http" && parsed.Scheme != "ssh":
		return invalid("the scheme " + parsed.Scheme + " is not known")
	default:
		if _, has := parsed.User.Password(); has || parsed.User != nil && parsed.Scheme != "ssh" {
			return "", ErrCredentials
		}
		if secret && parsed.Scheme == "http" {
			return "", ErrClear
		}
		repository = parsed.Path
	}
	name := strings.TrimSuffix(path.Base(strings.TrimRight(repository, "/")), ".git")
	if name == "" || name == "." || name == ".." || name == "/" {
		return invalid("the address has no path")
	}
	return name, nil
}
