package build

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	fakeregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/session"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

const (
	testApp      = "shop"
	testNode     = "127.0.0.1:5180/team/shop"
	testUser     = "team"
	testPassword = "s3cr3t-p4ssw0rd"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder is a directory of the name with these files.
func folder(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	must(t, os.MkdirAll(dir, 0o755))
	for file, content := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644))
	}
	return dir
}

// testFlags are those of a command line that says nothing.
func testFlags(t *testing.T) *Flags {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	config := genericclioptions.NewConfigFlags(true)
	server, cache, namespace := "https://127.0.0.1:1", t.TempDir(), "team"
	config.APIServer, config.CacheDir, config.Namespace = &server, &cache, &namespace
	return &Flags{
		config: config, Flags: session.NewFlags(),
	}
}

// cluster is one that is set up, as far as build talks to it.
type cluster struct {
	kube    *kubefake.Clientset
	tekton  *tektonfake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	server  *httptest.Server

	mu sync.Mutex
	// sent are the requests by which something was stored in the registry.
	sent []string
	// intercept may answer a request instead of the registry.
	intercept func(w http.ResponseWriter, r *http.Request) bool
	created   int
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{
		tekton: tektonfake.NewSimpleClientset(),
		dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(scheme.Scheme, map[schema.GroupVersionResource]string{
			{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}: "GatewayList",
		}),
	}
	inner := fakeregistry.New(fakeregistry.Logger(log.New(io.Discard, "", 0)))
	c.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			c.sent = append(c.sent, r.Method+" "+r.URL.Path)
		}
		intercept := c.intercept
		c.mu.Unlock()
		user, password, _ := r.BasicAuth()
		switch {
		case user != testUser || password != testPassword:
			w.Header().Set("WWW-Authenticate", `Basic realm="pyflow"`)
			w.WriteHeader(http.StatusUnauthorized)
		case intercept != nil && intercept(w, r):
		default:
			inner.ServeHTTP(w, r)
		}
	}))
	c.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.server.StartTLS()
	t.Cleanup(c.server.Close)

	config, err := yaml.Marshal(manifests.Config{
		Contract:  manifests.Contract,
		Registry:  manifests.RegistryConfig{External: true, Host: c.host(), NodeHost: "127.0.0.1:5180"},
		BuildArgs: []string{"INDEX=of-setup"},
	})
	must(t, err)
	login, err := manifests.DockerConfig(credentials.User{Name: testUser, Password: testPassword}, c.host())
	must(t, err)
	c.kube = kubefake.NewClientset(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}},
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: manifests.SystemNamespace, Name: manifests.ConfigName},
			Data:       map[string]string{manifests.ConfigKey: string(config)},
		},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: manifests.RegistrySecret},
			Data: map[string][]byte{
				corev1.DockerConfigJsonKey: login,
				manifests.CAKey:            pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.server.Certificate().Raw}),
			},
		},
	)
	c.kube.PrependReactor("create", "selfsubjectaccessreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &authorizationv1.SelfSubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}, nil
	})
	// A server gives runs a UID and a time, and stores nothing that is only tried.
	c.tekton.PrependReactor("create", "pipelineruns", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create, _ := action.(clienttesting.CreateActionImpl)
		run, _ := create.GetObject().(*tektonv1.PipelineRun)
		run.UID = types.UID("uid-" + run.Name)
		run.CreationTimestamp = metav1.NewTime(time.Date(2026, 3, 1, 12, c.created, 0, 0, time.UTC))
		if len(create.CreateOptions.DryRun) > 0 {
			return true, run, nil
		}
		c.created++
		return false, nil, nil
	})
	return c
}

func (c *cluster) host() string { return c.server.Listener.Addr().String() }

