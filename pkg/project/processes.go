package project

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const processesKey = "processes"

// line is the command line of a process, before it is checked.
type line struct {
	command string
	settings.Process
	origin Origin
}

// resolveProcesses decides the processes of the app: those of the settings, else those of the
// Procfile, else the web process of the image alone. The error joins one for each process that
// cannot be.
func resolveProcesses(p *Project) error {
	lines, err := processLines(p)
	if err != nil {
		return err
	}
	if web, ok := lines[app.WebProcess]; ok && p.Entrypoint.Origin.Kind == Flag {
		return optionErrorf("--entrypoint names the web application, and the process web of %s starts it: use one of them", web.origin)
	}
	var problems []error
	for _, name := range processOrder(slices.Collect(maps.Keys(lines))) {
		process, err := newProcess(p, name, lines[name])
		if err != nil {
			problems = append(problems, lines[name].wrapProcess(name, err))
			continue
		}
		p.Deployment.Processes = append(p.Deployment.Processes, Value[app.Process]{*process, lines[name].origin})
	}
	p.Deployment.NoWeb = len(lines) > 0 && p.Generated() && p.Detected.App == nil && lines[app.WebProcess].command == ""
	if p.Deployment.NoWeb {
		problems = append(problems, p.Deployment.checkNoWeb()...)
	}
	return errors.Join(problems...)
}

// checkNoWeb returns an error for each value that only a web process has, and that a flag or a
// setting gives to an app without one.
func (d *Deployment) checkNoWeb() []error {
	var problems []error
	for _, one := range []struct {
		key    string
		origin Origin
	}{
		{"replicas", d.Replicas.Origin},
		{"autoscale", d.Autoscale.Origin},
		{"expose", d.Expose.Origin},
		{"host", d.Hosts.Origin},
		{"tls", d.TLS.Origin},
		{"ingress-class", d.IngressClass.Origin},
		{"gateway", d.Gateway.Origin},
		{"network-policy", d.NetworkPolicy.Origin},
		{"probes.startup", d.Startup.Origin},
		{"probes.readiness", d.Readiness.Origin},
		{"probes.liveness", d.Liveness.Origin},
	} {
		none := one.key == "expose" && d.Expose.Value == app.ExposeNone
		if !none && (one.origin.Kind == Flag || one.origin.Kind == Setting) {
			problems = append(problems, one.origin.wrap(one.key, errors.New("this is for the web process, and the project has none: remove it, or add a process named web")))
		}
	}
	return problems
}

// startCommand returns the command of the image of a project without a web application: that of
// its web process, else of the first other one. It is nil if there is none, or one that no shell
// can read, which is an error of the deployment.
func startCommand(p *Project) []string {
	if p.Detected.App != nil {
		return nil
	}
	lines, err := processLines(p)
	names := processOrder(slices.Collect(maps.Keys(lines)))
	if err != nil || len(names) == 0 {
		return nil
	}
	command, _, err := shell.Container(lines[names[0]].command, app.PortVariable)
	if err != nil {
		return nil
	}
	image := strings.NewReplacer("$$", "$", "$("+app.PortVariable+")", strconv.Itoa(p.Port.Value))
	for i := range command {
		command[i] = image.Replace(command[i])
	}
	return command
}

// processOrder sorts the names of processes as a user wants to read them: web, the others, and
// release.
func processOrder(names []string) []string {
	rank := func(name string) int { return slices.Index([]string{app.WebProcess, "", app.ReleaseProcess}, name) }
	slices.SortFunc(names, func(a, b string) int {
		rankA, rankB := rank(a), rank(b)
		if rankA < 0 {
			rankA = 1
		}
		if rankB < 0 {
			rankB = 1
		}
		if rankA != rankB {
			return rankA - rankB
		}
		return strings.Compare(a, b)
	})
	return names
}

// processLines returns the processes of the settings or of the Procfile.
func processLines(p *Project) (map[string]line, error) {
	lines := map[string]line{}
	if p.Settings.Processes != nil {
		for name, process := range p.Settings.Processes {
			lines[name] = line{process.Command, process, Origin{Setting, p.Settings.WhereIn(processesKey, name)}}
		}
		return lines, nil
	}
	for _, process := range readProcfile(p.Dir) {
		origin := Origin{Detected, process.where()}
		name := strings.ReplaceAll(strings.ToLower(process.Name), "_", "-")
		if other, twice := lines[name]; twice {
			return nil, fmt.Errorf("%s: the process %s is in %s, too: remove one of them", origin, name, other.origin)
		}
		if name == app.WebProcess && !takesWeb(p, process.Command, origin) {
			continue
		}
		lines[name] = line{process.Command, settings.Process{}, origin}
	}
	return lines, nil
}

// takesWeb reports whether the web process of the Procfile replaces the command of the image.
// It does not if something else says what the image starts: its own Dockerfile, a flag or a
// setting. An app that the Procfile names and that does not exist has a warning already.
func takesWeb(p *Project, command string, origin Origin) bool {
	if p.Detected != nil && p.Detected.App == nil {
		return true // the image has no other command
	}
	if p.Detected == nil || p.Entrypoint.Origin.Kind == Flag || p.Entrypoint.Origin.Kind == Setting || slices.Contains(p.Detected.PassedOver, origin.Where) {
		return false
	}
	words, script, err := shell.Container(command, app.PortVariable)
	if server := localServer(words); err == nil && !script && server != "" {
		p.warnings = append(p.warnings, fmt.Sprintf("%s: %s listens on 127.0.0.1 by default, where no other pod reaches it: the command of the generated Dockerfile runs instead; name an address, such as 0.0.0.0", origin, server))
		return false
	}
	return true
}

