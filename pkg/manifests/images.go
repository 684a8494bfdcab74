package manifests

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// tags pins every image that the manifests name without a tag to the release that it
// was tested with. Tags and not digests: a mirror that copies an image for one platform
// changes its digest.
var tags = map[string]string{
	shellImage:                          "v2.49.1",
	"docker.io/library/caddy":           "2.11.7",
	"docker.io/library/registry":        "3.1.2",
	"gcr.io/go-containerregistry/crane": "v0.22.1",
	engineImage:                         "v1.27.5",
	"registry.k8s.io/kubectl":           "v1.36.3",
}

// shellImage has a shell, and git.
const shellImage = "docker.io/alpine/git"

// ShellImage is the image of the Tasks that has a shell, as mirrors have it.
func ShellImage(mirrors []Mirror) string {
	return redirect(shellImage+":"+tags[shellImage], mirrors)
}

const engineImage = "ghcr.io/osscontainertools/kaniko"

// Engine is the version of the build engine that the Tasks run.
func Engine() string { return tags[engineImage] }

// Mirror redirects images: a reference that starts with Prefix is fetched from
// Host, with Path in place of Prefix.
type Mirror struct {
	// Prefix is a registry, or a registry and the first segments of a
	// repository: docker.io, docker.io/library/python.
	Prefix string `json:"prefix"`
	// Host is the mirror's host[:port].
	Host string `json:"host"`
	// Path is what stands before the rest of the repository on the mirror; may
	// be empty.
	Path string `json:"path,omitempty"`
	// Insecure reports that the mirror speaks plain HTTP.
	Insecure bool `json:"insecure,omitempty"`
}

// ParseMirror reads PREFIX=MIRROR, where MIRROR is [http://|https://]host[:port][/path].
func ParseMirror(s string) (Mirror, error) {
	prefix, target, ok := strings.Cut(s, "=")
	invalid := func(why string) (Mirror, error) {
		return Mirror{}, fmt.Errorf("image mirror %q: %s; write PREFIX=MIRROR, for example docker.io=mirror.example.com/docker.io", secret.Redact(s), why)
	}
	if !ok || prefix == "" || target == "" {
		return invalid("not of the form PREFIX=MIRROR")
	}
	if !strings.Contains(target, "://") {
		target = "https://" + target
	}
	parsed, err := url.Parse(target)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" ||
		parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
		return invalid("the mirror is not host[:port][/path]")
	}
	prefix = strings.TrimSuffix(prefix, "/")
	if registry, _, _ := strings.Cut(prefix, "/"); !strings.ContainsAny(registry, ".:") && registry != "localhost" {
		return invalid("the prefix does not start with a registry's host")
	}
	return Mirror{
		Prefix:   prefix,
		Host:     parsed.Host,
		Path:     strings.Trim(parsed.Path, "/"),
		Insecure: parsed.Scheme == "http",
	}, nil
}

// String is the form that ParseMirror reads.
func (m Mirror) String() string {
	scheme := ""
	if m.Insecure {
		scheme = "http://"
	}
	return m.Prefix + "=" + scheme + m.location()
}

func (m Mirror) location() string {
	if m.Path == "" {
		return m.Host
	}
	return m.Host + "/" + m.Path
}

// Registry returns the mirror of the whole registry that Prefix belongs to:
// registry host and the place on the mirror that stands for it. It is for tools
// that redirect by registry only; ok is false when Path does not end with
// Prefix's own path, so that no such place exists.
func (m Mirror) Registry() (registry, location string, ok bool) {
	registry, path, _ := strings.Cut(m.Prefix, "/")
	if path == "" {
		return registry, m.location(), true
	}
	base, found := strings.CutSuffix("/"+m.Path, "/"+path)
	if !found {
		return "", "", false
	}
	return registry, m.Host + base, true
}

// redirect returns the reference that mirrors make of an image reference.
func redirect(image string, mirrors []Mirror) string {
	location, _ := Redirect(image, mirrors)
	return location
}

// Redirect returns the reference that mirrors make of an image reference with its registry:
// the longest matching prefix wins. insecure reports that the mirror speaks plain HTTP.
func Redirect(image string, mirrors []Mirror) (location string, insecure bool) {
	best := Mirror{}
	for _, mirror := range mirrors {
		rest, ok := strings.CutPrefix(image, mirror.Prefix)
		if ok && len(mirror.Prefix) > len(best.Prefix) && (rest == "" || strings.ContainsRune("/:@", rune(rest[0]))) {
			best = mirror
		}
	}
	if best.Prefix == "" {
		return image, false
	}
	return best.location() + strings.TrimPrefix(image, best.Prefix), best.Insecure
}

// setImages pins and redirects every image that object runs.
func setImages(object *unstructured.Unstructured, mirrors []Mirror) error {
	return visitImages(object, func(image string) (string, error) {
		pinned, err := pin(image)
		return redirect(pinned, mirrors), err
	})
}

// Images lists every image that the objects run, sorted, each once: what a
// cluster without access to public registries has to mirror.
func Images(objects []*unstructured.Unstructured) []string {
	seen := map[string]bool{}
	for _, object := range objects {
		// The visitor keeps every image and fails nowhere.
		_ = visitImages(object, func(image string) (string, error) {
			seen[image] = true
			return image, nil
		})
	}
	return slices.Sorted(maps.Keys(seen))
}

// visitImages replaces every image that a workload or a Task names by what visit
// makes of it: the image fields of containers and steps, and the images in the arguments of
// Tekton's controller, each after a flag that ends in -image or
// -image-win.
func visitImages(object *unstructured.Unstructured, visit func(string) (string, error)) error {
	var walk func(value any, isImage bool) (any, error)
	walk = func(value any, isImage bool) (any, error) {
		var err error
		switch value := value.(type) {
		case string:
			// A run sets the image that a parameter names.
			if isImage && !strings.HasPrefix(value, "$(params.") {
				return visit(value)
			}
		case map[string]any:
			for key, item := range value {
				if value[key], err = walk(item, key == "image"); err != nil {
					return nil, err
				}
			}
		case []any:
			for i, item := range value {
				if value[i], err = walk(item, i > 0 && isImageFlag(value[i-1])); err != nil {
					return nil, err
				}
			}
		}
		return value, nil
	}
	switch object.GetKind() {
	case "Deployment", "StatefulSet", "DaemonSet", "Task":
		_, err := walk(object.Object["spec"], false)
		return err
	}
	return nil
}

func isImageFlag(value any) bool {
	flag, _ := value.(string)
	// The shell's image has a variant for Windows nodes.
	return strings.HasPrefix(flag, "-") && strings.HasSuffix(strings.TrimSuffix(flag, "-win"), "-image")
}

// pin adds the tag of an image that is named without one.
func pin(image string) (string, error) {
	if tag, ok := tags[image]; ok {
		return image + ":" + tag, nil
	}
	if _, err := name.ParseReference(image, name.StrictValidation); err != nil {
		return "", fmt.Errorf("image %q has no pinned tag: %w", image, err)
	}
	return image, nil
}
