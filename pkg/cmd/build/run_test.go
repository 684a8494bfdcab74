package build

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/session"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/rerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

const fullCommit = "0123456789012345678901234567890123456789"

func shopFolder(t *testing.T) string {
	t.Helper()
	return folder(t, testApp, map[string]string{"Dockerfile": "FROM scratch AS base\nARG MODE\nUSER 10001:10001\nFROM base\nCOPY main.py /\n", "main.py": "print()\n"})
}

// wholeBuild are the stages of a build that nothing is left out of but tests.
func wholeBuild() []event.Phase {
	return slices.DeleteFunc(event.Phases(), func(stage event.Phase) bool { return stage == event.Test })
}

func parameter(run *tektonv1.PipelineRun, name string) tektonv1.ParamValue {
	for _, param := range run.Spec.Params {
		if param.Name == name {
			return param.Value
		}
	}
	return tektonv1.ParamValue{}
}

func TestTheFirstBuild(t *testing.T) {
	c := newCluster(t)
	dir := shopFolder(t)
	got := c.build(t, dir, func(f *Flags) { f.BuildArgs = []string{"MODE=fast"} })
	must(t, got.err)

	runs := c.runs(t)
	if len(runs) != 1 {
		t.Fatalf("there are %d runs", len(runs))
	}
	run := &runs[0]
	if pipelinerun.Parse(run).Pipeline != manifests.PipelineName || run.Spec.Status != "" || run.Labels[manifests.LabelBuildKey] == "" ||
		run.Annotations[manifests.AnnotationDockerfile] == "" {
		t.Errorf("the run is %+v", run)
	}
	source, _, _ := strings.Cut(parameter(run, "source").StringVal, "@")
	if source != c.host()+"/team/shop/source" {
		t.Errorf("the source is %s", parameter(run, "source").StringVal)
	}
	args := parameter(run, "engine-args").ArrayVal
	own, ofSetup := slices.Index(args, "--build-arg=MODE=fast"), slices.Index(args, "--build-arg=INDEX=of-setup")
	if own < 0 || ofSetup < 0 || own < ofSetup {
		t.Errorf("arguments are %q: want the build's after those of setup", args)
	}
	if _, err := c.kube.CoreV1().Secrets("team").Get(t.Context(), run.Name+"-manifests", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if sent := c.stored(); !slices.ContainsFunc(sent, func(s string) bool { return strings.HasPrefix(s, "PUT /v2/team/shop/source/manifests/") }) {
		t.Errorf("uploaded was %q", sent)
	}
	want := []event.Phase{event.Pack, event.Upload}
	if !slices.Equal(got.started(), want) {
		t.Errorf("stages are %v, want %v", got.started(), want)
	}
	if !slices.Equal(got.planned(), wholeBuild()) || got.events[0].Type != event.Planned {
		t.Errorf("planned are %v", got.planned())
	}
	if created := got.of(event.RunCreated); len(created) != 1 || created[0].Run != run.Name {
		t.Errorf("created is %+v", created)
	}
}

// built is a cluster on which the folder has been built, and delivered if so wished.
func built(t *testing.T, dir string, change func(*Flags), delivered bool) (*cluster, string) {
	t.Helper()
	c := newCluster(t)
	must(t, c.build(t, dir, change).err)
	digest := c.push(t).String()
	c.finish(t, digest)
	if delivered {
		c.deliver(t, digest)
	}
	c.stored()
	return c, digest
}

func TestAnotherBuild(t *testing.T) {
	whole := wholeBuild()
	withoutDelivery := []event.Phase{event.Pack, event.Upload, event.Queue, event.Fetch, event.Build, event.Push}
	for name, test := range map[string]struct {
		delivered bool
		before    func(t *testing.T, c *cluster, dir, digest string)
		change    func(*Flags)
		// pipeline is that of the new run, empty when there is none.
		pipeline string
		upload   bool
		planned  []event.Phase
		notice   string
	}{
		"nothing has changed":                {delivered: true, planned: whole, notice: "the release is already running"},
		"nothing has changed, not delivered": {pipeline: manifests.DeliverPipelineName, planned: []event.Phase{event.Pack, event.Queue, event.Deploy, event.Rollout}, notice: "deploying it again"},
		"nothing has changed, no delivery":   {change: func(f *Flags) { f.NoDeploy = true }, planned: withoutDelivery, notice: "Nothing has changed since this image was built"},
		"another resource":                   {delivered: true, change: func(f *Flags) { f.Memory = "1Gi" }, planned: whole, notice: "the release is already running"},
		"another number of replicas": {delivered: true, change: func(f *Flags) {
			f.Deployment.Replicas, f.Deployment.Changed = 3, func(name string) bool { return name == "replicas" }
		}, pipeline: manifests.DeliverPipelineName, planned: []event.Phase{event.Pack, event.Queue, event.Deploy, event.Rollout}, notice: "deploying it again"},
		"forced":                 {delivered: true, change: func(f *Flags) { f.Force = true }, pipeline: manifests.PipelineName, planned: whole},
		"without a cache":        {delivered: true, change: func(f *Flags) { f.NoCache = true }, pipeline: manifests.PipelineName, planned: whole},
		"another build argument": {delivered: true, change: func(f *Flags) { f.BuildArgs = []string{"MODE=slow"} }, pipeline: manifests.PipelineName, planned: whole},
		"another target":         {delivered: true, change: func(f *Flags) { f.Target = "base" }, pipeline: manifests.PipelineName, planned: whole},
		"a changed file": {
			delivered: true, upload: true, pipeline: manifests.PipelineName, planned: whole,
			before: func(t *testing.T, _ *cluster, dir, _ string) {
				t.Helper()
				must(t, os.WriteFile(filepath.Join(dir, "main.py"), []byte("print(2)\n"), 0o644))
			},
		},
		"an image that is gone": {
			delivered: true, pipeline: manifests.PipelineName, planned: whole,
			before: func(t *testing.T, c *cluster, _, digest string) {
				t.Helper()
				must(t, remote.Delete(c.reference(t, "team/shop", digest), c.options()...))
			},
		},
		"a run that is gone": {
			delivered: true, pipeline: manifests.PipelineName, planned: whole,
			before: func(t *testing.T, c *cluster, _, _ string) {
				t.Helper()
				must(t, c.tekton.TektonV1().PipelineRuns("team").Delete(t.Context(), c.runs(t)[0].Name, metav1.DeleteOptions{}))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := shopFolder(t)
			c, digest := built(t, dir, nil, test.delivered)
			before := c.runs(t)[0].Name
			if test.before != nil {
				test.before(t, c, dir, digest)
				c.stored()
			}
			got := c.build(t, dir, test.change)
			must(t, got.err)
			runs := slices.DeleteFunc(c.runs(t), func(run tektonv1.PipelineRun) bool { return run.Name == before })
			pipeline := ""
			if len(runs) > 0 {
				pipeline = pipelinerun.Parse(&runs[0]).Pipeline
			}
			if pipeline != test.pipeline || len(runs) > 1 {
				t.Fatalf("%d new runs, of pipeline %q, want %q", len(runs), pipeline, test.pipeline)
			}
			if pipeline == manifests.DeliverPipelineName {
				if got := parameter(&runs[0], "digest").StringVal; got != digest {
					t.Errorf("delivered is %s, want %s", got, digest)
				}
				if _, err := c.kube.CoreV1().Secrets("team").Get(t.Context(), runs[0].Name+"-manifests", metav1.GetOptions{}); err != nil {
					t.Error(err)
				}
			}
			sent := c.stored()
			if blobs := slices.ContainsFunc(sent, func(s string) bool { return strings.Contains(s, "/source/blobs/") }); blobs != test.upload {
				t.Errorf("uploaded was %q", sent)
			}
			if pipeline != manifests.PipelineName && len(sent) > 0 {
				t.Errorf("stored was %q, and nothing has to be", sent)
			}
			if !slices.Equal(got.planned(), test.planned) {
				t.Errorf("planned are %v, want %v", got.planned(), test.planned)
			}
			notices := ""
			for _, e := range got.of(event.Notice) {
				notices += e.Message
			}
			if !strings.Contains(notices, test.notice) || (test.notice == "") != (notices == "") {
				t.Errorf("notices are %q, want %q", notices, test.notice)
			}
		})
	}
}

// Old runs are deleted: the one that built an image before those that deliver it
// again.
func TestADeliveryKnowsItsImage(t *testing.T) {
	dir := shopFolder(t)
	c, digest := built(t, dir, nil, false)
	must(t, c.build(t, dir, nil).err)
	must(t, c.tekton.TektonV1().PipelineRuns("team").Delete(t.Context(), c.runs(t)[0].Name, metav1.DeleteOptions{}))
	must(t, c.build(t, dir, nil).err)
	runs := c.runs(t)
	if len(runs) != 2 || pipelinerun.Parse(&runs[1]).Pipeline != manifests.DeliverPipelineName || parameter(&runs[1], "digest").StringVal != digest {
		t.Errorf("of %d runs the last is of %s: want the image to be delivered, not built", len(runs), pipelinerun.Parse(&runs[len(runs)-1]).Pipeline)
	}
}

func TestBuildWithoutDelivery(t *testing.T) {
	c := newCluster(t)
	must(t, c.build(t, shopFolder(t), func(f *Flags) { f.NoDeploy = true }).err)
	run := &c.runs(t)[0]
	if pipelinerun.Parse(run).Deploys {
		t.Error("the run delivers")
	}
	if _, err := c.kube.CoreV1().Secrets("team").Get(t.Context(), run.Name+"-manifests", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("there are manifests for it: %v", err)
	}
}

// waitsForCheck wants the error of a run that does not start: --detach waits until the Dockerfile
// of a repository has been checked.
func waitsForCheck(t *testing.T, err error) {
	t.Helper()
	var failure *event.Failure
	if !errors.As(err, &failure) || failure.Reason != "NotStarted" {
		t.Fatalf("got %v, want the failure of a run that does not start", err)
	}
}

func TestBuildOfARepository(t *testing.T) {
	for revision, again := range map[string]string{"main": manifests.GitPipelineName, fullCommit: manifests.DeliverPipelineName} {
		git := func(f *Flags) {
			f.Git, f.Revision, f.Path = "https://git.example.com/team/shop.git", revision, "api"
			f.WaitTimeout = time.Millisecond
		}
		c := newCluster(t)
		waitsForCheck(t, c.build(t, "", git).err)
		c.finish(t, c.push(t).String())
		c.stored()
		first := &c.runs(t)[0]
		if pipelinerun.Parse(first).Pipeline != manifests.GitPipelineName || parameter(first, "path").StringVal != "api" || parameter(first, "revision").StringVal != revision {
			t.Errorf("%s: the run is of %s, with %+v", revision, pipelinerun.Parse(first).Pipeline, first.Spec.Params)
		}
		got := c.build(t, "", git)
		if again == manifests.GitPipelineName {
			waitsForCheck(t, got.err)
		} else {
			must(t, got.err)
		}
		if runs := c.runs(t); len(runs) != 2 || pipelinerun.Parse(&runs[1]).Pipeline != again {
			t.Errorf("%s: the second of %d runs is of %s, want %s", revision, len(runs), pipelinerun.Parse(&runs[len(runs)-1]).Pipeline, again)
		}
		if started := got.started(); slices.Contains(started, event.Pack) || slices.Contains(got.planned(), event.Pack) {
			t.Errorf("%s: stages are %v, planned %v: there is nothing to pack", revision, started, got.planned())
		}
		if sent := c.stored(); len(sent) > 0 {
			t.Errorf("%s: stored was %q", revision, sent)
		}
	}
}

// What a script reads of a build that it does not wait for, or need not.
func TestOutput(t *testing.T) {
	for name, test := range map[string]struct {
		delivered bool
		change    func(*Flags)
		want      func(run, digest string) string
	}{
		"detached":                       {change: func(f *Flags) { f.Detach = true }, want: func(run, _ string) string { return run + "\n" }},
		"detached, by name":              {change: func(f *Flags) { f.Detach, f.Output = true, "name" }, want: func(run, _ string) string { return "pipelinerun.tekton.dev/" + run + "\n" }},
		"by name, with nothing to do":    {delivered: true, change: func(f *Flags) { f.Detach, f.Output = true, "name" }, want: func(_, _ string) string { return "" }},
		"detached, with nothing to do":   {delivered: true, change: func(f *Flags) { f.Detach = true }, want: func(_, digest string) string { return "image  " + testNode + "@" + digest + "\n" }},
		"nothing to do":                  {delivered: true, want: func(_, digest string) string { return "image  " + testNode + "@" + digest + "\n" }},
		"nothing to do, quiet":           {delivered: true, change: func(f *Flags) { f.Quiet = true }, want: func(_, digest string) string { return digest + "\n" }},
		"nothing to do without delivery": {change: func(f *Flags) { f.NoDeploy, f.Quiet = true, true }, want: func(_, digest string) string { return digest + "\n" }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := shopFolder(t)
			c, digest := built(t, dir, nil, test.delivered)
			flags := testFlags(t)
			if test.change != nil {
				test.change(flags)
			}
			streams, _, out, errOut := genericiooptions.NewTestIOStreams()
			options, err := flags.ToOptions([]string{dir}, streams)
			must(t, err)
			options.Clients = c.clients()
			must(t, options.Run(t.Context()))
			runs := c.runs(t)
			if want := test.want(runs[len(runs)-1].Name, digest); out.String() != want {
				t.Errorf("output is %q, want %q; on standard error is\n%s", out, want, errOut)
			}
		})
	}
}

