package pipelinerun

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// cleanupTimeout bounds the removal of a run that could not be started; it runs
	// after ctx has ended, too.
	cleanupTimeout = 10 * time.Second
	// annotationCreation is on a run what the request that created it alone knows, of
	// creationLength characters: of two clients only one gets the name of a run. Who starts the
	// run removes it.
	annotationCreation = "pyflow.dev/creation"
	creationLength     = 16
	// abandonedAfter is how long a client may take between creating a run and starting it.
	abandonedAfter = time.Minute
)

// Clients are the API clients that Create needs.
type Clients struct {
	Tekton versioned.Interface
	Kube   kubernetes.Interface
	// Login is how builds authenticate at the registry.
	Login Login
}

// Create makes the run, the Secret with files (file name to content: a
// kustomization) and the one with the values of build secrets, and starts the
// run; a Secret without content is not made. It returns the run as the server has
// it: its name and UID are what to follow. A run that Tekton does not admit is an
// error before anything is made; that no webhook of Tekton answers is one after
// kube.WebhookPatience. When Create fails, or ctx ends, it leaves nothing behind.
func Create(ctx context.Context, clients Clients, spec Spec, files map[string][]byte) (*tektonv1.PipelineRun, error) {
	meta := spec.about()
	var secrets []*corev1.Secret
	if len(files) > 0 {
		secrets = append(secrets, ownSecret(meta, spec.SecretName(), files))
	}
	if values := spec.values(); len(values) > 0 {
		secrets = append(secrets, ownSecret(meta, meta.BuildSecretsName(), values))
	}
	return create(ctx, clients, New(spec), secrets)
}

// CreateScratch makes a run that is none of its app's, with the values of build secrets, and
// starts it, as Create does.
func CreateScratch(ctx context.Context, clients Clients, spec Spec) (*tektonv1.PipelineRun, error) {
	meta, run := spec.about(), New(spec)
	delete(run.Labels, manifests.LabelApp)
	var secrets []*corev1.Secret
	if values := spec.values(); len(values) > 0 {
		secrets = append(secrets, ownSecret(meta, meta.BuildSecretsName(), values))
	}
	return create(ctx, clients, run, secrets)
}

// Start makes a run of Rerun and starts it, as Create does.
func Start(ctx context.Context, clients Clients, run *tektonv1.PipelineRun) (*tektonv1.PipelineRun, error) {
	return create(ctx, clients, run, nil)
}

// create makes a run with its place in the sequence and its Secrets, and starts it.
func create(ctx context.Context, clients Clients, run *tektonv1.PipelineRun, secrets []*corev1.Secret) (*tektonv1.PipelineRun, error) {
	runs := clients.Tekton.TektonV1().PipelineRuns(run.Namespace)
	var tried *tektonv1.PipelineRun
	err := kube.UntilWebhookAnswers(ctx, kube.WebhookPatience, func(ctx context.Context) error {
		var err error
		tried, err = runs.Create(ctx, run, metav1.CreateOptions{FieldManager: manifests.FieldManager, DryRun: []string{metav1.DryRunAll}})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create pipelinerun %s: %w", run.Name, err)
	}
	run = run.DeepCopy()
	if run.Annotations == nil {
		run.Annotations = map[string]string{}
	}
	run.Annotations[annotationCreation] = rand.String(creationLength)
	pass, err := clients.Login.give(run)
	if err != nil {
		return nil, err
	}
	secrets = append(secrets, pass...)
	run.Spec.Params = append(run.Spec.Params, param(paramSequence, Sequence(tried)))
	// The run comes first, pending, so that Secrets can be born with their owner:
	// whatever breaks in between, no Secret outlives its run, nothing has started
	// that would miss one, and deleting the run removes all.
	run.Spec.Status = tektonv1.PipelineRunSpecStatusPending

	created, err := runs.Create(ctx, run, metav1.CreateOptions{FieldManager: manifests.FieldManager})
	if err != nil {
		// A request that was cut off may have arrived. One that was answered
		// has made nothing, and a run of that name belongs to another caller.
		if apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
			discard(ctx, clients, run, nil)
		}
		return nil, fmt.Errorf("create pipelinerun %s: %w", run.Name, err)
	}
	for _, secret := range secrets {
		secret.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: tektonv1.SchemeGroupVersion.String(),
			Kind:       "PipelineRun",
			Name:       created.Name,
			UID:        created.UID,
		}}
		if _, err := clients.Kube.CoreV1().Secrets(run.Namespace).Create(ctx, secret, metav1.CreateOptions{FieldManager: manifests.FieldManager}); err != nil {
			discard(ctx, clients, created, secrets)
			return nil, fmt.Errorf("create secret %s: %w", secret.Name, err)
		}
	}
	started, err := patch(ctx, clients.Tekton, created.Namespace, created.Name, startPatch)
	if err != nil {
		discard(ctx, clients, created, secrets)
		return nil, fmt.Errorf("start pipelinerun %s: %w", created.Name, err)
	}
	return started, nil
}

