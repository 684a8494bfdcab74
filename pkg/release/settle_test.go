package release_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// settling has clients of a cluster with these objects.
func settling(objects ...runtime.Object) release.Clients {
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []schema.GroupVersionKind{
		{Version: "v1", Kind: "Service"}, {Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "batch", Version: "v1", Kind: "Job"},
	} {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	return release.Clients{Dynamic: dynamicfake.NewSimpleDynamicClient(scheme.Scheme, objects...), Mapper: mapper}
}

// deployed returns the Deployment of app mountains with replicas that manager has set by scaling.
func deployed(replicas int32, manager string) *appsv1.Deployment {
	object := &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "mountains", Namespace: "hiking", Labels: map[string]string{manifests.LabelApp: "mountains"},
		},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas},
	}
	if manager != "" {
		object.ManagedFields = []metav1.ManagedFieldsEntry{{
			Manager: manager, Subresource: "scale", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`),
		}}
	}
	return object
}

func TestSettle(t *testing.T) {
	foreign := func(labels map[string]string, manager string) *corev1.Service {
		return &corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: metav1.ObjectMeta{Name: "mountains", Namespace: "hiking", Labels: labels, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: manager}}},
		}
	}
	autoscaler := &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{Name: "crowd", Namespace: "hiking"},
		Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "mountains"}},
	}
	for name, test := range map[string]struct {
		objects []runtime.Object
		adopt   bool
		// kept and err are what Settle says, replicas is the line of the manifests.
		kept, err, replicas string
	}{
		"a new app":                {replicas: "replicas: 3"},
		"as it was":                {objects: []runtime.Object{deployed(1, "")}, replicas: "replicas: 3"},
		"scaled by hand":           {objects: []runtime.Object{deployed(5, "kubectl")}, kept: "Deployment/mountains keeps 5 replicas, not 3: it was scaled (kubectl); for 3 again, scale it to 3 or pass --adopt"},
		"scaled to what is wanted": {objects: []runtime.Object{deployed(3, "kubectl")}, replicas: "replicas: 3"},
		"scaled, taken over":       {objects: []runtime.Object{deployed(5, "kubectl")}, adopt: true, replicas: "replicas: 3"},
		"an autoscaler":            {objects: []runtime.Object{deployed(5, "kube-controller-manager"), autoscaler}, kept: "Deployment/mountains keeps 5 replicas: HorizontalPodAutoscaler crowd manages them"},
		"an autoscaler that has not scaled yet": {
			objects: []runtime.Object{deployed(2, ""), autoscaler}, replicas: "replicas: 2",
			kept: "Deployment/mountains keeps 2 replicas: HorizontalPodAutoscaler crowd manages them",
		},
		"of another app":      {objects: []runtime.Object{foreign(map[string]string{manifests.LabelApp: "lakes"}, "")}, err: "Service/mountains exists and is not of app mountains: app lakes has it"},
		"of another tool":     {objects: []runtime.Object{foreign(map[string]string{manifests.LabelManagedBy: "Helm"}, "helm")}, err: "Helm manages it"},
		"of a person":         {objects: []runtime.Object{foreign(nil, "kubectl-create")}, err: "kubectl-create made it"},
		"taken over by force": {objects: []runtime.Object{foreign(nil, "kubectl-create")}, adopt: true, replicas: "replicas: 3"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options("")
			o.Replicas = 3
			rendered, err := release.Render(o)
			if err != nil {
				t.Fatal(err)
			}
			hash := rendered.Hash
			kept, err := rendered.Settle(t.Context(), settling(test.objects...), "hiking", test.adopt)
			if test.err != "" {
				var foreign *release.ForeignError
				if !errors.As(err, &foreign) || !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %v, want %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if test.kept != "" {
				want = []string{test.kept}
			}
			if !slices.Equal(kept, want) || rendered.Hash != hash {
				t.Errorf("kept is %q, the hash %s, was %s", kept, rendered.Hash, hash)
			}
			text := string(rendered.YAML)
			if test.replicas == "" && strings.Contains(text, "replicas:") || !strings.Contains(text, test.replicas) {
				t.Errorf("no %q in\n%s", test.replicas, text)
			}
		})
	}
}

// An app that gets an autoscaler keeps its replicas until that has set them; then nothing but the
// autoscaler has the field.
func TestSettleAutoscaled(t *testing.T) {
	for name, test := range map[string]struct {
		live     []runtime.Object
		replicas string
	}{
		"a new app":         {},
		"one replica":       {live: []runtime.Object{deployed(1, "")}},
		"replicas of ours":  {live: []runtime.Object{deployed(3, "")}, replicas: "replicas: 3"},
		"it has set them":   {live: []runtime.Object{deployed(4, "kube-controller-manager")}},
		"scaled to nothing": {live: []runtime.Object{deployed(0, "kubectl")}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options("")
			o.Autoscale = app.Autoscale{Min: 2, Max: 6}
			rendered, err := release.Render(o)
			if err != nil {
				t.Fatal(err)
			}
			kept, err := rendered.Settle(t.Context(), settling(test.live...), "hiking", false)
			if err != nil || len(kept) > 0 {
				t.Fatalf("kept is %q, %v", kept, err)
			}
			if text := string(rendered.YAML); test.replicas == "" && strings.Contains(text, " replicas:") || !strings.Contains(text, test.replicas) {
				t.Errorf("want %q in\n%s", test.replicas, text)
			}
		})
	}
}

// TestRecorded wants the files of a record as the release wrote them.
func TestRecorded(t *testing.T) {
	rendered, err := release.Render(options("testdata/kustomize/overlay"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for name, text := range rendered.Files() {
		if name != release.SecretsFile {
			files[name] = string(text)
		}
	}
	again, err := release.Recorded("mountains", files, true)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range again.Files() {
		if string(text) != files[name] {
			t.Errorf("%s is\n%s", name, text)
		}
	}
	// A rollback keeps replicas as a build does.
	o := options("")
	o.Replicas = 3
	if rendered, err = release.Render(o); err != nil {
		t.Fatal(err)
	}
	again, err = release.Recorded("mountains", map[string]string{release.ResourcesFile: string(rendered.YAML)}, false)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := again.Settle(t.Context(), settling(deployed(5, "kubectl")), "hiking", false); err != nil || len(kept) != 1 {
		t.Errorf("a rollback keeps %q, %v", kept, err)
	}
	if _, err := release.Recorded("mountains", map[string]string{release.ResourcesFile: "a: [\n"}, false); err == nil {
		t.Error("broken YAML should be an error")
	}
}
