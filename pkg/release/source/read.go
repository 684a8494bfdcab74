// Package source finds and reads the manifests that a project has: it tells a kustomization, a
// Helm chart and plain YAML apart, and reads plain YAML as kubectl does.
package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Object is a manifest, and where it is.
type Object struct {
	*unstructured.Unstructured
	// File is the path as it was given to Read or Parse, Line the first line of the manifest.
	File string
	Line int
}

// Where returns FILE:LINE.
func (o Object) Where() string { return fmt.Sprintf("%s:%d", o.File, o.Line) }

// String returns KIND/NAME.
func (o Object) String() string { return o.GetKind() + "/" + o.GetName() }

// Error is a mistake in a manifest.
type Error struct {
	File string
	// Line counts from 1.
	Line int
	Err  error
}

// Error returns FILE:LINE: and the cause.
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func errorAt(file string, line int, format string, args ...any) *Error {
	return &Error{File: file, Line: line, Err: fmt.Errorf(format, args...)}
}

// errNotManifest reports a document that is none of Kubernetes.
var errNotManifest = errors.New("not a Kubernetes manifest")

func notManifest(file string, line int, why string) *Error {
	return errorAt(file, line, "%w: %s", errNotManifest, why)
}

// Read reads a directory of manifests as kubectl apply -f takes it: its .yaml, .yml and .json
// files in the order of their names, not those below it, with the objects of Lists one by one.
// If named is false, the user did not name the directory: files that are no manifests are left
// out, and each of notes is a clause about one. Otherwise they are errors.
//
// Errors are those of Parse and Check, or say that there is no manifest. No error repeats what a
// Secret contains.
func Read(dir string, named bool) (objects []Object, notes []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("manifests: %w", err)
	}
	for _, entry := range entries {
		if !isManifestFile(entry.Name()) {
			continue
		}
		file := filepath.Join(dir, entry.Name())
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("manifests: %w", err)
		}
		more, err := Parse(file, text)
		switch {
		case !named && errors.Is(err, errNotManifest):
			notes = append(notes, file+" is left out: it is no Kubernetes manifest")
			continue
		case err != nil:
			return nil, nil, err
		}
		objects = append(objects, more...)
	}
	if len(objects) == 0 {
		return nil, nil, fmt.Errorf("manifests: %s has none: no .yaml, .yml or .json file there holds an object", dir)
	}
	return objects, notes, Check(objects)
}

// Check refuses objects that a release cannot hold: two of one name, and those without a name.
// The error is an *Error.
func Check(objects []Object) error {
	type key struct {
		schema.GroupKind
		namespace, name string
	}
	seen := map[key]Object{}
	for _, object := range objects {
		switch {
		case object.GetName() == "" && object.GetGenerateName() != "":
			return errorAt(object.File, object.Line, "%s has a generateName: give it a metadata.name, so that the next release finds it; a Job runs again for each release", object.GetKind())
		case object.GetName() == "":
			return errorAt(object.File, object.Line, "%s has no metadata.name", object.GetKind())
		}
		id := key{object.GroupVersionKind().GroupKind(), object.GetNamespace(), object.GetName()}
		if first, ok := seen[id]; ok {
			return errorAt(object.File, object.Line, "%s is in %s already", object, first.Where())
		}
		seen[id] = object
	}
	return nil
}

// Parse reads the manifests in a file, JSON if its name ends so, otherwise YAML, with Lists
// taken apart. Errors are *Error, for text that cannot be read, keys that are there twice, and
// documents that are no manifests. No error repeats what a Secret contains.
func Parse(file string, text []byte) ([]Object, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	read := readYAML
	if filepath.Ext(file) == ".json" {
		read = readJSON
	}
	documents, err := read(file, text)
	if err != nil {
		return nil, err
	}
	var objects []Object
	var foreign *Error
	for _, document := range documents {
		more, err := objectsOf(file, document)
		switch {
		case err == nil:
			objects = append(objects, more...)
		case !errors.Is(err, errNotManifest):
			return nil, err
		case foreign == nil:
			errors.As(err, &foreign)
		}
	}
	switch {
	case foreign == nil:
		return objects, nil
	case len(objects) > 0:
		// A file with manifests is meant as one: a document of it that is none is a mistake.
		return nil, errorAt(file, foreign.Line, "this document has no apiVersion and no kind, and others of the file have")
	}
	return nil, foreign
}

// document is one of a file, as JSON.
type document struct {
	line int
	json []byte
}

// objectsOf returns the objects of a document; none of an empty one.
func objectsOf(file string, d document) ([]Object, error) {
	trimmed := bytes.TrimSpace(d.json)
	if len(trimmed) == 0 || string(trimmed) == "null" {
		return nil, nil
	}
	var fields map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(trimmed, &fields); err != nil {
		return nil, notManifest(file, d.line, "it is no mapping")
	}
	return flatten(file, d.line, fields)
}

