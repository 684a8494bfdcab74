package console

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// What a form holds is a value of the command, whatever it is, and never a flag of its own.
func TestCommands(t *testing.T) {
	for name, test := range map[string]struct {
		action string
		form   url.Values
		want   []string
		wrong  bool
	}{
		"cancel":        {action: "cancel", form: url.Values{"namespace": {"shop"}, "name": {"web-1"}}, want: []string{"cancel", "--namespace=shop", "web-1"}},
		"flag as name":  {action: "cancel", form: url.Values{"namespace": {"shop"}, "name": {"--all"}}, want: []string{"cancel", "--namespace=shop", "--", "--all"}},
		"no name":       {action: "cancel", form: url.Values{"namespace": {"shop"}}, wrong: true},
		"no repository": {action: "build", form: url.Values{"namespace": {"shop"}, "git": {" "}}, wrong: true},
		"build": {
			action: "build",
			form:   url.Values{"namespace": {"shop"}, "git": {"https://git.example.com/a.git"}, "revision": {"main"}, "build-arg": {"A=1\n\n B=2 \n"}, "no-cache": {"true"}, "unknown": {"x"}},
			want:   []string{"build", "--namespace=shop", "--git=https://git.example.com/a.git", "--revision=main", "--build-arg=A=1", "--build-arg=B=2", "--no-cache", "--detach"},
		},
		"rerun": {
			action: "rerun",
			form: url.Values{
				"namespace": {"shop"}, "name": {"--as=root"}, "memory": {" 4Gi "}, "cpu": {"2"}, "storage": {"9Gi"}, "revision": {"main"},
				"no-cache": {"true"}, "build-arg": {"A=1\n\n B=x y\r\n"},
			},
			want: []string{
				"rerun", "--namespace=shop", "--memory=4Gi", "--cpu=2", "--storage=9Gi", "--revision=main", "--build-arg=A=1", "--build-arg=B=x y",
				"--no-cache", "--detach", "--", "--as=root",
			},
		},
		"flag as value":      {action: "build", form: url.Values{"namespace": {"shop"}, "git": {"--kubeconfig=/x"}}, want: []string{"build", "--namespace=shop", "--git=--kubeconfig=/x", "--detach"}},
		"analyze":            {action: "analyze", form: url.Values{"namespace": {"shop"}, "image": {"web@sha256:0123456"}}, want: []string{"images", "inspect", "web@sha256:0123456", "--namespace=shop", "--output=json"}},
		"delete an image":    {action: "delete-image", form: url.Values{"namespace": {"shop"}, "image": {"web@sha256:0123456"}}, want: []string{"images", "delete", "web@sha256:0123456", "--namespace=shop", "--yes"}},
		"delete a tag":       {action: "delete-image", form: url.Values{"namespace": {"shop"}, "image": {"web:web-1"}, "force": {"true"}}, want: []string{"images", "delete", "web:web-1", "--namespace=shop", "--force", "--yes"}},
		"delete a flag":      {action: "delete-image", form: url.Values{"namespace": {"shop"}, "image": {"--help"}}, wrong: true},
		"delete nothing":     {action: "delete-image", form: url.Values{"namespace": {"shop"}}, wrong: true},
		"delete nowhere":     {action: "delete-image", form: url.Values{"image": {"web:web-1"}}, wrong: true},
		"prune":              {action: "prune", form: url.Values{"namespace": {"shop"}, "keep": {" 3 "}}, want: []string{"images", "prune", "--keep=3", "--namespace=shop"}},
		"prune everywhere":   {action: "prune", form: url.Values{"cache": {"true"}}, want: []string{"images", "prune", "--keep=5", "--cache", "--all-namespaces"}},
		"roll back":          {action: "rollback", form: url.Values{"namespace": {"shop"}, "name": {"web"}, "to": {"3"}}, want: []string{"rollback", "--namespace=shop", "--to=3", "--detach", "web"}},
		"roll back a flag":   {action: "rollback", form: url.Values{"namespace": {"shop"}, "name": {"--all"}, "to": {"3"}}, want: []string{"rollback", "--namespace=shop", "--to=3", "--detach", "--", "--all"}},
		"roll back nowhere":  {action: "rollback", form: url.Values{"namespace": {"shop"}, "name": {"web"}, "to": {"3 --adopt"}}, wrong: true},
		"roll back nothing":  {action: "rollback", form: url.Values{"namespace": {"shop"}, "to": {"3"}}, wrong: true},
		"restart":            {action: "restart", form: url.Values{"namespace": {"shop"}, "name": {"web/worker"}}, want: []string{"restart", "--namespace=shop", "web/worker"}},
		"restart nothing":    {action: "restart", form: url.Values{"namespace": {"shop"}}, wrong: true},
		"scale":              {action: "scale", form: url.Values{"namespace": {"shop"}, "name": {"web/worker"}, "replicas": {" 3 "}}, want: []string{"scale", "--namespace=shop", "web/worker", "3"}},
		"scale a flag":       {action: "scale", form: url.Values{"namespace": {"shop"}, "name": {"--all"}, "replicas": {"0"}}, want: []string{"scale", "--namespace=shop", "--", "--all", "0"}},
		"scale below zero":   {action: "scale", form: url.Values{"namespace": {"shop"}, "name": {"web"}, "replicas": {"-1"}}, wrong: true},
		"scale by a word":    {action: "scale", form: url.Values{"namespace": {"shop"}, "name": {"web"}, "replicas": {"3 --no-wait"}}, wrong: true},
		"delete an app":      {action: "delete", form: url.Values{"namespace": {"shop"}, "name": {"web"}, "keep-images": {"true"}}, want: []string{"delete", "--namespace=shop", "--keep-images", "--yes", "web"}},
		"delete no app":      {action: "delete", form: url.Values{"namespace": {"shop"}}, wrong: true},
		"prune with nothing": {action: "prune", form: url.Values{"keep": {"-1"}}, wrong: true},
		"prune with a flag":  {action: "prune", form: url.Values{"keep": {"1 --help"}}, wrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&Server{}).actions()[test.action].args(test.form)
			if (err != nil) != test.wrong {
				t.Fatalf("the error is %v", err)
			}
			if err == nil && !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// An action streams what its command says, and its end. It goes on after the tab has gone.
func TestAct(t *testing.T) {
	for name, test := range map[string]struct {
		code        int
		out, errOut string
		want        []string
	}{
		"done":   {out: "web-2\n", errOut: "✓ Uploaded\n", want: []string{`event: progress` + "\n" + `data: {"text":"✓ Uploaded"}`, `event: done`, `"location":"/runs/shop/web-2"`}},
		"failed": {code: 1, errOut: "warning: x\nerror: the run is gone\nit was deleted\nhint: build again\n", want: []string{`event: failed`, `"message":"the run is gone\nit was deleted"`, `"advice":"build again"`}},
		"silent": {code: 1, want: []string{`event: failed`, "the command failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Server{options: Options{Verb: func(ctx context.Context, args []string, out, errOut io.Writer) int {
				if ctx.Err() != nil {
					t.Error("the command ends with the tab")
				}
				if !slices.Equal(args, []string{"rerun", "--namespace=shop", "--detach", "web-1"}) {
					t.Errorf("the command is %q", args)
				}
				_, _ = io.WriteString(out, test.out)
				// Lines come in parts.
				for part := range slices.Chunk([]byte(test.errOut), 7) {
					_, _ = errOut.Write(part)
				}
				return test.code
			}}}
			ctx, stop := context.WithCancel(t.Context())
			stop()
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/actions/rerun", strings.NewReader("namespace=shop&name=web-1"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetPathValue("action", "rerun")
			w := httptest.NewRecorder()
			s.act(w, r)
			for _, want := range test.want {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("no %s in\n%s", want, w.Body)
				}
			}
		})
	}
}

