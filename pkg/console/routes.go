package console

import (
	"context"
	"embed"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

//go:embed static/*.css static/*.js static/*.svg
var static embed.FS

//go:embed static/index.html
var index string

// opener makes the page of a request. An error is shown in its place.
type opener func(context.Context, *http.Request) (*page, error)

// errNoView reports an address that has no view.
var errNoView = errors.New("there is no such page")

// views are the views by their paths. The browser shows the view /runs at /runs, and gets
// it from /api/view/runs.
func (s *Server) views() map[string]opener {
	runs, apps := runViews{s}, appViews{s}
	return map[string]opener{
		"/{$}":                                   runs.overview,
		"/runs":                                  runs.runs,
		"/runs/{namespace}/{name}":               runs.run,
		"/runs/{namespace}/{name}/objects":       runs.runObjects,
		"/apps":                                  apps.apps,
		"/apps/{namespace}/{name}":               apps.app,
		"/apps/{namespace}/{name}/releases":      apps.compareReleases,
		"/apps/{namespace}/{name}/configuration": apps.configuration,
		"/platform":                              apps.platform,
		"/objects/{namespace}/{resource}/{name}": runs.object,
		"/registry":                              s.registry.registryApps,
		"/registry/prune":                        s.registry.registryPrune,
		"/registry/compare":                      s.registry.registryCompare,
		"/registry/{namespace}/{app}":            s.registry.registryApp,
		"/registry/{namespace}/{app}/{digest}":   s.registry.registryImage,
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for path, open := range s.views() {
		mux.HandleFunc("GET "+apiPrefix+"view"+path, func(w http.ResponseWriter, r *http.Request) {
			s.stream(w, r, s.open(r, open))
		})
		mux.HandleFunc("GET "+path, shell(http.StatusOK))
	}
	mux.HandleFunc("GET "+apiPrefix+"view/", func(w http.ResponseWriter, r *http.Request) {
		s.stream(w, r, s.open(r, func(context.Context, *http.Request) (*page, error) { return nil, errNoView }))
	})
	mux.HandleFunc("GET "+apiPrefix+"about", s.about)
	mux.HandleFunc("POST "+apiPrefix+"actions/{action}", s.act)
	mux.HandleFunc("POST "+apiPrefix+"commands/{action}", s.command)
	files, _ := fs.Sub(static, "static")
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(files)))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, apiPrefix) {
			http.NotFound(w, r)
			return
		}
		// The frame shows that there is no such view.
		shell(http.StatusNotFound)(w, r)
	})
	return mux
}

// open opens a page, or one that shows why it cannot be opened.
func (s *Server) open(r *http.Request, open opener) *page {
	p, err := open(r.Context(), r)
	if err != nil {
		return &page{render: func(context.Context) (view.Page, error) { return view.Page{}, err }}
	}
	return p
}

// shell answers with the frame around every view, which holds nothing of the cluster.
func shell(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, index)
	}
}

// about says which cluster the console shows.
func (s *Server) about(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{
		"context": display.Sanitize(s.options.Context), "server": display.Sanitize(s.options.Server),
		"namespace": s.options.Namespace, "version": s.options.Version,
	})
}

// errorPage shows an error in place of a view.
func (s *Server) errorPage(err error) view.Page {
	return view.Page{Title: "Error", Template: "error", Model: s.problem(err)}
}

// problem is an error beside what a view shows, with what to do about it; nil for no error.
func (s *Server) problem(err error) *view.Problem {
	if err == nil {
		return nil
	}
	message, advice, _ := strings.Cut(s.options.Explain(err), "\nhint: ")
	return &view.Problem{Message: display.Sanitize(message), Advice: display.Sanitize(strings.ReplaceAll(advice, "\nhint: ", " "))}
}
