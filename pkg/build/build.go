// Package build builds the image of a source in the cluster and deploys it. Prepare finds
// every reason not to start and changes nothing, Start uploads the source and creates the
// run, Watch reports the run until the app has rolled out. Callers get events and errors:
// nothing here prints, and watching changes nothing.
package build

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/reach"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// Environment is a namespace of a cluster that is set up for builds.
type Environment struct {
	Clients  *kube.Clients
	Config   *manifests.Config
	Registry *registry.Client
	// secret is known only to those who may build in the namespace.
	secret string
	// builder signs the certificates of builds; nil for an external registry.
	builder *credentials.Builder
}

// Connect checks that the cluster and the namespace of clients are set up and that the
// user has permissions, and connects to the registry. Close the environment after use.
func Connect(ctx context.Context, clients *kube.Clients, permissions []access.Permission) (*Environment, error) {
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, err
	}
	if err := platform.CheckContract(config); err != nil {
		return nil, err
	}
	if err := access.Check(ctx, clients.Kube, append(permissions, platform.RegistryPermissions(config.Registry)...)); err != nil {
		return nil, err
	}
	if err := platform.CheckOwner(ctx, clients.Kube, config, clients.Namespace); err != nil {
		return nil, err
	}
	user, ca, err := platform.Credentials(ctx, clients.Kube, clients.Namespace, config.Registry.Host)
	if err != nil {
		return nil, err
	}
	client, err := platform.Registry(clients, config.Registry, user, ca)
	if err != nil {
		return nil, err
	}
	env := &Environment{Clients: clients, Config: config, Registry: client, secret: user.Password}
	if !config.Registry.External {
		if env.builder, err = platform.Builder(ctx, clients.Kube, clients.Namespace); err != nil {
			client.Close()
			return nil, err
		}
	}
	return env, nil
}

// Close closes the connections to the registry.
func (e *Environment) Close() { e.Registry.Close() }

// Permissions returns what building and watching in a namespace needs.
func Permissions(namespace string) []access.Permission {
	return []access.Permission{
		{Verb: "get", Resource: "secrets", Namespace: namespace, Name: manifests.RegistrySecret},
		{Verb: "create", Resource: "secrets", Namespace: namespace},
		{Verb: "create", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "patch", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "watch", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "watch", Group: "tekton.dev", Resource: "taskruns", Namespace: namespace},
		{Verb: "watch", Resource: "pods", Namespace: namespace},
		{Verb: "get", Resource: "pods", Subresource: "log", Namespace: namespace},
		{Verb: "watch", Group: "apps", Resource: "deployments", Namespace: namespace},
	}
}

// path returns the app's repository as the registry's client names it.
func (e *Environment) path(app string) string {
	return e.Config.Registry.Path(e.Clients.Namespace, app)
}

// runs returns the clients that create and cancel runs.
func (e *Environment) runs() pipelinerun.Clients {
	return pipelinerun.Clients{
		Tekton: e.Clients.Tekton, Kube: e.Clients.Kube,
		Login: pipelinerun.Login{Builder: e.builder, Engine: installed.Engine()},
	}
}

// Measure adds to the result of a run the sizes of the images and where the app answers.
func (e *Environment) Measure(ctx context.Context, run *Run, result *event.Result) error {
	result.SizeBytes = e.size(ctx, run.app, result.Digest)
	if before := run.before.Digest; before != result.Digest {
		result.PreviousSizeBytes = e.size(ctx, run.app, before)
	}
	if !run.Deploys {
		return nil
	}
	var err error
	result.URL, err = status.AppURL(ctx, e.Clients.Kube, e.Clients.Namespace, run.app)
	if err == nil && result.URL != "" && !reach.NewProber(reach.Short).Answers(ctx, result.URL) {
		result.Reach = reach.Command(e.Clients.Namespace, run.app)
	}
	return err
}

