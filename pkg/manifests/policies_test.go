package manifests

import (
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestDeveloperPolicies wants every policy about developers to bind the same users, and those
// about runs to know all Pipelines and Tasks that a run can name.
func TestDeveloperPolicies(t *testing.T) {
	platform, err := Render(fixed("default"))
	if err != nil {
		t.Fatal(err)
	}
	conditions := func(policy *unstructured.Unstructured) []any {
		t.Helper()
		found, _, err := unstructured.NestedSlice(policy.Object, "spec", "matchConditions")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	runs := find(platform.System, policyKind, "pyflow-developer-runs")
	count := 0
	for _, object := range platform.System {
		if object.GetKind() != policyKind || !strings.HasPrefix(object.GetName(), "pyflow-developer-") {
			continue
		}
		count++
		if got := conditions(object); len(got) != 3 || !reflect.DeepEqual(got, conditions(runs)) {
			t.Errorf("policy %s binds other users: %v", object.GetName(), got)
		}
		binding := find(platform.System, policyKind+"Binding", object.GetName())
		if name, _, _ := unstructured.NestedString(binding.Object, "spec", "policyName"); name != object.GetName() {
			t.Errorf("binding %s is one of policy %q", binding.GetName(), name)
		}
	}
	if count < 9 {
		t.Errorf("there are %d policies", count)
	}
	validations, _, err := unstructured.NestedSlice(runs.Object, "spec", "validations")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, validation := range validations {
		expression, _ := validation.(map[string]any)["expression"].(string)
		text.WriteString(expression)
	}
	for _, object := range platform.Pipeline {
		name := object.GetName()
		isChoice := object.GetKind() == "Pipeline" || strings.HasPrefix(name, "pyflow-build") || strings.HasPrefix(name, "pyflow-deploy")
		if isChoice && !strings.Contains(text.String(), `"`+name+`"`) {
			t.Errorf("the policy does not know %s %s", object.GetKind(), name)
		}
	}
}

// TestPodPolicies wants the policies about pods to know the cluster.
func TestPodPolicies(t *testing.T) {
	options := fixed("default")
	options.Config.Registry.NodeHost, options.Config.Tekton.Namespace = "127.0.0.1:30518", "openshift-pipelines"
	platform, err := Render(options)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{imagesPolicy: "'127.0.0.1:30518/'", identityPolicy: "'system:serviceaccount:openshift-pipelines:'"} {
		variables, _, err := unstructured.NestedSlice(find(platform.System, policyKind, name).Object, "spec", "variables")
		if err != nil {
			t.Fatal(err)
		}
		if got := variables[0].(map[string]any)["expression"]; got != want {
			t.Errorf("%s has %v, want %s", name, got, want)
		}
	}
	options.Config.Registry.External = true
	if platform, err = Render(options); err != nil {
		t.Fatal(err)
	}
	for _, object := range platform.System {
		if object.GetName() == imagesPolicy {
			t.Errorf("an external registry has the %s %s", object.GetKind(), imagesPolicy)
		}
	}
}
