// Package status takes a snapshot of the platform, the last runs and the deployed apps.
package status

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

// Kind and APIVersion of a Status in its JSON or YAML form.
const (
	Kind       = "Status"
	APIVersion = "pyflow.dev/v1"
)

// Status is the snapshot. Its lists are never nil.
type Status struct {
	metav1.TypeMeta `json:",inline"`
	// Healthy reports that no part of the platform and no app is known to be unhealthy. The
	// results of earlier runs do not count, nor do parts that the user may not read.
	Healthy bool `json:"healthy"`
	// Platform lists the parts of the platform, always in the same order.
	Platform []Part `json:"platform"`
	// Runs lists the last builds, newest first.
	Runs []Run `json:"runs"`
	// Apps lists the deployed apps, by namespace and name.
	Apps []App `json:"apps"`
	// Warnings lists what is missing in Runs and Apps, and why, and what is not safe in the settings
	// of the platform.
	Warnings []string `json:"warnings,omitempty"`
}

// Part is one part of the platform.
type Part struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	Version   string `json:"version,omitempty"`
	// Desired and Ready count the pods, nodes or objects of the part.
	Desired int32 `json:"desired"`
	Ready   int32 `json:"ready"`
	Healthy bool  `json:"healthy"`
	// Unknown reports that the user may not read the part. Message names the missing
	// permission, and Healthy is false.
	Unknown bool `json:"unknown,omitempty"`
	// CertificateExpires is the time at which the first certificate of the part expires.
	CertificateExpires *metav1.Time `json:"certificateExpires,omitempty"`
	// Message describes in one line what is wrong, or soon will be. For healthy node access it
	// is the mode, and for healthy Pipelines in which user namespace builds run.
	Message string `json:"message,omitempty"`
}

// Notable reports whether a part is unhealthy, or has a message that is a warning.
func (p Part) Notable() bool {
	describes := p.Name == manifests.NodeAccessName || p.Name == pipelinePart
	return !p.Unknown && (!p.Healthy || p.Message != "" && !describes)
}

// Run is one build.
type Run struct {
	Name      string   `json:"name"`
	Namespace string   `json:"namespace"`
	App       string   `json:"app"`
	State     RunState `json:"state"`
	// Reason and Message are those of Tekton, or of whoever ended the run.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Started is the time at which Tekton started the run, or its creation before that.
	Started  metav1.Time  `json:"started"`
	Finished *metav1.Time `json:"finished,omitempty"`
	// DurationSeconds ends at the snapshot for a run that has not finished.
	DurationSeconds int64 `json:"durationSeconds"`
	// Digest is that of the pushed image, sha256:<hex>; empty if there is none.
	Digest string `json:"digest,omitempty"`
	// Commit is the full git commit of the source, if it is known. Dirty reports that files
	// differed from it.
	Commit string `json:"commit,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"`
	// Pipeline is the one that the run executes. pyflow builds a folder, pyflow-git a
	// repository; with the suffix -tested it also tests the image. pyflow-deliver only deploys.
	Pipeline string `json:"pipeline,omitempty"`
}

// RunState is the state of a run.
type RunState string

// The states of a run.
const (
	RunPending   RunState = "Pending"
	RunRunning   RunState = "Running"
	RunSucceeded RunState = "Succeeded"
	RunFailed    RunState = "Failed"
	RunCanceled  RunState = "Canceled"
	// RunSuperseded is the state of a run in whose place a later one was deployed.
	RunSuperseded RunState = "Superseded"
)

// Ending returns the state, with the reason in parentheses for a run that failed or was canceled and
// has ended.
func (r Run) Ending() string {
	explained := r.State == RunFailed || r.State == RunCanceled && r.Finished != nil
	if explained && r.Reason != "" && r.Reason != string(r.State) {
		return string(r.State) + " (" + r.Reason + ")"
	}
	return string(r.State)
}

