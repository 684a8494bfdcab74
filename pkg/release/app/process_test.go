package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

func TestProcessKind(t *testing.T) {
	for name, test := range map[string]struct {
		process app.Process
		kind    app.ProcessKind
		object  string
	}{
		"web":       {app.Process{Name: "web"}, app.Web, "shop"},
		"worker":    {app.Process{Name: "worker"}, app.Worker, "shop-worker"},
		"release":   {app.Process{Name: "release"}, app.Release, "shop-release"},
		"scheduled": {app.Process{Name: "clean-up", Schedule: "@daily"}, app.Cron, "shop-clean-up"},
	} {
		if kind, object := test.process.Kind(), test.process.Object("shop"); kind != test.kind || object != test.object {
			t.Errorf("%s: got %s %s, want %s %s", name, kind, object, test.kind, test.object)
		}
	}
}

func TestCheckProcessName(t *testing.T) {
	for name, ok := range map[string]bool{"web": true, "a": true, "send-mail2": true, "": false, "A": false, "a_b": false, "2a": false, "a-": false, "-a": false, "a b": false, "a\n": false} {
		if err := app.CheckProcessName(name); (err == nil) != ok {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestCheckObject(t *testing.T) {
	long := strings.Repeat("a", 50)
	for name, test := range map[string]struct {
		process app.Process
		ok      bool
	}{
		"web":              {app.Process{Name: "web"}, true},
		"worker of 63":     {app.Process{Name: strings.Repeat("b", 12)}, true},
		"worker of 64":     {app.Process{Name: strings.Repeat("b", 13)}, false},
		"release":          {app.Process{Name: "release"}, true},
		"a CronJob of 52":  {app.Process{Name: "b", Schedule: "@daily"}, true},
		"a CronJob of 53":  {app.Process{Name: "bb", Schedule: "@daily"}, false},
		"a worker of that": {app.Process{Name: "bb"}, true},
	} {
		if err := test.process.CheckObject(long); (err == nil) != test.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCheckSchedule(t *testing.T) {
	for _, schedule := range []string{"30 4 * * *", "*/5 8-18 * * mon-fri", "@daily", "@every 1h30m", "0 0 1,15 * *"} {
		if err := app.CheckSchedule(schedule); err != nil {
			t.Errorf("%q: %v", schedule, err)
		}
	}
	for schedule, want := range map[string]string{
		"": "is not a schedule", "daily": `"daily" is not a schedule: write minute, hour`, "* * * *": "is not a schedule", "0 30 4 * * *": "is not a schedule",
		"61 * * * *": "is not a schedule", "TZ=UTC 0 4 * * *": "timezone", "CRON_TZ=UTC 0 4 * * *": "timezone", "TZ=": "timezone",
	} {
		if err := app.CheckSchedule(schedule); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", schedule, err, want)
		}
	}
}

func TestCheckTimeZone(t *testing.T) {
	for zone, ok := range map[string]bool{"Europe/Berlin": true, "Etc/UTC": true, "America/Argentina/Ushuaia": true, "": false, "Local": false, "local": false, "Mars/Olympus": false, "../etc/passwd": false, "Etc / UTC": false} {
		if err := app.CheckTimeZone(zone); (err == nil) != ok {
			t.Errorf("%q: got %v", zone, err)
		}
	}
}

func TestParseTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "0s": 0, "-1m": 0, "10": 0, "1.5s": 0, "": 0, "500ms": 0} {
		if got, err := app.ParseTimeout(text); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %s, %v", text, got, err)
		}
	}
}

func TestConcurrency(t *testing.T) {
	for text, want := range map[string]app.Concurrency{"Forbid": app.ConcurrencyForbid, "allow": app.ConcurrencyAllow, "REPLACE": app.ConcurrencyReplace, "": "", "queue": ""} {
		var got app.Concurrency
		if err := got.UnmarshalText([]byte(text)); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

func TestProcessResources(t *testing.T) {
	for name, test := range map[string]struct{ requests, limits, ownRequests, ownLimits, wantRequests, wantLimits string }{
		"nothing":                     {},
		"those of the app":            {"cpu=1,memory=1Gi", "memory=2Gi", "", "", "cpu=1,memory=1Gi", "memory=2Gi"},
		"its own first":               {"cpu=1", "memory=2Gi", "cpu=2", "memory=4Gi", "cpu=2", "memory=4Gi"},
		"no more than its limit":      {"memory=2Gi", "", "", "memory=1Gi", "memory=1Gi", "memory=1Gi"},
		"its own above, for an error": {"", "memory=1Gi", "memory=2Gi", "", "memory=2Gi", "memory=1Gi"},
		"no device of the app":        {"", "nvidia.com/gpu=1,cpu=2", "", "", "", "cpu=2"},
		"a device of its own":         {"", "", "", "nvidia.com/gpu=1", "", "nvidia.com/gpu=1"},
	} {
		t.Run(name, func(t *testing.T) {
			process := app.Process{Requests: resources(t, test.ownRequests), Limits: resources(t, test.ownLimits)}
			requests, limits := process.Resources(resources(t, test.requests), resources(t, test.limits))
			for _, pair := range []struct {
				got  map[string]string
				want string
			}{{texts(requests), test.wantRequests}, {texts(limits), test.wantLimits}} {
				if diff := cmp.Diff(texts(resources(t, pair.want)), pair.got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func texts(list corev1.ResourceList) map[string]string {
	found := map[string]string{}
	for name, quantity := range list {
		found[string(name)] = quantity.String()
	}
	return found
}
