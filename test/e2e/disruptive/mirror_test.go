//go:build e2e

package disruptive

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestMirroredImages sets up and builds with every image from a mirror, as where no public
// registry can be reached, and goes back.
func TestMirroredImages(t *testing.T) {
	ns := theApp(t)
	cluster := ns.Machine(t)
	flags := strings.Fields(cluster.Run(t, "setup-flags", "--all-mirrors").Succeeded(t).Stdout)
	mirrors := map[string]string{}
	for _, flag := range flags {
		if text, ok := strings.CutPrefix(flag, "--image-mirror="); ok {
			registry, mirror, _ := strings.Cut(text, "=")
			mirrors[registry] = strings.TrimPrefix(mirror, "http://")
		}
	}
	if len(mirrors) < 4 {
		t.Fatalf("these are not the mirrors of all registries: %q", flags)
	}
	// What the plugin lists for a mirror, under the mirror's names.
	listed := map[string]bool{}
	for image := range strings.FieldsSeq(ns.Pyflow(t, "images", "platform").Succeeded(t).Stdout) {
		registry, rest, _ := strings.Cut(image, "/")
		if mirrors[registry] == "" {
			t.Errorf("image %s has no mirror", image)
		}
		listed[mirrors[registry]+"/"+rest] = true
	}

	// A second setup with the usual flags leaves everything as it was.
	back := append([]string{"setup"}, ns.SetupFlags...)
	ns.AfterFailure(t, append(back, "-n", ns.Name)...)
	ns.Pyflow(t, append([]string{"setup"}, flags...)...).Succeeded(t)
	pods := platformPods(t, ns, func(image string) bool { return listed[image] })

	dir := env.Project(t, "mirrored", map[string]string{
		"Dockerfile": `FROM python:3.13-slim
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
RUN python -m pip install --no-cache-dir --disable-pip-version-check idna && python -c "import idna"
COPY index.html /srv/
CMD ["python", "-m", "http.server", "8000", "--directory", "/srv"]
`,
		"index.html": "from the mirror, for " + ns.Name,
	})
	_, url := ns.Build(t, dir, "--port", "8000").Released(t)
	env.Serves(t, url, "from the mirror, for "+ns.Name)
	run := ns.Runs(t)[0].Name
	builds, err := ns.Kube.CoreV1().Pods(ns.Name).List(t.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
	env.Check(t, err)
	if len(builds.Items) != 2 {
		t.Errorf("run %s has %d pods, not one that builds and one that deploys", run, len(builds.Items))
	}

	used, fetched := map[string]bool{}, map[string]bool{}
	for _, pod := range append(pods, builds.Items...) {
		for _, image := range imagesOf(pod) {
			if !listed[image] {
				t.Errorf("pod %s/%s runs %s, which the list for a mirror does not have", pod.Namespace, pod.Name, image)
			}
			used[image] = true
		}
		pulled, err := ns.PulledFor(t.Context(), &pod)
		env.Check(t, err)
		maps.Copy(fetched, pulled)
	}
	for image := range listed {
		// Only a build from a repository runs it; that it can be had is enough here.
		if strings.Contains(image, "/alpine/git:") {
			used[image] = true
		}
	}
	fetch(t, ns, slices.DeleteFunc(slices.Sorted(maps.Keys(used)), func(image string) bool { return fetched[image] }))
	unused(t, ns, listed, used)

	env.Check(t, ns.Kube.AppsV1().Deployments(ns.Name).Delete(t.Context(), "mirrored", metav1.DeleteOptions{}))
	env.Check(t, ns.Kube.CoreV1().Services(ns.Name).Delete(t.Context(), "mirrored", metav1.DeleteOptions{}))
	ns.Pyflow(t, back...).Succeeded(t)
	if len(ns.SetupFlags) > 0 {
		platformPods(t, ns, func(image string) bool { return !listed[image] })
	}
}

// platformPods returns the pods of the platform and of Tekton, when all are ready
// and every image of theirs is as wanted.
func platformPods(t *testing.T, ns *app, wanted func(image string) bool) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	env.Eventually(t, "wait for the platform's images", func(ctx context.Context) error {
		pods = nil
		for _, namespace := range []string{manifests.SystemNamespace, manifests.TektonNamespace, manifests.TektonNamespace + "-resolvers"} {
			list, err := ns.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of in (pyflow, tekton-pipelines)"})
			if err != nil {
				return err
			}
			pods = append(pods, list.Items...)
		}
		// The pod is of an earlier setup, and is being deleted.
		pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
		if len(pods) < 7 {
			return fmt.Errorf("there are only %d pods of registry, storage, node access and Tekton's four", len(pods))
		}
		for _, pod := range pods {
			if !podutils.IsPodReady(&pod) {
				return fmt.Errorf("pod %s/%s is not ready", pod.Namespace, pod.Name)
			}
			for _, image := range imagesOf(pod) {
				if !wanted(image) {
					return fmt.Errorf("pod %s/%s runs %s", pod.Namespace, pod.Name, image)
				}
			}
		}
		return nil
	})
	return pods
}

func imagesOf(pod corev1.Pod) []string {
	var images []string
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		images = append(images, container.Image)
	}
	return images
}

// fetch checks that the mirror has images that a node already has: pods with the pull
// policy Always ask for them again. The images do not run.
func fetch(t *testing.T, ns *app, images []string) {
	t.Helper()
	if len(images) == 0 {
		return
	}
	t.Logf("on the node before: %q", images)
	pods := ns.Kube.CoreV1().Pods(ns.Name)
	byImage := map[string]*corev1.Pod{}
	// One pod per image, as the kubelet limits the Events of a pod.
	for _, image := range images {
		pod, err := pods.Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "fetches-"},
			Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: "image", Image: image, ImagePullPolicy: corev1.PullAlways, Command: []string{"/nothing"}}},
			},
		}, metav1.CreateOptions{})
		env.Check(t, err)
		t.Cleanup(func() { _ = pods.Delete(context.WithoutCancel(t.Context()), pod.Name, metav1.DeleteOptions{}) })
		byImage[image] = pod
	}
	env.Eventually(t, "wait until the node has fetched them", func(ctx context.Context) error {
		for image, pod := range byImage {
			pulled, err := ns.PulledFor(ctx, pod)
			if err != nil {
				return err
			}
			if !pulled[image] {
				return fmt.Errorf("%s is not", image)
			}
			delete(byImage, image)
		}
		return nil
	})
}

// unused checks that the listed images that did not run are known to belong to features
// that neither the platform nor a build uses.
func unused(t *testing.T, ns *app, listed, used map[string]bool) {
	t.Helper()
	known := map[string]string{
		"/chainguard/busybox@": "Tekton's shell, for steps that are scripts",
		"/powershell:":         "the same on Windows",
		"/nop-":                "Tekton's, for stopping sidecars and for the affinity assistant",
		"/sidecarlogresults-":  "Tekton's, for results by way of a sidecar",
		"/workingdirinit-":     "Tekton's, for steps with a working directory",
	}
	for image := range listed {
		if used[image] {
			continue
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(known)), func(part string) bool { return strings.Contains(image, part) }) {
			t.Errorf("%s is listed for a mirror, and nothing runs it", image)
		}
	}
}
