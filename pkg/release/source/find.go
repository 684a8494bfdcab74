package source

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// ErrTwo reports two directories of manifests where one is expected.
var ErrTwo = errors.New("name one with --manifests")

// Kind is how the manifests in a directory are written.
type Kind string

// The kinds.
const (
	// Kustomization is a directory with a kustomization file.
	Kustomization Kind = "kustomization"
	// Chart is a Helm chart: a directory with a Chart.yaml.
	Chart Kind = "chart"
	// Plain is a directory of manifests as kubectl apply -f takes it.
	Plain Kind = "manifests"
)

// maxImages is how many images a sentence names.
const maxImages = 3

// KindOf returns what a directory holds. A directory that is nothing else is Plain, whether or
// not it has manifests. It returns an error if there is no such directory.
func KindOf(dir string) (Kind, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("manifests: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("manifests: %s is not a directory", dir)
	}
	return kindIn(os.DirFS(dir), ".")
}

// kindIn returns the kind of a directory of a file system.
func kindIn(files fs.FS, dir string) (Kind, error) {
	for _, known := range []struct {
		kind  Kind
		names []string
	}{
		{Kustomization, []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}},
		{Chart, []string{"Chart.yaml"}},
	} {
		for _, name := range known.names {
			info, err := fs.Stat(files, path.Join(dir, name))
			switch {
			case err == nil && !info.IsDir():
				return known.kind, nil
			case err != nil && !errors.Is(err, fs.ErrNotExist):
				return "", fmt.Errorf("look for manifests: %w", err)
			}
		}
	}
	return Plain, nil
}

// Found is what the folder of a project has to deploy.
type Found struct {
	// Dir is relative to the folder, with slashes; empty if there is none. Kind is its kind.
	Dir  string
	Kind Kind
	// Name is the name of the app among those given to Find that its containers run; empty if
	// the files name none of them as an image.
	Name string
	// Notes are clauses about directories that have manifests and are not used.
	Notes []string
}

// Find looks for the manifests of an app in the folder of its project: in deploy, k8s,
// manifests and kubernetes, and for a chart in chart, helm, and charts and helm below the name
// of the app, too. names are what the app may be called, the most likely first. Plain manifests
// count only if one of names is the image of a container, because such a directory may hold
// anything. It fetches nothing and runs nothing. An error holds ErrTwo if there are two.
func Find(folder string, names ...string) (Found, error) {
	s := &search{files: os.DirFS(folder), names: names}
	for _, dir := range []string{"deploy", "k8s", "manifests", "kubernetes"} {
		if err := s.look(dir, false); err != nil {
			return Found{}, err
		}
	}
	charts := []string{"chart", "helm"}
	for _, parent := range []string{"charts", "helm"} {
		for _, name := range names {
			charts = append(charts, path.Join(parent, name))
		}
	}
	for _, dir := range charts {
		if err := s.look(dir, true); err != nil {
			return Found{}, err
		}
	}
	switch len(s.found) {
	case 0:
		others := s.others()
		if len(others) > 0 {
			s.notes = append(s.notes, fmt.Sprintf("not used: %s; name one with --manifests", strings.Join(others, ", ")))
		}
		return Found{Notes: s.notes}, nil
	case 1:
		s.found[0].Notes = s.notes
		return s.found[0], nil
	}
	return Found{}, fmt.Errorf("%s: both %s and %s have manifests of the app: %w", folder, s.found[0].Dir, s.found[1].Dir, ErrTwo)
}

// Named returns the first of the names that the files in a directory of manifests name as an
// image; empty if they name none of them.
func Named(dir string, names ...string) string {
	s := &search{files: os.DirFS(dir), names: names}
	return s.named(s.imagesBelow("."))
}

// search looks through the folder of a project.
type search struct {
	files fs.FS
	names []string
	found []Found
	notes []string
}

// look adds a directory to those found if it has manifests of the app.
func (s *search) look(dir string, chartOnly bool) error {
	info, err := fs.Stat(s.files, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look for manifests: %w", err)
	case !info.IsDir():
		return nil // such as a script named deploy
	}
	kind, err := kindIn(s.files, dir)
	if err != nil {
		return err
	}
	switch {
	case kind == Chart && isLibrary(s.files, dir), chartOnly && kind != Chart:
		return nil
	case kind != Plain:
		s.found = append(s.found, Found{Dir: dir, Kind: kind, Name: s.named(s.imagesBelow(dir))})
		return nil
	}
	images, manifests, err := s.imagesIn(dir)
	if err != nil || !manifests {
		return err
	}
	if name := s.named(images); name != "" {
		s.found = append(s.found, Found{Dir: dir, Kind: kind, Name: name})
		return nil
	}
	note := fmt.Sprintf("not used: %s, because no container there runs `image: %s`", dir, s.names[0])
	if len(images) > 0 {
		note += ", only " + join(images)
	}
	s.notes = append(s.notes, note)
	return nil
}