// wrapProcess returns err with the place of a process.
func (l line) wrapProcess(name string, err error) error {
	if l.origin.Kind == Detected {
		return fmt.Errorf("%s: the process %s: %w", l.origin, name, err)
	}
	return l.origin.wrap(processesKey+"."+name, err)
}

// newProcess returns a process, or why it cannot be.
func newProcess(p *Project, name string, l line) (*app.Process, error) {
	process := &app.Process{
		Name: name, Replicas: 1, Env: l.Env, Requests: l.Resources.Requests, Limits: l.Resources.Limits,
		Schedule: l.Schedule, TimeZone: l.Timezone, Concurrency: l.Concurrency,
	}
	if l.Replicas != nil {
		process.Replicas = *l.Replicas
	}
	if l.Timeout != "" {
		process.Timeout, _ = app.ParseTimeout(l.Timeout) // the settings are checked
	}
	if err := app.CheckProcessName(name); err != nil {
		return nil, err
	}
	if err := process.CheckObject(p.Name.Value); err != nil {
		return nil, err
	}
	var variables []string
	if name == app.WebProcess {
		variables = append(variables, app.PortVariable)
	}
	var script bool
	var err error
	if process.Command, script, err = shell.Container(l.command, variables...); err != nil {
		return nil, err
	}
	if script && hasNoShell(p) {
		return nil, errors.New("only a shell can run this command, and the image has none: write a command without operators and variables, or build another variant or base image")
	}
	if server := localServer(process.Command); name == app.WebProcess && server != "" {
		p.warnings = append(p.warnings, fmt.Sprintf("%s: %s listens on 127.0.0.1 by default, where no other pod reaches it: name an address, such as 0.0.0.0", l.origin, server))
	}
	requests, limits := process.Resources(Values(p.Deployment.Requests), Values(p.Deployment.Limits))
	return process, app.CheckResources(requests, limits)
}

// hasNoShell reports whether the image is known to have no shell.
func hasNoShell(p *Project) bool {
	if p.Generated() {
		return p.Variant.Value == generate.Distroless
	}
	lineage := p.Stage.Lineage()
	if len(lineage) == 0 {
		return false
	}
	base := lineage[0].Base
	return base == "scratch" || strings.Contains(base, "distroless/") && !strings.Contains(base, "debug")
}

// localServer returns the server that a command starts on 127.0.0.1; empty if it starts none
// there.
func localServer(command []string) string {
	if len(command) > 2 && strings.HasPrefix(path.Base(command[0]), "python") && command[1] == "-m" {
		command = command[2:]
	}
	if len(command) == 0 {
		return ""
	}
	options, known := map[string][]string{
		"uvicorn": {"--host", "--uds", "--fd"}, "hypercorn": {"--bind", "-b", "--config", "-c"},
		"daphne": {"--bind", "-b", "-u", "--unix-socket", "-e", "--endpoint", "--fd"}, "flask": {"--host", "-h"},
	}[path.Base(command[0])]
	given := slices.ContainsFunc(command[1:], func(argument string) bool {
		name, _, _ := strings.Cut(argument, "=")
		return slices.Contains(options, name)
	})
	if !known || given {
		return ""
	}
	return path.Base(command[0])
}

// ProcessLine returns a line about the processes that a deployment has beside the command of
// the image; nothing without any.
func (d *Deployment) ProcessLine() string {
	if d == nil || len(d.Processes) == 0 {
		return ""
	}
	var names []string
	for _, process := range d.Processes {
		name := process.Value.Name
		switch process.Value.Kind() {
		case app.Release:
			name += " (before the others)"
		case app.Cron:
			name += fmt.Sprintf(" (at %s)", process.Value.Schedule)
		case app.Web, app.Worker:
		}
		names = append(names, name)
	}
	if d.Processes[0].Value.Kind() != app.Web && !d.NoWeb {
		names = slices.Insert(names, 0, app.WebProcess)
	}
	where, _, _ := strings.Cut(d.Processes[0].Origin.String(), ":")
	return fmt.Sprintf("Processes (%s): %s", where, strings.Join(names, ", "))
}

// Suggestions returns a line for each process that the code seems to need and that is not
// deployed. A table of processes in the settings, even an empty one, is the user's answer.
func Suggestions(p *Project) []string {
	if p.Detected == nil || p.Deployment == nil || p.Settings.Processes != nil {
		return nil
	}
	var lines []string
	for _, one := range p.Detected.Suggestions {
		deployed := slices.ContainsFunc(p.Deployment.Processes, func(process Value[app.Process]) bool {
			return strings.Contains(" "+strings.Join(process.Value.Command, " ")+" ", " "+one.Tool+" ")
		})
		if !deployed {
			lines = append(lines, fmt.Sprintf("%s (%s): to deploy a process for it, add to [%s.%s] in %s: %s = %q; without one, an empty table hides this",
				one.Because, one.Source, settings.Table, processesKey, settings.File, one.Name, one.Command))
		}
	}
	return lines
}
