package release

import (
	"errors"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// The files of a release with Jobs, beside ResourcesFile: what the Jobs may need is applied first,
// then the Jobs run, and then comes what is in ResourcesFile.
const (
	BeforeFile = "before.yaml"
	JobsFile   = "jobs.yaml"
)

const (
	// maxJobName is the longest name of a Job that can be checked by another name, -pyflow.
	maxJobName = 63 - len("-pyflow")
	// minJobTTL is how long a Job must stay after its end, in seconds, so that its result can be
	// read.
	minJobTTL = 60
)

// part is when an object is applied, in a release with Jobs.
type part int

const (
	before part = iota
	jobs
	after
)

// parts sorts objects by when they are applied, if there are Jobs: first what Jobs may need, such
// as configuration and a database, then the Jobs, then what runs the built image and what leads
// to it. Without Jobs everything is in after. The order within a part is kept.
func (m *Manifests) parts() [3][]*unstructured.Unstructured {
	var sorted [3][]*unstructured.Unstructured
	if len(m.Jobs()) == 0 {
		sorted[after] = m.objects
		return sorted
	}
	var pods []labels.Set
	for _, object := range m.objects {
		if pod, ok, err := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels"); ok && err == nil && m.built(object) {
			pods = append(pods, pod)
		}
	}
	for _, object := range m.objects {
		when := m.when(object, pods)
		sorted[when] = append(sorted[when], object)
	}
	return sorted
}

// when returns the part of an object. pods are the labels of the pods that run the built image.
func (m *Manifests) when(object *unstructured.Unstructured, pods []labels.Set) part {
	switch {
	case isJob(object):
		return jobs
	case m.built(object):
		return after
	}
	switch object.GetKind() {
	case "CronJob", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Ingress", "HTTPRoute":
		return after
	case "Service":
		selector, ok, err := unstructured.NestedStringMap(object.Object, "spec", "selector")
		if !ok || err != nil {
			return before
		}
		for _, pod := range pods {
			if labels.SelectorFromSet(selector).Matches(pod) {
				return after
			}
		}
	}
	return before
}

// Jobs returns the names of the Jobs, in the order of the manifests. Every release runs them again,
// before its workloads.
func (m *Manifests) Jobs() []string {
	var names []string
	for _, object := range m.objects {
		if isJob(object) {
			names = append(names, object.GetName())
		}
	}
	return names
}

// WithoutJobs takes the Jobs out of the manifests, and returns their names. What they do to a
// database is not undone by doing it again.
func (m *Manifests) WithoutJobs() ([]string, error) {
	names := m.Jobs()
	var rest []*unstructured.Unstructured
	for _, object := range m.objects {
		if !isJob(object) {
			rest = append(rest, object)
		}
	}
	m.objects = rest
	m.Objects = slices.DeleteFunc(m.Objects, func(object Object) bool { return slices.Contains(names, object.Name) && object.Kind == "Job" })
	return names, m.write()
}

func isJob(object *unstructured.Unstructured) bool {
	return object.GetKind() == "Job" && object.GroupVersionKind().Group == batchv1.GroupName
}

// built reports whether pods of an object run the image that is built.
func (m *Manifests) built(object *unstructured.Unstructured) bool {
	for _, path := range podPaths() {
		pod, ok, err := unstructured.NestedMap(object.Object, path...)
		if err == nil && ok && runs(pod, func(image string) bool { return source.Repository(image) == m.app }) {
			return true
		}
	}
	return false
}

// prepareJob checks that a Job can be waited for, and marks its pods.
func prepareJob(object *unstructured.Unstructured, app string) error {
	job := &batchv1.Job{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, job); err != nil {
		return fmt.Errorf("%s is not a Job", id(object)) // the error may quote any of it
	}
	if err := checkJob(job); err != nil {
		return fmt.Errorf("%s: %w", id(object), err)
	}
	// The converter would add empty fields.
	return unstructured.SetNestedField(object.Object, app, "spec", "template", "metadata", "labels", manifests.LabelJobOf)
}

func checkJob(job *batchv1.Job) error {
	switch ttl := job.Spec.TTLSecondsAfterFinished; {
	case len(job.Name) > maxJobName:
		return fmt.Errorf("a release needs Jobs with names of at most %d characters, and this one has %d", maxJobName, len(job.Name))
	case job.Spec.Suspend != nil && *job.Spec.Suspend:
		return errors.New("it is suspended, so the release would wait for it for ever: leave out spec.suspend")
	case ttl != nil && *ttl < minJobTTL:
		return fmt.Errorf("ttlSecondsAfterFinished is %d, so it may be gone before its result is read: use at least %d", *ttl, minJobTTL)
	case job.Spec.Template.Spec.RestartPolicy == "" || job.Spec.Template.Spec.RestartPolicy == corev1.RestartPolicyAlways:
		return errors.New("its pods need the restartPolicy Never or OnFailure")
	}
	return nil
}
