package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/live"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

const (
	// listSize is how many rows a page of a list has.
	listSize = 50
	// overviewApps is how many apps the overview shows, and lastRuns how many runs a page
	// shows beside something else.
	overviewApps = 12
	lastRuns     = 8
)

// runViews are the views of runs and of their objects, and the overview.
type runViews struct{ *Server }

// overview shows the apps and the last runs.
func (v *runViews) overview(context.Context, *http.Request) (*page, error) {
	v.cluster.ReadPlatform(false, platformAge)
	return &page{changed: v.cluster.PlatformChanged, render: func(ctx context.Context) (view.Page, error) {
		runs, runsReady, runsErr := v.cluster.Runs(time.Now())
		apps, appsReady, appsErr := v.cluster.Apps()
		model := view.Overview{
			Runs: runs[:min(len(runs), lastRuns)], RunsReady: runsReady, RunsProblem: v.problem(runsErr), AllRuns: len(runs),
			Apps: view.SortApps(apps), AppsReady: appsReady, AppsProblem: v.problem(appsErr),
			ManyNamespaces: v.cluster.Namespace() == "",
			Build:          v.buildAction(ctx),
		}
		if len(model.Apps) > overviewApps {
			model.Apps, model.AllApps = model.Apps[:overviewApps], len(apps)
		}
		if platform := v.cluster.Platform(); platform.Report != nil {
			model.PlatformHealthy, model.Platform = view.Health(platform.Report)
			model.PlatformRead = platform.Read
		}
		return view.Page{Title: "Overview", Section: "overview", Template: "overview", Model: model}, nil
	}}, nil
}

// runs shows the list of runs.
func (v *runViews) runs(_ context.Context, r *http.Request) (*page, error) {
	query := r.URL.Query()
	return &page{render: func(ctx context.Context) (view.Page, error) {
		all, ready, err := v.cluster.Runs(time.Now())
		model := view.Runs{
			All: len(all), App: query.Get("app"), State: query.Get("state"), Text: query.Get("q"), States: view.RunStates(),
			ManyNamespaces: v.cluster.Namespace() == "", Ready: ready, Problem: v.problem(err),
			Build: v.buildAction(ctx),
		}
		found := slices.DeleteFunc(all, func(run status.Run) bool {
			return model.App != "" && run.App != model.App || model.State != "" && string(run.State) != model.State ||
				!view.Mentions(model.Text, run.Name, run.App, run.Commit, run.Digest, run.Reason)
		})
		model.Total = len(found)
		model.Runs, model.Pager = view.Paginate(found, listSize, "/runs", query)
		return view.Page{Title: "Runs", Section: "runs", Template: "runs", Model: model}, nil
	}}, nil
}

// run shows one run with its log.
func (v *runViews) run(_ context.Context, r *http.Request) (*page, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	follower, done := v.cluster.Follow(namespace, name)
	return &page{
		changed: follower.Changed, log: follower.Log(), logID: follower.ID, close: done,
		render: func(ctx context.Context) (view.Page, error) {
			progress := follower.Progress()
			if progress.Run == nil && progress.Err != nil {
				return view.Page{}, progress.Err
			}
			if progress.Run == nil {
				return view.Page{Title: name, Section: "runs", Template: "wait", Model: "Reading run " + name + "…"}, nil
			}
			return view.Page{Title: name, Section: "runs", Template: "run", Model: v.runModel(ctx, progress, namespace, name)}, nil
		},
	}, nil
}

func (v *runViews) runModel(ctx context.Context, progress live.Progress, namespace, name string) view.Run {
	now := time.Now()
	object := progress.Run
	// The list knows of an end before the log does.
	if newer := v.cluster.Run(namespace, name); newer != nil && !object.IsDone() {
		object = newer
	}
	info := pipelinerun.Parse(progress.Run)
	model := view.Run{
		Run: status.NewRun(object, now), Progress: progress, Rows: view.Timeline(progress, now),
		Objects: view.Path("runs", namespace, name, "objects"), Log: view.Log{Name: namespace + "/" + name, Title: "Log", Chatter: true},
		Source: sourceOf(info),
	}
	if progress.Finished != nil {
		model.Failure = progress.Finished.Failure
	}
	if model.Digest != "" && model.App != "" {
		model.Image = view.Path("registry", namespace, model.App, model.Digest)
	}
	if !object.IsDone() {
		model.Actions = append(model.Actions, v.action(ctx, view.Action{
			Name: "cancel", Label: "Cancel", Title: "Cancel run " + name + "?", Danger: true,
			Text:   "Its pods are ended. It pushes and deploys nothing more; what it has deployed stays.",
			Fields: fields("namespace", namespace, "name", name),
		}, access.Permission{Verb: "patch", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace}))
		return model
	}
	model.Actions = append(model.Actions, v.rerunAction(ctx, info))
	return model
}

