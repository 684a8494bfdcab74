package chart

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// The annotations of hooks.
const (
	hookAnnotation   = "helm.sh/hook"
	weightAnnotation = "helm.sh/hook-weight"
	policyAnnotation = "helm.sh/hook-delete-policy"
	logsAnnotation   = "helm.sh/hook-output-log-policy"
)

var errHook = errors.New("only pre-install and pre-upgrade Jobs, and what they need, can be part of a release")

// takeHook makes a hook an ordinary object of the release, and reports whether it is a test,
// which is left out. It notes a Job that the release runs more often than Helm.
func (r *Rendered) takeHook(object source.Object) (test bool, err error) {
	annotations := object.GetAnnotations()
	if annotations[hookAnnotation] == "" {
		return false, nil
	}
	var events []string
	for event := range strings.SplitSeq(annotations[hookAnnotation], ",") {
		events = append(events, strings.ToLower(strings.TrimSpace(event)))
	}
	if !slices.ContainsFunc(events, func(event string) bool { return !strings.HasPrefix(event, "test") }) {
		return true, nil
	}
	before := func(event string) bool { return event == "pre-install" || event == "pre-upgrade" }
	other := slices.IndexFunc(events, func(event string) bool { return !before(event) })
	kinds := []string{"Job", "ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "PersistentVolumeClaim"}
	if other >= 0 || !slices.Contains(kinds, object.GetKind()) {
		return false, &source.Error{File: object.File, Line: object.Line, Err: fmt.Errorf("%s is a hook (%s): %w", object, strings.Join(events, ", "), errHook)}
	}
	if object.GetKind() == "Job" {
		weight, err := strconv.Atoi(strings.TrimSpace(annotations[weightAnnotation]))
		if err != nil && annotations[weightAnnotation] != "" {
			return false, &source.Error{File: object.File, Line: object.Line, Err: fmt.Errorf("the weight of the hook %s is not a number", object)}
		}
		r.Weights[object.GetName()] = weight
		if !slices.Contains(events, "pre-install") || !slices.Contains(events, "pre-upgrade") {
			r.Notes = append(r.Notes, fmt.Sprintf("%s is a %s hook, and runs before every release", object, strings.Join(events, ", ")))
		}
	}
	for _, name := range []string{hookAnnotation, weightAnnotation, policyAnnotation, logsAnnotation} {
		delete(annotations, name)
	}
	object.SetAnnotations(annotations)
	return false, nil
}
