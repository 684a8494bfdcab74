package images

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// The kinds and the API version of the JSON form.
const (
	ListKind   = "ImageList"
	APIVersion = "pyflow.dev/v1"
)

// List lists the images of one or all namespaces. Its JSON form is documented in
// docs/images.md.
type List struct {
	metav1.TypeMeta `json:",inline"`
	// Items are sorted by namespace and app, the newest image first.
	Items []Image `json:"items"`
	// Stored is what namespaces keep in the registry; empty if it was not requested.
	Stored []Stored `json:"stored"`
	// Warnings name what the user may not read.
	Warnings []string `json:"warnings,omitempty"`
}

// Image is one image of an app: one digest.
type Image struct {
	Namespace string   `json:"namespace"`
	App       string   `json:"app"`
	Tags      []string `json:"tags"`
	// Digest is sha256:<hex>.
	Digest string `json:"digest"`
	// SizeBytes is the compressed size of all layers, including those that other images share.
	// For an index it covers all of its images.
	SizeBytes int64 `json:"sizeBytes"`
	// Created is the time at which the image was built; null if it is not known.
	Created *metav1.Time `json:"created"`
	// Repository is the repository as pods reach it, Reference the image as nodes pull it.
	Repository string `json:"repository"`
	Reference  string `json:"reference"`
	// UsedBy lists the workloads that run the image, or ran it before.
	UsedBy []User `json:"usedBy"`
}

// Stored is what a namespace keeps in the registry. A blob that two parts share counts in both,
// and once in TotalBytes.
type Stored struct {
	Namespace  string `json:"namespace"`
	Images     Amount `json:"images"`
	Contexts   Amount `json:"contexts"`
	Cache      Amount `json:"cache"`
	TotalBytes int64  `json:"totalBytes"`
}

// Amount is a number of manifests and their size.
type Amount struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

var _ runtime.Object = (*List)(nil)

// DeepCopyObject makes List an object that kubectl's printers accept.
func (l *List) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = slices.Clone(l.Items)
	for i := range c.Items {
		c.Items[i].Tags = slices.Clone(l.Items[i].Tags)
		c.Items[i].Created = l.Items[i].Created.DeepCopy()
		c.Items[i].UsedBy = slices.Clone(l.Items[i].UsedBy)
	}
	c.Stored = slices.Clone(l.Stored)
	c.Warnings = slices.Clone(l.Warnings)
	return &c
}

// NewList returns the images of repositories that Read filled in. It is pure. Sum returns what
// belongs in Stored.
func NewList(config manifests.RegistryConfig, repositories []*Repository, usage *Usage) *List {
	list := &List{
		TypeMeta: metav1.TypeMeta{Kind: ListKind, APIVersion: APIVersion},
		Items:    []Image{},
		Stored:   []Stored{},
	}
	for _, repository := range sorted(repositories) {
		if repository.Kind != Images {
			continue
		}
		for _, manifest := range repository.Manifests {
			// The children of an index are a part of it, and a signature is not an image.
			if !manifest.isImage() {
				continue
			}
			image := Image{
				Namespace: repository.Namespace, App: repository.App,
				Tags: manifest.Tags, Digest: manifest.Digest,
				SizeBytes:  total(blobs(append(repository.children(manifest), manifest))),
				Repository: config.Repository(repository.Namespace, repository.App),
				Reference:  config.NodeRepository(repository.Namespace, repository.App) + "@" + manifest.Digest,
				UsedBy:     usage.Users(repository, manifest),
			}
			if manifest.Created.Unix() > 0 {
				created := metav1.NewTime(manifest.Created)
				image.Created = &created
			}
			list.Items = append(list.Items, image)
		}
	}
	for _, permission := range usage.Missing {
		list.Warnings = append(list.Warnings, "the users of the images are incomplete: you may not "+permission.String())
	}
	return list
}

// Sum returns what each namespace keeps in repositories, sorted by name.
func Sum(repositories []*Repository) []Stored {
	stored := []Stored{}
	for _, group := range byNamespace(repositories) {
		s := SumAll(group)
		s.Namespace = group[0].Namespace
		stored = append(stored, s)
	}
	return stored
}

// AppStored is what an app keeps in the registry.
type AppStored struct {
	App string
	Stored
}

// SumByApp returns what each app keeps in repositories, sorted by namespace and name. Of a
// blob that two apps share, both have the whole size.
func SumByApp(repositories []*Repository) []AppStored {
	stored := []AppStored{}
	for _, namespace := range byNamespace(repositories) {
		for start, end := 0, 0; start < len(namespace); start = end {
			for end = start; end < len(namespace) && namespace[end].App == namespace[start].App; {
				end++
			}
			s := AppStored{App: namespace[start].App, Stored: SumAll(namespace[start:end])}
			s.Namespace = namespace[start].Namespace
			stored = append(stored, s)
		}
	}
	return stored
}

// SumAll returns what repositories keep together. Its Namespace is empty.
func SumAll(repositories []*Repository) Stored {
	var s Stored
	var all []*Manifest
	for kind, amount := range map[Kind]*Amount{Images: &s.Images, Contexts: &s.Contexts, Cache: &s.Cache} {
		var manifests []*Manifest
		for _, repository := range repositories {
			if repository.Kind == kind {
				manifests = append(manifests, repository.Manifests...)
			}
		}
		amount.Bytes = total(blobs(manifests))
		for _, manifest := range manifests {
			if manifest.isImage() {
				amount.Count++
			}
		}
		all = append(all, manifests...)
	}
	s.TotalBytes = total(blobs(all))
	return s
}

func sorted(repositories []*Repository) []*Repository {
	return slices.SortedStableFunc(slices.Values(repositories), func(a, b *Repository) int {
		return strings.Compare(a.Namespace+"/"+a.App, b.Namespace+"/"+b.App)
	})
}

// byNamespace groups the repositories of apps.
func byNamespace(repositories []*Repository) [][]*Repository {
	var groups [][]*Repository
	for _, repository := range sorted(repositories) {
		last := len(groups) - 1
		switch {
		case repository.Kind == Other:
		case last >= 0 && groups[last][0].Namespace == repository.Namespace:
			groups[last] = append(groups[last], repository)
		default:
			groups = append(groups, []*Repository{repository})
		}
	}
	return groups
}
