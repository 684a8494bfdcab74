package app

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // the zones are those that Kubernetes knows, not those of this machine

	"github.com/robfig/cron/v3"
	corev1 "k8s.io/api/core/v1"
)

// The processes whose name has a meaning.
const (
	// WebProcess answers requests. Its Deployment has the name of the app.
	WebProcess = "web"
	// ReleaseProcess runs once for each release, before the other processes get it.
	ReleaseProcess = "release"
)

// PortVariable is the variable from which the web process reads its port.
const PortVariable = "PORT"

// ProcessKind is how a process runs.
type ProcessKind string

// The kinds.
const (
	// Web is a Deployment behind the Service of the app.
	Web ProcessKind = "web"
	// Worker is a Deployment without a Service.
	Worker ProcessKind = "worker"
	// Release is a Job that runs before the Deployments are changed.
	Release ProcessKind = "release"
	// Cron is a CronJob.
	Cron ProcessKind = "cron"
)

// DefaultReleaseTimeout is how long the release process may take by default.
const DefaultReleaseTimeout = 10 * time.Minute

// Process is a process of an app that runs the same image as the others.
type Process struct {
	// Name is a DNS label.
	Name string
	// Command is the command of the container, as shell.Container returns it. It replaces the
	// ENTRYPOINT and the CMD of the image. Empty leaves both, of the web process only.
	Command []string
	// Replicas is the number of pods of a worker.
	Replicas int32
	// Env are variables beside those of the app, which they override.
	Env map[string]Variable
	// Requests and Limits are resources of its pods. Those of CPU, memory and disk that it does
	// not have are those of the app.
	Requests, Limits corev1.ResourceList
	// Schedule makes it a CronJob: five fields, or a name such as @daily. TimeZone is a name of
	// the IANA database, by default that of the cluster.
	Schedule, TimeZone string
	// Concurrency says what happens if it is time and the last run still runs; empty is Forbid.
	Concurrency Concurrency
	// Timeout ends a run of the release process or of a CronJob; zero is DefaultReleaseTimeout
	// for the release process and none for a CronJob.
	Timeout time.Duration
}

// Kind returns how the process runs.
func (p *Process) Kind() ProcessKind { return KindOf(p.Name, p.Schedule) }

// KindOf returns how a process with that name and schedule runs.
func KindOf(name, schedule string) ProcessKind {
	switch {
	case name == WebProcess:
		return Web
	case name == ReleaseProcess:
		return Release
	case schedule != "":
		return Cron
	}
	return Worker
}

// Object returns the name of the object that runs the process of an app.
func (p *Process) Object(app string) string {
	if p.Kind() == Web {
		return app
	}
	return app + "-" + p.Name
}

// ProcessName is the pattern of the name of a process.
const ProcessName = `^[a-z]([-a-z0-9]*[a-z0-9])?$`

// CheckProcessName checks that a process can have a name.
func CheckProcessName(name string) error {
	if !regexp.MustCompile(ProcessName).MatchString(name) {
		return errors.New("the name of a process has lower case letters, digits and hyphens, a letter first and no hyphen last")
	}
	return nil
}

// CheckObject checks that an app can have the object of the process: Kubernetes limits names.
func (p *Process) CheckObject(app string) error {
	limit := 63 // the value of a label
	if p.Kind() == Cron {
		limit = 52 // a CronJob appends the time to the names of its Jobs
	}
	if name := p.Object(app); len(name) > limit {
		return fmt.Errorf("its object would be named %s, which has %d characters, and at most %d are possible: choose a shorter name for it or for the app", name, len(name), limit)
	}
	return nil
}

// Resources returns the requests and limits of the pods of a process of an app with those
// requests and limits.
func (p *Process) Resources(requests, limits corev1.ResourceList) (ownRequests, ownLimits corev1.ResourceList) {
	shared := func(list, own corev1.ResourceList) corev1.ResourceList {
		merged := corev1.ResourceList{}
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
			if quantity, ok := list[name]; ok {
				merged[name] = quantity
			}
		}
		maps.Copy(merged, own)
		return merged
	}
	ownRequests, ownLimits = shared(requests, p.Requests), shared(limits, p.Limits)
	for name, request := range ownRequests {
		_, set := p.Requests[name]
		if limit, ok := ownLimits[name]; ok && !set && limit.Cmp(request) < 0 {
			ownRequests[name] = limit
		}
	}
	return ownRequests, ownLimits
}

// CheckSchedule checks that Kubernetes accepts a schedule.
func CheckSchedule(schedule string) error {
	const example = `write minute, hour, day of the month, month and day of the week, such as "30 4 * * *"`
	if strings.Contains(schedule, "TZ") {
		return errors.New("the time zone has a key of its own: timezone")
	}
	if _, err := cron.ParseStandard(schedule); err != nil {
		return fmt.Errorf("%q is not a schedule: %s", schedule, example)
	}
	return nil
}

// CheckTimeZone checks that Kubernetes accepts a time zone.
func CheckTimeZone(zone string) error {
	_, err := time.LoadLocation(zone)
	if err != nil || zone == "" || strings.EqualFold(zone, "Local") {
		return fmt.Errorf("%q is not a time zone, such as Europe/Berlin or Etc/UTC", zone)
	}
	return nil
}

// Concurrency is what a CronJob does if it is time and its last run still runs.
type Concurrency string

// The kinds, as Kubernetes names them.
const (
	// ConcurrencyForbid leaves out the new run.
	ConcurrencyForbid Concurrency = "Forbid"
	// ConcurrencyAllow starts it beside the last one.
	ConcurrencyAllow Concurrency = "Allow"
	// ConcurrencyReplace ends the last one first.
	ConcurrencyReplace Concurrency = "Replace"
)

// Concurrencies returns all kinds, the default first.
func Concurrencies() []Concurrency {
	return []Concurrency{ConcurrencyForbid, ConcurrencyAllow, ConcurrencyReplace}
}

// UnmarshalText reads one of Concurrencies, in upper or lower case.
func (c *Concurrency) UnmarshalText(text []byte) error {
	for _, one := range Concurrencies() {
		if strings.EqualFold(string(text), string(one)) {
			*c = one
			return nil
		}
	}
	return fmt.Errorf("%q is not one of Forbid, Allow and Replace", text)
}

// ParseTimeout reads a duration such as "90s" or "1h30m", of whole seconds.
func ParseTimeout(text string) (time.Duration, error) {
	timeout, err := time.ParseDuration(text)
	if err != nil || timeout < time.Second || timeout%time.Second != 0 {
		return 0, fmt.Errorf("%q is not a duration of whole seconds, such as 90s or 1h30m", text)
	}
	return timeout, nil
}
