//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

const seed = "1,766 meters"

// journey is what the steps of the main path hand on to each other.
type journey struct {
	*suite
	namespace string
	// before are the cluster's objects before setup, nil when it was set up already.
	before map[string]bool
	// outputs is all that builds have printed.
	outputs output
	// digest and url are those of the release that serves.
	digest, url string
}

// TestMainPath goes the way of a user through one namespace, in order. Without
// setup, or without a first release, the rest makes no sense.
func TestMainPath(t *testing.T) {
	s := newSuite(t)
	j := &journey{suite: s, namespace: s.namespace(t), before: s.unlessSetUp(t)}
	t.Run("status without setup", j.statusWithoutSetup)
	t.Run("no storage class", j.noStorageClass)
	if !t.Run("setup", j.setup) {
		return
	}
	t.Run("setup again changes nothing", j.setupAgain)
	t.Run("what is no longer needed goes", j.prune)
	t.Run("dry run is what was applied", j.dryRun)
	t.Run("bad input", j.badInput)
	t.Run("bad input of what builds get", j.buildEnvInput)
	t.Run("bad input about the registry", j.registryInput)
	if !t.Run("build", j.build) {
		return
	}
	t.Run("tkn sees the run", j.tkn)
	t.Run("pods of the run have no more rights than they need", j.leastPrivilege)
	t.Run("the registry asks for a login", j.registryAuth)
	t.Run("attacks on the registry", j.attacks)
	t.Run("what the platform exposes", j.exposure)
	t.Run("passwords are replaced", j.rotate)
	t.Run("certificates are renewed", j.renew)
	t.Run("a developer with few rights", j.developer)
	t.Run("the registry moves", j.moves)
	t.Run("one changed line", j.changedLine)
	t.Run("images", j.images)
	t.Run("what an image is made of", j.imagesInspect)
	t.Run("images to mirror", j.imagesPlatform)
	t.Run("images survive the registry's pod", j.imagesSurvive)
	t.Run("images prune", j.imagesPrune)
	t.Run("runs and logs", j.runsAndLogs)
	t.Run("builds side by side", j.sideBySide)
	t.Run("a way to the cluster that breaks", j.brokenWays)
	t.Run("a Dockerfile that fails", j.failingDockerfile)
	t.Run("a Dockerfile that does not parse", j.unparsableDockerfile)
	t.Run("an app that crashes", j.crashingApp)
	t.Run("what keeps an app waiting", j.waitingApp)
	t.Run("a company's CA, index and proxy", j.buildEnv)
	t.Run("a company's registry", j.externalRegistry)
	t.Run("a full volume", j.fullVolume)
	t.Run("interrupt", j.interrupt)
	t.Run("lost pods come back", j.lostPods)
	t.Run("the password is nowhere", j.password)
	t.Run("what other tools are told of the registry", j.hosting)
	t.Run("node access in every mode", j.modes)
	t.Run("a node joins and leaves", j.join)
	t.Run("every image from a mirror", j.mirrored)
	t.Run("teardown", j.teardown)
}

func (j *journey) statusWithoutSetup(t *testing.T) {
	_, err := j.kube.CoreV1().ConfigMaps(manifests.SystemNamespace).Get(t.Context(), manifests.ConfigName, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Skip("the cluster is set up already")
	}
	for _, verb := range []string{"status", "build"} {
		args := []string{verb, "-n", j.namespace}
		if verb == "build" {
			args = append(args, filepath.Join(j.examples, "mountains"))
		}
		r := j.pyflow(t, args...).failed(t, "not set up", "kubectl pyflow setup")
		if r.stdout != "" {
			t.Errorf("stdout should be empty\n%s", r)
		}
	}
}

func (j *journey) setup(t *testing.T) {
	j.pyflow(t, append([]string{"setup", "-n", j.namespace}, j.setupFlags...)...).succeeded(t)
	snapshot, r := j.status(t, j.namespace)
	if !snapshot.Healthy {
		t.Errorf("setup waits until all is available\n%s", r)
	}
	if snapshot.Kind != status.Kind || len(snapshot.Runs) != 0 || len(snapshot.Apps) != 0 || !strings.Contains(r.stdout, `"runs": []`) {
		t.Errorf("a new namespace has neither runs nor apps\n%s", r)
	}
	for _, part := range snapshot.Platform {
		if part.Version == "" && part.Name != "namespace" {
			t.Errorf("%s has no version", part.Name)
		}
	}
}

