package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/applog"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/live"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// The values of the filter for the health of apps.
const (
	healthy   = "Healthy"
	unhealthy = "Unhealthy"
)

// appViews are the views of apps and of the platform.
type appViews struct{ *Server }

// apps shows the list of apps.
func (v *appViews) apps(_ context.Context, r *http.Request) (*page, error) {
	query := r.URL.Query()
	return &page{render: func(ctx context.Context) (view.Page, error) {
		all, ready, err := v.cluster.Apps()
		runs, _, _ := v.cluster.Runs(time.Now())
		model := view.Apps{
			All: len(all), State: query.Get("state"), Text: query.Get("q"), Namespace: query.Get("namespace"),
			ManyNamespaces: v.cluster.Namespace() == "", Ready: ready, Problem: v.problem(err),
			Build: v.buildAction(ctx),
		}
		for _, app := range all {
			if !app.Healthy {
				model.Unhealthy++
			}
		}
		found := slices.DeleteFunc(view.AppRows(view.SortApps(all), runs), func(app view.AppRow) bool {
			return model.State == healthy && !app.Healthy || model.State == unhealthy && app.Healthy ||
				model.Namespace != "" && app.Namespace != model.Namespace || !app.Mentions(model.Text)
		})
		model.Total = len(found)
		model.Apps, model.Pager = view.Paginate(found, listSize, "/apps", query)
		return view.Page{Title: "Apps", Section: "apps", Template: "apps", Model: model}, nil
	}}, nil
}

// app shows one app with its replicas and their log.
func (v *appViews) app(ctx context.Context, r *http.Request) (*page, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	// Without the configuration the page has all but one action.
	var prepared []string
	if config, err := platform.Config(ctx, v.options.Clients.Kube); err == nil {
		prepared = config.Namespaces
	}
	replica := r.URL.Query().Get("replica")
	follower, done := v.cluster.FollowApp(namespace, name, replica)
	records, forget := v.cluster.FollowReleases(namespace, name)
	return &page{
		changed: follower.Changed, log: follower.Log(), logID: follower.ID,
		close: func() {
			done()
			forget()
		},
		render: func(ctx context.Context) (view.Page, error) {
			_, appsReady, appsErr := v.cluster.Apps()
			runs, runsReady, _ := v.cluster.Runs(time.Now())
			runs = slices.DeleteFunc(runs, func(run status.Run) bool { return run.Namespace != namespace || run.App != name })
			app, deployed := v.cluster.App(namespace, name)
			switch {
			case deployed:
			case appsErr != nil:
				return view.Page{}, appsErr
			case !appsReady || len(runs) == 0 && !runsReady:
				return view.Page{Title: name, Section: "apps", Template: "wait", Model: "Reading app " + name + "…"}, nil
			case len(runs) == 0:
				return view.Page{}, v.noApp(namespace, name)
			default:
				app = status.App{Namespace: namespace, Name: name}
			}
			model := v.appModel(ctx, app, deployed, runs, follower.Replicas(), replica)
			model.Processes = v.processes(ctx, app)
			model.Releases = v.releases(ctx, app, r.URL.Query(), records)
			if promote := v.promoteAction(ctx, app, prepared); deployed && promote != nil {
				model.Actions = slices.Insert(model.Actions, len(model.Actions)-1, *promote) // deletion is last
			}
			return view.Page{Title: name, Section: "apps", Template: "app", Model: model}, nil
		},
	}, nil
}

// noApp reports an app that neither runs nor was ever built.
func (v *appViews) noApp(namespace, name string) error {
	if watched := v.cluster.Namespace(); watched != "" && watched != namespace {
		return fmt.Errorf("this page shows namespace %s: open it with kubectl pyflow ui --namespace %q", watched, namespace)
	}
	return fmt.Errorf("there is no app %q in namespace %q, and no run of it", name, namespace)
}

func (v *appViews) appModel(ctx context.Context, app status.App, deployed bool, runs []status.Run, replicas applog.Replicas, replica string) view.App {
	model := view.App{
		AppRow: view.AppRows([]status.App{app}, runs)[0], Deployed: deployed,
		Replicas: view.Replicas(replicas.Pods, app.Image), ReplicasReady: replicas.Ready, ReplicasProblem: v.problem(replicas.Err),
		ManyWorkloads: len(app.Workloads) > 1,
		Runs:          runs[:min(len(runs), lastRuns)], AllRuns: len(runs),
		Log: view.Log{Name: "apps/" + app.Namespace + "/" + app.Name, Title: "Log of all replicas", Sources: "Replica"},
	}
	for _, one := range app.Workloads {
		resource, name, _ := strings.Cut(one, "/")
		kind, group, _ := strings.Cut(resource, ".")
		model.Workloads = append(model.Workloads, view.Object{
			Kind: kind, Namespace: app.Namespace, Name: name, Path: view.Path("objects", app.Namespace, kind+"s."+group, name),
		})
	}
	if replica != "" {
		model.Log.Name, model.Log.Title, model.Log.Sources = model.Log.Name+"/"+replica, "Log of replica "+replica, ""
		model.Replica, model.AllReplicas = replica, view.Path("apps", app.Namespace, app.Name)
	}
	model.LogNotes = view.LogNotes(replicas, replica, live.MaxReplicas)
	if problem := v.problem(replicas.LogErr); problem != nil {
		model.LogNotes = append(model.LogNotes, problem.Message)
	}
	if len(runs) > 0 {
		if newest := v.cluster.Run(app.Namespace, runs[0].Name); newest != nil && newest.IsDone() {
			again := v.rerunAction(ctx, pipelinerun.Parse(newest))
			again.Label = "Build again"
			model.Actions = append(model.Actions, again)
		}
	}
	if args, err := onApp("open", url.Values{"namespace": {app.Namespace}, "name": {app.Name}}, nil); err == nil {
		model.Open = v.commandLine(args)
	}
	if deployed {
		model.Actions = append(model.Actions, v.deleteAction(ctx, app))
	}
	return model
}

// deleteAction returns the action that deletes an app.
func (v *appViews) deleteAction(ctx context.Context, app status.App) view.Action {
	return v.action(ctx, view.Action{
		Name: "delete", Label: "Delete", Title: "Delete app " + app.Name + "?", Danger: true,
		Text:   "Deletes its objects, volume claims among them, the records of its releases, its runs with their logs, and what the registry has of it.",
		Fields: fields("namespace", app.Namespace, "name", app.Name),
		Inputs: []view.Input{
			{Name: "keep-images", Kind: "checkbox", Label: "Keep what the registry has of the app"},
			{Name: "force", Kind: "checkbox", Label: "Cancel the builds of the app that are running"},
		},
	}, access.Permission{Verb: "delete", Group: appsv1.GroupName, Resource: "deployments", Namespace: app.Namespace})
}
