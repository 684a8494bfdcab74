package pipelinerun

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// fullCommit is how git writes a commit in full, by SHA-1 or SHA-256.
var fullCommit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// BuildKey returns the key of the image that b builds, 32 hexadecimal digits: equal keys
// mean equal images. It covers the content of the source, what is built of it (path,
// Dockerfile, target, build arguments in order), how it is tested, the secrets, and
// version, the version of the build engine. It does not cover what the Dockerfile takes
// from elsewhere, which can change while the Dockerfile does not: the images behind tags
// in FROM, packages that a RUN downloads, the content of Secrets in the cluster. It is
// empty if the content of the source is not known: for git, unless the revision is a
// full commit. It is pure.
func BuildKey(b Build, version string) string {
	source := b.sourceKey()
	if source == nil {
		return ""
	}
	secrets := make([]string, 0, 4*len(b.Secrets))
	for _, secret := range b.Secrets {
		value := sha256.Sum256(secret.Value)
		secrets = append(secrets, secret.ID, secret.Secret, secret.Key, hex.EncodeToString(value[:]))
	}
	// Where layers are cached and base images come from does not change an image.
	parts := [][]string{{version, b.dockerfile()}, source, b.BuildArgs, {b.Target}, secrets}
	if b.Untrusted {
		// No trusted build takes the image of another one.
		parts = append(parts, []string{"untrusted"})
	}
	if b.Test != nil {
		parts = append(parts, append([]string{"test", b.Test.Stage}, b.Test.Command...))
	}
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintln(sum, len(part))
		for _, text := range part {
			fmt.Fprintf(sum, "%d %s\n", len(text), text)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:32]
}

// sourceKey returns what identifies the content of the source; nil if nothing does.
func (b Build) sourceKey() []string {
	switch {
	case b.Git == nil && b.Folder.ContextDigest == "":
		return nil
	case b.Git == nil:
		return []string{"folder", b.Folder.ContextDigest}
	case !fullCommit.MatchString(b.Git.Revision):
		return nil
	}
	return []string{"git", b.Git.URL, b.Git.Revision, strings.Trim(path.Clean(b.Git.Path), "/")}
}
