//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

const seed = "1,766 meters"

// mountains is the release of examples/mountains that serves.
type mountains struct {
	*env.NS
	digest, url string
}

// TestMountains builds and deploys the example, as the README's first steps do, looks
// at the release from every side, and changes a line.
func TestMountains(t *testing.T) {
	t.Parallel()
	m := mountains{NS: env.Namespace(t)}
	m.digest, m.url = m.Build(t, env.Root("examples", "mountains")).Released(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, mountains)
	}{
		{"answers", answers},
		{"status", wantRelease},
		{"status as a table", wantTable},
		{"tkn sees the run", tkn},
		{"the run's pods have no more permissions than they need", leastPrivilege},
		{"the registry asks for credentials", registryAuth},
		{"images", listed},
		{"images inspect", inspected},
		{"images delete", deleted},
		{"a changed line", changedLine},
		{"the password is nowhere", password},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, m) })
	}
}

func answers(t *testing.T, m mountains) {
	env.Serves(t, m.url, "Mount Adams")
	body, err := env.Get(t.Context(), m.url)
	env.Check(t, err)
	var found []struct {
		Name, Elevation, Coordinate string
		Links                       []string
	}
	if err := json.Unmarshal([]byte(body), &found); err != nil {
		t.Fatalf("GET %s: %v\n%s", m.url, err, body)
	}
	if len(found) != 1 || found[0].Name != "Mount Adams" || found[0].Elevation != seed ||
		found[0].Coordinate != "44°19′14″N 71°17′29W" || len(found[0].Links) != 2 {
		t.Errorf("GET %s answers %s", m.url, body)
	}
}

// password looks for the registry's password in everything that people and controllers
// get to see.
func password(t *testing.T, m mountains) {
	user, _ := registrytest.Credentials(t, m.Cluster, m.Name)
	m.Leaks(t, user.Password, base64.StdEncoding.EncodeToString([]byte(user.Name+":"+user.Password)))
}

// wantRelease checks that status reports the release that was printed.
func wantRelease(t *testing.T, m mountains) {
	t.Helper()
	snapshot, r := m.Status(t)
	app := env.App(t, snapshot, "mountains")
	if !snapshot.Healthy || app.Desired != 3 || app.Ready != 3 || app.Digest != m.digest || app.URL != m.url {
		t.Errorf("want digest %s and URL %s with 3 of 3 replicas\n%s", m.digest, m.url, r)
	}
	if len(snapshot.Runs) == 0 || snapshot.Runs[0].State != status.RunSucceeded || snapshot.Runs[0].Digest != m.digest {
		t.Errorf("the last run should have succeeded with digest %s\n%s", m.digest, r)
	}
}

func wantTable(t *testing.T, m mountains) {
	t.Helper()
	release := []string{"RUNS", "Succeeded", "APPS", "mountains", "3/3", m.digest[:19], m.url}
	table := m.Pyflow(t, "status").Succeeded(t).Prints(t, append(release, "Platform ", " is healthy (")...)
	if strings.Contains(table.Stdout, "PLATFORM") {
		t.Errorf("a healthy platform should be one line\n%s", table)
	}
	m.Pyflow(t, "status", "-o", "wide").Succeeded(t).Prints(t, append(release, "PLATFORM", "registry", "node-access", "tekton-controller")...)
	url := m.Pyflow(t, "status", "-o", "jsonpath={.apps[0].url}").Succeeded(t)
	if url.Stdout != m.url {
		t.Errorf("jsonpath should give %s\n%s", m.url, url)
	}
	yaml := m.Pyflow(t, "status", "-o", "yaml").Succeeded(t)
	if !strings.Contains(yaml.Stdout, "kind: Status\n") {
		t.Errorf("yaml should give a Status\n%s", yaml)
	}
}

func tkn(t *testing.T, m mountains) {
	run := m.Runs(t)[0].Name
	for _, test := range []struct {
		args  []string
		words []string
	}{
		{[]string{"pipelinerun", "list"}, []string{run, "Succeeded"}},
		{[]string{"pipelinerun", "describe", run}, []string{run, "IMAGE_DIGEST", m.digest, "build", "deploy"}},
		{[]string{"pipelinerun", "logs", run}, []string{"[build : build]", "[deploy : apply]"}},
		{[]string{"taskrun", "list"}, []string{run + "-build", run + "-deploy"}},
	} {
		r := m.Run(t, nil, "tkn", append(test.args, "-n", m.Name)...).Succeeded(t)
		for _, word := range test.words {
			if !strings.Contains(r.Stdout, word) {
				t.Errorf("it should have %q\n%s", word, r)
			}
		}
	}
}

