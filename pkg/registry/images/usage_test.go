package images

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	k8stesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
)

func fakeCluster(t *testing.T, documents ...string) *dynamicfake.FakeDynamicClient {
	t.Helper()
	var objects []runtime.Object
	for _, document := range documents {
		object := &unstructured.Unstructured{}
		content, err := yaml.YAMLToJSON([]byte(document))
		if err == nil {
			err = object.UnmarshalJSON(content)
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	kinds := map[schema.GroupVersionResource]string{}
	for _, kind := range slices.Concat(workloadKinds(), recordKinds()) {
		kinds[kind.resource] = kind.resource.Resource + "List"
	}
	return dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, objects...)
}

// Every kind, and every place in which an image can be mentioned.
func TestFindUsage(t *testing.T) {
	const node, pod = "127.0.0.1:5180/team-a/shop", "registry.pyflow-system.svc/team-a/shop"
	manifest := "apiVersion: v1\nkind: Pod\nimage: " + node + ":secret\n"
	cluster := fakeCluster(t,
		`{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: other, uid: u1}, spec: {containers: [{image: "`+node+`:pod"}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: init, namespace: other, uid: u2}, spec: {initContainers: [{image: "`+pod+`@`+sha("init")+`"}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: status, namespace: other, uid: u3}, status: {containerStatuses: [{imageID: "`+node+`@`+sha("running")+`"}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: untagged, namespace: other, uid: u4}, spec: {containers: [{image: "`+node+`"}]}}`,
		`{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop, namespace: team-a, uid: d1}, spec: {template: {spec: {containers: [{image: "`+node+`@`+sha("now")+`"}]}}}}`,
		`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: shop-1, namespace: team-a, uid: r1, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: shop, uid: d1, controller: true}]},
		  spec: {replicas: 0, template: {spec: {containers: [{image: "`+node+`@`+sha("before")+`"}]}}}}`,
		`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: shop-2, namespace: team-a, uid: r2, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: shop, uid: d1, controller: true}]},
		  spec: {replicas: 3, template: {spec: {containers: [{image: "`+node+`@`+sha("now")+`"}]}}}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: shop-2-x, namespace: team-a, uid: u5, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: shop-2, uid: r2, controller: true}]},
		  spec: {containers: [{image: "`+node+`@`+sha("now")+`"}]}}`,
		`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: canary, namespace: team-a, uid: r3, ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: canary, uid: x1, controller: true}]},
		  spec: {replicas: 1, template: {spec: {containers: [{image: "`+node+`@`+sha("rollout")+`"}]}}}}`,
		`{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, namespace: team-a, uid: s1}, spec: {template: {spec: {containers: [{image: "`+node+`:sts"}]}}}}`,
		`{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: db-1, namespace: team-a, uid: c1, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: s1, controller: true}]},
		  data: {spec: {template: {spec: {containers: [{image: "`+node+`:revision"}]}}}}}`,
		`{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent, namespace: team-a, uid: a1}, spec: {template: {spec: {containers: [{image: "`+node+`:daemon"}]}}}}`,
		`{apiVersion: batch/v1, kind: Job, metadata: {name: once, namespace: team-a, uid: j1}, spec: {template: {spec: {containers: [{image: "`+node+`:job"}]}}}}`,
		`{apiVersion: batch/v1, kind: CronJob, metadata: {name: often, namespace: team-a, uid: j2}, spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: "`+node+`:cron"}]}}}}}}`,
		`{apiVersion: v1, kind: ReplicationController, metadata: {name: old, namespace: team-a, uid: rc}, spec: {template: {spec: {containers: [{image: "`+node+`:rc"}]}}}}`,
		`{apiVersion: v1, kind: PodTemplate, metadata: {name: tpl, namespace: team-a, uid: pt}, template: {spec: {containers: [{image: "`+node+`:template"}]}}}`,
		`{apiVersion: apps/v1, kind: Deployment, metadata: {name: noted, namespace: team-b, uid: d2, annotations: {note: "{\"image\":\"`+node+`:annotation\"}"}}}`,
		`{apiVersion: v1, kind: Secret, metadata: {name: shop-x-manifests, namespace: team-a, labels: {pyflow.dev/app: shop}}, data: {m: "`+base64.StdEncoding.EncodeToString([]byte(manifest))+`"}}`,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: record, namespace: team-a, labels: {pyflow.dev/app: shop}}, data: {m: "`+sha("record")+`"}}`,
		`{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: shop-done, namespace: team-a, uid: t1, labels: {pyflow.dev/app: shop}, annotations: {pyflow.dev/source: "`+pod+`/source@`+sha("context")+`"}},
		  status: {conditions: [{type: Succeeded, status: "True"}], results: [{name: IMAGE_DIGEST, value: "`+sha("built")+`"}]}}`,
		`{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: till-now, namespace: team-a, uid: t2, labels: {pyflow.dev/app: till}}, status: {conditions: [{type: Succeeded, status: Unknown}]}}`,
		`{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: mill-new, namespace: team-a, uid: t3, labels: {pyflow.dev/app: mill}}}`,
	)
	tags := []string{"pod", "sts", "revision", "daemon", "job", "cron", "rc", "template", "annotation", "secret", "latest", "shop-done", "unused", "po"}
	digests := []string{"init", "running", "now", "before", "rollout", "record", "built", "spare"}
	shop := repository(Images, "team-a/shop")
	for _, tag := range tags {
		shop.Manifests = append(shop.Manifests, stored(tag, 0, []string{tag}))
	}
	for _, digest := range digests {
		shop.Manifests = append(shop.Manifests, stored(digest, 0, nil))
	}
	contexts := repository(Contexts, "team-a/shop/source", stored("context", 0, nil), stored("spare", 0, nil))
	till := repository(Cache, "team-a/till/cache")
	mill := repository(Cache, "team-a/mill/cache")
	repositories := []*Repository{shop, contexts, till, mill}
	usage, err := FindUsage(t.Context(), cluster, repositories)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range repositories {
		for _, m := range r.Manifests {
			used := !slices.Contains([]string{sha("unused"), sha("po"), sha("spare")}, m.Digest)
			if usage.Of(r, m) != used {
				t.Errorf("%s %q %s is used: %t", r.Path, m.Tags, m.Digest, !used)
			}
		}
	}
	if usage.building(shop) || !usage.building(till) || !usage.building(mill) {
		t.Errorf("builds are %v", usage.builds)
	}
	users := func(name string) string {
		for _, m := range shop.Manifests {
			if m.Digest == sha(name) {
				var texts []string
				for _, user := range usage.Users(shop, m) {
					text := user.Namespace + " " + user.String()
					if user.Previous {
						text += " previous"
					}
					texts = append(texts, text)
				}
				return strings.Join(texts, ", ")
			}
		}
		return "no such"
	}
	for name, want := range map[string]string{
		"now": "team-a deployment.apps/shop", "before": "team-a deployment.apps/shop previous",
		"sts": "team-a statefulset.apps/db", "revision": "team-a statefulset.apps/db previous",
		"rollout": "team-a rollout.argoproj.io/canary", "pod": "other pod/p", "built": "", "shop-done": "",
	} {
		if got := users(name); got != want {
			t.Errorf("%s is used by %q, want %q", name, got, want)
		}
	}
}

func TestUsageWithoutPermissions(t *testing.T) {
	cluster := fakeCluster(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop, namespace: team-a, uid: d1}, spec: {template: {spec: {containers: [{image: "x/team-a/shop:a"}]}}}}`)
	cluster.PrependReactor("list", "cronjobs", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "cronjobs"}, "", errors.New("no"))
	})
	cluster.PrependReactor("list", "jobs", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewNotFound(schema.GroupResource{Group: "batch", Resource: "jobs"}, "")
	})
	shop := repository(Images, "team-a/shop", stored("a", 0, []string{"a"}))
	var missing *access.MissingError
	if _, err := FindUsage(t.Context(), cluster, []*Repository{shop}); !errors.As(err, &missing) || missing.Missing[0].Resource != "cronjobs" {
		t.Errorf("error is %v", err)
	}
	usage, err := Workloads(t.Context(), cluster, "team-a", []*Repository{shop})
	if err != nil {
		t.Fatal(err)
	}
	if len(usage.Missing) != 1 || usage.Missing[0].String() != "list cronjobs.batch in namespace team-a" || !usage.Of(shop, shop.Manifests[0]) {
		t.Errorf("usage is %+v", usage)
	}
}

func TestApps(t *testing.T) {
	cluster := fakeCluster(t,
		`{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, namespace: team-a, labels: {pyflow.dev/app: shop}}}`,
		`{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x, namespace: team-a, labels: {pyflow.dev/app: shop}}}`,
		`{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: x, namespace: team-a, labels: {app: agent}}}`,
		`{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, namespace: team-b, labels: {pyflow.dev/app: other}}}`,
		`{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: x, namespace: team-a, labels: {pyflow.dev/app: failed}}}`,
	)
	apps, err := Apps(t.Context(), cluster, "team-a")
	if err != nil || !slices.Equal(apps, []string{"failed", "shop"}) {
		t.Errorf("apps are %q, error %v", apps, err)
	}
	cluster.PrependReactor("list", "*", func(action k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(action.GetResource().GroupResource(), "", errors.New("no"))
	})
	var missing *access.MissingError
	if _, err := Apps(t.Context(), cluster, "team-a"); !errors.As(err, &missing) || len(missing.Missing) != 4 {
		t.Errorf("error is %v", err)
	}
}
