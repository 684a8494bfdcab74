// Package sbom lists what is installed in an image as an SBOM: a CycloneDX document.
package sbom

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
	"github.com/package-url/packageurl-go"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

// MediaType is that of the document, and the artifactType by which the registry keeps it.
const MediaType = "application/vnd.cyclonedx+json"

// Image is what an SBOM says about the image itself.
type Image struct {
	// App is the name of the app, Repository the repository for pods, without a tag.
	App, Repository string
	// Digest is sha256:<hex>.
	Digest string
	// Created is the time in the image's configuration; it may be zero.
	Created time.Time
}

// rootRef and systemRef name the image and its operating system in the document.
const (
	rootRef   = "image"
	systemRef = "system"
)

// New returns the SBOM of an image, as JSON of CycloneDX 1.6: the image, its operating system and
// its packages, with what Python distributions require of each other. The bytes depend only on the
// arguments; version is that of the plugin.
func New(image Image, inventory *inspect.Inventory, version string) ([]byte, error) {
	bom := cdx.NewBOM()
	bom.JSONSchema = ""
	// The same image has the same serial number, and so has a document of the same content.
	bom.SerialNumber = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, []byte(image.Repository+"@"+image.Digest+" "+version)).String()
	bom.Metadata = &cdx.Metadata{
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "kubectl-pyflow", Version: version}}},
		Component: imageComponent(image),
	}
	if image.Created.Unix() > 0 {
		bom.Metadata.Timestamp = image.Created.UTC().Format(time.RFC3339)
	}
	packages := newPackages(inventory)
	components := packages.components()
	if system := inventory.System; system.ID != "" {
		components = append([]cdx.Component{{
			BOMRef: systemRef, Type: cdx.ComponentTypeOS, Name: system.ID, Version: system.Version, Description: system.Name,
		}}, components...)
	}
	bom.Components = &components
	dependencies := packages.dependencies(inventory.System.ID != "")
	bom.Dependencies = &dependencies
	var text bytes.Buffer
	encoder := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON)
	if err := encoder.SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("write the SBOM: %w", err)
	}
	return text.Bytes(), nil
}

func imageComponent(image Image) *cdx.Component {
	qualifiers := packageurl.QualifiersFromMap(map[string]string{"repository_url": image.Repository})
	return &cdx.Component{
		BOMRef: rootRef, Type: cdx.ComponentTypeContainer, Name: image.App, Version: image.Digest,
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: strings.TrimPrefix(image.Digest, "sha256:")}},
		PackageURL: packageurl.NewPackageURL(packageurl.TypeOCI, "", image.App, image.Digest, qualifiers, "").ToString(),
	}
}

// packages are the packages of an image, each with its name in the document.
type packages struct {
	installed []inspect.Installed
	refs      []string
	purls     []string
}

func newPackages(inventory *inspect.Inventory) packages {
	p := packages{installed: inventory.Packages}
	taken := map[string]int{}
	for _, installed := range inventory.Packages {
		purl := purlOf(installed, inventory.System)
		ref := purl
		// A virtual environment may have what the system's Python has as well.
		if taken[purl]++; taken[purl] > 1 {
			ref += "#" + strconv.Itoa(taken[purl])
		}
		p.purls, p.refs = append(p.purls, purl), append(p.refs, ref)
	}
	return p
}

// purlOf returns the package URL of a package.
func purlOf(installed inspect.Installed, system inspect.System) string {
	if installed.Kind == inspect.Python {
		return packageurl.NewPackageURL(packageurl.TypePyPi, "", packaging.NormalizeName(installed.Name), installed.Version, nil, "").ToString()
	}
	kind, distribution := packageurl.TypeDebian, "debian"
	if installed.Kind == inspect.Alpine {
		kind, distribution = packageurl.TypeApk, "alpine"
	}
	if system.ID != "" {
		distribution = system.ID
	}
	qualifiers := map[string]string{}
	if installed.Architecture != "" {
		qualifiers["arch"] = installed.Architecture
	}
	if system.ID != "" && system.Version != "" {
		qualifiers["distro"] = system.ID + "-" + system.Version
	}
	return packageurl.NewPackageURL(kind, distribution, installed.Name, installed.Version, packageurl.QualifiersFromMap(qualifiers), "").ToString()
}

func (p packages) components() []cdx.Component {
	components := []cdx.Component{}
	for i, installed := range p.installed {
		component := cdx.Component{BOMRef: p.refs[i], Type: cdx.ComponentTypeLibrary, Name: installed.Name, Version: installed.Version, PackageURL: p.purls[i]}
		if installed.License != "" {
			component.Licenses = &cdx.Licenses{{License: &cdx.License{Name: installed.License}}}
		}
		components = append(components, component)
	}
	return components
}

// dependencies lists what depends on what: a Python distribution on those that it requires, and
// the image on everything that no other package requires.
func (p packages) dependencies(system bool) []cdx.Dependency {
	byName := map[string][]string{}
	for i, installed := range p.installed {
		if installed.Kind == inspect.Python {
			name := packaging.NormalizeName(installed.Name)
			byName[name] = append(byName[name], p.refs[i])
		}
	}
	required := map[string]bool{}
	var dependencies []cdx.Dependency
	for i, installed := range p.installed {
		var on []string
		for _, name := range installed.Requires {
			for _, ref := range byName[name] {
				if ref != p.refs[i] {
					on, required[ref] = append(on, ref), true
				}
			}
		}
		if len(on) > 0 {
			dependencies = append(dependencies, cdx.Dependency{Ref: p.refs[i], Dependencies: &on})
		}
	}
	top := []string{}
	if system {
		top = append(top, systemRef)
	}
	for _, ref := range p.refs {
		if !required[ref] {
			top = append(top, ref)
		}
	}
	return append([]cdx.Dependency{{Ref: rootRef, Dependencies: &top}}, dependencies...)
}
