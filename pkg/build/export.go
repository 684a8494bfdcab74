package build

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/chart"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// Render renders the manifests of an app for the namespace, with what the cluster determines. It
// deploys nothing.
func (e *Environment) Render(name string, wanted release.Options) (*release.Manifests, error) {
	wanted.App, wanted.Namespace = name, e.Clients.Namespace
	wanted.PullSecret, wanted.Key = manifests.RegistrySecret, []byte(e.secret)
	if kind, err := source.KindOf(wanted.Directory); err == nil && kind == source.Chart {
		if wanted.Capabilities, err = chart.Ask(e.Clients.Kube.Discovery()); err != nil {
			return nil, err
		}
	}
	return release.Render(wanted)
}

// Export returns a release for another tool to apply, with an image of the app. wanted are the
// options of its manifests, which Render has rendered.
func (e *Environment) Export(ctx context.Context, name, digest string, rendered *release.Manifests, wanted release.Options) (*release.Exported, error) {
	var user *app.User
	if given, ofImage := podUser(&wanted); given != "" || ofImage {
		found, err := e.podUser(ctx, name, digest, given)
		if err != nil {
			return nil, err
		}
		user = &found
	}
	return rendered.Export(e.Config.Registry.NodeRepository(e.Clients.Namespace, name), digest, user)
}

// podUser returns the numbers of a user of the image; those of its own user if given is empty.
func (e *Environment) podUser(ctx context.Context, name, digest, given string) (app.User, error) {
	says := fmt.Sprintf("the user of the pods is %q", given)
	if given == "" {
		_, config, err := inspect.Read(ctx, e.Registry, e.path(name), digest, "")
		if err != nil {
			return app.User{}, err
		}
		given = config.Config.User
		says = fmt.Sprintf("the image runs as %q", given)
	}
	user, err := userOf(given, func(file string) ([]byte, error) {
		return registry.ImageFile(ctx, e.Registry, e.path(name), digest, file)
	})
	if err != nil {
		return app.User{}, fmt.Errorf("%s: %w", says, err)
	}
	return user, nil
}

// userOf returns the numbers of USER or USER:GROUP, as the deployment finds them: names are
// those in the files of the image that read returns, and root is app.DefaultUser.
func userOf(given string, read func(file string) ([]byte, error)) (app.User, error) {
	person, group, _ := strings.Cut(given, ":")
	if person == "" || person == "root" {
		return app.DefaultUser(), nil
	}
	user := app.User{Group: -1}
	var err error
	if user.ID, err = strconv.ParseInt(person, 10, 32); err != nil {
		entry, err := entryOf(read, "etc/passwd", person)
		if err != nil {
			return app.User{}, err
		}
		if user.ID, err = strconv.ParseInt(entry[2], 10, 32); err != nil {
			return app.User{}, fmt.Errorf("its number in /etc/passwd of the image is %q", entry[2])
		}
		group = cmp.Or(group, entry[3])
	}
	if user.ID == 0 {
		return app.DefaultUser(), nil
	}
	if group == "" {
		return user, nil
	}
	if user.Group, err = strconv.ParseInt(group, 10, 32); err == nil {
		return user, nil
	}
	entry, err := entryOf(read, "etc/group", group)
	if err != nil {
		return app.User{}, err
	}
	if user.Group, err = strconv.ParseInt(entry[2], 10, 32); err != nil {
		return app.User{}, fmt.Errorf("the number of its group in /etc/group of the image is %q", entry[2])
	}
	return user, nil
}

// entryOf returns the four first fields of the line of a name in a file of the image.
func entryOf(read func(file string) ([]byte, error), file, name string) ([]string, error) {
	const fields = 4
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		if entry := strings.Split(strings.TrimSpace(string(line)), ":"); entry[0] == name && len(entry) >= fields {
			return entry, nil
		}
	}
	return nil, fmt.Errorf("/%s of the image has no %q", file, name)
}