// named returns the first of the names that is the repository of an image.
func (s *search) named(images []string) string {
	for _, name := range s.names {
		if slices.ContainsFunc(images, func(image string) bool { return Repository(image) == name }) {
			return name
		}
	}
	return ""
}

// imagesIn returns the images in the plain manifests of a directory, sorted, and whether it has
// any manifest.
func (s *search) imagesIn(dir string) (images []string, manifests bool, err error) {
	entries, err := fs.ReadDir(s.files, dir)
	if err != nil {
		return nil, false, fmt.Errorf("look for manifests: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() || !isManifestFile(entry.Name()) {
			continue
		}
		text, err := fs.ReadFile(s.files, path.Join(dir, entry.Name()))
		if err != nil {
			continue // it is reported if the directory is deployed
		}
		if apiVersionLine.Match(text) && kindLine.Match(text) {
			manifests = true
			images = append(images, imagesOf(text)...)
		}
	}
	slices.Sort(images)
	return slices.Compact(images), manifests, nil
}

// imagesBelow returns what a kustomization or a chart may name as an image, in all of its files.
// What cannot be read is reported when it is rendered.
func (s *search) imagesBelow(dir string) []string {
	var images []string
	_ = fs.WalkDir(s.files, dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isManifestFile(entry.Name()) {
			return nil //nolint:nilerr // the others count
		}
		if text, err := fs.ReadFile(s.files, name); err == nil {
			images = append(images, imagesOf(text)...)
		}
		return nil
	})
	return images
}

// others returns kustomizations and charts that are below the usual directories, so that only
// the user can say which of them to deploy.
func (s *search) others() []string {
	const depth = 2
	var found []string
	for _, top := range []string{"deploy", "k8s", "manifests", "kubernetes", "charts", "helm"} {
		// What cannot be read is not offered.
		_ = fs.WalkDir(s.files, top, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return nil //nolint:nilerr // it is not offered
			}
			if strings.Count(name, "/") > depth {
				return fs.SkipDir
			}
			kind, err := kindIn(s.files, name)
			if err != nil || kind == Plain {
				return nil //nolint:nilerr // it is not offered
			}
			found = append(found, name)
			if kind == Chart {
				return fs.SkipDir
			}
			return nil
		})
	}
	return found
}

// isLibrary reports whether a chart is one that others use, and that renders nothing itself.
func isLibrary(files fs.FS, dir string) bool {
	text, err := fs.ReadFile(files, path.Join(dir, "Chart.yaml"))
	return err == nil && libraryLine.Match(text)
}

// isManifestFile reports whether kubectl apply -f takes a file of the name.
func isManifestFile(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

var (
	libraryLine    = regexp.MustCompile(`(?m)^type\s*:\s*["']?library\b`)
	apiVersionLine = regexp.MustCompile(`(?m)^apiVersion\s*:|"apiVersion"\s*:`)
	kindLine       = regexp.MustCompile(`(?m)^kind\s*:|"kind"\s*:`)
	// imageField matches where manifests, and the values of a chart, name an image.
	imageField = regexp.MustCompile(`\b(?:image|repository)["']?\s*:\s*["']?([^\s"',}\]]+)`)
)

// imagesOf returns the images that a text names.
func imagesOf(text []byte) []string {
	var images []string
	for line := range bytes.Lines(text) {
		if comment := bytes.IndexByte(line, '#'); comment == 0 || comment > 0 && line[comment-1] == ' ' {
			line = line[:comment]
		}
		for _, match := range imageField.FindAllSubmatch(line, -1) {
			images = append(images, string(match[1]))
		}
	}
	return images
}

// Repository returns an image reference without tag and digest.
func Repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		return image[:colon]
	}
	return image
}

// join returns the first images as a phrase.
func join(images []string) string {
	if len(images) > maxImages {
		return fmt.Sprintf("%s and %d more", strings.Join(images[:maxImages], ", "), len(images)-maxImages)
	}
	return strings.Join(images, ", ")
}