// Settings that are not named again keep their value.
func (j *journey) setupAgain(t *testing.T) {
	before := j.inventory(t)
	j.pyflow(t, "setup", "-n", j.namespace).succeeded(t).says(t, "nothing changed")
	if changes := changes(before, j.inventory(t)); len(changes) > 0 {
		t.Errorf("changed all the same:\n%s", strings.Join(changes, "\n"))
	}
}

// prune leaves an object as an older version would have: marked as a member, and
// unknown to this one. What is not marked stays.
func (j *journey) prune(t *testing.T) {
	configMaps := j.kube.CoreV1().ConfigMaps(manifests.SystemNamespace)
	parent, err := configMaps.Get(t.Context(), manifests.ConfigName, metav1.GetOptions{})
	check(t, err)
	member := map[string]string{"applyset.kubernetes.io/part-of": parent.Labels["applyset.kubernetes.io/id"]}
	if member["applyset.kubernetes.io/part-of"] == "" {
		t.Fatalf("configmap %s is no ApplySet parent: %v", parent.Name, parent.Labels)
	}
	for name, labels := range map[string]map[string]string{"of-an-older-version": member, "of-somebody-else": nil} {
		_, err := configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
		check(t, err)
		t.Cleanup(func() { _ = configMaps.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
	}

	j.pyflow(t, "setup", "-n", j.namespace).succeeded(t).says(t, "1 pruned")
	if _, err := configMaps.Get(t.Context(), "of-an-older-version", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the member is still there: %v", err)
	}
	_, err = configMaps.Get(t.Context(), "of-somebody-else", metav1.GetOptions{})
	check(t, err)
}

func (r result) says(t *testing.T, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			t.Errorf("stderr should have said %q\n%s", word, r)
		}
	}
}

func (j *journey) dryRun(t *testing.T) {
	members := j.inventory(t)
	r := j.pyflow(t, "setup", "-n", j.namespace, "--dry-run=client", "-o", "yaml").succeeded(t)
	objects, err := manifests.Decode([]byte(r.stdout))
	check(t, err)
	printed := map[string]*unstructured.Unstructured{}
	for _, object := range objects {
		printed[key(object)] = object
		if members[key(object)] == nil {
			t.Errorf("%s is printed and not in the cluster", key(object))
		}
	}
	for name := range members {
		if printed[name] == nil {
			t.Errorf("%s is in the cluster and not printed", name)
		}
	}
	diff := j.run(t, strings.NewReader(r.stdout), "kubectl", "diff", "--server-side", "--force-conflicts",
		"--field-manager="+manifests.FieldManager, "-f", "-")
	if diff.code != 0 {
		t.Errorf("what is printed differs from what was applied\n%s", diff)
	}
}

// pyflowBuild runs a build and keeps what it printed.
func (j *journey) pyflowBuild(t *testing.T, args ...string) result {
	t.Helper()
	r := j.pyflow(t, append([]string{"build", "-n", j.namespace}, args...)...)
	fmt.Fprintln(&j.outputs, r)
	return r
}

func (j *journey) build(t *testing.T) {
	r := j.pyflowBuild(t, filepath.Join(j.examples, "mountains"))
	j.digest, j.url = r.released(t)
	serves(t, j.url, "Mount Adams")
	body, err := get(t.Context(), j.url)
	check(t, err)
	var mountains []struct {
		Name, Elevation, Coordinate string
		Links                       []string
	}
	if err := json.Unmarshal([]byte(body), &mountains); err != nil {
		t.Fatalf("GET %s: %v\n%s", j.url, err, body)
	}
	if len(mountains) != 1 || mountains[0].Name != "Mount Adams" || mountains[0].Elevation != seed ||
		mountains[0].Coordinate != "44°19′14″N 71°17′29W" || len(mountains[0].Links) != 2 {
		t.Errorf("GET %s answers %s", j.url, body)
	}
	j.wantRelease(t)
	j.wantTable(t)
}

// wantRelease checks that status reports the release that was printed.
func (j *journey) wantRelease(t *testing.T) {
	t.Helper()
	snapshot, r := j.status(t, j.namespace)
	app := app(t, snapshot, "mountains")
	if !snapshot.Healthy || app.Desired != 3 || app.Ready != 3 || app.Digest != j.digest || app.URL != j.url {
		t.Errorf("want digest %s and URL %s with 3 of 3 replicas\n%s", j.digest, j.url, r)
	}
	if len(snapshot.Runs) == 0 || snapshot.Runs[0].State != status.RunSucceeded || snapshot.Runs[0].Digest != j.digest {
		t.Errorf("the last run should have succeeded with digest %s\n%s", j.digest, r)
	}
}

