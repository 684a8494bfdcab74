package view

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/applog"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/env"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/diff"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

var appNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	// The API server lets no control characters into names, and everything into messages.
	hostileName    = `"><script>alert(1)</script>`
	hostileMessage = "<script>alert(1)</script>\x1b[31mred\u202e"
	digestA        = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

func TestAppRows(t *testing.T) {
	apps := []status.App{
		{Namespace: "demo", Name: "web", Digest: digestA},
		{Namespace: "other", Name: "web", Digest: digestA},
		{Namespace: "demo", Name: "foreign"},
	}
	runs := []status.Run{
		{Namespace: "demo", App: "web", Name: "deployed", Digest: digestA, Pipeline: manifests.DeliverPipelineName},
		{Namespace: "demo", App: "web", Name: "again", Digest: digestA, Pipeline: manifests.PipelineName},
		{Namespace: "demo", App: "web", Name: "built", Digest: digestA, Pipeline: manifests.PipelineName, Commit: "c0ffee"},
		{Namespace: "demo", App: "api", Name: "api", Digest: digestA, Pipeline: manifests.PipelineName},
		{Namespace: "demo", App: "foreign", Name: "failed", Pipeline: manifests.PipelineName},
	}
	rows := AppRows(apps, runs)
	if rows[0].Built == nil || rows[0].Built.Name != "built" || rows[0].Registry != "/registry/demo/web/"+digestA {
		t.Errorf("web: %+v", rows[0])
	}
	if rows[1].Built != nil || rows[2].Built != nil || rows[2].Registry != "" {
		t.Errorf("others: %+v", rows[1:])
	}
	for text, want := range map[string]bool{"": true, "WEB": true, "c0ffee": true, "sha256:aaaa": true, "again": false, "demo": true} {
		if rows[0].Mentions(text) != want {
			t.Errorf("%q: got %v", text, !want)
		}
	}
}

func TestReplicas(t *testing.T) {
	const image = "127.0.0.1:5180/demo/web@" + digestA
	ended := metav1.NewTime(appNow.Add(-time.Minute))
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web-7d9-aaaaa", CreationTimestamp: metav1.NewTime(appNow)},
			Spec:       corev1.PodSpec{NodeName: "one", Containers: []corev1.Container{{Name: "app", Image: image}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
				Name: "app", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
			}}},
		}
		if change != nil {
			change(p)
		}
		return p
	}
	for name, test := range map[string]struct {
		change      func(*corev1.Pod)
		state, tone string
		message     string
		restarts    int32
		earlier     bool
	}{
		"ready":     {nil, "Ready", toneGood, "", 0, false},
		"not ready": {func(p *corev1.Pod) { p.Status.ContainerStatuses[0].Ready = false }, "Not ready", toneBusy, "the container runs and is not ready", 0, false},
		"starting": {func(p *corev1.Pod) {
			p.Status = corev1.PodStatus{Phase: corev1.PodPending}
		}, "Starting", toneBusy, "", 0, false},
		"crashing": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0] = corev1.ContainerStatus{
				Name: "app", RestartCount: 4, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", FinishedAt: ended}},
			}
		}, "CrashLoopBackOff", toneBad, "exited with code 3, restarted 4 times", 4, false},
		"ending":        {func(p *corev1.Pod) { p.DeletionTimestamp = &ended }, "Terminating", toneIdle, "", 0, false},
		"of an earlier": {func(p *corev1.Pod) { p.Spec.Containers[0].Image = "127.0.0.1:5180/demo/web@sha256:b" }, "Ready", toneGood, "", 0, true},
		"evicted": {func(p *corev1.Pod) {
			p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on memory"}
		}, "Evicted", toneBad, "low on memory", 0, false},
	} {
		rows := Replicas([]applog.Replica{{Workload: "web", Pod: pod(test.change)}}, image)
		row := rows[0]
		if row.State != test.state || row.Tone != test.tone || row.Message != test.message || row.Restarts != test.restarts || row.Earlier != test.earlier {
			t.Errorf("%s: got %+v", name, row)
		}
		if (row.Restarts > 0) != row.Restarted.Equal(ended.Time) || row.Object != "/objects/demo/pods/web-7d9-aaaaa" || row.Node != "one" {
			t.Errorf("%s: got %+v", name, row)
		}
	}
	if rows := Replicas([]applog.Replica{{Pod: pod(nil)}}, ""); rows[0].Earlier {
		t.Error("an app without an image of its own has no earlier release")
	}
}