func TestNothingToDoIsMeasured(t *testing.T) {
	dir := shopFolder(t)
	c, digest := built(t, dir, nil, true)
	got := c.build(t, dir, func(f *Flags) { f.Detach = false })
	must(t, got.err)
	end := got.events[len(got.events)-1]
	if end.Type != event.Finished || end.State != event.Succeeded || !end.Result.Unchanged || end.Result.Digest != digest ||
		end.Result.Image != testNode+"@"+digest || end.Result.SizeBytes < 2000 {
		t.Errorf("the end is %+v, %+v", end, end.Result)
	}
}

func TestBuildFails(t *testing.T) {
	webhook := apierrors.NewBadRequest("admission webhook denied the request")
	for name, test := range map[string]struct {
		prepare func(t *testing.T, c *cluster)
		change  func(*Flags)
		want    error
		as      func(error) bool
		// shown reports that the build had started.
		shown bool
	}{
		"not set up": {
			prepare: func(t *testing.T, c *cluster) {
				t.Helper()
				must(t, c.kube.CoreV1().ConfigMaps(manifests.SystemNamespace).Delete(t.Context(), manifests.ConfigName, metav1.DeleteOptions{}))
			},
			want: platform.ErrNotSetUp,
		},
		"not set up in the namespace": {
			prepare: func(t *testing.T, c *cluster) {
				t.Helper()
				must(t, c.kube.CoreV1().Secrets("team").Delete(t.Context(), manifests.RegistrySecret, metav1.DeleteOptions{}))
			},
			as: func(err error) bool {
				var missing *platform.NamespaceNotSetUpError
				return errors.As(err, &missing)
			},
		},
		"denied by the registry": {
			prepare: func(_ *testing.T, c *cluster) {
				c.intercept = func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodGet {
						return false
					}
					w.WriteHeader(http.StatusForbidden)
					return true
				}
			},
			want: registry.ErrDenied, shown: true,
		},
		"refused by Tekton": {
			prepare: func(_ *testing.T, c *cluster) {
				c.tekton.PrependReactor("create", "pipelineruns", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, webhook })
			},
			want: webhook, shown: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			test.prepare(t, c)
			got := c.build(t, shopFolder(t), test.change)
			if got.err == nil || test.want != nil && !errors.Is(got.err, test.want) || test.as != nil && !test.as(got.err) {
				t.Errorf("error is %v", got.err)
			}
			if strings.Contains(got.err.Error(), testPassword) {
				t.Errorf("error %v holds a password", got.err)
			}
			if runs := c.runs(t); len(runs) != 0 {
				t.Errorf("there are %d runs", len(runs))
			}
			if !test.shown && len(got.events) != 0 {
				t.Errorf("events are %+v", got.events)
			}
			if test.shown {
				end := got.events[len(got.events)-1]
				if end.Type != event.Finished || end.State != event.Failed || end.Failure == nil || end.Failure.Phase == "" && len(c.sent) == 0 {
					t.Errorf("the end is %+v", end)
				}
			}
		})
	}
}

