// Package record reads, lists and deletes the records of releases. A record is a ConfigMap that
// the delivery writes before it applies anything, and that cannot change: what is live, and what
// has failed, is read off the objects of the app.
package record

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// The keys of the ConfigMap beside the files of the release; overlay.sh writes them.
const (
	infoKey   = "record.json"
	digestKey = "digest"
)

// Info is what the starter of a run knows of its release.
type Info struct {
	// By is the user who started the run, as the cluster names it.
	By string `json:"by,omitempty"`
	// Commit is the git commit of the source, in full; Dirty reports that files differ from it.
	Commit string `json:"commit,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"`
	// Source is the build context, repository@digest, or the URL of the git repository.
	Source string `json:"source,omitempty"`
	// Dockerfile, Target and BuildArgs are how the image was built.
	Dockerfile string   `json:"dockerfile,omitempty"`
	Target     string   `json:"target,omitempty"`
	BuildArgs  []string `json:"buildArgs,omitempty"`
	// UserOfImage reports that the pods run as the user that the image names.
	UserOfImage bool `json:"userOfImage,omitempty"`
	// User is the user of the pods if it is given by name, as pipelinerun.Meta has it.
	User string `json:"user,omitempty"`
	// RollbackTo is the release that this one repeats; 0 if it is none of a rollback.
	RollbackTo int `json:"rollbackTo,omitempty"`
	// PromotedFrom is the release of another namespace that this one delivers: its namespace, a
	// slash and its number; empty for others.
	PromotedFrom string `json:"promotedFrom,omitempty"`
}

// Record is one release of an app.
type Record struct {
	Info `json:",inline"`

	App       string `json:"app"`
	Namespace string `json:"namespace"`
	Number    int    `json:"number"`
	// Run is the name of the run that delivered it.
	Run string `json:"run"`
	// Created is when the run was created.
	Created time.Time `json:"created"`
	// Digest is that of the image, sha256:<hex>.
	Digest string `json:"digest"`
	// Files are the files of the release, without its Secrets. The name of the app stands for
	// the image.
	Files map[string]string `json:"-"`
}

// NotFoundError reports that an app has no record of a release.
type NotFoundError struct {
	App, Namespace string
	// Number is the release; 0 means that the app has none at all.
	Number int
	// Has are the numbers of the releases on record, newest first.
	Has []int
}

func (e *NotFoundError) Error() string {
	if e.Number == 0 {
		return fmt.Sprintf("app %s in namespace %s has no release on record", e.App, e.Namespace)
	}
	return fmt.Sprintf("app %s in namespace %s has no release %d on record", e.App, e.Namespace, e.Number)
}

// JSON returns the value of the parameter record of a run, one line.
func (i Info) JSON() string {
	text, err := json.Marshal(i)
	if err != nil {
		return "{}" // plain fields cannot fail
	}
	return string(text)
}

// HasSecrets reports whether there are Secrets among the manifests. They are in a Secret of the
// name of the record, under release.SecretsFile.
func (r *Record) HasSecrets() bool {
	return strings.Contains(r.Files[release.KustomizationFile], release.SecretsFile)
}

// Name is that of the ConfigMap.
func (r *Record) Name() string { return manifests.RecordName(r.App, r.Number) }

// List returns the records of an app, or of all apps of a namespace if app is empty: by name of
// the app, and of one app the newest first.
func List(ctx context.Context, client kubernetes.Interface, namespace, app string) ([]*Record, error) {
	list, err := client.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{LabelSelector: Selector(app)})
	if err != nil {
		return nil, fmt.Errorf("list the records of releases: %w", err)
	}
	objects := make([]*corev1.ConfigMap, len(list.Items))
	for i := range list.Items {
		objects[i] = &list.Items[i]
	}
	return Parse(objects), nil
}

// Selector returns the selector of the ConfigMaps with the records of an app, or of all apps if app
// is empty.
func Selector(app string) string {
	if app == "" {
		return manifests.LabelRelease
	}
	return manifests.LabelRelease + "," + manifests.LabelApp + "=" + app
}

// Parse returns the records that ConfigMaps hold, in the order of List. It leaves out those that
// hold none, and changes nothing of them.
func Parse(objects []*corev1.ConfigMap) []*Record {
	var records []*Record
	for _, object := range objects {
		if record := parse(object); record != nil {
			records = append(records, record)
		}
	}
	slices.SortFunc(records, func(a, b *Record) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.App, b.App), b.Number-a.Number)
	})
	return records
}

// Get returns one record. The error is a *NotFoundError if there is none.
func Get(ctx context.Context, client kubernetes.Interface, namespace, app string, number int) (*Record, error) {
	object, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, manifests.RecordName(app, number), metav1.GetOptions{})
	if err == nil {
		if record := parse(object); record != nil && record.App == app {
			return record, nil
		}
	} else if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("get the record of release %d: %w", number, err)
	}
	missing := &NotFoundError{App: app, Namespace: namespace, Number: number}
	records, err := List(ctx, client, namespace, app)
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		missing.Has = append(missing.Has, record.Number)
	}
	return nil, missing
}

// Prune deletes the oldest records of an app but for the newest keep, and never that of live, the
// release that the app runs. The Secret of a record goes with it.
func Prune(ctx context.Context, client kubernetes.Interface, namespace, app string, keep, live int) error {
	records, err := List(ctx, client, namespace, app)
	if err != nil {
		return err
	}
	for _, record := range records[min(keep, len(records)):] {
		if record.Number == live {
			continue
		}
		// The Secret first: while the record is there, a repetition finds it.
		if record.HasSecrets() {
			if err := client.CoreV1().Secrets(namespace).Delete(ctx, record.Name(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("delete secret %s: %w", record.Name(), err)
			}
		}
		if err := client.CoreV1().ConfigMaps(namespace).Delete(ctx, record.Name(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete configmap %s: %w", record.Name(), err)
		}
	}
	return nil
}

// parse reads a record; nil if the ConfigMap is none.
func parse(object *corev1.ConfigMap) *Record {
	number, err := strconv.Atoi(object.Labels[manifests.LabelRelease])
	app := object.Labels[manifests.LabelApp]
	if err != nil || number <= 0 || app == "" || object.Name != manifests.RecordName(app, number) {
		return nil
	}
	record := &Record{App: app, Namespace: object.Namespace, Number: number, Digest: strings.TrimSpace(object.Data[digestKey]), Files: map[string]string{}}
	sequence := object.Annotations[manifests.AnnotationSequence]
	record.Run = release.RunOf(sequence)
	when, _, _ := strings.Cut(sequence, " ")
	record.Created, err = time.Parse(time.RFC3339, when)
	if err != nil {
		record.Created = object.CreationTimestamp.Time
	}
	// An object of another plugin may have fields that this one does not know.
	if err := json.Unmarshal([]byte(object.Data[infoKey]), &record.Info); err != nil {
		record.Info = Info{}
	}
	for key, text := range object.Data {
		if strings.HasSuffix(key, ".yaml") {
			record.Files[key] = text
		}
	}
	return record
}
