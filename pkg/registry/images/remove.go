package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// Removal is one image, or one tag of it, to delete.
type Removal struct {
	Repository *Repository
	Manifest   *Manifest
	// Tag is the only thing to delete: the manifest stays with its other tags. It is empty if
	// the manifest goes with all of its tags.
	Tag string
	// Parts go with the manifest: the images of an index, and what describes it, such as
	// signatures.
	Parts []*Manifest
	// Users are what in the cluster uses what goes. Building reports that a run of the app,
	// which may deploy it, is in progress.
	Users    []User
	Building bool
}

// Name returns what is deleted in the form that ParseName reads.
func (r Removal) Name() string {
	if r.Tag != "" {
		return Name{App: r.Repository.App, Tag: r.Tag}.String()
	}
	return Name{App: r.Repository.App, Digest: r.Manifest.Digest}.String()
}

// Others returns the tags that a deletion by digest deletes as well, or that stay when a tag
// is deleted.
func (r Removal) Others() []string {
	return slices.DeleteFunc(slices.Clone(r.Manifest.Tags), func(tag string) bool { return tag == r.Tag })
}

// InUseError reports an image that is not deleted because something needs it.
type InUseError struct{ Removal Removal }

func (e *InUseError) Error() string {
	r := e.Removal
	if len(r.Users) == 0 {
		return fmt.Sprintf("image %s may be deployed by a run of %s that is in progress", r.Name(), r.Repository.App)
	}
	users := make([]string, len(r.Users))
	for i, user := range r.Users {
		users[i] = user.String()
		if user.Namespace != r.Repository.Namespace {
			users[i] += " in namespace " + user.Namespace
		}
		if user.Previous {
			users[i] += " (for a rollback)"
		}
	}
	return fmt.Sprintf("image %s is used by %s", r.Name(), display.JoinMax(users, 5))
}

// Advice says how to release the image.
func (e *InUseError) Advice() []string {
	switch r := e.Removal; {
	case len(r.Users) == 0:
		return []string{"wait until the run has ended, or delete the image anyway with --force"}
	case !slices.ContainsFunc(r.Users, func(user User) bool { return !user.Previous }):
		return []string{"a rollback would run it; to delete it anyway, pass --force"}
	}
	return []string{"deploy another image first; with --force it is deleted anyway, and pods that start on another node cannot pull it"}
}

// PartError reports an image that is deleted only with the index that it belongs to, or a
// signature that is deleted only with its image.
type PartError struct{ Part, Index *Manifest }

func (e *PartError) Error() string {
	if subject := e.Index.subject(); subject != "" {
		return fmt.Sprintf("%s describes image %s", e.Part.Digest, subject)
	}
	return fmt.Sprintf("image %s is a part of the image for several platforms %s", e.Part.Digest, e.Index.Digest)
}

// Advice names what goes with the part.
func (e *PartError) Advice() []string {
	whole := e.Index.Digest
	if subject := e.Index.subject(); subject != "" {
		whole = subject
	}
	return []string{"delete the whole image: @" + whole}
}

// PlanRemovals returns what deleting the named images deletes, each once. It is pure. A tag of
// a manifest that has others goes alone; a manifest goes when it, or all of its tags, are
// named. Errors are those of Find, a *PartError, and unless force is set an *InUseError.
func PlanRemovals(repositories []*Repository, usage *Usage, namespace string, names []Name, force bool) ([]Removal, error) {
	type key struct {
		repository *Repository
		manifest   *Manifest
	}
	var order []key
	tags, whole := map[key][]string{}, map[key]bool{}
	for _, name := range names {
		repository, manifest, err := Find(repositories, namespace, name)
		if err != nil {
			return nil, err
		}
		k := key{repository, manifest}
		if _, seen := tags[k]; !seen {
			order = append(order, k)
		}
		if name.Tag != "" && !slices.Contains(tags[k], name.Tag) {
			tags[k] = append(tags[k], name.Tag)
		} else if name.Tag == "" {
			tags[k], whole[k] = append([]string{}, tags[k]...), true
		}
	}
	var removals []Removal
	for _, k := range order {
		if whole[k] || len(tags[k]) == len(k.manifest.Tags) {
			removal, err := k.repository.removal(k.manifest, usage)
			if err != nil {
				return nil, err
			}
			removals = append(removals, removal)
			continue
		}
		for _, tag := range tags[k] {
			removals = append(removals, Removal{
				Repository: k.repository, Manifest: k.manifest, Tag: tag,
				Users: distinct(usage.tags[k.repository.Path+":"+tag]),
			})
		}
	}
	for _, removal := range removals {
		if !force && (len(removal.Users) > 0 || removal.Building) {
			return nil, &InUseError{removal}
		}
	}
	return removals, nil
}