func (j *journey) wantTable(t *testing.T) {
	t.Helper()
	table := j.pyflow(t, "status", "-n", j.namespace).succeeded(t)
	for _, word := range []string{"PLATFORM", "registry", "node-access", "tekton-controller", "RUNS", "Succeeded", "APPS", "mountains", "3/3", j.digest[:19], j.url} {
		if !strings.Contains(table.stdout, word) {
			t.Errorf("the table should have %q\n%s", word, table)
		}
	}
	url := j.pyflow(t, "status", "-n", j.namespace, "-o", "jsonpath={.apps[0].url}").succeeded(t)
	if url.stdout != j.url {
		t.Errorf("jsonpath should give %s\n%s", j.url, url)
	}
	yaml := j.pyflow(t, "status", "-n", j.namespace, "-o", "yaml").succeeded(t)
	if !strings.Contains(yaml.stdout, "kind: Status\n") {
		t.Errorf("yaml should give a Status\n%s", yaml)
	}
}

func (j *journey) tkn(t *testing.T) {
	run := j.runs(t, j.namespace)[0].Name
	for _, test := range []struct {
		args  []string
		words []string
	}{
		{[]string{"pipelinerun", "list"}, []string{run, "Succeeded"}},
		{[]string{"pipelinerun", "describe", run}, []string{run, "IMAGE_DIGEST", j.digest, "build", "deploy"}},
		{[]string{"pipelinerun", "logs", run}, []string{"[build : build]", "[deploy : apply]"}},
		{[]string{"taskrun", "list"}, []string{run + "-build", run + "-deploy"}},
	} {
		r := j.run(t, nil, "tkn", append(test.args, "-n", j.namespace)...).succeeded(t)
		for _, word := range test.words {
			if !strings.Contains(r.stdout, word) {
				t.Errorf("it should have %q\n%s", word, r)
			}
		}
	}
}

func (j *journey) leastPrivilege(t *testing.T) {
	run := j.runs(t, j.namespace)[0].Name
	for task, account := range map[string]string{manifests.BuildTask: manifests.BuildServiceAccount, manifests.DeployTask: manifests.DeployServiceAccount} {
		pods, err := j.kube.CoreV1().Pods(j.namespace).List(t.Context(), metav1.ListOptions{
			LabelSelector: "tekton.dev/pipelineRun=" + run + ",tekton.dev/pipelineTask=" + task,
		})
		check(t, err)
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
		{manifests.DeployServiceAccount, j.namespace, "patch", "deployments.apps", true},
		{manifests.DeployServiceAccount, j.namespace, "delete", "deployments.apps", false},
		{manifests.DeployServiceAccount, j.namespace, "create", "pods", false},
		{manifests.DeployServiceAccount, j.namespace, "create", "rolebindings.rbac.authorization.k8s.io", false},
		{manifests.DeployServiceAccount, manifests.SystemNamespace, "get", "secrets", false},
		{manifests.DeployServiceAccount, metav1.NamespaceDefault, "get", "secrets", false},
		{manifests.DeployServiceAccount, "", "get", "secrets", false},
		{manifests.BuildServiceAccount, j.namespace, "get", "secrets", false},
		{manifests.BuildServiceAccount, j.namespace, "create", "pods", false},
	} {
		resource, group, _ := strings.Cut(test.resource, ".")
		review, err := j.kube.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User:   "system:serviceaccount:" + j.namespace + ":" + test.account,
				Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + j.namespace, "system:authenticated"},
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: test.namespace, Verb: test.verb, Group: group, Resource: resource,
				},
			},
		}, metav1.CreateOptions{})
		check(t, err)
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

// registryAuth asks without a login, by way of the API server.
func (j *journey) registryAuth(t *testing.T) {
	repository := "v2/" + j.namespace + "/mountains/"
	pods, err := j.kube.CoreV1().Pods(manifests.SystemNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + manifests.NodeAccessName})
	check(t, err)
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
		err := rawClient(j.kube).Verb(test.method).Namespace(manifests.SystemNamespace).Resource(test.resource).
			Name(test.name).SubResource("proxy").Suffix(test.path).Do(t.Context()).Error()
		var status apierrors.APIStatus
		if !errors.As(err, &status) || int(status.Status().Code) != test.want {
			t.Errorf("%s %s of %s: got %v, want %d", test.method, test.path, test.name, err, test.want)
		}
	}
}

func rawClient(kube kubernetes.Interface) rest.Interface { return kube.CoreV1().RESTClient() }

func (j *journey) changedLine(t *testing.T) {
	const changed = "1,767 meters"
	dir := j.example(t, "mountains", "src/mountains/store.py", seed, changed)
	// No request is lost on the way from one release to the next.
	stop := keepsServing(t, j.url)
	digest, url := j.pyflowBuild(t, dir).released(t)
	if digest == j.digest || url != j.url {
		t.Errorf("got digest %s and URL %s, before %s and %s", digest, url, j.digest, j.url)
	}
	j.digest = digest
	serves(t, j.url, changed)
	j.wantRelease(t)
	stop()
}

