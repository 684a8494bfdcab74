package supportbundle

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/pager"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const pageSize = 250

// kind is a kind of objects in one namespace or in the cluster.
type kind struct {
	schema.GroupVersionResource
	// namespace is empty for objects of the cluster.
	namespace string
	selector  string
}

func core(resource, namespace string) kind {
	return kind{GroupVersionResource: corev1.SchemeGroupVersion.WithResource(resource), namespace: namespace}
}

func other(group, resource, namespace string) kind {
	return kind{GroupVersionResource: schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}, namespace: namespace}
}

func (k kind) of(selector string) kind {
	k.selector = selector
	return k
}

func (k kind) String() string {
	if k.namespace == "" {
		return k.GroupResource().String()
	}
	return k.GroupResource().String() + " in namespace " + k.namespace
}

// list reads the objects of a kind that keep selects (nil: all), sorted by name, at most limit.
// It returns none for a kind that the cluster does not have.
func (b *builder) list(ctx context.Context, kind kind, limit int, keep func(*unstructured.Unstructured) bool) []*unstructured.Unstructured {
	b.Progress(kind.String())
	var found []*unstructured.Unstructured
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return b.Dynamic.Resource(kind.GroupVersionResource).Namespace(kind.namespace).List(ctx, options)
	})
	pages.PageSize, pages.PageBufferSize = pageSize, 0
	more := 0
	err := pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: kind.selector}, func(item runtime.Object) error {
		object, ok := item.(*unstructured.Unstructured)
		if !ok || (keep != nil && !keep(object)) {
			return nil
		}
		if len(found) == limit {
			more++
			return nil
		}
		found = append(found, object)
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		b.missing(kind.String(), err)
	}
	if more > 0 {
		b.missing(kind.String(), fmt.Errorf("%d more than the %d that are kept", more, limit))
	}
	slices.SortFunc(found, func(a, b *unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	return found
}

// objectFiles returns a file for each object: DIRECTORY/KIND/NAME.yaml.
func objectFiles(directory string, kind kind, objects []*unstructured.Unstructured) []file {
	var files []file
	for _, object := range objects {
		files = append(files, file{path.Join(directory, kind.Resource, object.GetName()+".yaml"), object.Object})
	}
	return files
}

// podLog is a pod whose logs belong in the bundle.
type podLog struct {
	directory, namespace, name string
	// containers are those of the pod, init containers first. restarted are those with an
	// earlier log.
	containers []string
	restarted  map[string]bool
	limit      int64
}

// objects reads all objects, and returns the pods whose logs are needed.
func (b *builder) objects(ctx context.Context) ([]file, []podLog) {
	var files []file
	var pods []podLog
	add := func(directory string, kind kind, limit int64, keep func(*unstructured.Unstructured) bool) []*unstructured.Unstructured {
		found := b.list(ctx, kind, maxObjects, keep)
		files = append(files, objectFiles(directory, kind, found)...)
		if kind.Resource == "pods" {
			for _, pod := range found {
				pods = append(pods, newPodLog(directory, pod, limit))
			}
		}
		return found
	}
	if b.Run != nil {
		run := b.Run.DeepCopy()
		run.TypeMeta = metav1.TypeMeta{APIVersion: tektonv1.SchemeGroupVersion.String(), Kind: "PipelineRun"}
		files = b.appendValue(files, "run/pipelinerun.yaml", run)
		ofRun := labels.Set{pipeline.PipelineRunLabelKey: b.Run.Name}.String()
		add("run", other("tekton.dev", "taskruns", b.Namespace).of(ofRun), 0, nil)
		add("run", core("pods", b.Namespace).of(ofRun), logLimit, nil)
	}
	if b.App != "" {
		b.app(add)
	}
	for _, kind := range []kind{
		core("persistentvolumeclaims", b.Namespace), core("resourcequotas", b.Namespace), core("limitranges", b.Namespace), core("serviceaccounts", b.Namespace),
	} {
		add("namespace", kind, 0, nil)
	}
	system := manifests.SystemNamespace
	for _, kind := range []kind{
		other("apps", "statefulsets", system), other("apps", "daemonsets", system), core("services", system),
		core("persistentvolumeclaims", system), core("pods", system),
	} {
		add("platform", kind, tailLimit, nil)
	}
	// Tekton's components are in two namespaces, whose names its installer chose.
	for _, kind := range []kind{other("apps", "deployments", ""), core("pods", "")} {
		add("tekton", kind.of("app.kubernetes.io/part-of=tekton-pipelines"), tailLimit, nil)
	}
	tekton := manifests.TektonNamespace
	if b.config != nil && b.config.Tekton.Namespace != "" {
		tekton = b.config.Tekton.Namespace
	}
	for _, place := range []struct{ directory, namespace string }{{"namespace", b.Namespace}, {"platform", system}, {"tekton", tekton}} {
		files = append(files, b.events(ctx, place.directory, place.namespace)...)
	}
	return append(files, b.nodes(ctx)...), pods
}

// app adds the objects of the app, and those that they created.
func (b *builder) app(add func(string, kind, int64, func(*unstructured.Unstructured) bool) []*unstructured.Unstructured) {
	ofApp := labels.Set{manifests.LabelApp: b.App}.String()
	owners := map[types.UID]bool{}
	owned := func(object *unstructured.Unstructured) bool {
		return slices.ContainsFunc(object.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return owners[owner.UID] })
	}
	for _, kind := range []kind{
		other("apps", "daemonsets", b.Namespace), other("apps", "deployments", b.Namespace), other("apps", "statefulsets", b.Namespace),
		other("batch", "cronjobs", b.Namespace), other("batch", "jobs", b.Namespace),
		core("services", b.Namespace), other("networking.k8s.io", "ingresses", b.Namespace),
	} {
		for _, object := range add("app", kind.of(ofApp), 0, nil) {
			owners[object.GetUID()] = true
		}
	}
	// A ReplicaSet, or the Job of a CronJob, stands between a workload and its pods.
	for _, kind := range []kind{other("apps", "replicasets", b.Namespace), other("batch", "jobs", b.Namespace)} {
		between := add("app", kind, 0, func(object *unstructured.Unstructured) bool {
			return owned(object) && !owners[object.GetUID()]
		})
		for _, object := range between {
			owners[object.GetUID()] = true
		}
	}
	add("app", core("pods", b.Namespace), tailLimit, owned)
}

