package settings

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

const processes = "processes"

// Process is an entry of the table [tool.kubectl-pyflow.processes]: a table, or a string that
// is its command.
type Process struct {
	// Command is a line that shell.Container can read.
	Command string `toml:"command"`
	// Replicas is the number of pods of a worker, nil if it is not set.
	Replicas *int32 `toml:"replicas"`
	// Env are variables of this process. They may be secret.
	Env map[string]app.Variable `toml:"env"`
	// Resources are those of a pod of the process.
	Resources Resources `toml:"resources"`
	// Schedule makes it a CronJob, in the time zone Timezone, and Concurrency says what happens
	// if its last run still runs.
	Schedule    string          `toml:"schedule"`
	Timezone    string          `toml:"timezone"`
	Concurrency app.Concurrency `toml:"concurrency"`
	// Timeout ends a run of the release process or of a CronJob: a text that app.ParseTimeout
	// reads.
	Timeout string `toml:"timeout"`
}

// Kind returns how the process of a name runs.
func (p *Process) Kind(name string) app.ProcessKind { return app.KindOf(name, p.Schedule) }

// process reads an entry of the table of processes.
func (r *reader) process(v *toml.Value, path string) Process {
	var process Process
	switch v.Kind {
	case toml.String:
		process.Command = v.Text
	case toml.Table:
		r.read(v, reflect.ValueOf(&process).Elem(), path)
	default:
		r.report(path, v.Offset, "write the command as a string, or a table with the key command")
	}
	return process
}

// checkProcesses adds mistakes in the processes.
func (r *reader) checkProcesses() {
	for _, name := range slices.Sorted(maps.Keys(r.Processes)) {
		process := r.Processes[name]
		path := toml.Join(processes, name)
		r.each(path, func() error { return app.CheckProcessName(name) })
		r.checkCommand(path, process.Command)
		r.checkKeys(path, process.Kind(name))
		r.checkProcess(path, &process)
	}
	for _, key := range []string{entrypoint, formerEntrypoint} {
		if _, both := r.Processes[app.WebProcess]; both {
			r.each(key, func() error {
				return fmt.Errorf("the process %s starts the web application, too: remove one of them", app.WebProcess)
			})
		}
	}
}

// checkCommand checks the command of a process, which is the entry itself if that is a string.
func (r *reader) checkCommand(path, command string) {
	key := path
	if _, table := r.offsets[path+".command"]; table {
		key = path + ".command"
	} else if command == "" {
		r.each(path, func() error { return errors.New("it has no command") })
		return
	}
	r.each(key, func() error {
		_, _, err := shell.Container(command, app.PortVariable)
		return err
	})
}

// checkKeys refuses keys that a process of the kind does not have.
func (r *reader) checkKeys(path string, kind app.ProcessKind) {
	const elsewhere = "the web process has the setting of this name in [" + Table + "]: set it there"
	refused := map[app.ProcessKind]map[string]string{
		app.Web: {
			"replicas": elsewhere, "env": elsewhere, "resources": elsewhere,
			"schedule": "the web process runs all the time", "timezone": "", "concurrency": "", "timeout": "",
		},
		app.Release: {"replicas": "the release process runs once", "schedule": "the release process runs before each rollout", "timezone": "", "concurrency": ""},
		app.Cron:    {"replicas": "a process with a schedule runs once at a time"},
		app.Worker:  {"timezone": "", "concurrency": "", "timeout": ""},
	}[kind]
	for key, why := range refused {
		if why == "" {
			why = "this key goes with schedule"
			if key == "timeout" {
				why = "a process that runs all the time has no timeout"
			}
		}
		r.each(path+"."+key, func() error { return errors.New(why) })
	}
}

// checkProcess checks the values of a process.
func (r *reader) checkProcess(path string, process *Process) {
	r.each(path+".replicas", func() error {
		if *process.Replicas < 0 {
			return fmt.Errorf("%d is negative", *process.Replicas)
		}
		return nil
	})
	r.each(path+".schedule", func() error { return app.CheckSchedule(process.Schedule) })
	r.each(path+".timezone", func() error { return app.CheckTimeZone(process.Timezone) })
	r.each(path+".timeout", func() error {
		_, err := app.ParseTimeout(process.Timeout)
		return err
	})
	for key, variable := range process.Env {
		r.each(toml.Join(path+".env", key), func() error { return app.CheckVariable(key, variable.Value) })
	}
	own := app.Process{Requests: process.Resources.Requests, Limits: process.Resources.Limits}
	_, limits := own.Resources(r.Resources.Requests, r.Resources.Limits)
	for name, quantity := range own.Requests {
		r.each(toml.Join(path+".resources.requests", string(name)), func() error {
			return app.CheckResources(corev1.ResourceList{name: quantity}, limits)
		})
	}
}