// TestNewPlatform wants what is wrong to be said in words and in color.
func TestNewPlatform(t *testing.T) {
	no, yes := false, true
	until := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: appNow.Add(d)} }
	report := &status.Report{
		Parts: []status.Part{
			{Name: "registry", Healthy: true, CertificateExpires: until(400 * 24 * time.Hour)},
			{Name: "soon", Healthy: true, CertificateExpires: until(49 * time.Hour)},
			{Name: "late", CertificateExpires: until(-time.Hour)},
			{Name: "node-access", Healthy: true, Message: "hostport"},
			{Name: "tekton", Unknown: true, Message: "missing permissions: list deployments.apps"},
			{Name: "namespace", Namespace: "demo", Healthy: true},
		},
		Nodes: []status.Node{
			{Name: "a", Ready: true, Linux: true, Served: &yes, Pulled: 2},
			{Name: "b", Ready: true, Linux: true, Served: &no, Pulled: 1},
			{Name: "c", Linux: true, Served: &no},
			{Name: "d", Ready: true},
			{Name: "e", Ready: true, Linux: true},
		},
		NodeAccess: manifests.NodeAccessConfig{Mode: manifests.NodeAccessHostPort},
		Namespaces: []string{"demo", "other"}, Version: "v1",
	}
	model := NewPlatform(report, appNow)
	type seen struct{ state, tone, expires, expiresTone string }
	var parts []seen
	for _, part := range model.Parts {
		parts = append(parts, seen{part.State, part.Tone, part.Expires, part.ExpiresTone})
	}
	want := []seen{
		{"Healthy", toneGood, "2027-04-05, in 400 days", ""},
		{"Healthy", toneGood, "2026-03-03, in 2 days", toneBusy},
		{"Unhealthy", toneBad, "expired on 2026-03-01", toneBad},
		{"Healthy", toneGood, "", ""},
		{"Unknown", toneIdle, "", ""},
	}
	if !reflect.DeepEqual(parts, want) {
		t.Errorf("parts:\ngot  %q\nwant %q", parts, want)
	}
	var proofs []string
	for _, node := range model.Nodes {
		proofs = append(proofs, node.State+" "+node.ProofTone+" "+node.Proof)
	}
	if want := []string{
		"Ready healthy Has 2 images of the registry", "Ready unhealthy No ready pod of node-access: it cannot pull",
		"Not ready running Not proven: run setup", "Ready idle Runs no images of builds: it is no Linux node", "Ready running Not proven: run setup",
	}; !reflect.DeepEqual(proofs, want) {
		t.Errorf("nodes:\ngot  %q\nwant %q", proofs, want)
	}
	if model.Healthy || len(model.Namespaces) != 1 || model.Others != 1 || !strings.HasSuffix(model.Access, "not proven: run setup") {
		t.Errorf("got %+v", model)
	}
}