func (c *cluster) clients() *kube.Clients {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(appsv1.SchemeGroupVersion.WithKind("Deployment"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Service"), meta.RESTScopeNamespace)
	return &kube.Clients{Namespace: "team", Kube: c.kube, Tekton: c.tekton, Dynamic: c.dynamic, Mapper: mapper}
}

// push puts an image of the app into the registry.
func (c *cluster) push(t *testing.T) v1.Hash {
	t.Helper()
	image, err := random.Image(1000, 2)
	must(t, err)
	digest, err := image.Digest()
	must(t, err)
	reference := c.reference(t, "team/shop", digest.String())
	must(t, remote.Write(reference, image, c.options()...))
	return digest
}

func (c *cluster) reference(t *testing.T, repository, digest string) name.Digest {
	t.Helper()
	reference, err := name.NewDigest(c.host() + "/" + repository + "@" + digest)
	must(t, err)
	return reference
}

func (c *cluster) options() []remote.Option {
	return []remote.Option{
		remote.WithTransport(c.server.Client().Transport),
		remote.WithAuth(&authn.Basic{Username: testUser, Password: testPassword}),
	}
}

// runs are all runs, in the order of their creation.
func (c *cluster) runs(t *testing.T) []tektonv1.PipelineRun {
	t.Helper()
	list, err := c.tekton.TektonV1().PipelineRuns("team").List(t.Context(), metav1.ListOptions{})
	must(t, err)
	slices.SortFunc(list.Items, func(a, b tektonv1.PipelineRun) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return list.Items
}

// finish lets the newest run have pushed the image.
func (c *cluster) finish(t *testing.T, digest string) {
	t.Helper()
	runs := c.runs(t)
	run := &runs[len(runs)-1]
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue})
	run.Status.Results = []tektonv1.PipelineRunResult{{Name: "IMAGE_DIGEST", Value: *tektonv1.NewStructuredValues(digest)}}
	_, err := c.tekton.TektonV1().PipelineRuns("team").Update(t.Context(), run, metav1.UpdateOptions{})
	must(t, err)
}

// deliver does what the newest run's delivery does, and its rollout.
func (c *cluster) deliver(t *testing.T, digest string) {
	t.Helper()
	runs := c.runs(t)
	secret, err := c.kube.CoreV1().Secrets("team").Get(t.Context(), runs[len(runs)-1].Name+"-manifests", metav1.GetOptions{})
	must(t, err)
	for document := range strings.SplitSeq(string(secret.Data["resources.yaml"]), "---\n") {
		text, err := yaml.YAMLToJSON([]byte(document))
		must(t, err)
		object := &unstructured.Unstructured{}
		must(t, object.UnmarshalJSON(text))
		if object.GetKind() == "Deployment" {
			containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			must(t, err)
			containers[0].(map[string]any)["image"] = testNode + "@" + digest
			must(t, unstructured.SetNestedSlice(object.Object, containers, "spec", "template", "spec", "containers"))
			must(t, unstructured.SetNestedMap(object.Object, map[string]any{
				"replicas": int64(1), "updatedReplicas": int64(1), "readyReplicas": int64(1), "availableReplicas": int64(1),
			}, "status"))
		}
		must(t, c.dynamic.Tracker().Add(object))
	}
}

// stored says what has been stored in the registry since it was asked last.
func (c *cluster) stored() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent
	c.sent = nil
	return sent
}

// outcome is what a build has said.
type outcome struct {
	events []event.Event
	err    error
}

func (o outcome) of(kind event.Type) []event.Event {
	return slices.DeleteFunc(slices.Clone(o.events), func(e event.Event) bool { return e.Type != kind })
}

// started are the stages that started.
func (o outcome) started() []event.Phase {
	var stages []event.Phase
	for _, e := range o.of(event.PhaseStarted) {
		stages = append(stages, e.Phase)
	}
	return stages
}

// planned are the stages of the last plan.
func (o outcome) planned() []event.Phase {
	plans := o.of(event.Planned)
	if len(plans) == 0 {
		return nil
	}
	return plans[len(plans)-1].Phases
}

// build starts a build, and does not wait for it.
func (c *cluster) build(t *testing.T, dir string, change func(*Flags)) outcome {
	t.Helper()
	flags := testFlags(t)
	flags.Output, flags.Detach = "json", true
	if change != nil {
		change(flags)
	}
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	var args []string
	if flags.Git == "" {
		args = []string{dir}
	}
	options, err := flags.ToOptions(args, streams)
	must(t, err)
	options.Clients = c.clients()
	err = options.Run(t.Context())
	return outcome{events(t, out), err}
}

func events(t *testing.T, out *bytes.Buffer) []event.Event {
	t.Helper()
	var events []event.Event
	decoder := json.NewDecoder(out)
	for decoder.More() {
		var e event.Event
		must(t, decoder.Decode(&e))
		events = append(events, e)
	}
	return events
}
