package console

import (
	"context"
	"net/http"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
)

// platformAge is how old the health of the platform at the overview may be.
const platformAge = 5 * time.Minute

// platform shows the parts of the platform as they were when the page was opened.
func (v *appViews) platform(context.Context, *http.Request) (*page, error) {
	v.cluster.ReadPlatform(true, 0)
	return &page{changed: v.cluster.PlatformChanged, render: func(context.Context) (view.Page, error) {
		state := v.cluster.Platform()
		if state.Report == nil && state.Err != nil && !state.Reading {
			return view.Page{}, state.Err
		}
		var model view.Platform
		if state.Report != nil {
			model = view.NewPlatform(state.Report, time.Now())
		}
		model.Reading, model.Read, model.Problem = state.Reading, state.Read, v.problem(state.Err)
		return view.Page{Title: "Platform", Section: "platform", Template: "platform", Model: model}, nil
	}}, nil
}
