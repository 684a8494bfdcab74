package status

import (
	"slices"
	"testing"

	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestReadReport(t *testing.T) {
	pulled := func(kube *fake.Clientset, _ *tektonfake.Clientset) {
		two := testNode("two", "10.0.0.2", true)
		two.Status.NodeInfo.KubeletVersion = "v1.36.3"
		two.Status.Images = []corev1.ContainerImage{
			{Names: []string{"127.0.0.1:5180/demo/web@sha256:1", "127.0.0.1:5180/demo/web:x"}},
			{Names: []string{"docker.io/127.0.0.1:5180/x"}},
			{Names: []string{"127.0.0.1:51801/x"}},
		}
		if err := kube.Tracker().Add(two); err != nil {
			t.Error(err)
		}
	}
	o := options()
	report, err := ReadReport(t.Context(), testClients(t, pulled), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Nodes) != 2 || report.NodesDenied != "" || !slices.Contains(report.Namespaces, "other") || report.Version != "v0.1.0" {
		t.Fatalf("got %+v", report)
	}
	one, two := report.Nodes[0], report.Nodes[1]
	if !one.Ready || !one.Linux || one.Served == nil || !*one.Served || one.Pulled != 0 {
		t.Errorf("node %+v", one)
	}
	if two.Served == nil || *two.Served || two.Pulled != 1 || two.Version != "v1.36.3" || two.Address != "10.0.0.2" {
		t.Errorf("node %+v", two)
	}
	last := func(report *Report) Part { return report.Parts[len(report.Parts)-1] }
	if part := last(report); part.Name != "namespace" || part.Namespace != "demo" {
		t.Errorf("the last part is %+v", part)
	}

	// Without the permission, and without namespaces.
	o.Namespace = ""
	report, err = ReadReport(t.Context(), testClients(t, func(kube *fake.Clientset, _ *tektonfake.Clientset) { deny(&kube.Fake, "nodes") }), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.NodesDenied != "list nodes" || len(report.Nodes) != 0 || last(report).Name != "pipeline" {
		t.Errorf("got %+v", report)
	}
}