// An interrupt ends an upload, and nothing is left that waits for the other.
func TestInterruptedUpload(t *testing.T) {
	c := newCluster(t)
	ctx, interrupt := context.WithCancel(t.Context())
	over := make(chan struct{})
	defer close(over)
	c.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		interrupt()
		<-over
		return true
	}
	flags := testFlags(t)
	flags.Output = "json"
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	options, err := flags.ToOptions([]string{shopFolder(t)}, streams)
	must(t, err)
	options.Clients = c.clients()
	if err := options.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	got := outcome{events: events(t, out)}
	if end := got.events[len(got.events)-1]; end.Type != event.Finished || end.State != event.Canceled {
		t.Errorf("the end is %+v", end)
	}
	if runs := c.runs(t); len(runs) != 0 {
		t.Errorf("there are %d runs", len(runs))
	}
}

func TestRerun(t *testing.T) {
	remove := func(t *testing.T, c *cluster, repository, digest string) {
		t.Helper()
		must(t, remote.Delete(c.reference(t, repository, digest), c.options()...))
	}
	for name, test := range map[string]struct {
		name   string
		change func(t *testing.T, c *cluster, digest string)
		want   error
		as     func(error) bool
	}{
		"the newest": {},
		"an app":     {name: testApp},
		"whose source is gone": {
			change: func(t *testing.T, c *cluster, _ string) {
				t.Helper()
				_, source, _ := strings.Cut(c.runs(t)[0].Annotations[manifests.AnnotationSource], "@")
				remove(t, c, "team/shop/source", source)
			},
			want: build.ErrSourceGone,
		},
		"a delivery": {
			change: deliverOnly,
		},
		"a delivery whose image is gone": {
			change: func(t *testing.T, c *cluster, digest string) {
				t.Helper()
				deliverOnly(t, c, digest)
				remove(t, c, "team/shop", digest)
			},
			want: build.ErrSourceGone,
		},
		"none of that name": {
			name: "absent",
			as: func(err error) bool {
				var missing *pipelinerun.NotFoundError
				return errors.As(err, &missing)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, digest := built(t, shopFolder(t), nil, false)
			if test.change != nil {
				test.change(t, c, digest)
				c.stored()
			}
			before := c.runs(t)
			old := before[len(before)-1]
			streams, _, out, _ := genericiooptions.NewTestIOStreams()
			flags := session.NewFlags()
			flags.Detach = true
			watching, err := flags.ToSession(streams)
			must(t, err)
			options := rerun.Options{Session: watching, Name: test.name}
			options.Clients = c.clients()
			err = options.Run(t.Context())
			runs := c.runs(t)
			if test.want != nil || test.as != nil {
				if err == nil || test.want != nil && !errors.Is(err, test.want) || test.as != nil && !test.as(err) || len(runs) != len(before) {
					t.Errorf("error is %v, and there are %d runs", err, len(runs))
				}
				return
			}
			must(t, err)
			run := runs[len(runs)-1]
			if len(runs) != len(before)+1 || out.String() != run.Name+"\n" || pipelinerun.Parse(&run).Pipeline != pipelinerun.Parse(&old).Pipeline ||
				parameter(&run, "source").StringVal != parameter(&old, "source").StringVal || pipelinerun.Parse(&run).Sequence != pipelinerun.Sequence(&run) {
				t.Errorf("output is %q, the run is %+v", out, run)
			}
			if sent := c.stored(); len(sent) != 0 {
				t.Errorf("stored was %q", sent)
			}
		})
	}
}

