package chart

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// The annotations of hooks, and the events that a release has.
const (
	hookAnnotation   = "helm.sh/hook"
	weightAnnotation = "helm.sh/hook-weight"
	policyAnnotation = "helm.sh/hook-delete-policy"
	logsAnnotation   = "helm.sh/hook-output-log-policy"

	preInstall = "pre-install"
	preUpgrade = "pre-upgrade"
)

var errHook = errors.New("only pre-install and pre-upgrade Jobs, and what they need, can be part of a release")

// hook is what becomes of a hook.
type hook struct {
	// test reports a test of the chart, which is left out.
	test bool
	// job is set for a Job.
	job *hookJob
}

// hookJob is a Job that is a hook.
type hookJob struct {
	source.Object
	events []string
	weight int
}

// takeHook makes a hook an ordinary object, without the annotations of hooks.
func takeHook(object source.Object) (hook, error) {
	annotations := object.GetAnnotations()
	if annotations[hookAnnotation] == "" {
		return hook{}, nil
	}
	var events []string
	for event := range strings.SplitSeq(annotations[hookAnnotation], ",") {
		events = append(events, strings.ToLower(strings.TrimSpace(event)))
	}
	if !slices.ContainsFunc(events, func(event string) bool { return !strings.HasPrefix(event, "test") }) {
		return hook{test: true}, nil
	}
	other := slices.ContainsFunc(events, func(event string) bool { return event != preInstall && event != preUpgrade })
	kinds := []string{"Job", "ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "PersistentVolumeClaim"}
	if other || !slices.Contains(kinds, object.GetKind()) {
		return hook{}, &source.Error{File: object.File, Line: object.Line, Err: fmt.Errorf("%s is a hook (%s): %w", object, strings.Join(events, ", "), errHook)}
	}
	taken := hook{}
	if object.GetKind() == "Job" {
		weight, err := strconv.Atoi(strings.TrimSpace(annotations[weightAnnotation]))
		if err != nil && annotations[weightAnnotation] != "" {
			return hook{}, &source.Error{File: object.File, Line: object.Line, Err: fmt.Errorf("the weight of the hook %s is not a number", object)}
		}
		taken.job = &hookJob{object, events, weight}
	}
	for _, name := range []string{hookAnnotation, weightAnnotation, policyAnnotation, logsAnnotation} {
		delete(annotations, name)
	}
	object.SetAnnotations(annotations)
	return taken, nil
}

// notesOf returns how the Jobs of a release run differently than as hooks of Helm, which runs one
// after the other. Two of different weights are an error, because one may need the other.
func notesOf(jobs []hookJob) ([]string, error) {
	var notes, names []string
	for _, job := range jobs {
		if first := jobs[0]; job.weight != first.weight {
			return nil, &source.Error{File: job.File, Line: job.Line, Err: fmt.Errorf(
				"the hook %s has the weight %d, and %s has %d: the Jobs of a release run at the same time; make them one Job, whose init containers run one after the other", job, job.weight, first, first.weight)}
		}
		names = append(names, job.String())
		if !slices.Contains(job.events, preInstall) || !slices.Contains(job.events, preUpgrade) {
			notes = append(notes, fmt.Sprintf("%s is a %s hook, and runs before every release", job, strings.Join(job.events, ", ")))
		}
	}
	if len(names) > 1 {
		notes = append(notes, fmt.Sprintf("the hooks %s run at the same time, before every release", strings.Join(names, ", ")))
	}
	return notes, nil
}