func (j *journey) failingDockerfile(t *testing.T) {
	dir := project(t, "broken", map[string]string{
		"Dockerfile": "FROM python:3.13-slim\nRUN echo about to fail && exit 3\nCMD [\"true\"]\n",
	})
	r := j.pyflowBuild(t, dir, "--port", "8000").failed(t, "about to fail && exit 3")
	if digestPattern.MatchString(r.stdout) {
		t.Errorf("stdout should have no digest\n%s", r)
	}
	if run := j.runs(t, j.namespace)[0]; run.Labels[manifests.LabelApp] != "broken" || !run.IsFailure() {
		t.Errorf("the run should have failed: %+v", run.Status.Conditions)
	}
	snapshot, r := j.status(t, j.namespace)
	delivered := slices.ContainsFunc(snapshot.Apps, func(app status.App) bool { return app.Name == "broken" })
	if !snapshot.Healthy || delivered || snapshot.Runs[0].State != status.RunFailed {
		t.Errorf("a failed build is a failed run and nothing more\n%s", r)
	}
}

func (j *journey) unparsableDockerfile(t *testing.T) {
	before := len(j.runs(t, j.namespace))
	dir := project(t, "unparsable", map[string]string{"Dockerfile": "FROM python:3.13-slim\nRUNN pip install nothing\n"})
	j.pyflowBuild(t, dir, "--port", "8000").failed(t, "Dockerfile:2", "RUNN")
	if after := len(j.runs(t, j.namespace)); after != before {
		t.Errorf("%d runs were created", after-before)
	}
}

func (j *journey) crashingApp(t *testing.T) {
	dir := j.example(t, "mountains", "src/mountains/main.py", "app = create_app()", "import nosuchmodule")
	r := j.pyflowBuild(t, dir).failed(t, "CrashLoopBackOff", "ModuleNotFoundError: No module named 'nosuchmodule' (/app/mountains/main.py:",
		"hint: the image has no module nosuchmodule: add the package that has it to the dependencies")
	if digestPattern.MatchString(r.stdout) && urlPattern.MatchString(r.stdout) {
		t.Errorf("stdout should not look like a release\n%s", r)
	}
	body, err := get(t.Context(), j.url)
	if err != nil || !strings.Contains(body, "1,767 meters") {
		t.Errorf("the previous release should still answer: %v %s", err, body)
	}
	status, report := j.status(t, j.namespace)
	if app := app(t, status, "mountains"); status.Healthy || app.Healthy || app.Ready != 3 || !strings.Contains(app.Message, "exit code 1") {
		t.Errorf("the app should be unhealthy for its new pods, with the old ones ready\n%s", report)
	}
}

func (j *journey) interrupt(t *testing.T) {
	dir := project(t, "sleepy", map[string]string{"Dockerfile": "FROM python:3.13-slim\nRUN sleep 900\nCMD [\"true\"]\n"})
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := j.command(ctx, "kubectl", "pyflow", "build", "-n", j.namespace, "--port", "8000", dir)
	var stdout, stderr output
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	check(t, cmd.Start())
	find := func() (*tektonv1.PipelineRun, error) {
		for _, run := range j.runs(t, j.namespace) {
			if run.Labels[manifests.LabelApp] == "sleepy" {
				return &run, nil
			}
		}
		return nil, fmt.Errorf("no run yet; it says\n%s", &stderr)
	}
	// building says whether the pod that builds is running.
	building := func(run *tektonv1.PipelineRun) bool {
		pods, err := j.kube.CoreV1().Pods(j.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run.Name})
		check(t, err)
		return slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool {
			return slices.ContainsFunc(pod.Status.ContainerStatuses, func(snapshot corev1.ContainerStatus) bool {
				return snapshot.Name == "step-"+manifests.BuildTask && snapshot.State.Running != nil
			})
		})
	}
	eventually(t, "wait for the build to be under way", func(context.Context) error {
		run, err := find()
		if err == nil && !building(run) {
			err = fmt.Errorf("nothing builds yet; it says\n%s", &stderr)
		}
		return err
	})
	check(t, cmd.Process.Signal(syscall.SIGINT))
	if r := finish(t, cmd, cmd.Wait); r.code != 130 {
		t.Errorf("the exit code should have been 130\n%s", r)
	}
	eventually(t, "wait for the run to be canceled", func(context.Context) error {
		run, err := find()
		if err == nil && (!run.IsDone() || !run.IsCancelled()) {
			err = fmt.Errorf("the run is %+v", run.Status.Conditions)
		}
		if err == nil && building(run) {
			err = errors.New("the build goes on")
		}
		return err
	})
	snapshot, r := j.status(t, j.namespace)
	if snapshot.Runs[0].State != status.RunCancelled {
		t.Errorf("the last run should be canceled\n%s", r)
	}
}

