package packaging

import (
	"fmt"
	"maps"
	"slices"
)

// PythonRange is a statement about the versions of Python that a project or a lock is
// for.
type PythonRange struct {
	// Specifier is the range; empty if Text names a version.
	Specifier Specifier
	// Text is the range as it is written.
	Text string
	// Position is where it is written.
	Position Position
}

// Lock is a lock file.
type Lock struct {
	// File is its name.
	File string
	// Packages are all packages that it has, by normalized name, without the project
	// itself. Of several versions for several platforms it is the last.
	Packages map[string]LockedPackage
	// Python is the range that the lock was made for; nil if it does not say.
	Python *PythonRange
	// Hashed reports that every package that is installed has a hash.
	Hashed bool
}

// LockedPackage is a package of a lock.
type LockedPackage struct {
	Version string
	// Needs are the packages that it needs, and Extras by extra those that an extra
	// adds.
	Needs  []Requirement
	Extras map[string][]Requirement
	// URL is the repository that it is from, Path its place beside the project; both
	// are empty if it is from an index.
	URL, Path string
	// Dev reports that only the development of the project needs it, as far as the lock
	// says.
	Dev bool
}

// LockError reports a lock that does not match the file that it was made of.
type LockError struct {
	// Manifest and Lock are the two files.
	Manifest, Lock string
	// Problem is the first difference, as a clause.
	Problem string
	// Command writes the lock again.
	Command string
}

// Error names both files, the difference and the command.
func (e *LockError) Error() string {
	return fmt.Sprintf("%s does not match %s: %s; run %s", e.Lock, e.Manifest, e.Problem, e.Command)
}

// Reach returns the packages that are installed for requirements in an image, by name.
func (l *Lock) Reach(requirements []Requirement) map[string]LockedPackage {
	found := map[string]LockedPackage{}
	seen, linux := map[string]bool{}, Linux()
	queue := slices.Clone(requirements)
	for len(queue) > 0 {
		one := queue[0]
		queue = queue[1:]
		locked, ok := l.Packages[one.Name]
		if !ok || one.Marker.Excludes(linux) {
			continue
		}
		if _, known := found[one.Name]; !known {
			found[one.Name] = locked
			queue = append(queue, locked.Needs...)
		}
		for _, extra := range one.Extras {
			if key := one.Name + "[" + extra + "]"; !seen[key] {
				seen[key] = true
				queue = append(queue, locked.Extras[extra]...)
			}
		}
	}
	return found
}

// Unmet returns a clause about the first requirement that no package of the lock
// satisfies, or nothing.
func (l *Lock) Unmet(requirements []Requirement) string {
	for _, one := range requirements {
		locked, ok := l.Packages[one.Name]
		switch {
		case !ok && one.Marker == "":
			return fmt.Sprintf("%s is not in it", one.Name)
		case ok && one.URL == "" && !one.Specifier.Allows(locked.Version):
			return fmt.Sprintf("it has %s %s, which is not %s", one.Name, locked.Version, one.Specifier)
		}
	}
	return ""
}

// difference returns a clause about the first name that one set has and the other
// does not, or nothing.
func difference(want, got map[string]bool, lock, manifest string) string {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !got[key] {
			return fmt.Sprintf("%s is in %s only", key, manifest)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if !want[key] {
			return fmt.Sprintf("%s is in %s only", key, lock)
		}
	}
	return ""
}
