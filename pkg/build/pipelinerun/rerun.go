package pipelinerun

import (
	"fmt"
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	run.Spec.Params = slices.DeleteFunc(run.Spec.Params, func(p tektonv1.Param) bool { return p.Name == paramSequence })
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
