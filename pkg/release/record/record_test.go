package record

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// kept returns the ConfigMap of a record, as overlay.sh writes it.
func kept(app string, number int, secrets bool) *corev1.ConfigMap {
	list := "resources:\n- resources.yaml\n"
	if secrets {
		list = "resources:\n- secrets.yaml\n- resources.yaml\n"
	}
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: manifests.RecordName(app, number), Namespace: "demo",
			Labels:      map[string]string{manifests.LabelApp: app, manifests.LabelRelease: fmt.Sprint(number)},
			Annotations: map[string]string{manifests.AnnotationSequence: fmt.Sprintf("2026-03-01T12:00:0%dZ %s-%d", number, app, number)},
		},
		Data: map[string]string{
			infoKey: Info{By: "alice", RollbackTo: number - 1}.JSON() + "\n", digestKey: "sha256:abc\n",
			release.KustomizationFile: list, release.ResourcesFile: "kind: Deployment\n",
		},
	}
}

func numbers(records []*Record) (all []int) {
	for _, record := range records {
		all = append(all, record.Number)
	}
	return all
}

func TestListAndGet(t *testing.T) {
	stranger := kept("shop", 9, false)
	stranger.Name = "another"
	client := fake.NewClientset(kept("shop", 1, false), kept("shop", 2, true), kept("api", 3, false), stranger)
	all, err := List(t.Context(), client, "demo", "")
	if err != nil || !slices.Equal(numbers(all), []int{3, 2, 1}) {
		t.Fatalf("all are %v, %v", numbers(all), err)
	}
	got, err := Get(t.Context(), client, "demo", "shop", 2)
	if err != nil || got.By != "alice" || got.Digest != "sha256:abc" || got.Run != "shop-2" || got.Created.Second() != 2 || !got.HasSecrets() || got.RollbackTo != 1 {
		t.Errorf("release 2 is %+v, %v", got, err)
	}
	_, err = Get(t.Context(), client, "demo", "shop", 7)
	var missing *NotFoundError
	if !errors.As(err, &missing) || !slices.Equal(missing.Has, []int{2, 1}) {
		t.Errorf("release 7 is %v", err)
	}
}

func TestPrune(t *testing.T) {
	objects := fake.NewClientset(
		kept("shop", 1, true), kept("shop", 2, false), kept("shop", 3, false), kept("shop", 4, false), kept("api", 1, false),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "shop-release-1", Namespace: "demo"}},
	)
	if err := Prune(t.Context(), objects, "demo", "shop", 1, 2); err != nil {
		t.Fatal(err)
	}
	left, err := List(t.Context(), objects, "demo", "")
	if err != nil || !slices.Equal(numbers(left), []int{1, 4, 2}) {
		t.Errorf("the records that are left are %v, %v", numbers(left), err)
	}
	if _, err := objects.CoreV1().Secrets("demo").Get(t.Context(), "shop-release-1", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Secret of a deleted record: %v", err)
	}
}
