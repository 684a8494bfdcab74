//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// imageList reads the images of the namespace.
func (j *journey) imageList(t *testing.T, args ...string) *images.List {
	t.Helper()
	r := j.pyflow(t, append([]string{"images", "-n", j.namespace, "-o", "json"}, args...)...).succeeded(t)
	list := &images.List{}
	if err := json.Unmarshal([]byte(r.stdout), list); err != nil {
		t.Fatalf("the list is not JSON: %v\n%s", err, r)
	}
	return list
}

// images comes after a build: the release that serves is in the list, used by
// its Deployment.
func (j *journey) images(t *testing.T) {
	list := j.imageList(t)
	i := slices.IndexFunc(list.Items, func(image images.Image) bool { return image.Digest == j.digest })
	if i < 0 {
		t.Fatalf("digest %s is not in the list %+v", j.digest, list.Items)
	}
	image := list.Items[i]
	run := j.runs(t, j.namespace)[0].Name
	user := images.User{Resource: "deployment.apps", Namespace: j.namespace, Name: "mountains"}
	if image.App != "mountains" || !slices.Contains(image.Tags, run) || !slices.Contains(image.UsedBy, user) || image.SizeBytes < 1<<20 || image.Created == nil {
		t.Errorf("the image of run %s is %+v", run, image)
	}
	if len(list.Stored) != 1 || list.Stored[0].Contexts.Count == 0 || list.Stored[0].Cache.Count == 0 || list.Stored[0].TotalBytes < image.SizeBytes {
		t.Errorf("the namespace stores %+v", list.Stored)
	}
	table := j.pyflow(t, "images", "mountains", "-n", j.namespace).succeeded(t)
	for _, word := range []string{"USED BY", run, j.digest[:19], "deployment.apps/mountains"} {
		if !strings.Contains(table.stdout, word) {
			t.Errorf("the table should have %q\n%s", word, table)
		}
	}
	j.pyflow(t, "images", "nothing", "-n", j.namespace).failed(t, `app "nothing" has no images`)
	if all := j.imageList(t, "--all-namespaces"); !slices.ContainsFunc(all.Items, func(i images.Image) bool { return i.Digest == j.digest }) {
		t.Errorf("digest %s is not in the list of all namespaces", j.digest)
	}
}

// imagesPlatform needs no cluster.
func (j *journey) imagesPlatform(t *testing.T) {
	list := strings.Fields(j.pyflow(t, "images", "platform", "--kubeconfig", "/nowhere").succeeded(t).stdout)
	for _, part := range []string{"/caddy:", "/registry:", "/kaniko:", "/nop-"} {
		if !slices.ContainsFunc(list, func(image string) bool { return strings.Contains(image, part) }) {
			t.Errorf("%s is not in the list %q", part, list)
		}
	}
}

// imagesSurvive loses the storage's pod: what was pushed can still be pulled.
func (j *journey) imagesSurvive(t *testing.T) {
	pods := j.kube.CoreV1().Pods(manifests.SystemNamespace)
	pod, err := pods.Get(t.Context(), manifests.StorageName+"-0", metav1.GetOptions{})
	check(t, err)
	check(t, pods.Delete(t.Context(), pod.Name, metav1.DeleteOptions{}))
	eventually(t, "wait for another pod", func(ctx context.Context) error {
		next, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if err == nil && next.UID == pod.UID {
			err = errors.New("it is still the same")
		}
		return err
	})
	// The front holds this until the storage is back.
	j.registry(t).whole(t, j.namespace+"/mountains", j.digest)
}

