package images

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// Name is the name of an image as a user writes it.
type Name struct {
	// App is empty for an image of any app. Digest is set then.
	App string
	// Tag and Digest are empty for the newest image of App. Digest is sha256: and at least the
	// first seven digits.
	Tag, Digest string
}

var digestName = regexp.MustCompile(`^sha256:[0-9a-f]{7,64}$`)

// ParseName reads APP, APP:TAG, APP@DIGEST or DIGEST.
func ParseName(text string) (Name, error) {
	name := Name{App: text}
	if digestName.MatchString(text) {
		return Name{Digest: text}, nil
	}
	if app, digest, ok := strings.Cut(text, "@"); ok {
		name = Name{App: app, Digest: digest}
		if !digestName.MatchString(digest) {
			return Name{}, fmt.Errorf("%q: %q is not a digest: sha256: and at least seven digits", text, digest)
		}
	} else if app, tag, ok := strings.Cut(text, ":"); ok {
		name = Name{App: app, Tag: tag}
		if tag == "" {
			return Name{}, fmt.Errorf("%q has no tag after the colon", text)
		}
	}
	if name.App == "" || strings.ContainsAny(name.App, "/: ") {
		return Name{}, fmt.Errorf("%q is not of the form APP, APP:TAG, APP@DIGEST or DIGEST", text)
	}
	return name, nil
}

// String returns the name in the form that ParseName reads.
func (n Name) String() string {
	switch {
	case n.App == "":
		return n.Digest
	case n.Tag != "":
		return n.App + ":" + n.Tag
	case n.Digest != "":
		return n.App + "@" + n.Digest
	}
	return n.App
}

// matches reports whether a manifest of the app is the named image, or one of the app's.
func (n Name) matches(manifest *Manifest) bool {
	switch {
	case n.Tag != "":
		return slices.Contains(manifest.Tags, n.Tag)
	case n.Digest != "":
		return strings.HasPrefix(manifest.Digest, n.Digest)
	}
	return manifest.isImage()
}

// UnknownError reports an image that does not exist, and names existing ones.
type UnknownError struct {
	Name      Name
	Namespace string
	// Tags are the tags of the app, the newest image first. Apps are the apps of the namespace.
	Tags, Apps []string
}

func (e *UnknownError) Error() string {
	if e.Name.App != "" && len(e.Tags) == 0 {
		return fmt.Sprintf("app %q has no images in namespace %s", e.Name.App, e.Namespace)
	}
	return fmt.Sprintf("there is no image %s in namespace %s", e.Name, e.Namespace)
}

// suggestions is the number of tags or apps that an UnknownError names.
const suggestions = 5

// Advice names existing images, or how to build one.
func (e *UnknownError) Advice() []string {
	list := func(names []string) string {
		more := ""
		if len(names) > suggestions {
			more = ", …"
		}
		return strings.Join(names[:min(suggestions, len(names))], ", ") + more
	}
	switch {
	case len(e.Tags) > 0:
		return []string{"its newest tags: " + list(e.Tags) + "; all of them: " + display.QuoteCommand("kubectl", "pyflow", "images", e.Name.App)}
	case len(e.Apps) > 0:
		return []string{"apps with images: " + list(e.Apps) + "; all images: kubectl pyflow images"}
	}
	return []string{"to build one: kubectl pyflow build DIRECTORY"}
}

// Find returns the image of that name among repositories that Read filled in, the newest if
// there are several. It returns an UnknownError, with Apps left empty, if there is none, and an
// error if two images have the digits of the digest.
func Find(repositories []*Repository, namespace string, name Name) (*Repository, *Manifest, error) {
	type candidate struct {
		repository *Repository
		manifest   *Manifest
	}
	var found []candidate
	unknown := &UnknownError{Name: name, Namespace: namespace}
	for _, repository := range sorted(repositories) {
		if repository.Kind != Images || name.App != "" && repository.App != name.App {
			continue
		}
		for _, manifest := range repository.Manifests {
			if name.App != "" && manifest.isImage() {
				unknown.Tags = append(unknown.Tags, manifest.Tags...)
			}
			if name.matches(manifest) {
				found = append(found, candidate{repository, manifest})
			}
		}
	}
	if len(found) == 0 {
		return nil, nil, unknown
	}
	if name.Digest != "" {
		for _, other := range found[1:] {
			if other.manifest.Digest != found[0].manifest.Digest {
				return nil, nil, fmt.Errorf("more than one image has a digest that begins with %s: %s", name.Digest, found[0].manifest.Digest+", "+other.manifest.Digest)
			}
		}
	}
	return found[0].repository, found[0].manifest, nil
}
