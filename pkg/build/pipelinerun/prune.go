package pipelinerun

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// record is what has to be known of a run to tell whether it can go.
type record struct {
	metav1.ObjectMeta
	ended, succeeded bool
	// unstarted reports that whoever created it has not started it.
	unstarted bool
	// reads are the runs whose Secrets it reads: itself, or the one it repeats.
	reads []string
}

func newRecord(run *tektonv1.PipelineRun) record {
	verdict := Verdict(run)
	r := record{
		ObjectMeta: metav1.ObjectMeta{Name: run.Name, UID: run.UID, CreationTimestamp: run.CreationTimestamp},
		ended:      verdict.Done, succeeded: verdict.Succeeded, unstarted: unstarted(run),
	}
	for _, workspace := range run.Spec.Workspaces {
		var secrets []string
		if workspace.Secret != nil {
			secrets = append(secrets, workspace.Secret.SecretName)
		}
		if workspace.Projected != nil {
			for _, source := range workspace.Projected.Sources {
				if source.Secret != nil {
					secrets = append(secrets, source.Secret.Name)
				}
			}
		}
		for _, secret := range secrets {
			if owner, ok := ownerName(secret); ok {
				r.reads = append(r.reads, owner)
			}
		}
	}
	return r
}

// ownerName returns the name of the run that a Secret was made for, if it is one
// of those that Create makes.
func ownerName(secret string) (string, bool) {
	for _, suffix := range []string{manifestsSuffix, buildSecretsSuffix, pushSuffix} {
		if owner, ok := strings.CutSuffix(secret, suffix); ok {
			return owner, true
		}
	}
	return "", false
}

// Prune deletes the runs of an app that have ended, but for the newest keep of
// them and the newest that succeeded. A run whose Secrets another one reads that
// stays, as a repetition of it does, stays as well; so does every run that has not
// ended, except for an abandoned one. What belongs to a run, its TaskRuns, pods and Secrets, is
// collected with it by the cluster.
//
// It returns the names of what it deleted, oldest first, also beside an error.
// Several may be at it at once.
func Prune(ctx context.Context, clients Clients, namespace, app string, keep int) (removed []string, err error) {
	if keep < 0 {
		return nil, fmt.Errorf("keep %d runs: not a number of runs", keep)
	}
	var records []record
	err = Each(ctx, clients.Tekton, namespace, app, func(run *tektonv1.PipelineRun) {
		// Another tool's runs are its own affair, whatever they are labeled.
		if run.Labels[manifests.LabelManagedBy] == manifests.FieldManager {
			records = append(records, newRecord(run))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list pipelineruns: %w", err)
	}
	for _, run := range slices.Backward(expendable(records, keep)) {
		gone, err := remove(ctx, clients, namespace, run)
		if err != nil {
			return removed, fmt.Errorf("delete pipelinerun %s: %w", run.Name, err)
		}
		if gone {
			removed = append(removed, run.Name)
		}
	}
	return removed, nil
}

// remove deletes this run; false reports that it was deleted already.
func remove(ctx context.Context, clients Clients, namespace string, run record) (bool, error) {
	background := metav1.DeletePropagationBackground
	err := clients.Tekton.TektonV1().PipelineRuns(namespace).Delete(ctx, run.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &run.UID}, PropagationPolicy: &background,
	})
	// A conflict is another run that has taken the name.
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return false, nil
	}
	return err == nil, err
}

// expendable returns the runs that can go, newest first. It is pure.
func expendable(records []record, keep int) []record {
	records = slices.Clone(records)
	slices.SortFunc(records, func(a, b record) int { return Newer(&a.ObjectMeta, &b.ObjectMeta) })
	stays := map[types.UID]bool{}
	ended, succeeded := 0, false
	for _, r := range records {
		// By the clock of the server: the newest run is the caller's own, or later.
		if r.unstarted && records[0].CreationTimestamp.Sub(r.CreationTimestamp.Time) > abandonedAfter {
			continue
		}
		if r.ended {
			ended++
		}
		if !r.ended || ended <= keep || (r.succeeded && !succeeded) {
			stays[r.UID] = true
		}
		succeeded = succeeded || r.succeeded
	}
	byName := map[string]types.UID{}
	for _, r := range records {
		byName[r.Name] = r.UID
	}
	for changed := true; changed; {
		changed = false
		for _, r := range records {
			for _, name := range r.reads {
				if owner, ok := byName[name]; ok && stays[r.UID] && !stays[owner] {
					stays[owner], changed = true, true
				}
			}
		}
	}
	return slices.DeleteFunc(records, func(r record) bool { return stays[r.UID] })
}
