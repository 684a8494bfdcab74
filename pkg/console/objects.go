package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// readable are the kinds whose objects the console shows. Secrets and ConfigMaps are not
// among them: what they hold does not belong on a screen by a click.
func readable() []schema.GroupResource {
	return []schema.GroupResource{
		{Group: "tekton.dev", Resource: "pipelineruns"},
		{Group: "tekton.dev", Resource: "taskruns"},
		{Group: "tekton.dev", Resource: "pipelines"},
		{Group: "tekton.dev", Resource: "tasks"},
		{Resource: "pods"},
		{Resource: "services"},
		{Group: "apps", Resource: "deployments"},
		{Group: "apps", Resource: "statefulsets"},
		{Group: "apps", Resource: "daemonsets"},
		{Group: "networking.k8s.io", Resource: "ingresses"},
	}
}

// runObjects links to the objects of a run.
func (v *runViews) runObjects(ctx context.Context, r *http.Request) (*page, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	run, err := v.options.Clients.Tekton.TektonV1().PipelineRuns(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	model := view.Objects{Run: status.NewRun(run, time.Now()), Back: view.Path("runs", namespace, name)}
	add := func(kind, namespace, resource, name string) {
		model.Items = append(model.Items, view.Object{Kind: kind, Namespace: namespace, Name: name, Path: view.Path("objects", namespace, resource, name)})
	}
	add("PipelineRun", namespace, "pipelineruns.tekton.dev", name)
	for _, child := range run.Status.ChildReferences {
		add(child.Kind, namespace, strings.ToLower(child.Kind)+"s.tekton.dev", child.Name)
	}
	pods, err := v.options.Clients.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.Set{pipeline.PipelineRunLabelKey: name}.String()})
	if err != nil {
		model.Notes = append(model.Notes, "The pods cannot be listed: "+err.Error())
	} else {
		for _, pod := range pods.Items {
			add("Pod", namespace, "pods", pod.Name)
		}
	}
	if name := pipelinerun.Parse(run).Pipeline; name != "" {
		add("Pipeline", manifests.SystemNamespace, "pipelines.tekton.dev", name)
	}
	model.Items = append(model.Items, v.tasksOf(ctx, run)...)
	return &page{render: func(context.Context) (view.Page, error) {
		return view.Page{Title: "Objects of " + name, Section: "runs", Template: "objects", Model: model}, nil
	}}, nil
}

// tasksOf returns the Tasks that the TaskRuns of a run have taken from the cluster.
func (v *runViews) tasksOf(ctx context.Context, run *tektonv1.PipelineRun) []view.Object {
	var items []view.Object
	for _, child := range run.Status.ChildReferences {
		taskRun, err := v.options.Clients.Tekton.TektonV1().TaskRuns(run.Namespace).Get(ctx, child.Name, metav1.GetOptions{})
		if err != nil || taskRun.Spec.TaskRef == nil {
			continue // its TaskRun is listed, and says the same
		}
		for _, param := range taskRun.Spec.TaskRef.Params {
			if param.Name == "name" {
				items = append(items, view.Object{Kind: "Task", Namespace: manifests.SystemNamespace, Name: param.Value.StringVal, Path: view.Path("objects", manifests.SystemNamespace, "tasks.tekton.dev", param.Value.StringVal)})
			}
		}
	}
	return items
}

// object shows one object as YAML.
func (v *runViews) object(ctx context.Context, r *http.Request) (*page, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	resource := schema.ParseGroupResource(r.PathValue("resource"))
	if !slices.Contains(readable(), resource) {
		return nil, fmt.Errorf("the console does not show %s", display.Sanitize(resource.String()))
	}
	kind, err := v.options.Clients.Mapper.ResourceFor(resource.WithVersion(""))
	if err != nil {
		return nil, fmt.Errorf("find the kind %s: %w", resource, err)
	}
	object, err := v.options.Clients.Dynamic.Resource(kind).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	object.SetManagedFields(nil)
	text, err := yaml.Marshal(object.Object)
	if err != nil {
		return nil, fmt.Errorf("write %s as YAML: %w", name, err)
	}
	model := view.YAML{
		Kind: object.GetKind(), Namespace: namespace, Name: name, Text: string(text),
		Command: display.QuoteCommand(append([]string{"kubectl", "get", resource.String(), name, "--namespace=" + namespace, "--output=yaml"}, v.options.Flags...)...),
	}
	return &page{render: func(context.Context) (view.Page, error) {
		return view.Page{Title: name, Section: "runs", Template: "object", Model: model}, nil
	}}, nil
}