func newPodLog(directory string, object *unstructured.Unstructured, limit int64) podLog {
	log := podLog{directory: directory, namespace: object.GetNamespace(), name: object.GetName(), limit: limit, restarted: map[string]bool{}}
	for _, field := range []string{"initContainers", "containers"} {
		containers, _, _ := unstructured.NestedSlice(object.Object, "spec", field)
		for _, container := range containers {
			if container, ok := container.(map[string]any); ok {
				name, _ := container["name"].(string)
				log.containers = append(log.containers, name)
			}
		}
	}
	for _, field := range []string{"initContainerStatuses", "containerStatuses"} {
		statuses, _, _ := unstructured.NestedSlice(object.Object, "status", field)
		for _, status := range statuses {
			if status, ok := status.(map[string]any); ok {
				name, _ := status["name"].(string)
				restarts, _, _ := unstructured.NestedInt64(status, "restartCount")
				log.restarted[name] = restarts > 0
			}
		}
	}
	return log
}

// events returns the newest Events of a namespace, oldest first, in one file.
func (b *builder) events(ctx context.Context, directory, namespace string) []file {
	var events []*unstructured.Unstructured
	b.list(ctx, core("events", namespace), 0, func(event *unstructured.Unstructured) bool {
		unstructured.RemoveNestedField(event.Object, "metadata", "managedFields")
		events = append(events, event)
		if len(events) >= 2*maxEvents {
			events = newestEvents(events)
		}
		return false
	})
	if len(events) == 0 {
		return nil
	}
	items := []any{}
	for _, event := range newestEvents(events) {
		items = append(items, event.Object)
	}
	return []file{{path.Join(directory, "events.yaml"), map[string]any{"apiVersion": "v1", "kind": "List", "items": items}}}
}

func newestEvents(events []*unstructured.Unstructured) []*unstructured.Unstructured {
	slices.SortFunc(events, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(strings.Compare(eventTime(a), eventTime(b)), strings.Compare(a.GetName(), b.GetName()))
	})
	return events[max(0, len(events)-maxEvents):]
}

// eventTime returns when an Event was last seen. Texts in RFC 3339 sort by time.
func eventTime(event *unstructured.Unstructured) string {
	for _, field := range []string{"lastTimestamp", "eventTime", "firstTimestamp"} {
		if text, _, _ := unstructured.NestedString(event.Object, field); text != "" {
			return text
		}
	}
	return event.GetCreationTimestamp().UTC().Format("2006-01-02T15:04:05Z")
}