func (j *journey) lostPods(t *testing.T) {
	// Pods by UID, to what has to replace them.
	lost := map[types.UID]types.UID{}
	for namespace, selector := range map[string]string{
		manifests.SystemNamespace: "app.kubernetes.io/part-of=pyflow",
		metav1.NamespaceAll:       "app.kubernetes.io/part-of=tekton-pipelines",
	} {
		pods, err := j.kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
		check(t, err)
		seen := map[string]bool{}
		for _, pod := range pods.Items {
			part := pod.Namespace + "/" + pod.Labels["app.kubernetes.io/name"] + "/" + pod.Labels["app.kubernetes.io/component"]
			if pod.DeletionTimestamp != nil || seen[part] {
				continue
			}
			seen[part] = true
			check(t, j.kube.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}))
			lost[pod.UID] = metav1.GetControllerOf(&pod).UID
		}
	}
	if len(lost) < 6 {
		t.Fatalf("only %d pods were found of registry, node access and Tekton's four", len(lost))
	}
	eventually(t, "wait for the pods to be replaced", func(ctx context.Context) error {
		pods, err := j.kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := map[types.UID]bool{}
		for _, pod := range pods.Items {
			if owner := metav1.GetControllerOf(&pod); owner != nil && pod.DeletionTimestamp == nil && podutils.IsPodReady(&pod) {
				ready[owner.UID] = true
			}
		}
		for _, owner := range lost {
			if !ready[owner] {
				return fmt.Errorf("nothing replaces the pod of %s", owner)
			}
		}
		return nil
	})
	eventually(t, "wait for the platform to be healthy", func(context.Context) error {
		status, r := j.status(t, j.namespace)
		for _, part := range status.Platform {
			if !part.Healthy {
				return fmt.Errorf("%s is not\n%s", part.Name, r)
			}
		}
		return nil
	})
	// Back to a release that works.
	j.digest, _ = j.pyflowBuild(t, filepath.Join(j.examples, "mountains")).released(t)
	serves(t, j.url, seed)
	j.wantRelease(t)
}

// password looks for the registry's password in all that people and controllers
// get to see, after everything that happened.
func (j *journey) password(t *testing.T) {
	secret, err := j.kube.CoreV1().Secrets(j.namespace).Get(t.Context(), manifests.RegistrySecret, metav1.GetOptions{})
	check(t, err)
	user, err := manifests.ParseDockerConfig(secret.Data, manifests.RegistryHost)
	check(t, err)
	places := map[string]string{"what builds printed": j.outputs.String()}
	keep := func(name string, object any) {
		data, err := json.Marshal(object)
		check(t, err)
		places[name] = string(data)
	}
	runs, err := j.tekton.TektonV1().PipelineRuns(j.namespace).List(t.Context(), metav1.ListOptions{})
	check(t, err)
	keep("pipelineruns", runs.Items)
	tasks, err := j.tekton.TektonV1().TaskRuns(j.namespace).List(t.Context(), metav1.ListOptions{})
	check(t, err)
	keep("taskruns", tasks.Items)
	events, err := j.kube.CoreV1().Events(j.namespace).List(t.Context(), metav1.ListOptions{})
	check(t, err)
	keep("events", events.Items)
	pods, err := j.kube.CoreV1().Pods(j.namespace).List(t.Context(), metav1.ListOptions{})
	check(t, err)
	keep("pods", pods.Items)
	logs := 0
	for _, pod := range pods.Items {
		for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			log, err := j.kube.CoreV1().Pods(j.namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container.Name}).DoRaw(t.Context())
			if err != nil {
				continue // It never ran.
			}
			logs += len(log)
			places["log of "+pod.Name+"/"+container.Name] = string(log)
		}
	}
	if len(runs.Items) < 5 || logs == 0 {
		t.Fatalf("%d runs and %d bytes of log are not what was done", len(runs.Items), logs)
	}
	for name, text := range places {
		for _, needle := range []string{user.Password, base64.StdEncoding.EncodeToString([]byte(user.Name + ":" + user.Password))} {
			if strings.Contains(text, needle) {
				t.Errorf("%s: the registry's password is there", name)
			}
		}
	}
}
