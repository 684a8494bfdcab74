package images

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/pager"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// pageSize limits the part of a long list that is in memory.
const pageSize = 250

// User is an object in the cluster that refers to an image.
type User struct {
	// Resource is <kind>.<group> in lower case, or the kind alone for a core resource.
	Resource  string `json:"resource"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Previous reports that only an earlier revision refers to the image: a rollback would run
	// it.
	Previous bool `json:"previous,omitempty"`
}

// String returns the user as an argument of kubectl.
func (u User) String() string { return u.Resource + "/" + u.Name }

// Usage holds the references from the cluster to images.
type Usage struct {
	// digests and tags (repository:tag) are those of the repositories.
	digests, tags map[string][]User
	// builds are the apps, as namespace/name, with a running build.
	builds map[string]bool
	// Missing are the permissions that the user lacks to see the rest.
	Missing []access.Permission
}

// Of reports whether anything refers to a manifest.
func (u *Usage) Of(repository *Repository, manifest *Manifest) bool {
	return len(u.digests[manifest.Digest]) > 0 || slices.ContainsFunc(manifest.Tags, func(tag string) bool {
		return len(u.tags[repository.Path+":"+tag]) > 0
	})
}

// Users lists what refers to a manifest, sorted, without runs of Tekton.
func (u *Usage) Users(repository *Repository, manifest *Manifest) []User {
	all := slices.Clone(u.digests[manifest.Digest])
	for _, tag := range manifest.Tags {
		all = append(all, u.tags[repository.Path+":"+tag]...)
	}
	return distinct(all)
}

// distinct returns users sorted and once each, without runs of Tekton.
func distinct(all []User) []User {
	current := map[User]bool{}
	for _, user := range all {
		now := !user.Previous
		user.Previous = false
		current[user] = current[user] || now
	}
	users := []User{}
	for user, now := range current {
		if strings.HasSuffix(user.Resource, "."+tektonGroup) {
			continue
		}
		user.Previous = !now
		users = append(users, user)
	}
	slices.SortFunc(users, func(a, b User) int {
		return strings.Compare(a.Namespace+"/"+a.String(), b.Namespace+"/"+b.String())
	})
	return users
}

func (u *Usage) building(repository *Repository) bool {
	return u.builds[repository.Namespace+"/"+repository.App]
}

const tektonGroup = "tekton.dev"

// kind is a kind of objects that may refer to images.
type kind struct {
	resource schema.GroupVersionResource
	selector string
}

// workloadKinds returns the kinds that run images.
func workloadKinds() []kind {
	apps, batch, core := schema.GroupVersion{Group: "apps", Version: "v1"}, schema.GroupVersion{Group: "batch", Version: "v1"}, schema.GroupVersion{Version: "v1"}
	return []kind{
		{resource: core.WithResource("pods")},
		{resource: apps.WithResource("deployments")},
		{resource: apps.WithResource("replicasets")},
		{resource: apps.WithResource("statefulsets")},
		{resource: apps.WithResource("daemonsets")},
		{resource: apps.WithResource("controllerrevisions")},
		{resource: batch.WithResource("jobs")},
		{resource: batch.WithResource("cronjobs")},
		{resource: core.WithResource("replicationcontrollers")},
	}
}

// recordKinds returns the kinds that do not run images themselves: they lead to images that
// will run, or record what a release was made with.
func recordKinds() []kind {
	core, tekton := schema.GroupVersion{Version: "v1"}, schema.GroupVersion{Group: tektonGroup, Version: "v1"}
	return []kind{
		{resource: core.WithResource("podtemplates")},
		{resource: tekton.WithResource("pipelineruns")},
		{resource: tekton.WithResource("taskruns")},
		{resource: core.WithResource("secrets"), selector: manifests.LabelApp},
		{resource: core.WithResource("configmaps"), selector: manifests.LabelApp},
	}
}

// RecordPermissions returns the permissions that FindUsage needs to see all of the cluster.
func RecordPermissions() []access.Permission {
	var permissions []access.Permission
	for _, kind := range slices.Concat(workloadKinds(), recordKinds()) {
		permissions = append(permissions, kind.permission(""))
	}
	return permissions
}

func (k kind) permission(namespace string) access.Permission {
	return access.Permission{Verb: "list", Group: k.resource.Group, Resource: k.resource.Resource, Namespace: namespace}
}

// Workloads finds what runs the images of repositories in namespace, or anywhere if it is
// empty. It leaves out what the user may not list, and names that in Missing.
func Workloads(ctx context.Context, client dynamic.Interface, namespace string, repositories []*Repository) (*Usage, error) {
	return find(ctx, client, namespace, workloadKinds(), repositories, true)
}

// FindUsage finds everything in the cluster that refers to what repositories hold: workloads,
// what a rollback would run, and the runs of builds with what they deploy. It finds too much
// rather than too little: any mention of a digest counts, also in an annotation or a status. It
// returns an error for a kind that the user may not list.
func FindUsage(ctx context.Context, client dynamic.Interface, repositories []*Repository) (*Usage, error) {
	return find(ctx, client, "", slices.Concat(workloadKinds(), recordKinds()), repositories, false)
}

// FindReachableUsage finds what FindUsage finds, as far as the user may look: in all of the
// cluster, or else in namespace. It names what the user may not list in Missing.
func FindReachableUsage(ctx context.Context, client dynamic.Interface, namespace string, repositories []*Repository) (*Usage, error) {
	usage, err := FindUsage(ctx, client, repositories)
	var missing *access.MissingError
	if !errors.As(err, &missing) {
		return usage, err
	}
	usage, err = find(ctx, client, namespace, slices.Concat(workloadKinds(), recordKinds()), repositories, true)
	if err == nil {
		usage.Missing = append(slices.Clone(missing.Missing), usage.Missing...)
	}
	return usage, err
}

func find(ctx context.Context, client dynamic.Interface, namespace string, kinds []kind, repositories []*Repository, lenient bool) (*Usage, error) {
	f := &finder{
		objects: map[string]object{},
		digests: map[string]bool{},
		paths:   map[string]bool{},
		images:  map[string]string{},
		usage:   &Usage{digests: map[string][]User{}, tags: map[string][]User{}, builds: map[string]bool{}},
	}
	for _, repository := range repositories {
		f.paths[repository.Path] = true
		if repository.Kind == Images {
			f.images[repository.Namespace+"/"+repository.App] = repository.Path
		}
		for _, manifest := range repository.Manifests {
			f.digests[manifest.Digest] = true
		}
	}
	for _, kind := range kinds {
		pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.Resource(kind.resource).Namespace(namespace).List(ctx, options)
		})
		pages.PageSize, pages.PageBufferSize = pageSize, 0
		err := pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: kind.selector}, func(item runtime.Object) error {
			object, ok := item.(*unstructured.Unstructured)
			if !ok {
				return fmt.Errorf("an item is a %T", item)
			}
			return f.add(kind, object)
		})
		switch {
		case apierrors.IsForbidden(err) && lenient:
			f.usage.Missing = append(f.usage.Missing, kind.permission(namespace))
		case apierrors.IsForbidden(err):
			return nil, &access.MissingError{Missing: []access.Permission{kind.permission(namespace)}}
		case err != nil && !apierrors.IsNotFound(err): // a kind that the server does not know has no objects
			return nil, fmt.Errorf("%s: %w", kind.permission(namespace), err)
		}
	}
	f.attribute()
	return f.usage, nil
}

// finder collects what objects refer to, and then attributes it to their owners.
type finder struct {
	objects map[string]object
	digests map[string]bool
	paths   map[string]bool
	// images are the paths of the apps' images, by namespace/name.
	images map[string]string
	usage  *Usage
}

// object is what the finder keeps of an object.
type object struct {
	user User
	// owner is its controller, by UID and by name; may be empty.
	owner     string
	ownerName User
	// previous reports that only a rollback would use it.
	previous      bool
	digests, tags []string
}

var (
	digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
	// A port before the repository ends one match, and the next starts with it.
	imagePattern = regexp.MustCompile(`([a-z0-9][a-z0-9._-]*(?:/[a-z0-9._-]+)+)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?`)
)

func newUser(apiVersion, kind, namespace, name string) User {
	resource := strings.ToLower(kind)
	if group, _, ok := strings.Cut(apiVersion, "/"); ok {
		resource += "." + group
	}
	return User{Resource: resource, Namespace: namespace, Name: name}
}

func (f *finder) add(kind kind, item *unstructured.Unstructured) error {
	item.SetManagedFields(nil)
	o := object{
		user:     newUser(item.GetAPIVersion(), item.GetKind(), item.GetNamespace(), item.GetName()),
		previous: kind.resource.Resource == "controllerrevisions",
	}
	if owner := metav1.GetControllerOf(item); owner != nil {
		o.owner, o.ownerName = string(owner.UID), newUser(owner.APIVersion, owner.Kind, item.GetNamespace(), owner.Name)
	}
	switch kind.resource.Resource {
	case "replicasets":
		replicas, found, _ := unstructured.NestedInt64(item.Object, "spec", "replicas")
		o.previous = found && replicas == 0 && o.owner != ""
	case "pipelineruns":
		f.run(&o, item)
	case "secrets":
		encoded, _, err := unstructured.NestedStringMap(item.Object, "data")
		if err != nil {
			return fmt.Errorf("secret %s in namespace %s: %w", item.GetName(), item.GetNamespace(), err)
		}
		for _, value := range encoded {
			content, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				return fmt.Errorf("secret %s in namespace %s: %w", item.GetName(), item.GetNamespace(), err)
			}
			f.scan(&o, content)
		}
	}
	text, err := json.Marshal(item.Object)
	if err != nil {
		return err
	}
	f.scan(&o, text)
	f.objects[string(item.GetUID())+"/"+o.user.Namespace+"/"+o.user.String()] = o
	return nil
}

// run adds the image of a build, whose tag is the name of the run.
func (f *finder) run(o *object, item *unstructured.Unstructured) {
	app := item.GetLabels()[manifests.LabelApp]
	if app == "" {
		return
	}
	if path, ok := f.images[item.GetNamespace()+"/"+app]; ok {
		o.tags = append(o.tags, path+":"+item.GetName())
	}
	conditions, _, _ := unstructured.NestedSlice(item.Object, "status", "conditions")
	done := slices.ContainsFunc(conditions, func(condition any) bool {
		c, _ := condition.(map[string]any)
		return c["type"] == "Succeeded" && (c["status"] == "True" || c["status"] == "False")
	})
	if !done {
		f.usage.builds[item.GetNamespace()+"/"+app] = true
	}
}

// scan finds every mention of a digest or tag of the repositories.
func (f *finder) scan(o *object, text []byte) {
	for _, match := range digestPattern.FindAll(text, -1) {
		if f.digests[string(match)] {
			o.digests = append(o.digests, string(match))
		}
	}
	for _, match := range imagePattern.FindAllSubmatch(text, -1) {
		tag := string(match[2])
		if tag == "" {
			tag = "latest"
		}
		for path, ok := string(match[1]), true; ok; _, path, ok = strings.Cut(path, "/") {
			if f.paths[path] {
				o.tags = append(o.tags, path+":"+tag)
			}
		}
	}
}

// maxOwners is more than the owners from a pod up to the object that a user created.
const maxOwners = 8

// attribute assigns each use to the topmost owner: the use of a pod is that of its Deployment.
func (f *finder) attribute() {
	byUID := map[string]object{}
	for key, o := range f.objects {
		if uid, _, _ := strings.Cut(key, "/"); uid != "" {
			byUID[uid] = o
		}
	}
	for _, o := range f.objects {
		root, user := o, o.user
		for range maxOwners {
			if root.owner == "" {
				break
			}
			user = root.ownerName
			owner, ok := byUID[root.owner]
			if !ok {
				break
			}
			root = owner
		}
		user.Previous = o.previous
		note := func(uses map[string][]User, key string) {
			if !slices.Contains(uses[key], user) {
				uses[key] = append(uses[key], user)
			}
		}
		for _, digest := range o.digests {
			note(f.usage.digests, digest)
		}
		for _, tag := range o.tags {
			note(f.usage.tags, tag)
		}
	}
}
