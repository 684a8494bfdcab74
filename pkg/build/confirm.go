package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// confirmInterval and confirmTimeout bound the attempts to confirm a check. The pod waits
	// longer.
	confirmInterval = time.Second
	confirmTimeout  = time.Minute
)

// ConfirmPermission returns what Confirm needs in a namespace.
func ConfirmPermission(namespace string) access.Permission {
	return access.Permission{Verb: "patch", Resource: "pods", Namespace: namespace}
}

// Confirm lets a run of a repository build the Dockerfile with that text, which has been
// checked: the run waits for it after the fetch, and fails without it. text is the Dockerfile
// as the fetch has printed it. If the run has fetched another one, it fails. Confirm tries again
// if the API server does not answer.
func Confirm(ctx context.Context, client kubernetes.Interface, namespace, run, text string) error {
	sum := sha256.Sum256([]byte(strings.ReplaceAll(text, "\r", "")))
	patch, err := json.Marshal(map[string]map[string]map[string]string{
		"metadata": {"annotations": {manifests.AnnotationChecked: hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return err
	}
	var failure error
	err = wait.PollUntilContextTimeout(ctx, confirmInterval, confirmTimeout, true, func(ctx context.Context) (bool, error) {
		failure = confirm(ctx, client, namespace, run, patch)
		if apierrors.IsForbidden(failure) || apierrors.IsUnauthorized(failure) {
			return false, failure
		}
		return failure == nil, nil
	})
	if err != nil && failure != nil {
		return fmt.Errorf("confirm that the Dockerfile of run %s is checked: %w", run, failure)
	}
	return err
}

// confirm patches the pods in which a run fetches: there are two if Tekton repeated the task.
func confirm(ctx context.Context, client kubernetes.Interface, namespace, run string, patch []byte) error {
	pods := client.CoreV1().Pods(namespace)
	found, err := pods.List(ctx, metav1.ListOptions{
		LabelSelector: "tekton.dev/pipelineRun=" + run + ",tekton.dev/pipelineTask=" + pipelinerun.FetchTask,
	})
	if err != nil {
		return err
	}
	if len(found.Items) == 0 {
		return fmt.Errorf("the pod of its task %s is gone", pipelinerun.FetchTask)
	}
	for _, pod := range found.Items {
		if _, err := pods.Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return nil
}