// nodes returns the conditions and the capacity of the nodes.
func (b *builder) nodes(ctx context.Context) []file {
	items := []any{}
	for _, node := range b.list(ctx, core("nodes", ""), maxObjects, nil) {
		item := map[string]any{"name": node.GetName(), "labels": anyMap(node.GetLabels())}
		for key, field := range map[string][]string{
			"taints": {"spec", "taints"}, "unschedulable": {"spec", "unschedulable"}, "conditions": {"status", "conditions"},
			"capacity": {"status", "capacity"}, "allocatable": {"status", "allocatable"}, "nodeInfo": {"status", "nodeInfo"},
		} {
			if value, ok, _ := unstructured.NestedFieldNoCopy(node.Object, field...); ok {
				item[key] = value
			}
		}
		items = append(items, item)
	}
	if len(items) == 0 {
		return nil
	}
	return []file{{"nodes.yaml", map[string]any{"items": items}}}
}

func anyMap(texts map[string]string) map[string]any {
	values := map[string]any{}
	for key, value := range texts {
		values[key] = value
	}
	return values
}

// secrets records all values to redact, and returns what the bundle may contain about the
// Secrets of the namespace: names, types, keys and sizes.
func (b *builder) secrets(ctx context.Context) []file {
	b.Progress("secrets")
	var items []any
	for _, namespace := range []string{b.Namespace, manifests.SystemNamespace} {
		for _, secret := range b.readSecrets(ctx, namespace) {
			b.scrubber.secret(secret)
			sizes := map[string]any{}
			for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
				sizes[key] = int64(len(secret.Data[key]))
			}
			items = append(items, map[string]any{
				"namespace": secret.Namespace, "secret": secret.Name, "type": string(secret.Type), "sizes": sizes,
			})
		}
	}
	if len(items) == 0 {
		return nil
	}
	return []file{{"secrets.yaml", map[string]any{"items": items}}}
}

// readSecrets lists the Secrets of a namespace. A user who may not list them may still read
// some by name.
func (b *builder) readSecrets(ctx context.Context, namespace string) []*corev1.Secret {
	var secrets []*corev1.Secret
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return b.Kube.CoreV1().Secrets(namespace).List(ctx, options)
	})
	pages.PageSize, pages.PageBufferSize = pageSize, 0
	more := 0
	err := pages.EachListItem(ctx, metav1.ListOptions{}, func(item runtime.Object) error {
		secret, ok := item.(*corev1.Secret)
		switch {
		case !ok:
		case len(secrets) == maxSecrets:
			more++
		default:
			secrets = append(secrets, secret)
		}
		return nil
	})
	if more > 0 || err != nil {
		b.summary.Unredacted = append(b.summary.Unredacted, namespace)
	}
	if more > 0 {
		b.missing("secrets in namespace "+namespace, fmt.Errorf("%d more than the %d that are read: their values are not redacted", more, maxSecrets))
	}
	if err == nil {
		slices.SortFunc(secrets, func(a, b *corev1.Secret) int { return strings.Compare(a.Name, b.Name) })
		return secrets
	}
	what := "secrets in namespace " + namespace + " (logs and objects may contain the values of those that are not read)"
	b.missing(what, err)
	secrets = nil
	for _, name := range []string{manifests.BuildSecret, manifests.RegistrySecret} {
		if secret, err := b.Kube.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}

// logs writes the ends of the logs of pods.
func (b *builder) logs(ctx context.Context, pods []podLog) error {
	keep, err := newTail(logLimit)
	if err != nil {
		return err
	}
	defer keep.close()
	for _, pod := range pods {
		for _, container := range pod.containers {
			for _, previous := range []bool{false, true} {
				if previous && !pod.restarted[container] {
					continue
				}
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := b.log(ctx, pod, container, previous, keep); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (b *builder) log(ctx context.Context, pod podLog, container string, previous bool, keep *tail) error {
	suffix := ""
	if previous {
		suffix = ".previous"
	}
	name := logName(pod.directory, pod.name, container, suffix)
	b.Progress(name)
	if err := keep.reset(); err != nil {
		return fmt.Errorf("keep a log: %w", err)
	}
	keep.limit = pod.limit
	if err := b.readLog(ctx, pod, container, previous, keep); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b.missing(name, err)
	}
	size, content, err := keep.content()
	if err != nil {
		return fmt.Errorf("keep a log: %w", err)
	}
	if size == 0 {
		return nil
	}
	b.summary.Files++
	b.names = append(b.names, name)
	return b.archive.stream(name, size, content)
}

// readLog keeps what could be read, also if it returns an error. A container that has not run
// has no log.
func (b *builder) readLog(ctx context.Context, pod podLog, container string, previous bool, keep *tail) error {
	log, err := b.Logs.Open(ctx, pod.namespace, pod.name, &corev1.PodLogOptions{Container: container, Previous: previous, Timestamps: true})
	if apierrors.IsBadRequest(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer log.Close()
	clean := b.scrubber.lines()
	return readLines(log, func(line string) error { return keep.line(clean(line)) })
}