// TestRerunWithOtherSettings wants what a Dockerfile cannot have to fail before a run is
// created.
func TestRerunWithOtherSettings(t *testing.T) {
	arg := func(args ...string) pipelinerun.Changes {
		return pipelinerun.Changes{Change: engine.Change{BuildArgs: args}}
	}
	const rewritten = "FROM scratch\nARG PORTS=8000-8001\nEXPOSE $PORTS\nUSER 10001:10001\nCOPY main.py /\n"
	for name, test := range map[string]struct {
		dockerfile string
		changes    pipelinerun.Changes
		change     func(t *testing.T, c *cluster, digest string)
		says       string
	}{
		"an argument":                {changes: arg("MODE=new")},
		"no argument of that name":   {changes: arg("MOD=new"), says: "Dockerfile has no ARG MOD; it has MODE"},
		"a Dockerfile that was made": {dockerfile: rewritten, changes: arg("PORTS=9000"), says: "was rewritten for those that it had"},
		"one that would be": {
			dockerfile: strings.Replace(rewritten, "8000-8001", "8000", 1), changes: arg("PORTS=8000-8001"), says: "would have to be rewritten",
		},
		"the revision of a folder":     {changes: pipelinerun.Changes{Revision: "main"}, says: "builds a folder"},
		"the memory of a delivery":     {changes: pipelinerun.Changes{Memory: resource.MustParse("4Gi")}, change: deliverOnly, says: "builds nothing"},
		"the memory of a build":        {changes: pipelinerun.Changes{Memory: resource.MustParse("4Gi")}},
		"nothing, and a rewritten one": {dockerfile: rewritten},
	} {
		t.Run(name, func(t *testing.T) {
			dir := shopFolder(t)
			if test.dockerfile != "" {
				must(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(test.dockerfile), 0o644))
			}
			c, digest := built(t, dir, nil, false)
			if test.change != nil {
				test.change(t, c, digest)
			}
			before := len(c.runs(t))
			streams, _, _, _ := genericiooptions.NewTestIOStreams()
			flags := session.NewFlags()
			flags.Detach = true
			watching, err := flags.ToSession(streams)
			must(t, err)
			options := rerun.Options{Session: watching, Changes: test.changes}
			options.Clients = c.clients()
			err = options.Run(t.Context())
			runs := c.runs(t)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) || len(runs) != before {
					t.Errorf("error is %v, and there are %d runs", err, len(runs))
				}
				return
			}
			must(t, err)
			args := parameter(&runs[len(runs)-1], "engine-args").ArrayVal
			for _, arg := range test.changes.BuildArgs {
				if !slices.Contains(args, "--build-arg="+arg) {
					t.Errorf("arguments are %q", args)
				}
			}
		})
	}
}

