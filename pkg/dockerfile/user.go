package dockerfile

import (
	"strconv"
	"strings"
)

// RunAs is who an image runs as, as far as its Dockerfile tells.
type RunAs struct {
	// User is the number of the user, Group that of the group; Group is negative if USER
	// names none: the image's /etc/passwd decides it.
	User, Group int64
	// Line is that of the USER in the Dockerfile, 0 without one.
	Line int
}

// IsRoot reports whether the user is root.
func (r RunAs) IsRoot() bool { return r.User == 0 }

// RunAs returns who an image of the stage runs as. It is false if only the image can tell:
// the last USER is a name or has a variable without a value, or there is none and the
// stage starts from an image. The name root is user 0 in every image.
func (s *Stage) RunAs() (RunAs, bool) {
	if s.User.Step == nil {
		first := s.Lineage()[0]
		return RunAs{Group: -1}, first.Known && first.Base == "scratch"
	}
	found := RunAs{Group: -1, Line: s.User.Step.Line}
	user, group, grouped := strings.Cut(s.User.Value, ":")
	known := s.User.Known
	if user != "root" {
		found.User, known = number(user, known)
	}
	if grouped && group != "" && found.User != 0 {
		found.Group, known = number(group, known)
	}
	return found, known
}

// number reads the number of a user or a group. Linux has 32 bits for it, and Kubernetes
// takes 31 of them.
func number(text string, known bool) (int64, bool) {
	value, err := strconv.ParseUint(text, 10, 31)
	return int64(value), known && err == nil
}
