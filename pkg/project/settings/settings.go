package settings

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// Table is the dotted name of the table that holds the settings.
const Table = "tool." + tableName

const (
	tableName = "kubectl-pyflow"
	// otherTool is the table of another tool on PyPI, and the one that users of this plugin
	// may write by mistake.
	otherTool = "pyflow"

	entrypoint       = "entrypoint"
	formerEntrypoint = "app"
)

// Settings are the table [tool.kubectl-pyflow]. What is not said has its zero value.
type Settings struct {
	// Name is the app's name.
	Name string `toml:"name"`
	// Entrypoint is the web application, as module:attribute. The key app is its former
	// name.
	Entrypoint string `toml:"entrypoint"`
	// Python is the version for the image, major.minor.
	Python string `toml:"python"`
	// Port is where the app listens.
	Port int32 `toml:"port"`
	// Replicas is the number of pods, nil when it is not said.
	Replicas *int32 `toml:"replicas"`
	// Expose is what leads to the app.
	Expose app.Expose `toml:"expose"`
	// Test is the command that tests the image, a line that shell.Fields can split.
	Test string `toml:"test"`
	// Env are variables of the running app. They may be secret.
	Env map[string]string `toml:"env"`
	// Resources are those of each pod.
	Resources Resources `toml:"resources"`
	// Probes say how the app is asked whether it runs.
	Probes app.Probes `toml:"probes"`
	// Build is about the image, and the pod that builds it.
	Build Build `toml:"build"`

	// offsets are those of the keys that are there, by their dotted names.
	offsets map[string]int
	content []byte
	// misplaced is set when the settings are in [tool.pyflow].
	misplaced bool
}

// Resources are what a pod of the app asks for, and the most that it gets.
type Resources struct {
	Requests corev1.ResourceList `toml:"requests"`
	Limits   corev1.ResourceList `toml:"limits"`
}

// Build is the table [tool.kubectl-pyflow.build].
type Build struct {
	// Dockerfile is relative to the directory, with slashes.
	Dockerfile string `toml:"dockerfile"`
	// Target is a stage of it.
	Target string `toml:"target"`
	// Variant is one of Variants.
	Variant string `toml:"variant"`
	// Args are the values of ARGs.
	Args map[string]string `toml:"args"`
	// CPU, Memory and Storage are what the build asks for and may use; each is
	// positive, or zero when it is not said.
	CPU     resource.Quantity `toml:"cpu"`
	Memory  resource.Quantity `toml:"memory"`
	Storage resource.Quantity `toml:"storage"`
	// NodeSelector are the labels of the nodes that may run the build.
	NodeSelector map[string]string `toml:"node-selector"`
}

// Variants are the images that a build without a Dockerfile can make.
func Variants() []string { return []string{"bloated", "slim", "distroless"} }

// Read returns the settings of a project's directory; they are the zero Settings
// when there is no pyproject.toml or no [tool.kubectl-pyflow] in it, and nil on an error
// only. Errors are those of Parse, and that the file can not be read.
func Read(dir string) (*Settings, error) {
	content, err := os.ReadFile(filepath.Join(dir, File))
	if errors.Is(err, fs.ErrNotExist) {
		return &Settings{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return Parse(content)
}

// Parse reads the settings in the content of a pyproject.toml. The error joins an
// *Error for each thing that is wrong, in their order in the file: one if it is not
// TOML, else one for each key that there is no setting for, or whose value is of
// another type or not allowed. No error repeats a value of env or build.args.
func Parse(content []byte) (*Settings, error) {
	content = withoutMark(content)
	if err := Decode(File, content, &map[string]any{}); err != nil {
		var failure *Error
		if errors.As(err, &failure) && hasSecrets(content) {
			failure.Text = ""
		}
		return nil, err
	}
	settings := &Settings{offsets: map[string]int{}, content: content}
	r := &reader{Settings: settings, failed: map[string]bool{}}
	r.file(parse(content))
	r.check()
	if err := join(r.problems); err != nil {
		return nil, err
	}
	return settings, nil
}

// Warnings returns what the user probably did not intend: a clause for each. It is empty
// for a [tool.pyflow] that belongs to another tool.
func (s *Settings) Warnings() []string {
	if !s.misplaced {
		return nil
	}
	return []string{fmt.Sprintf("[tool.pyflow] in %s is not read: rename it to [%s]", File, Table)}
}

// Where returns the place of a key, such as "build.variant", as pyproject.toml and
// its line; empty when the file does not have it.
func (s *Settings) Where(key string) string {
	offset, ok := s.offsets[key]
	if !ok && key == entrypoint {
		offset, ok = s.offsets[formerEntrypoint]
	}
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s:%d", File, s.place(offset).Line)
}

// WhereIn returns the place of a key of a table such as "env", as Where does.
func (s *Settings) WhereIn(table, key string) string { return s.Where(below(table, key)) }

// CheckManifests says whether the settings go together with manifests of the
// project's own, in the directory that is named: replicas, expose, env, resources
// and probes do not, as nothing would come of them. The error joins an *Error for
// each, in their order in the file.
func (s *Settings) CheckManifests(directory string) error {
	var problems []*Error
	for _, key := range []string{"replicas", "expose", "env", "resources", "probes"} {
		if offset, ok := s.offsets[key]; ok {
			problem := s.place(offset)
			problem.Err = fmt.Errorf(Table+".%s is for an app without manifests of its own: set it in %s, and remove it here", key, directory)
			problems = append(problems, problem)
		}
	}
	return join(problems)
}

// place returns an Error that says where, and not yet what.
func (s *Settings) place(offset int) *Error {
	failure := &Error{Path: File}
	failure.at(s.content, offset)
	if hasSecrets(s.content) {
		failure.Text = ""
	}
	return failure
}

// hasSecrets says whether lines of the file may hold values that are not to be
// shown. Which lines, nobody knows in a file that is not TOML.
func hasSecrets(content []byte) bool {
	return bytes.Contains(content, []byte("env")) || bytes.Contains(content, []byte("args"))
}

// join sorts by place.
func join(problems []*Error) error {
	slices.SortStableFunc(problems, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Err.Error(), b.Err.Error()))
	})
	joined := make([]error, len(problems))
	for i, problem := range problems {
		joined[i] = problem
	}
	return errors.Join(joined...)
}
