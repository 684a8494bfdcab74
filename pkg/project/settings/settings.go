// Package settings reads the settings in the table [tool.kubectl-pyflow] of pyproject.toml.
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

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

// File is the name of the file in a project's directory.
const File = packaging.PyprojectFile

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

// Settings are the values of the table [tool.kubectl-pyflow]. A key that is not set has its
// zero value.
type Settings struct {
	// Name is the name of the app.
	Name string `toml:"name"`
	// Entrypoint is the web application as module:attribute. The key app is its former
	// name.
	Entrypoint string `toml:"entrypoint"`
	// Python is the Python version of the image, major.minor.
	Python string `toml:"python"`
	// Context is the directory that is the build context, relative to the project's, with
	// slashes.
	Context string `toml:"context"`
	// Port is the port that the app listens on.
	Port int32 `toml:"port"`
	// Replicas is the number of pods, nil if it is not set.
	Replicas *int32 `toml:"replicas"`
	// Autoscale is how many replicas an autoscaler may choose.
	Autoscale app.Autoscale `toml:"autoscale"`
	// Expose is the type of the Service.
	Expose app.Expose `toml:"expose"`
	// Host, TLS, IngressClass and Gateway are the app.Route.
	Host         app.Hosts `toml:"host"`
	TLS          app.TLS   `toml:"tls"`
	IngressClass string    `toml:"ingress-class"`
	Gateway      string    `toml:"gateway"`
	// NetworkPolicy is who may connect to the app.
	NetworkPolicy app.NetworkPolicy `toml:"network-policy"`
	// User is who the pods run as, a text that app.ParseUser reads.
	User string `toml:"user"`
	// Test is the command that tests the image, a line that shell.Fields can split.
	Test string `toml:"test"`
	// Env are variables of the running app. Their values may be secret.
	Env map[string]app.Variable `toml:"env"`
	// EnvFrom are sources of variables, a later one before an earlier one.
	EnvFrom []app.EnvFrom `toml:"env-from"`
	// Resources are those of each pod.
	Resources Resources `toml:"resources"`
	// Probes are the health checks of the app.
	Probes app.Probes `toml:"probes"`
	// Processes are the processes of the app by their names; nil without the table.
	Processes map[string]Process `toml:"processes"`
	// Manifests is the directory of the user's manifests, relative to the project's, with slashes.
	Manifests string `toml:"manifests"`
	// Helm configures the chart among the manifests.
	Helm Helm `toml:"helm"`
	// Build configures the image and the pod that builds it.
	Build Build `toml:"build"`

	// offsets are the offsets of the keys in the file, by their dotted names.
	offsets map[string]int
	content []byte
	// misplaced is set when the settings are in [tool.pyflow].
	misplaced bool
}

// Resources are the requests and limits of a pod of the app.
type Resources struct {
	Requests corev1.ResourceList `toml:"requests"`
	Limits   corev1.ResourceList `toml:"limits"`
}

// Helm is the table [tool.kubectl-pyflow.helm].
type Helm struct {
	// Values are files of values, relative to the directory, with slashes; a later one wins.
	Values []string `toml:"values"`
	// Set are values by their dotted keys, written as for helm --set. They win over Values, and
	// may be secret.
	Set map[string]string `toml:"set"`
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
	// Secrets say which Secret of the namespace provides a secret of the build, by its ID: each
	// is secret=NAME or secret=NAME,key=KEY. ParseSecretSource reads them.
	Secrets map[string]string `toml:"secrets"`
	// AllowSecretFiles are files of the build context whose content may be a secret, as
	// buildcontext.Options has them.
	AllowSecretFiles []string `toml:"allow-secret-files"`
	// CPU, Memory and Storage are what the build requests and may use. Each is positive, or
	// zero if it is not set.
	CPU     resource.Quantity `toml:"cpu"`
	Memory  resource.Quantity `toml:"memory"`
	Storage resource.Quantity `toml:"storage"`
	// NodeSelector are the labels of the nodes that may run the build.
	NodeSelector map[string]string `toml:"node-selector"`
}

// Read returns the settings of a project's directory; they are the zero Settings
// when there is no pyproject.toml or no [tool.kubectl-pyflow] in it, and nil on an error
// only. Errors are those of Parse and of reading the file.
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

// Parse reads the settings in the content of a pyproject.toml. The error joins a *toml.Error for
// each mistake, in the order of the file: one if it is not TOML, otherwise one for each
// unknown key and each value of another type or that is not allowed. No error repeats a value
// of env, helm.set, build.args or build.secrets.
func Parse(content []byte) (*Settings, error) {
	content = toml.WithoutMark(content)
	if err := toml.Decode(File, content, &map[string]any{}); err != nil {
		var failure *toml.Error
		if errors.As(err, &failure) && hasSecrets(content) {
			failure.Text = ""
		}
		return nil, err
	}
	settings := &Settings{offsets: map[string]int{}, content: content}
	r := &reader{Settings: settings, failed: map[string]bool{}}
	r.file(toml.Parse(content))
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

// Where returns the place of a key such as "build.variant": pyproject.toml and the line. It is
// empty if the file does not have the key.
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
func (s *Settings) WhereIn(table, key string) string { return s.Where(toml.Join(table, key)) }

// CheckManifests refuses settings that have no effect on the user's own manifests: those of the
// default Deployment, but for the port. The error joins a *toml.Error for each, in the order of the
// file.
func (s *Settings) CheckManifests(directory string) error {
	var problems []*toml.Error
	for _, key := range []string{"replicas", "autoscale", "expose", "host", "tls", "ingress-class", "gateway", "network-policy", "user", "env", "env-from", "resources", "probes", "processes"} {
		if offset, ok := s.offsets[key]; ok {
			problem := s.place(offset)
			problem.Err = fmt.Errorf(Table+".%s has no effect on manifests of your own: set it in %s, and remove it here", key, directory)
			problems = append(problems, problem)
		}
	}
	return join(problems)
}

// place returns a toml.Error with a place and without a cause.
func (s *Settings) place(offset int) *toml.Error {
	failure := toml.At(File, s.content, offset)
	if hasSecrets(s.content) {
		failure.Text = ""
	}
	return failure
}

// hasSecrets reports whether the file may hold secret values. Their lines are not known in a
// file that is not TOML, so that no line is shown.
func hasSecrets(content []byte) bool {
	return bytes.Contains(content, []byte("env")) || bytes.Contains(content, []byte("helm")) || bytes.Contains(content, []byte("args")) || bytes.Contains(content, []byte("secrets"))
}

// join sorts by place.
func join(problems []*toml.Error) error {
	slices.SortStableFunc(problems, func(a, b *toml.Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Err.Error(), b.Err.Error()))
	})
	joined := make([]error, len(problems))
	for i, problem := range problems {
		joined[i] = problem
	}
	return errors.Join(joined...)
}
