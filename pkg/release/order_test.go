package release_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// withDatabase is an app with a database of its own, configuration and two Jobs.
const withDatabase = `
{apiVersion: v1, kind: ConfigMap, metadata: {name: config}}
---
{apiVersion: v1, kind: Secret, metadata: {name: password}, stringData: {a: b}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop}, spec: {selector: {matchLabels: {a: shop}}, template: {metadata: {labels: {a: shop, b: c}}, spec: {containers: [{name: a, image: shop}]}}}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}, spec: {selector: {matchLabels: {a: db}}, template: {metadata: {labels: {a: db}}, spec: {containers: [{name: a, image: postgres}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: shop}, spec: {selector: {a: shop}}}
---
{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {selector: {a: db}}}
---
{apiVersion: v1, kind: Service, metadata: {name: elsewhere}, spec: {type: ExternalName}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: migrate}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: shop}]}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: announce}, spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: OnFailure, containers: [{name: a, image: curl}]}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: {schedule: "@daily", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: shop}]}}}}}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: shop}}
`

// names returns kind/name of the objects in a stream of documents, sorted.
func names(text string) []string {
	var found []string
	for document := range strings.SplitSeq(text, "---\n") {
		kind, name, inMetadata := "", "", false
		for line := range strings.Lines(document) {
			if value, ok := strings.CutPrefix(line, "kind: "); ok {
				kind = strings.TrimSpace(value)
			}
			if !strings.HasPrefix(line, " ") {
				inMetadata = line == "metadata:\n"
			}
			if value, ok := strings.CutPrefix(line, "  name: "); ok && inMetadata {
				name = strings.TrimSpace(value)
			}
		}
		found = append(found, kind+"/"+name)
	}
	slices.Sort(found)
	return found
}

func TestPartsOfARelease(t *testing.T) {
	rendered, err := release.Render(release.Options{App: "shop", Namespace: "team-a", Directory: write(t, map[string]string{"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": withDatabase})})
	if err != nil {
		t.Fatal(err)
	}
	files := rendered.Files()
	got := map[string][]string{}
	for file, text := range files {
		if file != release.KustomizationFile {
			got[file] = names(string(text))
		}
	}
	want := map[string][]string{
		release.SecretsFile:   {"Secret/password"},
		release.BeforeFile:    {"ConfigMap/config", "Service/db", "Service/elsewhere", "StatefulSet/db"},
		release.JobsFile:      {"Job/announce", "Job/migrate"},
		release.ResourcesFile: {"CronJob/nightly", "Deployment/shop", "Ingress/shop", "Service/shop"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the parts differ (-want +got):\n%s", diff)
	}
	if list := string(files[release.KustomizationFile]); !strings.HasSuffix(list, "resources:\n- secrets.yaml\n- before.yaml\n- jobs.yaml\n- resources.yaml\n") {
		t.Errorf("the kustomization is\n%s", list)
	}
	if text := string(files[release.JobsFile]); strings.Count(text, "        pyflow.dev/job-of: shop\n") != 2 {
		t.Errorf("the pods of the Jobs have no label:\n%s", text)
	}
	if got := rendered.Jobs(); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"announce", "migrate"}) {
		t.Errorf("the Jobs are %q", got)
	}

	// From a record the parts are the same, and a rollback has no Jobs, and one part.
	texts := map[string]string{}
	for file, text := range files {
		if file != release.SecretsFile {
			texts[file] = string(text)
		}
	}
	recorded, err := release.Recorded("shop", texts, true)
	if err != nil {
		t.Fatal(err)
	}
	again := recorded.Files()
	maps.DeleteFunc(files, func(file string, _ []byte) bool { return file == release.SecretsFile })
	if diff := cmp.Diff(files, again); diff != "" {
		t.Errorf("the files of the record differ (-want +got):\n%s", diff)
	}
	skipped, err := recorded.WithoutJobs()
	if err != nil {
		t.Fatal(err)
	}
	rest := recorded.Files()
	if len(skipped) != 2 || len(rest) != 2 || len(names(string(rest[release.ResourcesFile]))) != 8 {
		t.Errorf("without %q there are %d files and %q", skipped, len(rest), names(string(rest[release.ResourcesFile])))
	}
}