// imagesPrune deletes what nothing uses, while a build goes on, and proves that
// the registry is whole afterwards.
func (j *journey) imagesPrune(t *testing.T) {
	var before *images.List
	var unused images.Image
	eventually(t, "wait for an image that nothing uses", func(ctx context.Context) error {
		// Without the revisions that a rollback would bring back; the last one may
		// still be on its way down.
		sets := j.kube.AppsV1().ReplicaSets(j.namespace)
		list, err := sets.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, set := range list.Items {
			if *set.Spec.Replicas > 0 {
				continue
			}
			if err := sets.Delete(ctx, set.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
		before = j.imageList(t, "mountains")
		var ok bool
		if unused, ok = j.oldest(before); !ok {
			return fmt.Errorf("all are in use: %+v", before.Items)
		}
		return nil
	})
	// A run on record keeps its image, and so does its pod.
	for _, run := range unused.Tags {
		err := j.tekton.TektonV1().PipelineRuns(j.namespace).Delete(t.Context(), run, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		eventually(t, "wait for the pods of run "+run+" to go", func(ctx context.Context) error {
			pods, err := j.kube.CoreV1().Pods(j.namespace).List(ctx, metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
			if err == nil && len(pods.Items) > 0 {
				err = fmt.Errorf("%d are left", len(pods.Items))
			}
			return err
		})
	}
	prune := []string{"images", "prune", "-n", j.namespace, "--keep", "1", "-o", "json"}
	if planned := j.pruned(t, append(prune, "--dry-run")); !planned.DryRun || planned.FreedBytes <= 0 || !planned.takes(unused.Digest) {
		t.Errorf("a dry run should name %s: %+v", unused.Digest, planned)
	}
	if after := j.imageList(t, "mountains"); len(after.Items) != len(before.Items) {
		t.Errorf("a dry run left %d of %d images", len(after.Items), len(before.Items))
	}

	dir := project(t, "beside", map[string]string{
		"Dockerfile": "FROM python:3.13-slim\nRUN head -c 3000000 /dev/urandom > /blob\nRUN sleep 15\nCOPY Dockerfile /\nCMD [\"python\", \"-m\", \"http.server\", \"8000\"]\n",
	})
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	build := j.command(ctx, "kubectl", "pyflow", "build", "-n", j.namespace, "--port", "8000", dir)
	var stdout, stderr output
	build.Stdout, build.Stderr = &stdout, &stderr
	check(t, build.Start())
	eventually(t, "wait for the build to be under way", func(context.Context) error {
		if !strings.Contains(stderr.String(), "sleep 15") {
			return fmt.Errorf("it says\n%s", &stderr)
		}
		return nil
	})
	pruned := j.pruned(t, prune)
	if !pruned.Reclaimed || pruned.FreedBytes <= 0 || !pruned.takes(unused.Digest) || pruned.takes(j.digest) {
		t.Errorf("%s should have gone and %s not: %+v", unused.Digest, j.digest, pruned)
	}
	finish(t, build, build.Wait).released(t)

	reader := j.registry(t)
	var gone *transport.Error
	if _, err := remote.Get(reader.digest(t, j.namespace+"/mountains", unused.Digest), reader.options...); !errors.As(err, &gone) || gone.StatusCode != http.StatusNotFound {
		t.Errorf("the deleted image answers %v", err)
	}
	for _, pruning := range pruned.Deleted {
		if used := j.usedBy(t, pruning.Digest); used != "" {
			t.Errorf("%s is used by %s and was deleted", pruning.Digest, used)
		}
	}
	reader.everythingWhole(t)
	status, r := j.status(t, j.namespace)
	for _, part := range status.Platform {
		if !part.Healthy {
			t.Errorf("%s is not healthy after the prune\n%s", part.Name, r)
		}
	}
	if _, err := j.kube.CoreV1().Pods(manifests.SystemNamespace).Get(t.Context(), "registry-gc", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod that collected garbage is left: %v", err)
	}
	if again := j.pruned(t, prune); slices.ContainsFunc(again.Deleted, func(p images.Pruning) bool { return p.Kind == images.Images }) {
		t.Errorf("a second prune found more: %+v", again)
	}
}

// oldest returns the oldest image that no workload runs, nor would after a
// rollback, and that is not the newest.
func (j *journey) oldest(list *images.List) (images.Image, bool) {
	for _, image := range slices.Backward(list.Items[1:]) {
		if len(image.UsedBy) == 0 {
			return image, true
		}
	}
	return images.Image{}, false
}

type prunedImages struct{ images.Pruned }

func (p prunedImages) takes(digest string) bool {
	return slices.ContainsFunc(p.Deleted, func(pruning images.Pruning) bool { return pruning.Digest == digest })
}

func (j *journey) pruned(t *testing.T, args []string) prunedImages {
	t.Helper()
	r := j.pyflow(t, args...).succeeded(t)
	var pruned prunedImages
	if err := json.Unmarshal([]byte(r.stdout), &pruned.Pruned); err != nil {
		t.Fatalf("the result is not JSON: %v\n%s", err, r)
	}
	return pruned
}

// usedBy names a pod of any namespace that runs an image.
func (s *suite) usedBy(t *testing.T, digest string) string {
	t.Helper()
	pods, err := s.kube.CoreV1().Pods(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
	check(t, err)
	for _, pod := range pods.Items {
		if slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return strings.Contains(c.Image, digest) }) {
			return pod.Namespace + "/" + pod.Name
		}
	}
	return ""
}

// toRegistry opens the way to the registry's front, and returns with it the login
// of a namespace.
func (s *suite) toRegistry(t *testing.T, namespace string) (*http.Transport, credentials.User) {
	t.Helper()
	user, ca, err := platform.Login(t.Context(), s.kube, namespace, manifests.RegistryHost)
	check(t, err)
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	check(t, err)
	dial, err := podforward.Dialer(config, s.kube, manifests.SystemNamespace, manifests.RegistryPod, manifests.RegistryPort)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport, user
}

// registryReader reads the registry by the library's own means, with the
// platform's login.
type registryReader struct {
	registry name.Registry
	options  []remote.Option
}

func (s *suite) registry(t *testing.T) registryReader {
	t.Helper()
	transport, user := s.toRegistry(t, manifests.SystemNamespace)
	host, err := name.NewRegistry(manifests.RegistryHost)
	check(t, err)
	return registryReader{registry: host, options: []remote.Option{
		remote.WithContext(t.Context()), remote.WithTransport(transport),
		remote.WithAuth(&authn.Basic{Username: user.Name, Password: user.Password}),
	}}
}

func (r registryReader) digest(t *testing.T, repository, digest string) name.Digest {
	t.Helper()
	return r.registry.Repo(repository).Digest(digest)
}

// everythingWhole looks at every manifest with a tag in the registry.
func (r registryReader) everythingWhole(t *testing.T) {
	t.Helper()
	repositories, err := remote.Catalog(t.Context(), r.registry, r.options...)
	check(t, err)
	checked := 0
	for _, repository := range repositories {
		tags, err := remote.List(r.registry.Repo(repository), r.options...)
		if err != nil {
			var gone *transport.Error
			if errors.As(err, &gone) && gone.StatusCode == http.StatusNotFound {
				continue
			}
			t.Fatal(err)
		}
		for _, tag := range tags {
			descriptor, err := remote.Get(r.registry.Repo(repository).Tag(tag), r.options...)
			check(t, err)
			checked += r.whole(t, repository, descriptor.Digest.String())
		}
	}
	if checked < 10 {
		t.Errorf("only %d blobs were looked at", checked)
	}
}

// whole checks that the registry has all that a manifest refers to, and returns
// how many blobs that are.
func (r registryReader) whole(t *testing.T, repository, digest string) int {
	t.Helper()
	descriptor, err := remote.Get(r.digest(t, repository, digest), r.options...)
	if err != nil {
		t.Errorf("manifest %s@%s: %v", repository, digest, err)
		return 0
	}
	var content struct {
		Config    *v1.Descriptor
		Layers    []v1.Descriptor
		Manifests []v1.Descriptor
	}
	check(t, json.Unmarshal(descriptor.Manifest, &content))
	blobs := content.Layers
	if content.Config != nil {
		blobs = append(blobs, *content.Config)
	}
	for _, blob := range blobs {
		layer, err := remote.Layer(r.digest(t, repository, blob.Digest.String()), r.options...)
		check(t, err)
		// Asks the registry: a HEAD of the blob.
		if size, err := layer.Size(); err != nil || size != blob.Size {
			t.Errorf("blob %s of %s@%s has %d bytes of %d: %v", blob.Digest, repository, digest, size, blob.Size, err)
		}
	}
	count := len(blobs)
	for _, child := range content.Manifests {
		count += r.whole(t, repository, child.Digest.String())
	}
	return count
}
