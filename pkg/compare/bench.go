package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const (
	// starts is how often an image is started.
	starts = 3
	// pollEvery is how often a run that is being deleted is asked for.
	pollEvery = 200 * time.Millisecond
)

// Candidate is a Dockerfile of the service.
type Candidate struct {
	Name string
	// Dockerfile is the one to build, and Target its stage; empty is the last one.
	Dockerfile *dockerfile.Dockerfile
	Target     string
	// Context is the directory that is sent, and Within the path of the folder in it; both
	// are empty if it is the folder.
	Context, Within string
	// Files are packed beside those of the context.
	Files map[string][]byte
	// BuildArgs are KEY=VALUE.
	BuildArgs []string
	// AllowSecrets are the files whose content may be a secret, as buildcontext.Options has them.
	AllowSecrets []string
	// Needs are the secrets that the Dockerfile mounts, and Secrets those that it gets.
	Needs   []project.Secret
	Secrets []pipelinerun.BuildSecret
	// Port is where the service answers, and Env what else it finds in its
	// environment.
	Port int
	Env  map[string]app.Variable
}

// Bench is where candidates are measured, one after the other, so that no build takes
// from another one's time. Everything that it makes has names of its own: no tag, no
// run and no cached layer of the app is touched.
type Bench struct {
	Tekton   versioned.Interface
	Kube     kubernetes.Interface
	Registry *registry.Client
	Config   *manifests.Config
	// Env is where the images are built.
	Env *build.Environment
	// Namespace and App are whose images they are, Dir is the folder.
	Namespace, App, Dir string
	// Changed is the file of Dir, with slashes, that the change of code is made to.
	Changed string
	// ID tells comparisons apart.
	ID string
	// Timeout bounds each run, WaitTimeout how long a pod may stand still, Limit how
	// long a program may take to answer.
	Timeout, WaitTimeout, Limit time.Duration
	// Tell hears of every step: it is called as a step begins, and returns what ends
	// it. Wait hears why nothing goes on.
	Tell func(step string) (done func(result string, err error))
	Wait func(text string)

	runs  []string
	paths []string
	// unfinished is the run whose end was not seen; may be empty.
	unfinished string
}

// Measure builds a candidate with nothing cached, once more after a change of code,
// and starts it. What has been measured comes with an error, too.
func (b *Bench) Measure(ctx context.Context, candidate Candidate) (Variant, error) {
	variant := Variant{Name: candidate.Name, Packages: []inspect.Package{}, Starts: []float64{}}
	repository := "compare-" + b.ID + "/" + slug(candidate.Name)
	path := b.Config.Registry.Path(b.Namespace, b.App) + "/" + repository
	b.paths = append(b.paths, path, path+"/source", path+manifests.CacheSuffix())

	digest, took, err := b.build(ctx, candidate, repository, "cold", nil)
	if err != nil {
		return variant, err
	}
	variant.Digest, variant.ColdSeconds = digest, seconds(took)
	changed, err := b.change(candidate)
	if err != nil {
		return variant, err
	}
	if _, took, err = b.build(ctx, candidate, repository, "change", changed); err != nil {
		return variant, err
	}
	variant.ChangeSeconds = seconds(took)
	if err := b.inspect(ctx, candidate, path, repository, &variant); err != nil {
		return variant, err
	}
	return variant, b.start(ctx, candidate, repository, &variant)
}

// slug makes a name a part of a repository's.
func slug(name string) string {
	lower := strings.ToLower(name)
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, lower)
	for strings.Contains(clean, "--") {
		clean = strings.ReplaceAll(clean, "--", "-")
	}
	if clean = strings.Trim(clean, "-"); clean == "" {
		return "x"
	}
	return clean
}

// Slugs checks that candidates do not get in each other's way.
func Slugs(candidates []Candidate) error {
	seen := map[string]string{}
	for _, candidate := range candidates {
		if other, ok := seen[slug(candidate.Name)]; ok {
			return fmt.Errorf("%s and %s have names that are too similar", other, candidate.Name)
		}
		seen[slug(candidate.Name)] = candidate.Name
	}
	return nil
}

