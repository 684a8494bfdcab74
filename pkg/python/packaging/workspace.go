package packaging

import (
	"path"
	"slices"
	"strings"
)

// UVWorkspace is [tool.uv.workspace]: patterns of the directories of its members, and of those
// that are none.
type UVWorkspace struct {
	Members []string `toml:"members"`
	Exclude []string `toml:"exclude"`
}

// Includes reports whether a directory below the workspace's root is a member, as uv decides:
// a pattern matches one name with each of its own, and ** any number of them.
func (w *UVWorkspace) Includes(dir string) bool {
	matches := func(pattern string) bool {
		return matchNames(strings.Split(path.Clean(pattern), "/"), strings.Split(path.Clean(dir), "/"))
	}
	return slices.ContainsFunc(w.Members, matches) && !slices.ContainsFunc(w.Exclude, matches)
}

// matchNames matches the names of a path with those of a pattern.
func matchNames(pattern, names []string) bool {
	if len(pattern) == 0 {
		return len(names) == 0
	}
	if pattern[0] == "**" {
		for i := range len(names) + 1 {
			if matchNames(pattern[1:], names[i:]) {
				return true
			}
		}
		return false
	}
	if len(names) == 0 {
		return false
	}
	ok, err := path.Match(strings.ReplaceAll(pattern[0], "[!", "[^"), names[0])
	return err == nil && ok && matchNames(pattern[1:], names[1:])
}