func leastPrivilege(t *testing.T, m mountains) {
	run := m.Runs(t)[0].Name
	for task, account := range map[string]string{manifests.BuildTask: manifests.BuildServiceAccount, manifests.DeployTask: manifests.DeployServiceAccount} {
		pods, err := m.Kube.CoreV1().Pods(m.Name).List(t.Context(), metav1.ListOptions{
			LabelSelector: "tekton.dev/pipelineRun=" + run + ",tekton.dev/pipelineTask=" + task,
		})
		env.Check(t, err)
		if len(pods.Items) != 1 {
			t.Fatalf("task %s has %d pods", task, len(pods.Items))
		}
		pod := pods.Items[0]
		if pod.Spec.ServiceAccountName != account {
			t.Errorf("task %s runs as %s", task, pod.Spec.ServiceAccountName)
		}
		if tokens := tokenMounts(pod); (len(tokens) > 0) != (task == manifests.DeployTask) {
			t.Errorf("task %s has the tokens %v", task, tokens)
		}
		for _, container := range pod.Spec.Containers {
			if security := container.SecurityContext; security != nil && security.Privileged != nil && *security.Privileged {
				t.Errorf("task %s: container %s is privileged", task, container.Name)
			}
		}
	}
	for _, test := range []struct {
		account, namespace, verb, resource string
		allowed                            bool
	}{
		{manifests.DeployServiceAccount, m.Name, "patch", "deployments.apps", true},
		{manifests.DeployServiceAccount, m.Name, "delete", "deployments.apps", false},
		{manifests.DeployServiceAccount, m.Name, "create", "pods", false},
		{manifests.DeployServiceAccount, m.Name, "create", "rolebindings.rbac.authorization.k8s.io", false},
		{manifests.DeployServiceAccount, manifests.SystemNamespace, "get", "secrets", false},
		{manifests.DeployServiceAccount, metav1.NamespaceDefault, "get", "secrets", false},
		{manifests.DeployServiceAccount, "", "get", "secrets", false},
		{manifests.BuildServiceAccount, m.Name, "get", "secrets", false},
		{manifests.BuildServiceAccount, m.Name, "create", "pods", false},
	} {
		resource, group, _ := strings.Cut(test.resource, ".")
		review, err := m.Kube.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User:   "system:serviceaccount:" + m.Name + ":" + test.account,
				Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + m.Name, "system:authenticated"},
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: test.namespace, Verb: test.verb, Group: group, Resource: resource,
				},
			},
		}, metav1.CreateOptions{})
		env.Check(t, err)
		if review.Status.Allowed != test.allowed {
			t.Errorf("%s may %s %s in %q: %t", test.account, test.verb, test.resource, test.namespace, review.Status.Allowed)
		}
	}
}

// tokenMounts lists the containers that can read a token of the Kubernetes API.
func tokenMounts(pod corev1.Pod) []string {
	volumes := map[string]bool{}
	for _, volume := range pod.Spec.Volumes {
		if volume.Projected != nil {
			for _, source := range volume.Projected.Sources {
				volumes[volume.Name] = volumes[volume.Name] || source.ServiceAccountToken != nil
			}
		}
	}
	var mounts []string
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, mount := range container.VolumeMounts {
			if volumes[mount.Name] || strings.HasPrefix(mount.MountPath, "/var/run/secrets/kubernetes.io/serviceaccount") {
				mounts = append(mounts, container.Name)
			}
		}
	}
	return mounts
}

