package build

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// maxQuotaApps is how many apps a QuotaError names.
const maxQuotaApps = 5

// QuotaError reports that a namespace stores as much in the registry as it may.
type QuotaError struct {
	Namespace string
	// Stored and Quota are in bytes.
	Stored, Quota int64
	// Apps are those that store the most, each with its size.
	Apps []string
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("namespace %s stores %s in the registry, and its quota is %s: %s",
		e.Namespace, display.Bytes(e.Stored), display.Bytes(e.Quota), strings.Join(e.Apps, ", "))
}

// Advice says how to free space, and how to get more.
func (e *QuotaError) Advice() []string {
	return []string{
		"delete what nothing uses: kubectl pyflow images prune --namespace " + e.Namespace,
		"an admin raises the quota: kubectl annotate --overwrite namespace " + e.Namespace + " " + manifests.AnnotationQuota + "=SIZE",
	}
}

// quota returns what the namespace may store, in bytes; 0 is no limit.
func (e *Environment) quota(ctx context.Context) (int64, error) {
	if e.Config.Registry.External {
		return 0, nil
	}
	text, where := e.Config.Registry.Quota, "setup --registry-quota"
	namespace, err := e.Clients.Kube.CoreV1().Namespaces().Get(ctx, e.Clients.Namespace, metav1.GetOptions{})
	// Who may not read the namespace has the quota of the platform.
	if err == nil && namespace.Annotations[manifests.AnnotationQuota] != "" {
		text, where = namespace.Annotations[manifests.AnnotationQuota], "annotation "+manifests.AnnotationQuota+" of namespace "+namespace.Name
	}
	if text == "" {
		return 0, nil
	}
	quantity, err := resource.ParseQuantity(text)
	if err != nil || quantity.Sign() < 0 {
		return 0, fmt.Errorf("%s: %q is not a size such as 10Gi", where, text)
	}
	return quantity.Value(), nil
}

// checkQuota returns a *QuotaError if the namespace stores as much as it may, and warns if it
// soon will.
func checkQuota(ctx context.Context, e *Environment, recorder *track.Recorder) error {
	quota, err := e.quota(ctx)
	if err != nil || quota == 0 {
		return err
	}
	scope := images.Scope{Namespace: e.Clients.Namespace, AllKinds: true}
	repositories, err := images.Fetch(ctx, e.Clients, e.Config, scope, func(error) {})
	if err != nil {
		return fmt.Errorf("compare what the namespace stores with its quota: %w", err)
	}
	over, warning := overQuota(e.Clients.Namespace, quota, repositories)
	if over != nil {
		return over
	}
	if warning != "" {
		recorder.Warn(warning)
	}
	return nil
}

// overQuota compares what repositories store with a quota in bytes. It is pure.
func overQuota(namespace string, quota int64, repositories []*images.Repository) (over *QuotaError, warning string) {
	stored := images.SumAll(repositories).TotalBytes
	switch {
	case stored >= quota:
		over = &QuotaError{Namespace: namespace, Stored: stored, Quota: quota}
	case stored >= quota/10*9:
		return nil, fmt.Sprintf("namespace %s stores %s of its quota of %s in the registry; kubectl pyflow images prune deletes what nothing uses",
			namespace, display.Bytes(stored), display.Bytes(quota))
	default:
		return nil, ""
	}
	apps := images.SumByApp(repositories)
	slices.SortStableFunc(apps, func(a, b images.AppStored) int { return cmp.Compare(b.TotalBytes, a.TotalBytes) })
	for _, app := range apps[:min(len(apps), maxQuotaApps)] {
		over.Apps = append(over.Apps, app.App+" "+display.Bytes(app.TotalBytes))
	}
	if more := len(apps) - len(over.Apps); more > 0 {
		over.Apps = append(over.Apps, display.Count(more, "more app"))
	}
	return over, ""
}
