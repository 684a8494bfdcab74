package refresh

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
)

// Every change is reported, and an error of the report ends it.
func TestRun(t *testing.T) {
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{pods: "PodList"})
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	done := errors.New("enough")
	reports := 0
	err := Run(ctx, client, []Kind{{pods, "demo"}}, func(ctx context.Context) error {
		list, err := client.Resource(pods).Namespace("demo").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(list.Items) > 0 {
			return done
		}
		reports++
		if reports > 1 {
			return nil
		}
		// After the first report, so that it can only be seen by a change.
		time.AfterFunc(50*time.Millisecond, func() {
			pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "a", "namespace": "demo"}}}
			_, _ = client.Resource(pods).Namespace("demo").Create(ctx, pod, metav1.CreateOptions{})
		})
		return nil
	})
	if !errors.Is(err, done) || reports == 0 {
		t.Errorf("got %v after %d reports", err, reports)
	}
}
