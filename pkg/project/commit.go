package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Commit is the state of a directory in git. Its zero value says that there is
// none.
type Commit struct {
	// ID is the commit's full object name.
	ID string
	// Dirty says that the directory differs from it: files that are changed, new
	// and not ignored, or gone.
	Dirty bool
}

// ReadCommit asks git for the commit that a directory has been checked out from.
// Without git, a repository or a commit there is none, which is no error.
func ReadCommit(ctx context.Context, dir string) (Commit, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return Commit{}, nil //nolint:nilerr // there is nothing to ask
	}
	git := func(args ...string) (string, error) {
		// A repository's configuration may name programs; these options keep git
		// from running any, or writing its index.
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

// gitError is git's own refusal.
type gitError struct{ line string }

func (e *gitError) Error() string { return e.line }
