package written

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/chart"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// Output writes the manifests of a build to a directory.
type Output struct {
	// Dir is the directory.
	Dir string
	// App is the name of the app.
	App string
	// Release are the manifests.
	Release release.Options

	rendered *release.Manifests
}

// Prepare renders the manifests, and checks that they can be written. It writes nothing.
func (o *Output) Prepare(env *build.Environment) error {
	if err := checkDirectory(o.Dir); err != nil {
		return fmt.Errorf("--output-manifests: %w", err)
	}
	var err error
	o.rendered, err = env.Render(o.App, o.Release)
	return err
}

// Notes are clauses about what is not as the files of the user say.
func (o *Output) Notes() []event.Event {
	var notices []event.Event
	for _, note := range o.rendered.Notes {
		notices = append(notices, event.Event{Message: note})
	}
	return notices
}

// Write writes the manifests with the image of a build, and reports what was written and what is
// left out.
func (o *Output) Write(ctx context.Context, env *build.Environment, result event.Result, recorder *track.Recorder) error {
	exported, err := env.Export(ctx, o.App, result.Digest, o.rendered, o.Release)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o777); err != nil { //nolint:gosec // as mkdir does it: the umask is the user's
		return fmt.Errorf("--output-manifests: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(exported.Files)) {
		if err := replace(filepath.Join(o.Dir, name), exported.Files[name]); err != nil {
			return fmt.Errorf("--output-manifests: %w", err)
		}
	}
	recorder.Notice("Wrote the manifests to " + o.Dir)
	if len(exported.Secrets) > 0 {
		recorder.Warn(fmt.Sprintf("not in %s: %s; create them in the cluster, so that no repository has their values", o.Dir, strings.Join(exported.Secrets, ", ")))
	}
	if len(exported.Jobs) > 0 {
		recorder.Warn(fmt.Sprintf("%s cannot change when the image does: annotate them with argocd.argoproj.io/hook, or kustomize.toolkit.fluxcd.io/force", strings.Join(exported.Jobs, ", ")))
	}
	return nil
}

// checkDirectory refuses a directory with a kustomization that another tool or person wrote.
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(dir, release.KustomizationFile))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.HasPrefix(text, []byte(release.ExportMark)) {
		return fmt.Errorf("%s has files that no build wrote: name a directory for these manifests alone", dir)
	}
	return err
}

// replace writes a file at once: a reader sees the old content or the new one.
func replace(path string, content []byte) error {
	fresh := path + ".new"
	if err := os.WriteFile(fresh, content, 0o666); err != nil { //nolint:gosec // as any file of a repository: the umask is the user's
		return err
	}
	return os.Rename(fresh, path)
}

// Show prints the manifests of an app as a build in the namespace renders them. It asks no
// cluster.
func Show(streams genericiooptions.IOStreams, name, namespace string, wanted release.Options, pullSecret string) error {
	wanted.App, wanted.Namespace, wanted.PullSecret = name, namespace, pullSecret
	rendered, err := release.Render(wanted)
	if err != nil {
		return err
	}
	for _, note := range rendered.Notes {
		fmt.Fprintln(streams.ErrOut, "note: "+note)
	}
	kind, err := source.KindOf(wanted.Directory)
	switch {
	case wanted.Directory == "" && (wanted.UserOfImage || wanted.User.Name != ""):
		fmt.Fprintf(streams.ErrOut, "note: the build sets the user of the pods to that of the image; here it is %s\n", app.DefaultUser())
	case err == nil && kind == source.Chart:
		fmt.Fprintf(streams.ErrOut, "note: the chart is rendered for Kubernetes %s; a build renders it for its cluster\n", chart.DefaultKubeVersion)
	}
	if route := wanted.Route; len(route.Hosts) > 0 && route.IngressClass == "" && route.Gateway == "" {
		fmt.Fprintln(streams.ErrOut, "note: a build asks its cluster for the class of the Ingress, or for a Gateway")
	}
	text, err := rendered.Shown()
	if err != nil {
		return err
	}
	_, err = streams.Out.Write(text)
	return err
}
