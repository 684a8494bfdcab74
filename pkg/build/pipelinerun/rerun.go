package pipelinerun

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// NotOursError says that a PipelineRun is none that build has made.
type NotOursError struct{ Name, Why string }

func (e *NotOursError) Error() string {
	return fmt.Sprintf("pipelinerun %s is no run of kubectl pyflow: %s", e.Name, e.Why)
}

// Rerun makes a run of the given name that does what old did: the same source, of
// a repository the same commit, and the same settings, manifests and build
// secrets. The Secrets belong to old, which has to be there as long as the new run
// needs them. The image gets the new name as its tag. The new run has no place in
// the sequence of deliveries yet: who starts it gives it one.
//
// It is pure, leaves old alone, and fails with a NotOursError.
func Rerun(old *tektonv1.PipelineRun, name string) (*tektonv1.PipelineRun, error) {
	if err := checkOurs(old); err != nil {
		return nil, err
	}
	run := &tektonv1.PipelineRun{
		TypeMeta: metav1.TypeMeta{APIVersion: tektonv1.SchemeGroupVersion.String(), Kind: "PipelineRun"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: old.Namespace,
			Labels: ours(old.Labels), Annotations: ours(old.Annotations),
		},
		Spec: *old.Spec.DeepCopy(),
	}
	// Canceled, or waiting for its Secrets: a state of the old one.
	run.Spec.Status = ""
	run.Spec.TaskRunTemplate = tektonv1.PipelineTaskRunTemplate{ServiceAccountName: manifests.BuildServiceAccount}
	run.Spec.Params = slices.DeleteFunc(run.Spec.Params, func(p tektonv1.Param) bool { return p.Name == paramSequence || p.Name == paramAdopt })
	for i := range run.Spec.Params {
		switch p := &run.Spec.Params[i]; p.Name {
		case paramTag:
			p.Value = *tektonv1.NewStructuredValues(name)
		case paramRevision:
			if commit := result(old, resultCommit); commit != "" {
				p.Value = *tektonv1.NewStructuredValues(commit)
			}
		}
	}
	return run, nil
}

// Changes are the settings in which a repetition differs from the run that it repeats. The
// zero value changes nothing.
type Changes struct {
	engine.Change
	// Revision is built in place of the commit: a branch, a tag or a full commit.
	Revision string
	// CPU, Memory and Storage are those of Resources. A zero quantity keeps what the run had.
	CPU, Memory, Storage resource.Quantity
}

// isZero reports whether nothing is to be changed.
func (c Changes) isZero() bool {
	return !c.NoCache && len(c.BuildArgs) == 0 && c.Revision == "" && len(c.resources()) == 0
}

func (c Changes) resources() corev1.ResourceList {
	return Resources{CPU: c.CPU, Memory: c.Memory, Storage: c.Storage}.list()
}

// ChangeError says why a run cannot be repeated with other settings.
type ChangeError struct {
	// Run is the run to repeat.
	Run, Why string
	// Remedy is what to do instead; empty if there is nothing.
	Remedy string
}

func (e *ChangeError) Error() string { return fmt.Sprintf("run %s %s", e.Run, e.Why) }

// Advice returns what to do instead.
func (e *ChangeError) Advice() []string {
	if e.Remedy == "" {
		return nil
	}
	return []string{e.Remedy}
}

// BuildArgs returns the build arguments of a run, KEY=VALUE, in order.
func BuildArgs(run *tektonv1.PipelineRun, builder engine.Engine) []string {
	_, buildArgs := builder.Change(list(run, paramEngineArgs), engine.Change{})
	return buildArgs
}

// Change gives a run of Rerun, which repeats the run old, other settings. It fails with a
// ChangeError, and leaves the run alone then. The run keeps its build key only if what it
// builds still is what the key stands for.
func Change(run *tektonv1.PipelineRun, old string, builder engine.Engine, changes Changes) error {
	if changes.isZero() {
		return nil
	}
	info := Parse(run)
	switch {
	case info.DeployOnly:
		return &ChangeError{Run: old, Why: "builds nothing: it deploys an image that existed, so no setting of a build can change", Remedy: "repeat the run that built the image: kubectl pyflow runs " + info.App}
	case changes.Revision != "" && info.Git == nil:
		return &ChangeError{Run: old, Why: "builds a folder, which has no revisions", Remedy: "leave --revision out, or build a repository: kubectl pyflow build --git URL"}
	}
	for i := range run.Spec.Params {
		switch p := &run.Spec.Params[i]; p.Name {
		case paramEngineArgs:
			p.Value.ArrayVal, _ = builder.Change(p.Value.ArrayVal, changes.Change)
		case paramRevision:
			if changes.Revision != "" {
				p.Value = *tektonv1.NewStructuredValues(changes.Revision)
			}
		}
	}
	for i := range run.Spec.TaskRunSpecs {
		task := &run.Spec.TaskRunSpecs[i]
		if step := map[string]string{BuildTask: BuildStep, TestTask: TestStep}[task.PipelineTaskName]; step != "" {
			setResources(task, step, changes.resources())
		}
	}
	if len(changes.BuildArgs) > 0 || changes.Revision != "" {
		delete(run.Labels, manifests.LabelBuildKey)
	}
	return nil
}

// setResources sets what a step requests and is limited to, and keeps the quantities that
// are not among wanted.
func setResources(task *tektonv1.PipelineTaskRunSpec, step string, wanted corev1.ResourceList) {
	if len(wanted) == 0 {
		return
	}
	at := slices.IndexFunc(task.StepSpecs, func(spec tektonv1.TaskRunStepSpec) bool { return spec.Name == step })
	if at < 0 {
		task.StepSpecs = append(task.StepSpecs, tektonv1.TaskRunStepSpec{Name: step})
		at = len(task.StepSpecs) - 1
	}
	of := &task.StepSpecs[at].ComputeResources
	for _, list := range []*corev1.ResourceList{&of.Requests, &of.Limits} {
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		maps.Copy(*list, wanted)
	}
}

func checkOurs(run *tektonv1.PipelineRun) error {
	no := func(why string) error { return &NotOursError{Name: run.Name, Why: why} }
	if run.Labels[manifests.LabelManagedBy] != manifests.FieldManager || run.Labels[manifests.LabelApp] == "" {
		return no("it lacks the labels " + manifests.LabelManagedBy + " and " + manifests.LabelApp)
	}
	if pipelineOf(run) == "" {
		return no("its Pipeline is none of those in namespace " + manifests.SystemNamespace)
	}
	return nil
}

// ours keeps what build has put on a run; Tekton adds its own again.
func ours(all map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range all {
		if key == manifests.LabelManagedBy || strings.HasPrefix(key, "pyflow.dev/") {
			kept[key] = value
		}
	}
	return kept
}