// flatten returns an object, or those of a List.
func flatten(file string, line int, fields map[string]any) ([]Object, error) {
	version, kind := fields["apiVersion"], fields["kind"]
	if version == nil && kind == nil {
		return nil, notManifest(file, line, "it has no apiVersion and no kind")
	}
	for name, value := range map[string]any{"apiVersion": version, "kind": kind} {
		if text, ok := value.(string); !ok || text == "" {
			return nil, errorAt(file, line, "the manifest has no %s, or it is not a string", name)
		}
	}
	object := Object{Unstructured: &unstructured.Unstructured{Object: fields}, File: file, Line: line}
	if tool := toolOf(object.GroupVersionKind().Group); tool != "" {
		return nil, notManifest(file, line, "it configures "+tool)
	}
	if metadata, ok := fields["metadata"]; ok {
		if _, isMap := metadata.(map[string]any); !isMap {
			return nil, errorAt(file, line, "metadata of the %s is not a mapping", object.GetKind())
		}
	}
	items, isList := fields["items"].([]any)
	if !isList || !strings.HasSuffix(object.GetKind(), "List") {
		return []Object{object}, nil
	}
	var objects []Object
	for i, item := range items {
		fields, ok := item.(map[string]any)
		if !ok {
			return nil, errorAt(file, line, "item %d of the %s is not a manifest", i+1, object.GetKind())
		}
		more, err := flatten(file, line, fields)
		if errors.Is(err, errNotManifest) {
			err = errorAt(file, line, "item %d of the %s has no apiVersion and no kind", i+1, object.GetKind())
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

// toolOf returns the tool whose configuration has an apiVersion of the group, which no API
// server knows; empty for other groups.
func toolOf(group string) string {
	return map[string]string{
		"kind.x-k8s.io": "kind", "k3d.io": "k3d", "skaffold": "Skaffold", "ctlptl.dev": "ctlptl", "kubeadm.k8s.io": "kubeadm",
		"kustomize.config.k8s.io": "kustomize",
	}[group]
}

// separator begins a document, perhaps with its content behind it.
var separator = regexp.MustCompile(`^---(\s|$)`)

// readYAML splits a stream into documents, and converts each as kubectl does.
func readYAML(file string, text []byte) ([]document, error) {
	var documents []document
	var current []byte
	number, start := 0, 1
	end := func() error {
		converted, err := convertYAML(file, start, current)
		if err == nil {
			documents = append(documents, converted)
		}
		return err
	}
	for line := range bytes.Lines(text) {
		number++
		if separator.Match(line) {
			if err := end(); err != nil {
				return nil, err
			}
			current, start = []byte{}, number
			line = append([]byte("   "), line[len("---"):]...)
		}
		current = append(current, line...)
	}
	return documents, end()
}

// convertYAML converts one document that starts at a line of its file.
func convertYAML(file string, start int, text []byte) (document, error) {
	var node yamlv3.Node
	if err := yamlv3.Unmarshal(text, &node); err != nil {
		return document{}, syntax(file, start, text, err)
	}
	if node.IsZero() {
		return document{line: start}, nil
	}
	if twice := repeated(&node); twice != nil {
		return document{}, errorAt(file, start+twice.Line-1, "the key %s is there twice", twice.Value)
	}
	converted, err := yaml.YAMLToJSON(text)
	if err != nil {
		return document{}, syntax(file, start, text, err)
	}
	return document{line: start + node.Content[0].Line - 1, json: converted}, nil
}

// syntaxError is how the parsers write where a mistake is.
var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax returns an error of a parser with the line of the file, and without the text of a
// Secret, which the parser may quote.
func syntax(file string, start int, text []byte, err error) *Error {
	line, message := start, err.Error()
	if match := syntaxError.FindStringSubmatch(strings.SplitN(message, "\n", 2)[0]); match != nil {
		message = match[2]
		if number, err := strconv.Atoi(match[1]); err == nil {
			line += number - 1
		}
	}
	if HasSecret(text) {
		return errorAt(file, line, "not valid YAML")
	}
	return errorAt(file, line, "not valid YAML: %s", message)
}

// secretKind matches a manifest of a Secret, YAML or JSON.
var secretKind = regexp.MustCompile(`kind["']?\s*:\s*["']?Secret\b`)

// HasSecret reports whether a text has the manifest of a Secret, so that no part of the text may
// be shown.
func HasSecret(text []byte) bool { return secretKind.Match(text) }

// repeated returns the second of two equal keys in a mapping; nil if there is none.
func repeated(node *yamlv3.Node) *yamlv3.Node {
	seen := map[string]bool{}
	for i, child := range node.Content {
		if node.Kind == yamlv3.MappingNode && i%2 == 0 && child.Kind == yamlv3.ScalarNode {
			if seen[child.Value] {
				return child
			}
			seen[child.Value] = true
		}
		if found := repeated(child); found != nil {
			return found
		}
	}
	return nil
}

// readJSON reads a stream of JSON documents.
func readJSON(file string, text []byte) ([]document, error) {
	var documents []document
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			at := decoder.InputOffset()
			var wrong *json.SyntaxError
			if errors.As(err, &wrong) {
				at = max(at, wrong.Offset)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) {
				at = int64(len(text))
			}
			return nil, errorAt(file, lineAt(text, at), "not valid JSON")
		}
		line := lineAt(text, decoder.InputOffset()-int64(len(raw)))
		var fields any
		strict, err := kjson.UnmarshalStrict(raw, &fields)
		if err != nil {
			return nil, errorAt(file, line, "not valid JSON")
		}
		if len(strict) > 0 {
			return nil, errorAt(file, line, "a key is there twice: %s", strings.TrimPrefix(strict[0].Error(), "duplicate field "))
		}
		documents = append(documents, document{line, raw})
	}
}

// lineAt returns the line of an offset.
func lineAt(text []byte, offset int64) int {
	offset = min(max(offset, 0), int64(len(text)))
	return 1 + bytes.Count(text[:offset], []byte("\n"))
}
