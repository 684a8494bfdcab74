package release

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// tree holds what must be known of a kustomization, and of those it builds on, before kustomize
// reads them: that it fetches nothing, that its manifests can be read, and which of its text is
// secret.
type tree struct {
	secrets []string
	seen    map[string]bool
}

// walk reads the kustomization in directory. It leaves it to kustomize to report what cannot be
// read or parsed.
func (t *tree) walk(directory string) error { //nolint:gocognit // a switch over the fields of a kustomization
	directory = filepath.Clean(directory)
	if t.seen == nil {
		t.seen = map[string]bool{}
	}
	if t.seen[directory] {
		return nil
	}
	t.seen[directory] = true
	var kustomization types.Kustomization
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		text, err := os.ReadFile(filepath.Join(directory, name))
		if err != nil {
			continue
		}
		if kustomization.Unmarshal(text) != nil {
			t.hide(string(text)) // kustomize may quote any of it
			return nil           //nolint:nilerr // kustomize reports it better
		}
		break
	}
	kustomization.FixKustomization() // makes bases resources

	// kustomize takes one of these that is not a file for a directory, and one that looks like
	// a repository for one to clone.
	bases := slices.Concat(kustomization.Resources, kustomization.Components, kustomization.Generators,
		kustomization.Transformers, kustomization.Validators)
	for _, path := range bases {
		if strings.Contains(path, "\n") {
			t.hideManifest(path)
			continue
		}
		if remote.MatchString(path) {
			return fmt.Errorf("%s: %s is remote: a release is made of files on this machine", directory, path)
		}
		full := filepath.Join(directory, path)
		if info, err := os.Stat(full); err == nil && info.IsDir() {
			if err := t.walk(full); err != nil {
				return err
			}
			continue
		}
		t.hideFile(full, t.hideManifest)
		if slices.Contains(kustomization.Resources, path) {
			if err := checkFile(full); err != nil {
				return err
			}
		}
	}

	files := slices.Concat(kustomization.Crds, kustomization.Configurations)
	if path, ok := kustomization.OpenAPI["path"]; ok {
		files = append(files, path)
	}
	for _, patch := range slices.Concat(kustomization.Patches, kustomization.PatchesJson6902) { //nolint:staticcheck // deprecated, and still read by kustomize
		files = append(files, patch.Path)
		if patch.Target != nil && patch.Target.Kind == "Secret" {
			t.hide(patch.Patch)
			t.hideFile(filepath.Join(directory, patch.Path), t.hide)
		}
		t.hideManifest(patch.Patch)
	}
	for _, patch := range kustomization.PatchesStrategicMerge { //nolint:staticcheck // deprecated, and still read by kustomize
		if strings.Contains(string(patch), "\n") {
			t.hideManifest(string(patch))
			continue
		}
		files = append(files, string(patch))
	}
	for _, replacement := range kustomization.Replacements {
		files = append(files, replacement.Path)
	}
	for _, generator := range kustomization.ConfigMapGenerator {
		files = append(files, sources(generator.KvPairSources)...)
	}
	for _, generator := range kustomization.SecretGenerator {
		for _, literal := range generator.LiteralSources {
			t.hide(literal)
		}
		for _, path := range sources(generator.KvPairSources) {
			files = append(files, path)
			t.hideFile(filepath.Join(directory, path), t.hide)
		}
	}
	for _, path := range files {
		if remote.MatchString(path) {
			return fmt.Errorf("%s: %s is remote: a release is made of files on this machine", directory, path)
		}
		t.hideFile(filepath.Join(directory, path), t.hideManifest)
	}
	return nil
}

// checkFile refuses a file of manifests that kustomize refuses as well, with file and line. It
// leaves it to kustomize to report a file that cannot be read.
func checkFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil //nolint:nilerr // kustomize reports it
	}
	objects, err := source.Parse(path, text)
	if err != nil {
		return err
	}
	return source.Check(objects)
}

// remote matches what kustomize fetches: URLs, and repositories as git names them. A local file
// with such a name must be written as ./name.
var remote = regexp.MustCompile(`(?i)^(git::|gh:|[^/]*@[^/]*:|(www\.)?github\.com[:/]|[a-z][a-z0-9+.-]*://)|\.git(/|\?|$)|\?(ref|version)=`)

// secretKind matches a manifest of a Secret, YAML or JSON.
var secretKind = regexp.MustCompile(`kind["']?\s*:\s*["']?Secret\b`)

func sources(pairs types.KvPairSources) []string {
	paths := slices.Clone(pairs.EnvSources)
	if pairs.EnvSource != "" {
		paths = append(paths, pairs.EnvSource)
	}
	for _, source := range pairs.FileSources {
		if _, path, ok := strings.Cut(source, "="); ok {
			source = path
		}
		paths = append(paths, source)
	}
	return paths
}

func (t *tree) hideFile(path string, hide func(string)) {
	if text, err := os.ReadFile(path); err == nil {
		hide(string(text))
	}
}

// hideManifest hides the text of a manifest that contains a Secret.
func (t *tree) hideManifest(text string) {
	if secretKind.MatchString(text) {
		t.hide(text)
	}
}

// hide records a text to redact as a whole, by line, and by what follows a key, because
// kustomize quotes any of these. A text that is not YAML cannot be split further.
func (t *tree) hide(text string) {
	t.remember(text)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		t.remember(line)
		key, value, ok := strings.Cut(line, ":")
		if !ok || strings.Contains(key, "=") {
			key, value, ok = strings.Cut(line, "=")
		}
		switch strings.TrimLeft(key, "- ") {
		case "apiVersion", "kind", "name", "namespace", "type":
			continue
		}
		if ok {
			t.remember(strings.Trim(value, " \t\"'*&|>!"))
		}
	}
}

func (t *tree) remember(text string) {
	text = strings.TrimSpace(text)
	// A shorter text is not a secret, and redacting it would leave nothing of an error.
	if len(text) >= 3 && text != "---" {
		t.secrets = append(t.secrets, text)
	}
}

// redact removes the recorded texts from the text of an error.
func (t *tree) redact(text string) string {
	// The longest first, because one text may be a part of another.
	slices.SortFunc(t.secrets, func(a, b string) int { return len(b) - len(a) })
	for _, secret := range t.secrets {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return text
}