// Sequence is the place of a run among all of its namespace, the value of
// AnnotationSequence on what it delivers: the greater text is the later run.
func Sequence(run *tektonv1.PipelineRun) string {
	return run.CreationTimestamp.UTC().Format(time.RFC3339) + " " + run.Name
}

func ownSecret(meta Meta, name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: meta.Namespace, Labels: ownLabels(meta.App)},
		Type:       corev1.SecretTypeOpaque,
		Data:       data,
	}
}

// discard deletes a run that never started. Secrets that were made are deleted as
// well: the garbage collector would get there, but later.
func discard(ctx context.Context, clients Clients, run *tektonv1.PipelineRun, secrets []*corev1.Secret) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	runs := clients.Tekton.TektonV1().PipelineRuns(run.Namespace)
	if run.UID == "" {
		// Another client may have taken the name.
		found, err := runs.Get(ctx, run.Name, metav1.GetOptions{})
		if err != nil || found.Annotations[annotationCreation] != run.Annotations[annotationCreation] {
			return
		}
		run = found
	}
	// Best effort: the caller reports the error that led here.
	_ = runs.Delete(ctx, run.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &run.UID}})
	for _, made := range secrets {
		secret, err := clients.Kube.CoreV1().Secrets(run.Namespace).Get(ctx, made.Name, metav1.GetOptions{})
		if err == nil && len(secret.OwnerReferences) == 1 && secret.OwnerReferences[0].UID == run.UID {
			_ = clients.Kube.CoreV1().Secrets(run.Namespace).Delete(ctx, made.Name, metav1.DeleteOptions{})
		}
	}
}

// Cancel asks Tekton to stop the run, and records why: its pods are ended and it fails with the
// reason Cancelled. It does not wait for that. A run that has ended already stays
// as it is, which is no error; one that is gone is.
func Cancel(ctx context.Context, client versioned.Interface, namespace, name string, why Ending) error {
	change, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": map[string]string{manifests.AnnotationEnding: why.annotation()}},
		"spec":     map[string]any{"status": tektonv1.PipelineRunSpecStatusCancelled},
	})
	if err == nil {
		_, err = patch(ctx, client, namespace, name, string(change))
	}
	if err == nil {
		return nil
	}
	// Tekton's webhook refuses any change of a run that has ended.
	if run, getErr := client.TektonV1().PipelineRuns(namespace).Get(ctx, name, metav1.GetOptions{}); getErr == nil && run.IsDone() {
		return nil
	}
	return fmt.Errorf("cancel pipelinerun %s: %w", name, err)
}

// Abandoned reports whether a run will never start, as seen at a time: whoever created it was ended
// before it could start the run, for example by a signal.
func Abandoned(run *tektonv1.PipelineRun, now time.Time) bool {
	return unstarted(run) && now.Sub(run.CreationTimestamp.Time) > abandonedAfter
}

// unstarted reports whether a run is created and not started. One that a queue holds back after its
// start is not.
func unstarted(run *tektonv1.PipelineRun) bool {
	return run.IsPending() && run.Annotations[annotationCreation] != ""
}

// startPatch is the patch that starts a run.
const startPatch = `{"metadata": {"annotations": {"` + annotationCreation + `": null}}, "spec": {"status": null}}`

func patch(ctx context.Context, client versioned.Interface, namespace, name, patch string) (*tektonv1.PipelineRun, error) {
	return client.TektonV1().PipelineRuns(namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: manifests.FieldManager})
}