// changeMark is the line that is a change of code, in Python.
const changeMark = "\n# A change of code, made for a comparison of images.\n"

// change makes the change of code in a copy.
func (b *Bench) change(candidate Candidate) (map[string][]byte, error) {
	content, err := ReadSource(b.Dir, b.Changed)
	if err != nil {
		return nil, err
	}
	files := maps.Clone(candidate.Files)
	if files == nil {
		files = map[string][]byte{}
	}
	files[path.Join(candidate.Within, b.Changed)] = append(slices.Clip(content), changeMark...)
	return files, nil
}

// build builds a candidate and returns the image and how long the engine took.
func (b *Bench) build(ctx context.Context, candidate Candidate, repository, tag string, changed map[string][]byte) (digest string, took time.Duration, err error) {
	said := map[string]string{"cold": "built with nothing cached", "change": "built after a change of code"}[tag]
	done := b.Tell(candidate.Name + ": being " + said)
	defer func() {
		if err == nil {
			said = fmt.Sprintf("%s, %.1fs of the build engine", said, took.Seconds())
		}
		done(candidate.Name+": "+said, err)
	}()
	files := candidate.Files
	if changed != nil {
		files = changed
	}
	clock := engineClock{wait: b.Wait}
	recorder := track.NewRecorder(b.App, b.Namespace, clock.handle)
	scratch := &build.Scratch{Run: "pyflow-compare-" + rand.String(8), Repository: repository, Tag: tag}
	prepared, err := build.Prepare(ctx, b.Env, build.Options{
		App:        b.App,
		Folder:     &build.Folder{Dir: cmp.Or(candidate.Context, b.Dir), Dockerfile: candidate.Dockerfile, Files: files, AllowSecrets: candidate.AllowSecrets},
		Dockerfile: candidate.Dockerfile.Path,
		Target:     candidate.Target,
		BuildArgs:  candidate.BuildArgs,
		Needs:      candidate.Needs,
		Secrets:    candidate.Secrets,
		Timeout:    b.Timeout,
		Scratch:    scratch,
	})
	if err != nil {
		return "", 0, err
	}
	b.runs = append(b.runs, scratch.Run)
	run, err := build.Start(ctx, prepared, recorder)
	if err != nil {
		return "", 0, err
	}
	b.unfinished = run.Object.Name
	result, err := build.Watch(ctx, follow.Clients{Tekton: b.Tekton, Kube: b.Kube}, run, recorder,
		build.WatchOptions{Timeout: b.Timeout, WaitTimeout: b.WaitTimeout, FailFast: true})
	if pipelinerun.Verdict(result.Object).Done {
		b.unfinished = ""
	}
	if err != nil {
		return "", 0, err
	}
	if result.Digest == "" || clock.last.IsZero() {
		return "", 0, fmt.Errorf("run %s ended without an image, or without a log", run.Object.Name)
	}
	return result.Digest, clock.last.Sub(clock.first), nil
}

// engineClock takes the time from the first line that the build engine writes to its
// last one. Tekton has the step's own times to the second only, in which a build with
// a cache may be over.
type engineClock struct {
	wait        func(string)
	first, last time.Time
}

func (c *engineClock) handle(e event.Event) {
	switch {
	case e.Type == event.Waiting && c.wait != nil:
		c.wait(e.Reason + ": " + e.Message)
	case e.Type == event.Log && e.Source == pipelinerun.BuildStep:
		if c.first.IsZero() {
			c.first = e.Time
		}
		c.last = e.Time
	}
}