// rerunAction returns the action that repeats a run, with the settings that may differ.
func (s *Server) rerunAction(ctx context.Context, info pipelinerun.Info) view.Action {
	action := view.Action{
		Name: "rerun", Label: "Rerun", Title: "Rerun " + info.Name,
		Text:   "Builds the same source again and deploys it in place of what runs now. What is empty stays as the run had it.",
		Fields: fields("namespace", info.Namespace, "name", info.Name),
	}
	if info.DeployOnly {
		action.Text = "Deploys the same image again, in place of what runs now."
	} else {
		action.Inputs = []view.Input{
			{Name: "memory", Label: "Memory of the build", Hint: "Such as 4Gi, if it ran out of memory"},
			{Name: "cpu", Label: "CPU of the build", Hint: "Such as 2 or 500m"},
			{Name: "storage", Label: "Disk space of the build", Hint: "Such as 10Gi"},
			{Name: "build-arg", Label: "Build arguments", Hint: "KEY=VALUE, one per line: added, or in place of the run's", Kind: "lines"},
			{Name: "no-cache", Label: "Ignore the layer cache", Kind: "checkbox"},
		}
	}
	if info.Git != nil {
		action.Inputs = slices.Insert(action.Inputs, 0, view.Input{Name: "revision", Label: "Branch, tag or commit", Hint: "Empty is the commit of the run"})
	}
	return s.action(ctx, action, createRuns(info.Namespace))
}

// createRuns is the permission that starting a run needs first.
func createRuns(namespace string) access.Permission {
	return access.Permission{Verb: "create", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace}
}

// sourceOf returns where a run has its source from, in a few words.
func sourceOf(info pipelinerun.Info) string {
	switch {
	case info.Git == nil && info.Source != "":
		return "a folder"
	case info.Git == nil:
		return "an image that existed"
	case info.Git.Revision != "":
		return info.Git.URL + " at " + info.Git.Revision
	}
	return info.Git.URL
}

// buildAction returns the action that builds a repository.
func (s *Server) buildAction(ctx context.Context) view.Action {
	namespace := s.options.Clients.Namespace
	return s.action(ctx, view.Action{
		Name: "build", Label: "Build a repository", Title: "Build a git repository",
		Text: "The cluster fetches the repository, builds its Dockerfile, and deploys the image.",
		Inputs: []view.Input{
			{Name: "git", Label: "Repository", Hint: "By https or ssh, such as https://git.example.com/team/api.git", Required: true},
			{Name: "namespace", Label: "Namespace", Value: namespace, Required: true},
			{Name: "revision", Label: "Branch, tag or commit", Hint: "Empty is the default branch"},
			{Name: "path", Label: "Folder in the repository"},
			{Name: "name", Label: "Name of the app", Hint: "Empty is the name of the repository"},
			{Name: "file", Label: "Dockerfile", Hint: "Relative to the folder; empty is Dockerfile"},
			{Name: "target", Label: "Stage", Hint: "Empty is the last one"},
			{Name: "git-secret", Label: "Secret with the credentials", Hint: "For a private repository"},
			{Name: "build-arg", Label: "Build arguments", Hint: "KEY=VALUE, one per line", Kind: "lines"},
			{Name: "no-cache", Label: "Ignore the layer cache", Kind: "checkbox"},
			{Name: "no-deploy", Label: "Do not deploy", Kind: "checkbox"},
		},
	}, createRuns(namespace))
}

// action completes an action with its command and what the user lacks for it.
func (s *Server) action(ctx context.Context, a view.Action, needs ...access.Permission) view.Action {
	if a.ID == "" {
		a.ID = "action-" + a.Name
	}
	values := url.Values{}
	for _, field := range a.Fields {
		values.Add(field.Name, field.Value)
	}
	for _, input := range a.Inputs {
		values.Add(input.Name, input.Value)
	}
	if args, err := s.actions()[a.Name].args(values); err == nil {
		a.Command = s.commandLine(args)
	}
	a.Denied = s.allowed.denied(ctx, needs...)
	return a
}

func fields(pairs ...string) []view.Field {
	var all []view.Field
	for i := 0; i+1 < len(pairs); i += 2 {
		all = append(all, view.Field{Name: pairs[i], Value: pairs[i+1]})
	}
	return all
}
