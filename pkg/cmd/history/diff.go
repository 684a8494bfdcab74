package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/diff"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// The bounds of the pods that list the packages of two images.
const (
	inspectTimeout = 10 * time.Minute
	inspectWait    = 5 * time.Minute
)

// compare prints what changed between two releases.
func (o *Options) compare(ctx context.Context) error {
	older, newer, err := o.pair(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Streams.Out, "%s: release %d -> release %d\n", newer.App, older.Number, newer.Number)
	for _, line := range facts(older, newer) {
		fmt.Fprintln(o.Streams.Out, line)
	}
	layers, err := o.layers(ctx, older, newer)
	if err != nil {
		return err
	}
	for _, line := range layers {
		fmt.Fprintln(o.Streams.Out, line)
	}
	packages, err := o.packages(ctx, older, newer)
	if err != nil {
		return err
	}
	for _, line := range slices.Concat(packages, manifestLines(older, newer)) {
		fmt.Fprintln(o.Streams.Out, display.Sanitize(line))
	}
	return nil
}

// pair reads the two releases.
func (o *Options) pair(ctx context.Context) (older, newer *record.Record, err error) {
	app, namespace := o.Select.App, o.Select.Namespace
	if newer, err = record.Get(ctx, o.Clients.Kube, namespace, app, o.Diff[1]); err != nil {
		return nil, nil, err
	}
	if o.Diff[0] > 0 {
		older, err = record.Get(ctx, o.Clients.Kube, namespace, app, o.Diff[0])
		return older, newer, err
	}
	records, err := record.List(ctx, o.Clients.Kube, namespace, app)
	if err != nil {
		return nil, nil, err
	}
	at := slices.IndexFunc(records, func(r *record.Record) bool { return r.Number < newer.Number })
	if at < 0 {
		return nil, nil, fmt.Errorf("release %d is the oldest of app %s on record: name the release to compare it with", newer.Number, app)
	}
	return records[at], newer, nil
}

// facts returns a line for each fact in which the two releases differ.
func facts(older, newer *record.Record) []string {
	var lines []string
	for _, fact := range diff.Facts(older, newer) {
		lines = append(lines, display.Sanitize(fmt.Sprintf("%s: %s -> %s", fact.Name, display.OrNone(fact.Older), display.OrNone(fact.Newer))))
	}
	return lines
}

// layers compares the layers of the images, by their digests.
func (o *Options) layers(ctx context.Context, older, newer *record.Record) ([]string, error) {
	if older.Digest == newer.Digest {
		return []string{"image: the same"}, nil
	}
	config, err := platform.Config(ctx, o.Clients.Kube)
	if err != nil {
		return nil, err
	}
	user, ca, err := platform.Credentials(ctx, o.Clients.Kube, o.Select.Namespace, config.Registry.Host)
	if err != nil {
		return nil, err
	}
	client, err := platform.Registry(o.Clients, config.Registry, user, ca)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	path := config.Registry.Path(o.Select.Namespace, newer.App)
	var sides [2]*registry.Manifest
	for i, one := range []*record.Record{older, newer} {
		if sides[i], err = client.Manifest(ctx, path, one.Digest); err != nil {
			return []string{fmt.Sprintf("image: that of release %d is no longer in the registry", one.Number)}, nil
		}
	}
	return compareLayers(sides[0], sides[1]), nil
}

// packages compares the packages of the images. Pods in the cluster list them.
func (o *Options) packages(ctx context.Context, older, newer *record.Record) ([]string, error) {
	if older.Digest == newer.Digest {
		return nil, nil
	}
	var sides [2]*inspect.Analysis
	for i, one := range []*record.Record{older, newer} {
		name, err := images.ParseName(one.App + "@" + one.Digest)
		if err != nil {
			return nil, err
		}
		request := inspect.Request{Name: name, Timeout: inspectTimeout, WaitTimeout: inspectWait}
		sides[i], err = inspect.Inspect(ctx, o.Clients, request, display.NewSteps(o.Streams.ErrOut))
		switch {
		case errors.As(err, new(*access.MissingError)), errors.As(err, new(*images.UnknownError)):
			return []string{"packages: not compared: " + err.Error()}, nil
		case err != nil:
			return nil, err
		}
	}
	return comparePackages(sides[0].Packages, sides[1].Packages), nil
}

// comparePackages returns a line for each package that only one of two images has, or that they
// have in different versions, by name.
func comparePackages(older, newer []inspect.Package) []string {
	versions := map[string][2]string{}
	for i, side := range [][]inspect.Package{older, newer} {
		for _, one := range side {
			pair := versions[one.Name]
			pair[i] = one.Version
			versions[one.Name] = pair
		}
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		switch pair := versions[name]; {
		case pair[0] == pair[1]:
		case pair[0] == "":
			lines = append(lines, fmt.Sprintf("+ package %s %s", name, pair[1]))
		case pair[1] == "":
			lines = append(lines, fmt.Sprintf("- package %s %s", name, pair[0]))
		default:
			lines = append(lines, fmt.Sprintf("~ package %s %s -> %s", name, pair[0], pair[1]))
		}
	}
	if len(lines) == 0 {
		return []string{"packages: the same"}
	}
	return lines
}

// compareLayers returns how many layers two images share, and those that only one has.
func compareLayers(older, newer *registry.Manifest) []string {
	only := func(a, b *registry.Manifest) (lines []string, bytes int64) {
		for _, layer := range a.Layers {
			if !slices.ContainsFunc(b.Layers, func(other registry.Descriptor) bool { return other.Digest == layer.Digest }) {
				lines = append(lines, fmt.Sprintf("%s, %s", display.Digest(layer.Digest, false), display.Bytes(layer.Size)))
				bytes += layer.Size
			}
		}
		return lines, bytes
	}
	gone, _ := only(older, newer)
	added, bytes := only(newer, older)
	lines := []string{fmt.Sprintf("image: %s of %s new, %s", display.Count(len(added), "layer"), display.Count(len(newer.Layers), "layer"), display.Bytes(bytes))}
	for _, line := range gone {
		lines = append(lines, "- layer "+line)
	}
	for _, line := range added {
		lines = append(lines, "+ layer "+line)
	}
	return lines
}

// manifestLines returns the manifests of the two releases as the lines of a unified diff.
func manifestLines(older, newer *record.Record) []string {
	text := diff.Manifests(older, newer)
	if text == "" {
		return []string{"manifests: the same"}
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