// Tag adds tags to an image of an app. A tag that another image of it has moves.
func (e *Environment) Tag(ctx context.Context, app, digest string, tags []string) error {
	if len(tags) == 0 || digest == "" {
		return nil
	}
	manifest, err := e.Registry.Manifest(ctx, e.path(app), digest)
	if err != nil {
		return err
	}
	return e.Registry.PutManifest(ctx, e.path(app), manifest, tags)
}

// size returns the compressed size of an image; 0 if the registry does not have it.
func (e *Environment) size(ctx context.Context, app, digest string) int64 {
	if digest == "" {
		return 0
	}
	manifest, err := e.Registry.Manifest(ctx, e.path(app), digest)
	if err != nil {
		return 0 // an older image may be deleted
	}
	var total int64
	for _, blob := range manifest.Blobs() {
		total += blob.Size
	}
	return total
}

// Options describe a build.
type Options struct {
	// App is the name of the app.
	App string
	// Folder is the source; nil builds Git.
	Folder *Folder
	Git    *pipelinerun.Git
	// Untrusted builds read the cache and leave nothing in it.
	Untrusted bool
	// Dockerfile is the path of the Dockerfile in the source.
	Dockerfile string
	// Target is the stage to build; empty means the last one.
	Target    string
	BuildArgs []string
	Secrets   []pipelinerun.BuildSecret
	// Needs are the secrets that the Dockerfile mounts, as far as they are known.
	Needs   []project.Secret
	NoCache bool
	// Force builds and deploys even if nothing has changed.
	Force bool
	// Adopt takes over objects that are not the app's, and fields that other managers own.
	Adopt bool
	// Test has to pass before the image is deployed; nil tests nothing.
	Test      *pipelinerun.Test
	Resources pipelinerun.Resources
	// Release is what to deploy, except what the cluster determines; nil deploys
	// nothing.
	Release *release.Options
	// Sources are the places that name a Secret or a ConfigMap that the app needs.
	Sources map[app.Source]string
	// Origins are the places that decide how the app is reached.
	Origins Origins
	// Timeout bounds the run.
	Timeout time.Duration
	// Scratch keeps the build apart from the app; nil builds the app itself.
	Scratch *Scratch
	// Notices are reported when the build starts: a Message, and a Reason for warnings.
	Notices []event.Event
}

// Folder is a build context on this machine.
type Folder struct {
	// Dir is its absolute path.
	Dir string
	// Dockerfile is the one that is built.
	Dockerfile *dockerfile.Dockerfile
	// Files are files of the build context that are not in Dir.
	Files map[string][]byte
	// Modes replace the modes of files and directories of Dir, by path.
	Modes map[string]fs.FileMode
	// AllowSecrets are the files whose content may be a secret, as buildcontext.Options has them.
	AllowSecrets []string
}

// Scratch is a build whose image, source and cached layers go below a repository of
// their own, and whose run is none of the app's.
type Scratch struct {
	// Run is the name of the run.
	Run string
	// Repository is below the app's repository, Tag the tag of the image.
	Repository, Tag string
}

// Prepared is a build, or the repetition of a run, that can start.
type Prepared struct {
	env     *Environment
	options Options
	// manifests are nil if nothing is deployed.
	manifests *release.Manifests
	before    release.Deployed
	commit    project.Commit
	// conformed is the Dockerfile that the engine builds, with the lines of the user's. text is
	// what travels of it, and extra are the arguments that it needs.
	conformed *dockerfile.Dockerfile
	text      []byte
	extra     []string
	// about is what the record of the release says.
	about record.Info
	// delivery is that of a release without a build: an earlier one, or one of another namespace,
	// whose image copyImage copies.
	delivery  *pipelinerun.Deploy
	copyImage func(context.Context) error
	// again is the run to create for the repetition of another one.
	again *tektonv1.PipelineRun
}