// registryAuth asks without credentials, by way of the API server.
func registryAuth(t *testing.T, m mountains) {
	repository := "v2/" + m.Name + "/mountains/"
	pods, err := m.Kube.CoreV1().Pods(manifests.SystemNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + manifests.NodeAccessName})
	env.Check(t, err)
	if len(pods.Items) == 0 {
		t.Fatal("no pod gives nodes access")
	}
	access := pods.Items[0].Name + ":8080"
	for _, test := range []struct {
		method, resource, name, path string
		want                         int
	}{
		{http.MethodGet, "services", "https:" + manifests.RegistryName + ":443", "v2/", http.StatusUnauthorized},
		{http.MethodGet, "services", "https:" + manifests.RegistryName + ":443", repository + "tags/list", http.StatusUnauthorized},
		{http.MethodPost, "services", "https:" + manifests.RegistryName + ":443", repository + "blobs/uploads/", http.StatusUnauthorized},
		{http.MethodGet, "pods", access, repository + "tags/list", http.StatusUnauthorized},
		{http.MethodPost, "pods", access, repository + "blobs/uploads/", http.StatusMethodNotAllowed},
	} {
		err := rawClient(m.Kube).Verb(test.method).Namespace(manifests.SystemNamespace).Resource(test.resource).
			Name(test.name).SubResource("proxy").Suffix(test.path).Do(t.Context()).Error()
		var status apierrors.APIStatus
		if !errors.As(err, &status) || int(status.Status().Code) != test.want {
			t.Errorf("%s %s of %s: got %v, want %d", test.method, test.path, test.name, err, test.want)
		}
	}
}

func rawClient(kube kubernetes.Interface) rest.Interface { return kube.CoreV1().RESTClient() }

func changedLine(t *testing.T, m mountains) {
	const changed = "1,767 meters"
	dir := env.Example(t, "mountains", "src/mountains/store.py", seed, changed)
	// No request is lost on the way from one release to the next.
	stop := env.KeepsServing(t, m.url)
	digest, url := m.Build(t, dir).Released(t)
	if digest == m.digest || url != m.url {
		t.Errorf("got digest %s and URL %s, before %s and %s", digest, url, m.digest, m.url)
	}
	m.digest = digest
	env.Serves(t, m.url, changed)
	wantRelease(t, m)
	stop()
}

// listed wants the release in the list of images, used by its Deployment.
func listed(t *testing.T, m mountains) {
	list := m.ImageList(t)
	i := slices.IndexFunc(list.Items, func(image images.Image) bool { return image.Digest == m.digest })
	if i < 0 {
		t.Fatalf("digest %s is not in the list %+v", m.digest, list.Items)
	}
	image := list.Items[i]
	run := m.Runs(t)[0].Name
	user := images.User{Resource: "deployment.apps", Namespace: m.Name, Name: "mountains"}
	if image.App != "mountains" || !slices.Contains(image.Tags, run) || !slices.Contains(image.UsedBy, user) || image.SizeBytes < 1<<20 || image.Created == nil {
		t.Errorf("the image of run %s is %+v", run, image)
	}
	if len(list.Stored) != 1 || list.Stored[0].Contexts.Count == 0 || list.Stored[0].Cache.Count == 0 || list.Stored[0].TotalBytes < image.SizeBytes {
		t.Errorf("the namespace stores %+v", list.Stored)
	}
	table := m.Pyflow(t, "images", "mountains").Succeeded(t)
	for _, word := range []string{"USED BY", run, m.digest[:19], "deployment.apps/mountains"} {
		if !strings.Contains(table.Stdout, word) {
			t.Errorf("the table should have %q\n%s", word, table)
		}
	}
	m.Pyflow(t, "images", "nothing").Failed(t, `app "nothing" has no images`)
	if all := m.ImageList(t, "--all-namespaces"); !slices.ContainsFunc(all.Items, func(i images.Image) bool { return i.Digest == m.digest }) {
		t.Errorf("digest %s is not in the list of all namespaces", m.digest)
	}
}