// deliverOnly adds a run that delivers the image.
func deliverOnly(t *testing.T, c *cluster, digest string) {
	t.Helper()
	run := pipelinerun.New(pipelinerun.Deploy{
		Meta: pipelinerun.Meta{App: testApp, Namespace: "team", Name: "shop-again", NodeRepository: testNode}, Digest: digest,
	})
	_, err := pipelinerun.Start(t.Context(), pipelinerun.Clients{Tekton: c.tekton, Kube: c.kube}, run)
	must(t, err)
}

// TestUserOfTheImage wants the run to ask the image where the Dockerfile cannot tell.
func TestUserOfTheImage(t *testing.T) {
	for user, want := range map[string]string{"10001": "", "app": manifests.DeployUserTask, "root": ""} {
		dir := folder(t, testApp, map[string]string{"Dockerfile": "FROM busybox\nUSER " + user + "\n"})
		c, digest := built(t, dir, nil, false)
		must(t, c.build(t, dir, nil).err)
		runs := c.runs(t)
		if len(runs) != 2 {
			t.Fatalf("there are %d runs", len(runs))
		}
		for i := range runs {
			if got := parameter(&runs[i], "deploy-task").StringVal; got != want {
				t.Errorf("USER %s: run %d deploys by %q, want %q", user, i, got, want)
			}
		}
		if image := parameter(&runs[1], "image").StringVal; image != c.host()+"/team/shop" || parameter(&runs[1], "digest").StringVal != digest {
			t.Errorf("the deployment of an existing image is of %s", image)
		}
	}
}

