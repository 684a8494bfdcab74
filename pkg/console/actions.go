package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// maxForm bounds the values of an action.
const maxForm = 64 << 10

// Verb runs a command of the plugin in this process, as if the user had typed it: with the
// same kubeconfig, and args after "kubectl pyflow". It returns the exit code.
type Verb func(ctx context.Context, args []string, out, errOut io.Writer) int

// action is what a view can do. It is a command of the plugin: the one that the view shows
// is the one that runs.
type action struct {
	// args makes the command of a form, or says what is wrong with the form.
	args func(url.Values) ([]string, error)
	// to returns the view to show after success, from the form and what the command printed;
	// empty stays.
	to func(form url.Values, out string) string
	// done is called after success with the same; may be nil.
	done func(form url.Values, out string)
}

// actions are all of them, by name.
func (s *Server) actions() map[string]action {
	all := map[string]action{
		"cancel": {args: func(form url.Values) ([]string, error) {
			return onRun("cancel", form)
		}},
		"rerun": {
			args: func(form url.Values) ([]string, error) {
				flags := flagsOf(form, []string{"memory", "cpu", "storage", "revision"}, []string{"no-cache"})
				return onRun("rerun", form, append(flags, "--detach")...)
			},
			to: newRun,
		},
		"build": {args: buildArgs, to: newRun},
	}
	maps.Copy(all, s.appActions())
	maps.Copy(all, s.registry.registryActions())
	return all
}

// onRun returns a command for one run, with flags.
func onRun(verb string, form url.Values, flags ...string) ([]string, error) {
	name := form.Get("name")
	if name == "" || form.Get("namespace") == "" {
		return nil, errors.New("the run is not named")
	}
	// Behind the name there may be no flag.
	return append([]string{verb}, slices.Insert(operand(form, name), 1, flags...)...), nil
}

// operand returns the flag of the namespace and an operand, which is no flag whatever it is.
func operand(form url.Values, names ...string) []string {
	args := []string{"--namespace=" + form.Get("namespace")}
	for _, name := range names {
		if strings.HasPrefix(name, "-") {
			args = append(args, "--")
			break
		}
	}
	return append(args, names...)
}

// buildArgs returns the command that builds a repository.
func buildArgs(form url.Values) ([]string, error) {
	if strings.TrimSpace(form.Get("git")) == "" {
		return nil, errors.New("name the repository")
	}
	args := []string{"build", "--namespace=" + form.Get("namespace")}
	args = append(args, flagsOf(form,
		[]string{"git", "revision", "path", "file", "name", "target", "git-secret", "test"}, []string{"no-cache", "no-deploy", "force"})...)
	return append(args, "--detach"), nil
}

// flagsOf returns the flags that a form has values for: texts, the build arguments, which
// are lines, and checkboxes.
func flagsOf(form url.Values, texts, checkboxes []string) []string {
	var args []string
	for _, flag := range texts {
		if value := strings.TrimSpace(form.Get(flag)); value != "" {
			args = append(args, "--"+flag+"="+value)
		}
	}
	for line := range strings.SplitSeq(form.Get("build-arg"), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			args = append(args, "--build-arg="+line)
		}
	}
	for _, flag := range checkboxes {
		if form.Get(flag) != "" {
			args = append(args, "--"+flag)
		}
	}
	return args
}

// newRun is the view of the run whose name a command has printed.
func newRun(form url.Values, out string) string {
	fields := strings.Fields(out)
	if len(fields) == 0 {
		return ""
	}
	return view.Path("runs", form.Get("namespace"), fields[len(fields)-1])
}

// commandLine returns a command as it is typed.
func (s *Server) commandLine(args []string) string {
	return display.QuoteCommand(append(append([]string{"kubectl", "pyflow"}, args...), s.options.Flags...)...)
}

