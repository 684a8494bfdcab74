package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/live"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// lastReleases is how many releases a page of an app shows.
const lastReleases = 10

// appActions are the actions of an app.
func (s *Server) appActions() map[string]action {
	return map[string]action{
		"restart": {args: func(form url.Values) ([]string, error) { return onApp("restart", form, nil) }},
		"scale":   {args: scaleArgs},
		"delete": {
			args: func(form url.Values) ([]string, error) {
				return onApp("delete", form, nil, append(flagsOf(form, nil, []string{"keep-images", "force"}), "--yes")...)
			},
			done: func(url.Values, string) {
				s.registry.previewed.set(nil, nil)
				s.registry.registry.Refresh()
			},
			to: func(url.Values, string) string { return "/apps" },
		},
		"rollback": {
			args: func(form url.Values) ([]string, error) {
				number, err := strconv.Atoi(form.Get("to"))
				if err != nil || number < 1 {
					return nil, errors.New("the release is not named")
				}
				return onApp("rollback", form, nil, "--to="+strconv.Itoa(number), "--detach")
			},
			to: newRun,
		},
		"promote": {
			args: promoteArgs,
			to:   func(form url.Values, out string) string { return newRun(url.Values{"namespace": form["to"]}, out) },
		},
	}
}

// promoteArgs returns the command that deploys a release in another namespace.
func promoteArgs(form url.Values) ([]string, error) {
	if form.Get("to") == "" {
		return nil, errors.New("the namespace to deploy in is not named")
	}
	if release := strings.TrimSpace(form.Get("release")); release != "" {
		if number, err := strconv.Atoi(release); err != nil || number < 1 {
			return nil, fmt.Errorf("%q is not the number of a release", release)
		}
	}
	return onApp("promote", form, nil, append(flagsOf(form, []string{"to", "release"}, []string{"with-manifests", "adopt"}), "--detach")...)
}

// onApp returns a command for one app with flags, and with operands behind the app.
func onApp(verb string, form url.Values, operands []string, flags ...string) ([]string, error) {
	name := form.Get("name")
	if name == "" || form.Get("namespace") == "" {
		return nil, errors.New("the app is not named")
	}
	// Behind the name there may be no flag.
	all := operand(form, append([]string{name}, operands...)...)
	return append([]string{verb}, slices.Insert(all, 1, flags...)...), nil
}

// releases returns the releases of an app, of which the page that query asks for.
func (v *appViews) releases(ctx context.Context, app status.App, query url.Values, records *live.ReleaseFollower) view.Releases {
	all, ready, err := records.Releases()
	model := view.Releases{Total: len(all), Ready: ready, Problem: v.problem(err)}
	model.Rows, model.Pager = view.Paginate(view.NewReleases(all), lastReleases, view.Path("apps", app.Namespace, app.Name), query)
	for i := range model.Rows {
		row := &model.Rows[i]
		if v.cluster.Run(row.Namespace, row.Run) != nil {
			row.Delivery = view.Path("runs", row.Namespace, row.Run)
		}
		if row.Number != app.Release {
			row.Rollback = v.rollbackAction(ctx, row.Release)
		}
	}
	return model
}

// rollbackAction returns the action that deploys an earlier release again.
func (v *appViews) rollbackAction(ctx context.Context, release status.Release) *view.Action {
	number := strconv.Itoa(release.Number)
	action := v.action(ctx, view.Action{
		Name: "rollback", ID: "rollback-" + number, Label: "Roll back", Spoken: "Roll back to release " + number, Title: "Roll back to release " + number + "?",
		Text:   "Deploys its manifests and its image again, in place of what runs now. The rollback is a release of its own. Jobs are not run again.",
		Fields: fields("namespace", release.Namespace, "name", release.App, "to", number),
	}, createRuns(release.Namespace))
	return &action
}

// promoteAction returns the action that deploys a release in another namespace, one of targets. It
// returns nil if there is no other one.
func (v *appViews) promoteAction(ctx context.Context, app status.App, targets []string) *view.Action {
	var choices []view.Choice
	var needs []access.Permission
	for _, namespace := range targets {
		if namespace != app.Namespace {
			choices = append(choices, view.Choice{Value: namespace, Label: namespace})
			needs = append(needs, createRuns(namespace))
		}
	}
	if len(choices) == 0 {
		return nil
	}
	action := v.action(ctx, view.Action{
		Name: "promote", Label: "Promote", Title: "Promote app " + app.Name,
		Text:   "Copies the image of a release to another namespace, and deploys it there with the manifests that the app has there. Jobs are run.",
		Fields: fields("namespace", app.Namespace, "name", app.Name),
		Inputs: []view.Input{
			{Name: "to", Kind: "choice", Label: "Namespace", Value: choices[0].Value, Choices: choices, Required: true},
			{Name: "release", Label: "Release", Hint: "Its number; empty is the live one"},
			{Name: "with-manifests", Kind: "checkbox", Label: "Take the manifests of the release, too"},
			{Name: "adopt", Kind: "checkbox", Label: "Take over objects that are not of the app"},
		},
	})
	action.Denied = v.allowed.deniedAll(ctx, needs...)
	return &action
}

// compareReleases shows what changed from a release to another one.
func (v *appViews) compareReleases(_ context.Context, r *http.Request) (*page, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	if watched := v.cluster.Namespace(); watched != "" && watched != namespace {
		return nil, v.noApp(namespace, name)
	}
	query := r.URL.Query()
	records, done := v.cluster.FollowReleases(namespace, name)
	return &page{close: done, render: func(context.Context) (view.Page, error) {
		all, ready, err := records.Releases()
		model := view.ReleaseChanges{
			Namespace: namespace, App: name, Back: view.Path("apps", namespace, name),
			From: query.Get("from"), To: query.Get("to"), Ready: ready,
		}
		if problem := v.problem(err); problem != nil {
			model.Problems = append(model.Problems, *problem)
		}
		for _, one := range all {
			model.Choices = append(model.Choices, view.Choice{
				Value: strconv.Itoa(one.Number),
				Label: fmt.Sprintf("%d · %s · %s", one.Number, one.State, display.Age(metav1.NewTime(one.Created), time.Now())),
			})
		}
		older, newer := chosenRelease(&model, all, model.From), chosenRelease(&model, all, model.To)
		if older != nil && newer != nil {
			model.Compare(older, newer)
			args, err := onApp("history", url.Values{"namespace": {namespace}, "name": {name}}, []string{model.To}, "--diff="+model.From)
			if err != nil {
				return view.Page{}, err
			}
			model.Command = v.commandLine(args)
		}
		return view.Page{Title: "Releases of " + name, Section: "apps", Template: "app-releases", Model: model}, nil
	}}, nil
}

// chosenRelease returns the record of the release of that number. Without one it returns nil, and
// the model says why.
func chosenRelease(model *view.ReleaseChanges, all []status.Release, number string) *record.Record {
	i := slices.IndexFunc(all, func(one status.Release) bool { return strconv.Itoa(one.Number) == number })
	switch {
	case i >= 0:
		return &all[i].Record
	case number != "" && model.Ready:
		model.Problems = append(model.Problems, view.Problem{Message: fmt.Sprintf("app %s has no release %s on record", model.App, display.Sanitize(number))})
	}
	return nil
}
