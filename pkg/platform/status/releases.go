package status

import (
	"context"
	"fmt"
	"slices"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// ReleaseListKind is the kind of a ReleaseList. Its APIVersion is that of Status.
const ReleaseListKind = "ReleaseList"

// ReleaseState is the state of a release, as the objects of its app show it.
type ReleaseState string

// The states of a release.
const (
	// Live releases are what their app runs, with all replicas ready.
	Live ReleaseState = "Live"
	// RollingOut releases replace another one at the moment.
	RollingOut ReleaseState = "RollingOut"
	// RolloutFailed releases are on the workloads, and something is wrong with their pods; or
	// they were replaced after whoever watched their rollout saw it fail.
	RolloutFailed ReleaseState = "Failed"
	// Replaced releases were followed by another one.
	Replaced ReleaseState = "Replaced"
	// NotApplied releases are recorded, and no workload was of them: their delivery broke off.
	NotApplied ReleaseState = "NotApplied"
)

// ReleaseList lists releases. Its JSON form is documented in docs/output.md.
type ReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	// Items are sorted by namespace and app, and of one app the newest first. It is never nil.
	Items []Release `json:"items"`
}

// Release is a release on record.
type Release struct {
	// Name is that of the ConfigMap with the record.
	Name string `json:"name"`
	record.Record
	State ReleaseState `json:"state"`
	// Message says in one line what is wrong, or how far a rollout is; Reason and Remedy are
	// those of App.
	Message string `json:"message,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

var _ runtime.Object = (*ReleaseList)(nil)

// DeepCopyObject makes ReleaseList an object that kubectl's printers accept.
func (l *ReleaseList) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = slices.Clone(l.Items)
	return &c
}

// Releases lists the releases on record of the namespace, or of one app, with their states. It
// returns an access.MissingError to a user who may not list the records, and otherwise the
// errors of Apps.
func Releases(ctx context.Context, clients Clients, options Options) (*ReleaseList, error) {
	namespace := options.Namespace
	if options.AllNamespaces {
		namespace = metav1.NamespaceAll
	}
	records, err := record.List(ctx, clients.Kube, namespace, options.App)
	if apierrors.IsForbidden(err) {
		return nil, &access.MissingError{Missing: []access.Permission{{Verb: "list", Resource: "configmaps", Namespace: namespace}}}
	}
	if err != nil {
		return nil, err
	}
	list := &ReleaseList{TypeMeta: metav1.TypeMeta{Kind: ReleaseListKind, APIVersion: APIVersion}}
	apps, err := Apps(ctx, clients, options)
	if err != nil {
		return nil, err
	}
	failures, err := failedRuns(ctx, clients, namespace, options.App)
	if err != nil {
		return nil, err
	}
	list.Items = NewReleases(records, apps, failures)
	return list, nil
}

// NewReleases returns releases on record with their states, in the order of records. apps are those
// that are deployed, and failures what runs tell of releases. It is pure, and the list is never nil.
func NewReleases(records []*record.Record, apps []App, failures FailedReleases) []Release {
	live := map[string]App{}
	for _, app := range apps {
		live[app.Namespace+"/"+app.Name] = app
	}
	releases := make([]Release, 0, len(records))
	for _, one := range records {
		app, deployed := live[one.Namespace+"/"+one.App]
		item := Release{Name: one.Name(), Record: *one, State: NotApplied}
		if deployed {
			item.judge(app)
		}
		if why, ok := failures[one.Namespace+"/"+one.Run]; ok && item.State == Replaced {
			item.State, item.Reason, item.Message = why.State, why.Reason, why.Message
		}
		releases = append(releases, item)
	}
	return releases
}

// FailedReleases are, by NAMESPACE/NAME of a run, the state of the release that it did not deliver,
// or whose rollout failed: once it was replaced, nothing else shows that.
type FailedReleases map[string]Release

// Add adds the release of a run if it failed.
func (f FailedReleases) Add(run *tektonv1.PipelineRun) {
	reason, message := pipelinerun.RolloutFailure(run)
	switch verdict := pipelinerun.Verdict(run); {
	case reason != "":
		f[run.Namespace+"/"+run.Name] = Release{State: RolloutFailed, Reason: reason, Message: display.OneLine(message)}
	case verdict.Done && !verdict.Succeeded:
		f[run.Namespace+"/"+run.Name] = Release{State: NotApplied}
	}
}

// failedRuns reads the runs of a namespace, or of one app.
func failedRuns(ctx context.Context, clients Clients, namespace, app string) (FailedReleases, error) {
	failed := FailedReleases{}
	_, err := read(access.Permission{Verb: "list", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace}, func() (struct{}, error) {
		return struct{}{}, pipelinerun.Each(ctx, clients.Tekton, namespace, app, failed.Add)
	})
	return failed, err
}

// judge sets the state of a release of an app that is deployed.
func (r *Release) judge(app App) {
	switch {
	case r.Number > app.Release:
		r.State = NotApplied
		return
	case r.Number < app.Release:
		r.State = Replaced
		return
	case app.Healthy && app.Message == "":
		r.State = Live
		return
	case app.Healthy:
		r.State = RollingOut
	default:
		r.State = RolloutFailed
	}
	r.Message, r.Reason, r.Remedy = app.Message, app.Reason, app.Remedy
}

// Ending returns the state in one word or phrase, as tables show it.
func (r Release) Ending() string {
	if r.State == RolloutFailed && r.Reason != "" {
		return fmt.Sprintf("%s (%s)", r.State, r.Reason)
	}
	return string(r.State)
}

// Note says where a release comes from, if not from a build.
func (r Release) Note() string {
	if r.PromotedFrom != "" {
		return "promoted from " + display.OneLine(r.PromotedFrom)
	}
	if r.RollbackTo > 0 {
		return fmt.Sprintf("rollback to %d", r.RollbackTo)
	}
	return ""
}
