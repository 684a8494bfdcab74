package console

import (
	"context"
	"net/http"
	"net/url"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/env"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

// configuration shows where the variables of an app come from, as they are when it is opened.
func (v *appViews) configuration(ctx context.Context, r *http.Request) (*page, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	if watched := v.cluster.Namespace(); watched != "" && watched != namespace {
		return nil, v.noApp(namespace, name)
	}
	client := v.options.Clients.Kube
	config, err := platform.Config(ctx, client)
	if err != nil {
		return nil, err
	}
	found, err := app.Find(ctx, client, namespace, name)
	if err != nil {
		return nil, err
	}
	variables, err := env.List(ctx, client, found, config.Registry.Path(namespace, name))
	if err != nil {
		return nil, err
	}
	args, err := onApp("env", url.Values{"namespace": {namespace}, "name": {name}}, nil)
	if err != nil {
		return nil, err
	}
	model := view.Configuration{
		Namespace: namespace, App: name, Back: view.Path("apps", namespace, name), Variables: variables, ManyWorkloads: len(found.Workloads) > 1,
		Command: v.commandLine(append([]string{"env", "list"}, args[1:]...)),
	}
	return &page{render: func(context.Context) (view.Page, error) {
		return view.Page{Title: "Configuration of " + name, Section: "apps", Template: "app-configuration", Model: model}, nil
	}}, nil
}