// App is everything that was deployed under one name: usually one workload.
type App struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// Desired and Ready are the replicas of all workloads together. Ready never exceeds
	// Desired, even if a rollout adds replicas for a while.
	Desired int32 `json:"desired"`
	Ready   int32 `json:"ready"`
	// Digest is that of the deployed image, sha256:<hex>. Replicas of the release before may
	// still be running.
	Digest string `json:"digest"`
	// Image is the whole reference, as nodes pull it.
	Image string `json:"image,omitempty"`
	// Release is the number of the release that the workloads are of; 0 if none is on them.
	Release int `json:"release,omitempty"`
	// URL is the address of the app outside the cluster; empty if none is known.
	URL string `json:"url"`
	// Reach is the command that opens the app, if URL does not answer from where the user is.
	// This room leaves it empty: it reads the cluster only.
	Reach string `json:"reach,omitempty"`
	// Workloads are the app's, as <resource>.<group>/<name>, sorted.
	Workloads []string `json:"workloads"`
	// Updated is the time at which a release last changed the app.
	Updated metav1.Time `json:"updated"`
	// Healthy reports that all desired replicas are ready and no pod has a problem. A rollout
	// without problems does not make an app unhealthy.
	Healthy bool `json:"healthy"`
	// Message describes in one line what is wrong, or a rollout in progress.
	Message string `json:"message,omitempty"`
	// Reason is the word of Kubernetes for the problem in Message: ImagePullBackOff. Remedy
	// is what to do, in one line. Both are empty if there is none.
	Reason string `json:"reason,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	// Parts are the workloads one by one, in the order of Workloads. No output has them.
	Parts []AppPart `json:"-"`
}

// AppPart is a workload of an app.
type AppPart struct {
	// Name names it behind the app, APP/NAME: that of its process, or else its own.
	Name string
	// Kind is Deployment, StatefulSet or DaemonSet, and Workload the name of the object.
	Kind, Workload string
	// The fields below are those of App, of this workload alone.
	Desired, Ready          int32
	Healthy                 bool
	Message, Reason, Remedy string
}

var _ runtime.Object = (*Status)(nil)

// DeepCopyObject makes Status an object that kubectl's printers accept.
func (s *Status) DeepCopyObject() runtime.Object {
	c := *s
	c.Platform = slices.Clone(s.Platform)
	for i := range c.Platform {
		c.Platform[i].CertificateExpires = s.Platform[i].CertificateExpires.DeepCopy()
	}
	c.Runs = slices.Clone(s.Runs)
	for i := range c.Runs {
		c.Runs[i].Finished = s.Runs[i].Finished.DeepCopy()
	}
	c.Apps = slices.Clone(s.Apps)
	for i := range c.Apps {
		c.Apps[i].Workloads = slices.Clone(s.Apps[i].Workloads)
	}
	c.Warnings = slices.Clone(s.Warnings)
	return &c
}

// Clients are the API clients that Collect needs.
type Clients struct {
	Kube   kubernetes.Interface
	Tekton versioned.Interface
}

// Options select what Collect reads.
type Options struct {
	// Namespace is that of the runs and the apps.
	Namespace string
	// AllNamespaces widens it to every namespace.
	AllNamespaces bool
	// App restricts the runs and the apps to one; empty is all.
	App string
	// Selector restricts them by their labels; nil is all.
	Selector labels.Selector
	// Runs is the number of last runs in the snapshot.
	Runs int
	// Now is the time of the snapshot.
	Now time.Time
}

// parallel is the number of concurrent requests: enough to hide the round trip, too few to
// load an API server.
const parallel = 8

// pageSize limits the part of a long list that is in memory.
const pageSize = 250

// Collect takes the snapshot. A part that the user may not read is Unknown, and its message
// names the missing permission. Collect fails if the user may not read the configuration,
// with platform.ErrNotSetUp if the platform is not installed, and with a
// *kube.NamespaceNotFoundError if options.Namespace does not exist.
func Collect(ctx context.Context, clients Clients, options Options) (*Status, error) {
	c, err := newCollector(ctx, clients, options)
	if err != nil {
		return nil, err
	}
	status := &Status{
		TypeMeta: metav1.TypeMeta{Kind: Kind, APIVersion: APIVersion},
		Healthy:  true,
		Runs:     []Run{},
		Apps:     []App{},
	}
	var deniedRuns, deniedApps error

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		status.Apps, err = c.apps(ctx)
		deniedApps, err = denied(err)
		return err
	})
	group.Go(func() (err error) {
		status.Runs, err = c.runs(ctx)
		deniedRuns, err = denied(err)
		return err
	})
	group.Go(func() (err error) {
		status.Platform, err = c.parts(ctx)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, missing := range []error{deniedRuns, deniedApps} {
		if missing != nil {
			status.Warnings = append(status.Warnings, missing.Error())
		}
	}
	if warning := c.config.ArgumentWarning(); warning != "" {
		status.Warnings = append(status.Warnings, warning)
	}
	for _, part := range status.Platform {
		status.Healthy = status.Healthy && (part.Healthy || part.Unknown)
	}
	for _, app := range status.Apps {
		status.Healthy = status.Healthy && app.Healthy
	}
	return status, nil
}

// Apps returns the apps alone, with the errors of Collect and, without a permission, an
// access.MissingError.
func Apps(ctx context.Context, clients Clients, options Options) ([]App, error) {
	c, err := newCollector(ctx, clients, options)
	if err != nil {
		return []App{}, err
	}
	return c.apps(ctx)
}

// Platform returns the parts of the platform alone, with the errors of Collect.
func Platform(ctx context.Context, clients Clients, options Options) ([]Part, error) {
	c, err := newCollector(ctx, clients, options)
	if err != nil {
		return []Part{}, err
	}
	return c.parts(ctx)
}

func newCollector(ctx context.Context, clients Clients, options Options) (*collector, error) {
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, fmt.Errorf("read the platform's configuration: %w", err)
	}
	c := &collector{Clients: clients, Options: options, config: config}
	if !options.AllNamespaces {
		c.scope = options.Namespace
	}
	c.nodes, c.nodesKnown, err = listNodes(ctx, clients.Kube, config.Registry.NodeHost)
	return c, err
}

// collector takes one snapshot.
type collector struct {
	Clients
	Options
	config *manifests.Config
	// scope is the namespace of runs and apps; empty for all.
	scope string
	// nodes are empty, and not known, if the user may not list them.
	nodes      []node
	nodesKnown bool
	// served are the nodes with a ready pod for node access; nil if that is not known. The
	// check of node access writes it.
	served map[string]bool
}

// read runs one request. If the user has no permission it returns an access.MissingError; any
// other error names the request.
func read[T any](permission access.Permission, request func() (T, error)) (T, error) {
	value, err := request()
	switch {
	case apierrors.IsForbidden(err):
		return value, &access.MissingError{Missing: []access.Permission{permission}}
	case err != nil && !apierrors.IsNotFound(err):
		return value, fmt.Errorf("%s: %w", permission, err)
	}
	return value, err
}

// denied splits an error into a missing permission and any other error.
func denied(err error) (missing, other error) {
	var permission *access.MissingError
	if errors.As(err, &permission) {
		return permission, nil
	}
	return nil, err
}

// each calls visit for the items of a list, which it reads in pages. A kind that the API
// server does not know has no items.
func each[T runtime.Object](ctx context.Context, permission access.Permission, selector string, list func(context.Context, metav1.ListOptions) (runtime.Object, error), visit func(T)) error {
	pages := pager.New(list)
	pages.PageSize, pages.PageBufferSize = pageSize, 0
	_, err := read(permission, func() (struct{}, error) {
		return struct{}{}, pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: selector}, func(item runtime.Object) error {
			visit(item.(T))
			return nil
		})
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