// TestUserByName wants the run to look up a user that is given by name, and another release for
// another name.
func TestUserByName(t *testing.T) {
	dir := folder(t, testApp, map[string]string{"Dockerfile": "FROM busybox\nUSER 10001\n"})
	as := func(user string) func(*Flags) { return func(f *Flags) { f.Deployment.User = user } }
	c, _ := built(t, dir, as("app:web"), false)
	for _, user := range []string{"app:web", "app"} {
		must(t, c.build(t, dir, as(user)).err)
	}
	runs := c.runs(t)
	if len(runs) != 3 {
		t.Fatalf("there are %d runs", len(runs))
	}
	texts := map[string]bool{}
	for i, want := range []string{"app:web", "app:web", "app"} {
		if task, user := parameter(&runs[i], "deploy-task").StringVal, parameter(&runs[i], "user").StringVal; task != manifests.DeployAsTask || user != want {
			t.Errorf("run %d deploys by %q as %q, want %q", i, task, user, want)
		}
		secret, err := c.kube.CoreV1().Secrets("team").Get(t.Context(), runs[i].Name+"-manifests", metav1.GetOptions{})
		must(t, err)
		text := string(secret.Data["resources.yaml"])
		if !strings.Contains(text, manifests.AnnotationUser+": "+want+"\n") {
			t.Errorf("run %d deploys\n%s", i, text)
		}
		texts[text] = true
	}
	if len(texts) != 2 {
		t.Errorf("two users have %d releases", len(texts))
	}
	c = newCluster(t)
	must(t, c.build(t, dir, as("10001:20")).err)
	run := c.runs(t)[0]
	if task, user := parameter(&run, "deploy-task").StringVal, parameter(&run, "user").StringVal; task != "" || user != "" {
		t.Errorf("numbers are deployed by %q as %q", task, user)
	}
}

