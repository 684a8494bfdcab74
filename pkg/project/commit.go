package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Commit is the state of a directory in git. The zero value means that there is no commit.
type Commit struct {
	// ID is the full object name of the commit.
	ID string
	// Dirty reports that the directory differs from the commit: files that are changed, new and
	// not ignored, or deleted.
	Dirty bool
}

// ReadCommit returns the commit that a directory is checked out from. It returns the zero
// Commit, and no error, without git, a repository or a commit.
func ReadCommit(ctx context.Context, dir string) (Commit, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return Commit{}, nil //nolint:nilerr // without git there is no commit
	}
	git := func(args ...string) (string, error) {
		// The configuration of a repository may name programs. These options keep git from
		// running any, and from writing its index.
		command := exec.CommandContext(ctx, program, append([]string{ //nolint:gosec // no argument is from outside
			"--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", dir,
		}, args...)...)
		var complaint bytes.Buffer
		command.Stderr = &complaint
		out, err := command.Output()
		var exit *exec.ExitError
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case errors.As(err, &exit):
			line, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
			return "", &gitError{line}
		case err != nil:
			return "", fmt.Errorf("run git: %w", err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	var refused *gitError
	id, err := git("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
	if errors.As(err, &refused) {
		return Commit{}, nil
	}
	if err != nil {
		return Commit{}, err
	}
	changes, err := git("status", "--porcelain", "--untracked-files=normal", "--", ".")
	if err != nil {
		return Commit{}, fmt.Errorf("git status of %s: %w", dir, err)
	}
	return Commit{ID: id, Dirty: changes != ""}, nil
}

// gitError is an error that git reports.
type gitError struct{ line string }

func (e *gitError) Error() string { return e.line }
