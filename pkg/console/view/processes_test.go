package view

import (
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

func TestNewProcesses(t *testing.T) {
	for name, test := range map[string]struct {
		part        status.AppPart
		state, tone string
	}{
		"ready":          {status.AppPart{Desired: 1, Ready: 1, Healthy: true}, "Ready", toneGood},
		"none is wanted": {status.AppPart{Healthy: true}, "Stopped", toneIdle},
		"a rollout":      {status.AppPart{Desired: 2, Healthy: true, Message: "1 of 2 replicas are ready"}, "Rolling out", toneBusy},
		"a problem":      {status.AppPart{Desired: 2, Message: "it crashes", Reason: "CrashLoopBackOff"}, "CrashLoopBackOff", toneBad},
		"no reason":      {status.AppPart{Desired: 2, Message: "0 of 2"}, "Unhealthy", toneBad},
	} {
		test.part.Kind, test.part.Workload = "StatefulSet", "shop-worker"
		row := NewProcesses(status.App{Namespace: "demo", Name: "shop", Parts: []status.AppPart{test.part}})[0]
		if row.State != test.state || row.Tone != test.tone || row.Object != "/objects/demo/statefulsets.apps/shop-worker" {
			t.Errorf("%s: got %+v", name, row)
		}
	}
}