// form reads the values of an action.
func (s *Server) form(w http.ResponseWriter, r *http.Request) (action, url.Values, bool) {
	a, ok := s.actions()[r.PathValue("action")]
	if !ok {
		http.NotFound(w, r)
		return a, nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read: "+err.Error(), http.StatusBadRequest)
		return a, nil, false
	}
	return a, r.PostForm, true
}

// command returns the command of a form as it is filled in so far.
func (s *Server) command(w http.ResponseWriter, r *http.Request) {
	a, values, ok := s.form(w, r)
	if !ok {
		return
	}
	args, err := a.args(values)
	if err != nil {
		writeJSON(w, map[string]string{"problem": err.Error()})
		return
	}
	writeJSON(w, map[string]string{"command": s.commandLine(args)})
}

// act runs the command of a form. It streams what the command says as "progress", and ends
// with "done" or "failed". It goes on when the tab is closed: half a command is worse. When
// the server ends, the command is interrupted, and cleans up.
func (s *Server) act(w http.ResponseWriter, r *http.Request) {
	a, values, ok := s.form(w, r)
	if !ok {
		return
	}
	args, err := a.args(values)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	stream := &events{w: w, flusher: http.NewResponseController(w)}
	progress := &progress{line: func(text string) { stream.send("progress", "", map[string]string{"text": text}) }}
	var out bytes.Buffer
	code := runVerb(r.Context(), s, args, &out, progress)
	progress.flush()
	if code != 0 {
		message, advice := progress.failure()
		stream.send("failed", "", map[string]string{"message": message, "advice": advice})
		return
	}
	if a.done != nil {
		a.done(values, out.String())
	}
	result := map[string]string{"message": "Done"}
	if a.to != nil {
		result["location"] = a.to(values, out.String())
	}
	stream.send("done", "", result)
}

// runVerb runs a command that ends with the server, and not with ctx.
func runVerb(ctx context.Context, s *Server, args []string, out, errOut io.Writer) (code int) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.working.Add(1)
	defer s.working.Done()
	go func() {
		select {
		case <-s.ending:
			stop()
		case <-ctx.Done():
		}
	}()
	return s.options.Verb(ctx, args, out, errOut)
}

// progress passes on the lines that a command writes, and keeps the last ones. It is a
// display.Running.
type progress struct {
	mu sync.Mutex
	// line is called with each line but those of an error.
	line  func(text string)
	part  []byte
	lines []string
}

// maxKept is how many of the last lines of a command explain its failure.
const maxKept = 50

func (p *progress) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part = append(p.part, text...)
	for {
		line, rest, ok := bytes.Cut(p.part, []byte("\n"))
		if !ok {
			return len(text), nil
		}
		p.add(string(line))
		p.part = bytes.Clone(rest)
	}
}

// ShowRunning passes on what the running step of a command does, which is no line of its own.
func (p *progress) ShowRunning(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(text)
}

func (p *progress) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.part) > 0 {
		p.add(string(p.part))
		p.part = nil
	}
}

func (p *progress) add(text string) {
	text = display.Sanitize(text)
	p.lines = append(p.lines, text)
	p.lines = p.lines[max(0, len(p.lines)-maxKept):]
	if !strings.HasPrefix(text, "error: ") && !strings.HasPrefix(text, "hint: ") {
		p.line(text)
	}
}

// failure returns the error that a command has written, and what to do.
func (p *progress) failure() (message, advice string) {
	var advices []string
	for _, line := range p.lines {
		if text, ok := strings.CutPrefix(line, "error: "); ok {
			message, advices = text, nil
		} else if text, ok := strings.CutPrefix(line, "hint: "); ok {
			advices = append(advices, text)
		} else if message != "" && len(advices) == 0 {
			message += "\n" + line
		}
	}
	if message == "" {
		message = fmt.Sprint("the command failed: ", strings.Join(p.lines, " "))
	}
	return message, strings.Join(advices, " ")
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	// The connection is all that can fail.
	_ = json.NewEncoder(w).Encode(value)
}