// The end of the server interrupts a command, and waits for it.
func TestActEndsWithServer(t *testing.T) {
	started, ended := make(chan struct{}), false
	s := &Server{ending: make(chan struct{}), options: Options{Verb: func(ctx context.Context, _ []string, _, _ io.Writer) int {
		close(started)
		<-ctx.Done()
		ended = true
		return 1
	}}}
	done := make(chan int)
	go func() { done <- runVerb(t.Context(), s, nil, io.Discard, io.Discard) }()
	<-started
	close(s.ending)
	s.working.Wait()
	if !ended || <-done != 1 {
		t.Error("the command goes on")
	}
}

// A form that is too long, or an action that does not exist, runs nothing.
func TestActRefuses(t *testing.T) {
	s := &Server{options: Options{Verb: func(context.Context, []string, io.Writer, io.Writer) int {
		t.Error("a command ran")
		return 0
	}}}
	for name, test := range map[string]struct {
		action string
		body   []byte
		want   int
	}{
		"unknown":  {"teardown", nil, http.StatusNotFound},
		"too long": {"cancel", bytes.Repeat([]byte("a=1&"), maxForm), http.StatusBadRequest},
		"no name":  {"cancel", nil, http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/actions/"+test.action, bytes.NewReader(test.body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetPathValue("action", test.action)
			w := httptest.NewRecorder()
			s.act(w, r)
			if w.Code != test.want {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
}