// removal returns the deletion of a whole manifest.
func (r *Repository) removal(manifest *Manifest, usage *Usage) (Removal, error) {
	removal := Removal{Repository: r, Manifest: manifest}
	goes := map[string]bool{manifest.Digest: true}
	for _, child := range r.children(manifest) {
		goes[child.Digest] = len(child.Tags) == 0
	}
	r.addSubjects(goes)
	for _, other := range r.Manifests {
		for _, child := range other.Children {
			switch {
			case goes[other.Digest]:
			case child.Digest == manifest.Digest:
				return removal, &PartError{Part: manifest, Index: other}
			default:
				// Another index has the image as well.
				goes[child.Digest] = false
			}
		}
	}
	all := []*Manifest{manifest}
	for _, other := range r.Manifests {
		if other != manifest && goes[other.Digest] {
			removal.Parts, all = append(removal.Parts, other), append(all, other)
		}
	}
	var users []User
	for _, gone := range all {
		users = append(users, usage.digests[gone.Digest]...)
		for _, tag := range gone.Tags {
			users = append(users, usage.tags[r.Path+":"+tag]...)
		}
	}
	removal.Users = distinct(users)
	removal.Building = usage.building(r) && slices.ContainsFunc(users, func(user User) bool {
		return strings.HasSuffix(user.Resource, "."+tektonGroup)
	})
	return removal, nil
}

// addSubjects adds what describes a manifest that goes, and what describes that.
func (r *Repository) addSubjects(goes map[string]bool) {
	for changed := true; changed; {
		changed = false
		for _, other := range r.Manifests {
			if goes[other.subject()] && !goes[other.Digest] {
				goes[other.Digest], changed = true, true
			}
		}
	}
}

// RemoveOptions are the options of Remove.
type RemoveOptions struct {
	// Names are the images of the namespace of the clients.
	Names []Name
	// Force deletes what the cluster uses as well.
	Force bool
	// Confirm is called with the plan, and with what is not known about the use of the
	// images, before anything is deleted. Its error stops the removal.
	Confirm func(removals []Removal, warnings []string) error
	// Waiting is called while Remove waits for the registry.
	Waiting func(error)
	// Reader makes the reader of the images.
	Reader NewReader
	// Progress shows the steps.
	Progress Progress
}

// Remove deletes images of one namespace, and returns those that it has deleted, with or
// without an error. Their space is free after the next prune. Errors are ErrExternal, an
// *access.MissingError, those of PlanRemovals and that of Confirm.
func Remove(ctx context.Context, clients *kube.Clients, options RemoveOptions) ([]Removal, error) {
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, err
	}
	if config.Registry.External {
		return nil, ErrExternal
	}
	namespace := clients.Namespace
	if err := access.Check(ctx, clients.Kube, RemovePermissions(config.Registry, namespace)); err != nil {
		return nil, err
	}
	scope := Scope{Namespace: namespace}
	if app := options.Names[0].App; !slices.ContainsFunc(options.Names, func(name Name) bool { return name.App != app }) {
		scope.App = app
	}
	const step = "Reading the images"
	done := options.Progress.Start(step)
	repositories, err := Fetch(ctx, clients, config, scope, options.Waiting, func(client *registry.Client) Reader {
		return options.Reader.open(client, step, options.Progress)
	})
	done("Read the images", err)
	if err != nil {
		return nil, err
	}
	usage, err := FindReachableUsage(ctx, clients.Dynamic, namespace, repositories)
	if err != nil {
		return nil, err
	}
	removals, err := PlanRemovals(repositories, usage, namespace, options.Names, options.Force)
	var unknown *UnknownError
	if errors.As(err, &unknown) && len(unknown.Tags) == 0 {
		// The apps only improve the advice: an error is ignored.
		unknown.Apps, _ = Apps(ctx, clients.Dynamic, namespace)
	}
	if err != nil {
		return nil, err
	}
	var warnings []string
	for _, permission := range usage.Missing {
		warnings = append(warnings, "what uses the images is not known completely: you may not "+permission.String())
	}
	if err := options.Confirm(removals, warnings); err != nil {
		return nil, err
	}
	client, err := Open(ctx, clients, config, namespace)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	done = options.Progress.Start("Deleting")
	removed, err := remove(ctx, client, removals, func(n int) {
		options.Progress.Update(fmt.Sprintf("Deleting: %d of %d", n, len(removals)))
	})
	done("Deleted "+strconv.Itoa(len(removed)), err)
	return removed, err
}

// RemovePermissions returns the permissions that Remove needs.
func RemovePermissions(config manifests.RegistryConfig, namespace string) []access.Permission {
	return append([]access.Permission{
		{Verb: "get", Resource: "secrets", Namespace: namespace, Name: manifests.RegistrySecret},
	}, platform.RegistryPermissions(config)...)
}

// remover deletes from a registry.
type remover interface {
	// DeleteManifest deletes a manifest with its tags, or of a tag the tag alone.
	DeleteManifest(ctx context.Context, repository, reference string) error
}

// remove makes the removals, several at once, and returns those made.
func remove(ctx context.Context, registry remover, removals []Removal, progress func(done int)) ([]Removal, error) {
	var done atomic.Int64
	gone := make([]bool, len(removals))
	err := inParallel(ctx, len(removals), func(ctx context.Context, i int) error {
		if err := removals[i].run(ctx, registry); err != nil {
			return err
		}
		gone[i] = true
		progress(int(done.Add(1)))
		return nil
	})
	return pick(removals, gone), err
}

// run makes one removal, an index before its images.
func (r Removal) run(ctx context.Context, registry remover) error {
	if r.Tag != "" {
		return registry.DeleteManifest(ctx, r.Repository.Path, r.Tag)
	}
	for _, manifest := range append([]*Manifest{r.Manifest}, r.Parts...) {
		if err := registry.DeleteManifest(ctx, r.Repository.Path, manifest.Digest); err != nil {
			return err
		}
	}
	return nil
}
