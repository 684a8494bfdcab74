package inspect

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// Inventory is what an image says is installed in it.
type Inventory struct {
	System System
	// Packages are sorted by kind, name and version, also those without a file.
	Packages []Installed
}

// System is the operating system of an image, as os-release(5) has it. It is empty for an image
// that has no such file.
type System struct {
	// ID is a word such as debian, Version a number such as 13; Version may be empty.
	ID, Version string
	// Name is for people: "Debian GNU/Linux 13 (trixie)".
	Name string
}

// Installed is a package in an Inventory.
type Installed struct {
	// Name, Version and Kind are those of Package.
	Name, Version, Kind string
	// Architecture is that of a package of the system: amd64, all. It may be empty.
	Architecture string
	// License is what a Python distribution says, an SPDX expression or a name; may be empty.
	License string
	// Requires are the normalized names of what a Python distribution requires without an extra,
	// sorted, each once. A requirement for other systems or Pythons is among them.
	Requires []string
}

// NewInventory returns what is installed in an image. It is pure. Errors hold ErrListing.
func NewInventory(image Image, listing *Listing) (*Inventory, error) {
	var t tree
	for number, layer := range image.Manifest.Layers {
		files, err := listing.layer(layer.Digest)
		if err != nil {
			return nil, err
		}
		t.add(number, files)
	}
	inventory := &Inventory{System: t.system()}
	for _, p := range newOwners(&t).packages {
		inventory.Packages = append(inventory.Packages, Installed{
			Name: p.Name, Version: p.Version, Kind: p.Kind,
			Architecture: p.architecture, License: p.license, Requires: p.requires,
		})
	}
	slices.SortFunc(inventory.Packages, func(a, b Installed) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	return inventory, nil
}

// system reads os-release(5). The file in etc wins, but usually it is a link.
func (t *tree) system() System {
	var s System
	for _, name := range []string{"usr/lib/os-release", "etc/os-release"} {
		file := t.find(name, false)
		if file == nil {
			continue
		}
		for _, line := range file.lines {
			key, value, _ := strings.Cut(line, "=")
			value = strings.Trim(strings.TrimSpace(value), `"'`)
			switch key {
			case "ID":
				s.ID = value
			case "VERSION_ID":
				s.Version = value
			case "PRETTY_NAME":
				s.Name = value
			}
		}
	}
	return s
}

// longestLicense is the length up to which a field License is a name: it may be the whole text.
const longestLicense = 60

// about returns the license of a distribution and what it requires, from the header of its
// METADATA.
func about(metadata []string) (license string, requires []string) {
	for _, line := range metadata {
		if value, ok := field(line, "License-Expression"); ok {
			license = value
		}
		if value, ok := field(line, "License"); ok && license == "" && len(value) <= longestLicense {
			license = value
		}
		value, ok := field(line, "Requires-Dist")
		if !ok {
			continue
		}
		requirement, ok := packaging.ParseRequirement(value)
		if ok && !strings.Contains(string(requirement.Marker), "extra") {
			requires = append(requires, requirement.Name)
		}
	}
	slices.Sort(requires)
	return license, slices.Compact(requires)
}