func TestFindings(t *testing.T) {
	c := newCluster(t)
	dir := folder(t, testApp, map[string]string{"Dockerfile": "FROM python:3.13\nCOPY main.py /\nCMD python main.py\n", "main.py": "print()\n"})
	got := c.build(t, dir, nil)
	must(t, got.err)
	notices := got.of(event.Notice)
	if len(notices) != 2 || !strings.Contains(notices[0].Message, "runs as root, so the pods run as 1000:1000") || !strings.Contains(notices[1].Message, "warnings in Dockerfile; see them with kubectl pyflow lint "+dir) {
		t.Errorf("notices are %+v", notices)
	}
}

// TestFindingsOfAnotherDockerfile holds that the command checks what is built.
func TestFindingsOfAnotherDockerfile(t *testing.T) {
	c := newCluster(t)
	dir := folder(t, testApp, map[string]string{"docker/prod.Dockerfile": "FROM python:3.13 AS run\nFROM run AS test\n", "main.py": "print()\n"})
	got := c.build(t, dir, func(f *Flags) { f.Dockerfile, f.Target = "docker/prod.Dockerfile", "run" })
	must(t, got.err)
	notices := got.of(event.Notice)
	if len(notices) != 2 || !strings.HasSuffix(notices[1].Message, "lint "+dir+" -f docker/prod.Dockerfile --target run") {
		t.Errorf("notices are %+v", notices)
	}
}

func TestABuildWithoutADockerfile(t *testing.T) {
	c := newCluster(t)
	dir := folder(t, testApp, map[string]string{"main.py": testApp2, "requirements.txt": "fastapi==0.115.0\nuvicorn==0.34.0\n"})
	got := c.build(t, dir, nil)
	must(t, got.err)
	notices := got.of(event.Notice)
	if len(notices) == 0 || !strings.Contains(notices[0].Message, "made a slim one for fastapi app main:app, Python 3.13") {
		t.Errorf("notices are %+v", notices)
	}
	for _, notice := range notices[1:] {
		if strings.Contains(notice.Message, "lint") {
			t.Errorf("what is generated has findings: %s", notice.Message)
		}
	}
	run := c.runs(t)[0]
	if !strings.Contains(run.Annotations[manifests.AnnotationDockerfile], "main:app") || parameter(&run, "dockerfile").StringVal != "Dockerfile" {
		t.Errorf("the run is %+v", run)
	}
}