// inspected wants to know what the image is made of. The run that finds out is gone
// afterwards.
func inspected(t *testing.T, m mountains) {
	r := m.Pyflow(t, "images", "inspect", "mountains@"+m.digest, "-o", "json").Succeeded(t)
	analysis := &inspect.Analysis{}
	if err := json.Unmarshal([]byte(r.Stdout), analysis); err != nil {
		t.Fatalf("the analysis is not JSON: %v\n%s", err, r)
	}
	if analysis.Digest != m.digest || analysis.User != "10001:10001" || analysis.Root {
		t.Errorf("image %s runs as %q, root %t", analysis.Digest, analysis.User, analysis.Root)
	}
	if analysis.CompressedBytes < 1<<20 || analysis.UnpackedBytes <= analysis.CompressedBytes {
		t.Errorf("%d bytes compressed, %d unpacked", analysis.CompressedBytes, analysis.UnpackedBytes)
	}
	code := slices.IndexFunc(analysis.Layers, func(layer inspect.Layer) bool { return layer.CreatedBy == "COPY src /app" })
	if !analysis.Layers[0].Base || analysis.Layers[0].Files == 0 || code < 0 || analysis.Layers[code].Line == 0 || analysis.Layers[code].Base {
		t.Errorf("layers are %+v", analysis.Layers)
	}
	for name, kind := range map[string]string{"fastapi": inspect.Python, "libc6": inspect.Debian} {
		if !slices.ContainsFunc(analysis.Packages, func(p inspect.Package) bool {
			return p.Name == name && p.Kind == kind && p.Version != "" && p.Bytes > 0
		}) {
			t.Errorf("package %s is not among %+v", name, analysis.Packages)
		}
	}
	m.Pyflow(t, "images", "inspect", "mountains:gone").Failed(t, "no image mountains:gone", "its newest tags")
	runs, err := m.Tekton.TektonV1().PipelineRuns(m.Name).List(t.Context(), metav1.ListOptions{LabelSelector: "!" + manifests.LabelApp + "," + manifests.LabelManagedBy + "=" + manifests.FieldManager})
	env.Check(t, err)
	if len(runs.Items) > 0 {
		t.Errorf("%d runs stay", len(runs.Items))
	}
}

// deleted wants a tag to go alone, an image with its last tag, and the image that runs to
// stay.
func deleted(t *testing.T, m mountains) {
	user, ca := registrytest.Credentials(t, m.Cluster, m.Name)
	front := registrytest.Front(t, m.Cluster, ca)
	spare, _ := registrytest.NewImage(t, "spare")
	for _, tag := range []string{"spare-1", "spare-2"} {
		registrytest.Push(t, front, user, m.Name+"/mountains", tag, spare)
	}
	digest, err := spare.Digest()
	env.Check(t, err)
	tags := func() []string {
		t.Helper()
		var tags []string
		for _, image := range m.ImageList(t).Items {
			if image.Digest == digest.String() {
				tags = append(tags, image.Tags...)
			}
		}
		return tags
	}
	m.Pyflow(t, "images", "delete", "mountains@"+m.digest, "--yes").Hints(t, "--force", "is used by configmap/mountains-release-", "deployment.apps/mountains")
	m.Pyflow(t, "images", "delete", "mountains:gone", "--yes").Hints(t, "its newest tags", "no image mountains:gone")
	m.Pyflow(t, "images", "delete", "mountains:spare-1").Hints(t, "--yes", "stays with the tags spare-2", "no terminal to ask on")
	m.Pyflow(t, "images", "delete", "mountains:spare-1", "--dry-run").Succeeded(t).Prints(t, `tag "mountains:spare-1" deleted (dry run)`)
	if got := tags(); !slices.Equal(got, []string{"spare-1", "spare-2"}) {
		t.Errorf("the tags are %q after a dry run", got)
	}
	if r := m.Pyflow(t, "images", "delete", "mountains:spare-1", "--yes", "-o", "name").Succeeded(t); r.Stdout != "mountains:spare-1\n" {
		t.Errorf("stdout should be the tag\n%s", r)
	}
	if got := tags(); !slices.Equal(got, []string{"spare-2"}) {
		t.Errorf("the tags are %q after one of them was deleted", got)
	}
	m.Pyflow(t, "images", "delete", "mountains:spare-2", "--yes").Succeeded(t).Prints(t, "mountains@"+digest.String())
	if got := tags(); len(got) > 0 {
		t.Errorf("the tags are %q after the last one was deleted", got)
	}
	front.Wants(t, "the manifest", user, http.StatusNotFound, registrytest.Request{Method: http.MethodGet, Target: "/v2/" + m.Name + "/mountains/manifests/" + digest.String()})
	m.Pyflow(t, "images", "inspect", "mountains@"+digest.String()).Failed(t, "there is no image")
	wantRelease(t, m)
}