// Prepare renders what is deployed and reads what the cluster runs of the app. It changes
// nothing. An error holds a *MissingSecretsError if the build lacks secrets.
func Prepare(ctx context.Context, env *Environment, options Options) (*Prepared, error) {
	p := &Prepared{env: env, options: options}
	namespace := env.Clients.Namespace
	if options.Git != nil {
		if err := access.Check(ctx, env.Clients.Kube, []access.Permission{ConfirmPermission(namespace)}); err != nil {
			return nil, err
		}
	}
	if err := p.addTest(); err != nil {
		return nil, err
	}
	if err := p.conform(ctx); err != nil {
		return nil, err
	}
	notices, err := p.checkSecrets(ctx)
	if err != nil {
		return nil, err
	}
	p.options.Notices = slices.Concat(p.options.Notices, notices)
	if options.Release != nil {
		wanted := *options.Release
		wanted.App = options.App
		p.options.Notices = append(p.options.Notices, plainSecrets(&wanted)...)
		if err := decideReach(ctx, p, &wanted); err != nil {
			return nil, err
		}
		if p.manifests, err = env.Render(options.App, wanted); err != nil {
			return nil, err
		}
		for _, note := range p.manifests.Notes {
			p.options.Notices = append(p.options.Notices, event.Event{Message: note})
		}
		if err := checkConfiguration(ctx, p); err != nil {
			return nil, err
		}
		if err := settle(ctx, p); err != nil {
			return nil, err
		}
	}
	if options.Scratch == nil {
		p.before, err = release.Current(ctx, env.Clients.Kube, namespace, options.App, env.Config.Registry.NodeRepository(namespace, options.App))
		if err != nil {
			return nil, err
		}
	}
	if options.Folder != nil {
		if p.commit, err = project.ReadCommit(ctx, options.Folder.Dir); err != nil {
			return nil, err
		}
	}
	p.about = describe(ctx, p)
	return p, nil
}

// settle adapts the manifests to the objects that exist.
func settle(ctx context.Context, p *Prepared) error {
	clients := p.env.Clients
	kept, err := p.manifests.Settle(ctx, release.Clients{Dynamic: clients.Dynamic, Mapper: clients.Mapper}, clients.Namespace, p.options.Adopt)
	for _, sentence := range kept {
		p.options.Notices = append(p.options.Notices, event.Event{Message: sentence})
	}
	return err
}

// describe returns what the record of the release says of the build.
func describe(ctx context.Context, p *Prepared) record.Info {
	o := p.options
	if p.manifests == nil || o.Scratch != nil {
		return record.Info{}
	}
	user, ofImage := podUser(o.Release)
	about := record.Info{
		By: p.env.user(ctx), Commit: p.commit.ID, Dirty: p.commit.Dirty,
		Dockerfile: o.Dockerfile, Target: o.Target, BuildArgs: o.BuildArgs, User: user, UserOfImage: ofImage,
	}
	if o.Git != nil {
		about.Source = o.Git.URL
	}
	return about
}