func (b *Bench) inspect(ctx context.Context, candidate Candidate, path, repository string, variant *Variant) (err error) {
	done := b.Tell(candidate.Name + ": its files are being listed")
	defer func() {
		done(fmt.Sprintf("%s: %s", candidate.Name, "its files are listed"), err)
	}()
	image := inspect.Image{
		Repository: b.Config.Registry.Repository(b.Namespace, b.App) + "/" + repository,
		Dockerfile: candidate.Dockerfile, Target: candidate.Target,
	}
	if image.Manifest, image.Config, err = inspect.Read(ctx, b.Registry, path, variant.Digest, ""); err != nil {
		return err
	}
	target := inspect.Target{
		Namespace: b.Namespace, Repository: image.Repository, Digest: variant.Digest,
		Timeout: b.Timeout, WaitTimeout: b.WaitTimeout,
	}
	for _, layer := range image.Manifest.Layers {
		target.Layers = append(target.Layers, layer.Digest)
	}
	listing, err := inspect.List(ctx, inspect.Clients{Tekton: b.Tekton, Kube: b.Kube}, target, func(text string, waiting bool) {
		if waiting {
			b.Wait(text)
		}
	})
	if err != nil {
		return err
	}
	analysis, err := inspect.Analyze(image, listing, 1)
	if err != nil {
		return err
	}
	variant.take(analysis)
	return nil
}

func (b *Bench) start(ctx context.Context, candidate Candidate, repository string, variant *Variant) (err error) {
	done := b.Tell(candidate.Name + ": being started")
	defer func() {
		result := ""
		if variant.StartSeconds != nil {
			result = fmt.Sprintf("%s: answers %.2fs after its start", candidate.Name, *variant.StartSeconds)
		}
		done(result, err)
	}()
	env, err := readable(ctx, b.Kube, b.Namespace, candidate.Env)
	if err != nil {
		return err
	}
	for range starts {
		took, err := Start(ctx, b.Kube, Launch{
			Namespace:  b.Namespace,
			Image:      b.Config.Registry.NodeRepository(b.Namespace, b.App) + "/" + repository + "@" + variant.Digest,
			Shell:      manifests.ShellImage(b.Config.ImageMirrors),
			PullSecret: manifests.RegistrySecret,
			Port:       candidate.Port,
			Env:        env,
			Limit:      b.Limit, WaitTimeout: b.WaitTimeout,
		}, b.Wait)
		if err != nil {
			return err
		}
		variant.Starts = append(variant.Starts, *seconds(took))
	}
	variant.StartSeconds = new(median(variant.Starts))
	return nil
}

// Clean deletes the runs and the manifests of everything that was measured, whatever
// has happened to ctx; their layers go with the registry's next collection. What could
// not be deleted is in the error.
func (b *Bench) Clean(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	deleting, stop := context.WithTimeout(ctx, cleanupTimeout)
	defer stop()
	var failed []error
	for _, run := range b.runs {
		if err := b.delete(deleting, run); err != nil {
			failed = append(failed, fmt.Errorf("delete pipelinerun %s: %w", run, err))
		}
	}
	emptying, stop := context.WithTimeout(ctx, cleanupTimeout)
	defer stop()
	for _, path := range b.paths {
		if err := b.empty(emptying, path); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// delete deletes a run. Of one that may go on its pod has to be gone as well: it would
// push to a repository that has been emptied, where no one looks again.
func (b *Bench) delete(ctx context.Context, run string) error {
	runs := b.Tekton.TektonV1().PipelineRuns(b.Namespace)
	policy := metav1.DeletePropagationBackground
	if run == b.unfinished {
		policy = metav1.DeletePropagationForeground
	}
	err := runs.Delete(ctx, run, metav1.DeleteOptions{PropagationPolicy: &policy})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil || run != b.unfinished {
		return err
	}
	return wait.PollUntilContextCancel(ctx, pollEvery, true, func(ctx context.Context) (bool, error) {
		_, err := runs.Get(ctx, run, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

// Left are what Clean would delete: runs and repositories.
func (b *Bench) Left() (runs, repositories []string) { return b.runs, b.paths }

// empty deletes all that a repository has tags for.
func (b *Bench) empty(ctx context.Context, path string) error {
	tags, err := b.Registry.Tags(ctx, path)
	if errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, tag := range tags {
		manifest, err := b.Registry.Manifest(ctx, path, tag)
		if errors.Is(err, registry.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := b.Registry.DeleteManifest(ctx, path, manifest.Digest); err != nil {
			return err
		}
	}
	return nil
}
