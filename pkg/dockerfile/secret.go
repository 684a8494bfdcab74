package dockerfile

import (
	"path"
	"slices"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// SecretMount is a secret that RUNs mount.
type SecretMount struct {
	// ID is the name by which a build gives it.
	ID string
	// Variable is the environment variable that one of the RUNs gets it in; empty for a
	// file.
	Variable string
	// Required reports that a RUN fails without it.
	Required bool
	// Line is that of the first RUN that requires it, else that mounts it.
	Line int
}

// Secrets returns the secrets that the stages mount which the targets need, in the order of
// the file, each ID once. A target is one of Target.
func (d *Dockerfile) Secrets(targets ...string) []SecretMount {
	var found []SecretMount
	for i, needed := range d.Needed(targets...) {
		if !needed {
			continue
		}
		for _, step := range d.Stages[i].Steps {
			for _, mount := range step.Mounts {
				found = addSecret(found, mount, step.Line)
			}
		}
	}
	return found
}

// addSecret adds the secret of a mount.
func addSecret(found []SecretMount, mount *instructions.Mount, line int) []SecretMount {
	one := SecretMount{ID: secretID(mount), Required: mount.Required, Line: line}
	if mount.Type != instructions.MountTypeSecret || one.ID == "" {
		return found
	}
	if mount.Env != nil {
		one.Variable = *mount.Env
	}
	i := slices.IndexFunc(found, func(other SecretMount) bool { return other.ID == one.ID })
	switch {
	case i < 0:
		return append(found, one)
	case one.Required && !found[i].Required:
		found[i].Required, found[i].Line = true, line
	}
	if found[i].Variable == "" {
		found[i].Variable = one.Variable
	}
	return found
}

// secretID returns the ID of a secret: without one, it is the last part of the target.
func secretID(mount *instructions.Mount) string {
	switch {
	case mount.Source != "":
		return mount.Source
	case mount.CacheID != "":
		return mount.CacheID
	case mount.Target != "":
		return path.Base(mount.Target)
	}
	return ""
}