func TestJobsThatCannotBeWaitedFor(t *testing.T) {
	job := func(name, spec string) string {
		return "{apiVersion: batch/v1, kind: Job, metadata: {name: " + name + "}, spec: {" + spec + "template: {spec: {restartPolicy: Never, containers: [{name: a, image: shop}]}}}}\n"
	}
	for name, test := range map[string]struct{ manifest, err string }{
		"a good one":         {job("migrate", "ttlSecondsAfterFinished: 3600, suspend: false, "), ""},
		"a name that fits":   {job(strings.Repeat("a", 56), ""), ""},
		"a long name":        {job(strings.Repeat("a", 57), ""), "names of at most 56 characters, and this one has 57"},
		"suspended":          {job("migrate", "suspend: true, "), "Job/migrate: it is suspended"},
		"gone at once":       {job("migrate", "ttlSecondsAfterFinished: 0, "), "Job/migrate: ttlSecondsAfterFinished is 0"},
		"not a Job":          {job("migrate", "completions: [s3cr3t], "), "Job/migrate is not a Job"},
		"without a policy":   {strings.Replace(job("migrate", ""), "restartPolicy: Never, ", "", 1), "the restartPolicy Never or OnFailure"},
		"of another kind":    {strings.Replace(job("migrate", "suspend: true, "), "batch/v1", "batch.example.com/v1", 1), ""},
		"pods that go on":    {strings.Replace(job("migrate", ""), "Never", "Always", 1), "the restartPolicy Never or OnFailure"},
		"of another version": {strings.Replace(job("migrate", "suspend: true, "), "batch/v1", "batch/v1beta1", 1), "suspended"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": test.manifest})
			_, err := release.Render(release.Options{App: "shop", Namespace: "team-a", Directory: dir})
			switch {
			case test.err == "" && err != nil:
				t.Error(err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "s3cr3t")):
				t.Errorf("the error is %v, want %q", err, test.err)
			}
		})
	}
}

// TestSettleJobs wants a word about a Job that still runs, and none taken over.
func TestSettleJobs(t *testing.T) {
	job := func(labels map[string]string, conditions ...batchv1.JobConditionType) *batchv1.Job {
		object := &batchv1.Job{
			TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
			ObjectMeta: metav1.ObjectMeta{Name: "migrate", Namespace: "hiking", Labels: labels, Annotations: map[string]string{manifests.AnnotationRelease: "7"}},
		}
		for _, kind := range conditions {
			object.Status.Conditions = append(object.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue})
		}
		return object
	}
	ours := map[string]string{manifests.LabelApp: "mountains"}
	for name, test := range map[string]struct {
		live      *batchv1.Job
		kept, err string
	}{
		"completed":       {live: job(ours, batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)},
		"failed":          {live: job(ours, batchv1.JobFailureTarget, batchv1.JobFailed)},
		"running":         {live: job(ours), kept: "Job/migrate of release 7 still runs: this release is not deployed unless it has ended by then"},
		"ending":          {live: job(ours, batchv1.JobFailureTarget), kept: "Job/migrate of release 7 still runs: this release is not deployed unless it has ended by then"},
		"of another tool": {live: job(map[string]string{manifests.LabelManagedBy: "Helm"}, batchv1.JobComplete), err: "Job/migrate exists and is not of app mountains: Helm manages it, and a Job cannot be taken over: delete it first (kubectl delete job migrate)"},
	} {
		t.Run(name, func(t *testing.T) {
			rendered, err := release.Render(options(write(t, map[string]string{
				"kustomization.yaml": "resources: [a.yaml]\n",
				"a.yaml":             "{apiVersion: batch/v1, kind: Job, metadata: {name: migrate}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: mountains}]}}}}\n",
			})))
			if err != nil {
				t.Fatal(err)
			}
			kept, err := rendered.Settle(t.Context(), settling(test.live), "hiking", true)
			if got := strings.Join(kept, "\n"); got != test.kept {
				t.Errorf("kept is %q, want %q", got, test.kept)
			}
			if test.err == "" && err != nil || test.err != "" && (err == nil || err.Error() != test.err) {
				t.Errorf("the error is %v, want %q", err, test.err)
			}
		})
	}
}