// addTest adds to the Dockerfile of the folder what runs the test of a stage: the Dockerfile
// that travels has one stage more than the one in the folder.
func (p *Prepared) addTest() error {
	folder, test := p.options.Folder, p.options.Test
	if folder == nil || test == nil || test.Stage == "" {
		return nil
	}
	dir := installed.Engine().Capabilities(installed.Version()).TestDir
	tested, image, err := folder.Dockerfile.WithTest(p.options.Target, dockerfile.Test{Stage: test.Stage, Command: test.Command},
		// The user of the image may not be allowed to write where the code is.
		fmt.Sprintf(`PYTEST_ADDOPTS="${PYTEST_ADDOPTS} --junitxml=%s/junit.xml -o cache_dir=%s/cache"`, dir, dir),
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1")
	if err != nil {
		return err
	}
	with := *folder
	with.Dockerfile = tested
	p.options.Folder, p.options.Target = &with, image
	return nil
}

// spec returns all of the run that is known before its source.
func (p *Prepared) spec() pipelinerun.Build {
	o, config, namespace := p.options, p.env.Config, p.env.Clients.Namespace
	user, ofImage := podUser(o.Release)
	b := pipelinerun.Build{
		Meta: pipelinerun.Meta{
			App:            o.App,
			Namespace:      namespace,
			NodeRepository: config.Registry.NodeRepository(namespace, o.App),
			UserOfImage:    ofImage,
			User:           user,
			Timeout:        o.Timeout,
			Commit:         p.commit.ID,
			Dirty:          p.commit.Dirty,
			Record:         p.about.JSON(),
			Adopt:          o.Adopt,
			Jobs:           p.manifests != nil && len(p.manifests.Jobs()) > 0,
		},
		Git:    o.Git,
		Engine: installed.Engine(),
		Params: engine.Params{
			Repository: config.Registry.Repository(namespace, o.App),
			BuildArgs:  slices.Concat(config.BuildArgs, o.BuildArgs),
			Target:     o.Target,
			NoCache:    o.NoCache,
			Untrusted:  o.Untrusted,
			Mirrors:    config.ImageMirrors,
			Extra:      p.extra,
		},
		Dockerfile:    o.Dockerfile,
		Secrets:       o.Secrets,
		Test:          o.Test,
		Resources:     o.Resources,
		UserNamespace: config.BuildUsers.Separate,
		NoDeploy:      p.manifests == nil,
	}
	if o.Folder != nil {
		b.DockerfileText = string(p.text)
	}
	if scratch := o.Scratch; scratch != nil {
		b.Name, b.Tag = scratch.Run, scratch.Tag
		b.Repository += "/" + scratch.Repository
		b.NodeRepository += "/" + scratch.Repository
	}
	return b
}

// podUser returns the user of the pods that only the image can tell the number of: a name, or
// ofImage for the user that the image names.
func podUser(o *release.Options) (name string, ofImage bool) {
	if o == nil || o.Directory != "" {
		return "", false // a kustomization has users of its own
	}
	return o.User.Name, o.UserOfImage
}

// phases returns the phases of a run. A folder is packed; uploads reports whether it is
// uploaded, too.
func (p *Prepared) phases(info pipelinerun.Info, uploads bool) []event.Phase {
	var phases []event.Phase
	if p.options.Folder != nil {
		phases = append(phases, event.Pack)
		if uploads {
			phases = append(phases, event.Upload)
		}
	}
	phases = append(phases, event.Queue)
	if !info.DeployOnly {
		phases = append(phases, event.Fetch, event.Build)
	}
	inBuild := info.Test != nil && info.Test.Stage != ""
	if inBuild {
		phases = append(phases, event.Test)
	}
	if !info.DeployOnly {
		phases = append(phases, event.Push)
	}
	if info.Test != nil && !inBuild {
		phases = append(phases, event.Test)
	}
	if info.Deploys {
		phases = append(phases, event.Deploy, event.Rollout)
	}
	return phases
}

// run returns the run of a build, before it is created.
func (p *Prepared) run(result event.Result) *Run {
	o, namespace := p.options, p.env.Clients.Namespace
	run := &Run{
		Result: result, Deploys: p.manifests != nil,
		app: o.App, namespace: namespace, repository: p.env.Config.Registry.NodeRepository(namespace, o.App), before: p.before,
	}
	if o.Folder != nil {
		run.Dockerfile = p.conformed
	} else if o.Git != nil {
		run.check = repositoryCheck(p)
	}
	if o.Scratch != nil {
		run.repository += "/" + o.Scratch.Repository
	}
	return run
}

// Prune deletes the app's finished runs except for the newest keep, and its records of releases
// except for the newest releases and the live one, after a run of it; 0 keeps all. A failure is
// a warning: the next build can do it.
func (e *Environment) Prune(ctx context.Context, run *Run, keep, releases int) error {
	namespace := e.Clients.Namespace
	if keep > 0 {
		if _, err := pipelinerun.Prune(ctx, e.runs(), namespace, run.app, keep); err != nil {
			return fmt.Errorf("delete old runs: %w", err)
		}
	}
	if releases == 0 || !run.Deploys {
		return nil
	}
	current, err := release.Current(ctx, e.Clients.Kube, namespace, run.app, run.repository)
	if err == nil {
		err = record.Prune(ctx, e.Clients.Kube, namespace, run.app, releases, current.Release)
	}
	if err != nil {
		return fmt.Errorf("delete old records of releases: %w", err)
	}
	return nil
}