// TestHostileAppsAndPlatform wants text of the cluster to stay text, in every field.
func TestHostileAppsAndPlatform(t *testing.T) {
	renderer, err := NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	run := status.Run{Namespace: hostileName, App: hostileName, Name: hostileName, Digest: digestA, Commit: hostileName, Reason: hostileMessage, State: status.RunFailed}
	row := AppRow{App: status.App{
		Namespace: hostileName, Name: hostileName, Digest: digestA, Image: hostileName, URL: "javascript:alert(1)", Message: hostileMessage + " " + digestA, Reason: hostileMessage, Remedy: hostileMessage,
	}, Registry: Path("registry", hostileName), Built: &run}
	healthy := row
	healthy.Healthy = true
	action := Action{Name: "rerun", ID: "x", Label: hostileName, Title: hostileName, Fields: []Field{{hostileName, hostileName}}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: hostileName, Name: hostileName},
		Spec:       corev1.PodSpec{NodeName: hostileName},
		Status:     corev1.PodStatus{Phase: corev1.PodFailed, Reason: hostileMessage, Message: hostileMessage},
	}
	hostileRelease := NewReleases([]status.Release{{
		Record:  record.Record{Namespace: hostileName, App: hostileName, Number: 2, Info: record.Info{By: hostileMessage, Commit: hostileName, PromotedFrom: hostileMessage}},
		State:   status.RolloutFailed,
		Message: hostileMessage, Reason: hostileMessage, Remedy: hostileMessage,
	}})[0]
	hostileRelease.Rollback = &Action{Name: "rollback", ID: "y", Label: hostileName, Spoken: hostileName, Title: hostileName}
	deniedRelease := hostileRelease
	deniedRelease.Rollback = &Action{Name: "rollback", Label: hostileName, Spoken: hostileName, Denied: hostileName}
	app := App{
		AppRow: row, Deployed: true, ManyWorkloads: true, ReplicasReady: true, Replicas: Replicas([]applog.Replica{{Workload: hostileName, Pod: pod}}, ""),
		Workloads: []Object{{hostileName, hostileName, hostileName, Path("objects", hostileName)}}, Runs: []status.Run{run}, AllRuns: 2,
		Releases: Releases{Ready: true, Total: 2, Rows: []Release{hostileRelease, deniedRelease}},
		Processes: []Process{{
			AppPart: status.AppPart{Name: hostileName, Kind: hostileName, Workload: hostileName, Message: hostileMessage, Remedy: hostileMessage}, State: hostileMessage,
			Restart: hostileRelease.Rollback, Scale: deniedRelease.Rollback,
		}, {AppPart: status.AppPart{Message: hostileMessage}}},
		Actions: []Action{action}, Log: Log{Name: hostileName, Title: hostileName, Sources: hostileName}, LogNotes: []string{hostileMessage},
	}
	changes := ReleaseChanges{
		Namespace: hostileName, App: hostileName, Back: Path("apps", hostileName), From: "1", To: hostileName, Ready: true, Compared: true, Command: hostileName,
		Choices: []Choice{{hostileName, hostileMessage}}, Problems: []Problem{{Message: hostileName, Advice: hostileName}},
		Facts: []diff.Fact{{Name: hostileMessage, Older: hostileMessage, Newer: hostileMessage}}, Lines: []DiffLine{{"added", hostileMessage}},
	}
	part := Part{Part: status.Part{Name: hostileName, Namespace: hostileName, Version: hostileMessage, Message: hostileMessage, Unknown: true}, State: hostileMessage, Tone: toneBad, Expires: hostileName, ExpiresTone: toneBad}
	platform := Platform{
		Ready: true, Problem: &Problem{Message: hostileName, Advice: hostileName}, Setup: hostileName, Registry: hostileName, Tekton: hostileName, Access: hostileName,
		Parts: []Part{part}, Namespaces: []Part{part}, Others: 1,
		Nodes: []Node{{Node: status.Node{Name: hostileName, Address: hostileName, Version: hostileMessage}, State: hostileMessage, Proof: hostileName, ProofTone: toneBad}},
	}
	denied := platform
	denied.NodesDenied = hostileName
	for name, page := range map[string]Page{
		"apps":      {Template: "apps", Model: Apps{Apps: []AppRow{row, healthy}, Total: 2, All: 2, ManyNamespaces: true, Ready: true, Text: hostileName, Namespace: hostileName, Build: action}},
		"app":       {Template: "app", Model: app},
		"not there": {Template: "app", Model: App{AppRow: AppRow{App: status.App{Name: hostileName, Namespace: hostileName}}}},
		"releases":  {Template: "app-releases", Model: changes},
		"variables": {Template: "app-configuration", Model: Configuration{
			App: hostileName, Back: Path("apps", hostileName), ManyWorkloads: true, Command: hostileName,
			Variables: []env.Variable{{Name: hostileMessage, Kind: env.Secret, Object: hostileMessage, Key: hostileMessage, Workloads: []string{hostileMessage}}},
		}},
		"platform":   {Template: "platform", Model: platform},
		"no nodes":   {Template: "platform", Model: denied},
		"first look": {Template: "platform", Model: Platform{Reading: true}},
	} {
		html, err := renderer.Render(page)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, bad := range []string{"<script", `="javascript:`, "\x1b", "\u202e"} {
			if strings.Contains(strings.ToLower(html), bad) {
				at := strings.Index(strings.ToLower(html), bad)
				t.Errorf("%s has %q: …%s…", name, bad, html[max(0, at-80):min(len(html), at+80)])
			}
		}
		for _, inline := range []string{" style=", " onclick="} {
			if strings.Contains(html, inline) {
				t.Errorf("%s has%s, which the policy forbids", name, inline)
			}
		}
	}
	html, _ := renderer.Render(Page{Template: "app", Model: app})
	if !strings.Contains(html, "sha256:aaaaaaaaaaaa…") || !strings.Contains(html, "&lt;script&gt;") {
		t.Error("the message is not shown")
	}
}

// The log says how many replicas it has, and that one is gone.
func TestLogNotes(t *testing.T) {
	var pods []applog.Replica
	for i := range 73 {
		pods = append(pods, applog.Replica{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("web-", i)}}})
	}
	for name, test := range map[string]struct {
		replicas applog.Replicas
		replica  string
		want     string
	}{
		"all are read":      {applog.Replicas{Ready: true, Pods: pods}, "", ""},
		"too many":          {applog.Replicas{Ready: true, Pods: pods, Unread: 23}, "", "The log has 50 of 73 replicas"},
		"one":               {applog.Replicas{Ready: true, Pods: pods}, "web-72", ""},
		"one that is gone":  {applog.Replicas{Ready: true, Pods: pods}, "web-99", "Replica web-99 does not exist any more"},
		"one, not read yet": {applog.Replicas{}, "web-99", ""},
	} {
		if got := strings.Join(LogNotes(test.replicas, test.replica, 50), " "); !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
