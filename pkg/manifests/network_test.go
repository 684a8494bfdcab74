package manifests

import (
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// networkOf returns the NetworkPolicy of builds that a configuration makes; nil if there is none.
func networkOf(t *testing.T, network BuildNetwork) *networkingv1.NetworkPolicy {
	t.Helper()
	r := &renderer{Options: Options{Config: Config{BuildNetwork: network}}}
	objects := buildNetwork(r, "team")
	if r.err != nil {
		t.Fatal(r.err)
	}
	if len(objects) == 0 {
		return nil
	}
	policy := &networkingv1.NetworkPolicy{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(objects[0].Object, policy, true); err != nil {
		t.Fatal(err)
	}
	return policy
}

func TestBuildNetwork(t *testing.T) {
	policy := networkOf(t, BuildNetwork{
		Detected: []string{"10.96.0.0/16", "fd01::/112"}, Cluster: []string{"10.88.0.0/16"}, Allowed: []string{"10.88.7.0/24", "git"},
	})
	if policy.Namespace != "team" || len(policy.Spec.Ingress) != 0 || len(policy.Spec.PolicyTypes) != 2 || len(policy.Spec.Egress) != 4 {
		t.Fatalf("got %+v", policy)
	}
	outside, allowed := policy.Spec.Egress[2], policy.Spec.Egress[3]
	want := "10.88.0.0/16 10.96.0.0/16 100.100.100.200/32 168.63.129.16/32 169.254.0.0/16"
	if block := outside.To[0].IPBlock; strings.Join(block.Except, " ") != want {
		t.Errorf("%s is all but %s", block.CIDR, block.Except)
	}
	if block := outside.To[1].IPBlock; strings.Join(block.Except, " ") != "fd00:ec2::254/128 fd01::/112 fe80::/10" {
		t.Errorf("%s is all but %s", block.CIDR, block.Except)
	}
	for _, port := range []int32{10250, 10255, 10257} {
		for _, open := range outside.Ports {
			if *open.Protocol == "TCP" && port >= open.Port.IntVal && port <= *open.EndPort {
				t.Errorf("port %d of nodes is open", port)
			}
		}
	}
	if allowed.To[0].IPBlock.CIDR != "10.88.7.0/24" || allowed.To[1].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "git" || len(allowed.Ports) != 0 {
		t.Errorf("allowed is %+v", allowed)
	}
	if policy := networkOf(t, BuildNetwork{Allowed: []string{"10.0.0.0/8", EgressAll}}); policy != nil {
		t.Errorf("there is a policy: %+v", policy)
	}
}

// Every Task runs under the policy, but for those that deploy.
func TestBuildNetworkHasAllTasks(t *testing.T) {
	r := renderer{}
	var want []string
	for _, object := range r.pipelines() {
		if object.GetKind() == "Task" && !strings.HasPrefix(object.GetName(), DeployTaskName) {
			want = append(want, object.GetName())
		}
	}
	slices.Sort(want)
	selected := networkOf(t, BuildNetwork{}).Spec.PodSelector.MatchExpressions[1]
	if selected.Key != "tekton.dev/task" || !slices.Equal(selected.Values, want) {
		t.Errorf("the policy selects %+v, want %q", selected, want)
	}
}

func TestParseEgress(t *testing.T) {
	got, err := ParseEgress([]string{"git", "10.1.2.3/16", "all", "git"})
	if err != nil || !slices.Equal(got, []string{"10.1.0.0/16", "all", "git"}) {
		t.Errorf("got %q, %v", got, err)
	}
	for _, text := range []string{"10.0.0.1", "10.0.0.0/33", "Git", "a/b", ""} {
		if _, err := ParseEgress([]string{text}); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	got, err = ParseRanges([]string{"fd00::1/8", "10.20.0.0/16", "10.3.0.0/16", "10.3.0.1/16"})
	if err != nil || !slices.Equal(got, []string{"10.3.0.0/16", "10.20.0.0/16", "fd00::/8"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := ParseRanges([]string{"git"}); err == nil {
		t.Error("a name was accepted as a range")
	}
}
