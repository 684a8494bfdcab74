package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/junit"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display/buildview"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

const (
	// keepRuns is how many finished runs of an app are kept when nobody says.
	keepRuns = 10
	// defaultTimeout and defaultWait bound a run, and its standing still.
	defaultTimeout = 30 * time.Minute
	defaultWait    = 5 * time.Minute
)

// watchFlags are those of every verb that starts a run.
type watchFlags struct {
	Timeout     time.Duration
	WaitTimeout time.Duration
	Keep        int
	Detach      bool
	Progress    string
	Output      string
	Quiet       bool
	JUnit       string
}

func (f *watchFlags) add(flags *pflag.FlagSet) {
	flags.DurationVar(&f.Timeout, "timeout", defaultTimeout, "How long build and delivery may take, and after them the rollout")
	flags.DurationVar(&f.WaitTimeout, "wait-timeout", defaultWait, "How long a pod may wait to start, and a rollout stand still, when waiting could still help; 0 for as long as --timeout")
	flags.IntVar(&f.Keep, "keep", keepRuns, "Number of finished runs of the app to keep; older ones are deleted with their pods, 0 keeps all")
	flags.BoolVarP(&f.Detach, "detach", "d", false, "Print the run's name once it has started, and do not wait for it")
	flags.StringVar(&f.Progress, "progress", string(buildview.Auto), "How to show what is going on: auto, tty or plain")
	flags.StringVarP(&f.Output, "output", "o", "", "Output format: json, one event per line")
	flags.StringVar(&f.JUnit, "junit", "", "File to write the tests' results to, as JUnit's XML")
	flags.BoolVarP(&f.Quiet, "quiet", "q", false, "Print the image's digest only")
}

// completeView completes the flags of watchFlags.
func completeView(cmd *cobra.Command) {
	for flag, values := range map[string][]string{"progress": {"auto", "tty", "plain"}, "output": {"json"}} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// session is how a run is watched, and where it runs.
type session struct {
	clients *kube.Clients
	streams genericiooptions.IOStreams

	mode        buildview.Mode
	detach      bool
	timeout     time.Duration
	waitTimeout time.Duration
	keep        int
	// junit is the file for the results of the tests; empty is none.
	junit string
}

func (f *watchFlags) toSession(streams genericiooptions.IOStreams) (session, error) {
	s := session{streams: streams, mode: buildview.Mode(f.Progress), detach: f.Detach, timeout: f.Timeout, waitTimeout: f.WaitTimeout, keep: f.Keep, junit: f.JUnit}
	if !slices.Contains([]buildview.Mode{buildview.Auto, buildview.TTY, buildview.Plain}, s.mode) {
		return s, option.OneOf("progress", f.Progress, "auto", "tty", "plain")
	}
	switch {
	case f.Output != "" && f.Output != string(buildview.JSON):
		return s, option.OneOf("output", f.Output, "json")
	case f.Output != "" && f.Quiet:
		return s, option.Usagef("--output and --quiet exclude each other")
	case f.Quiet && f.Detach:
		return s, option.Usagef("--quiet prints the image's digest, which --detach does not wait for")
	case f.JUnit != "" && f.Detach:
		return s, option.Usagef("--junit is for the results of the tests, which --detach does not wait for; later: kubectl pyflow logs RUN --junit")
	case f.Output != "":
		s.mode = buildview.JSON
	case f.Quiet:
		s.mode = buildview.Quiet
	}
	if err := buildview.Check(s.mode, streams.ErrOut); err != nil {
		return s, err
	}
	if f.JUnit != "" {
		// Before the build, not after it.
		if info, err := os.Stat(filepath.Dir(f.JUnit)); err != nil {
			return s, option.Usagef("--junit: %w", err)
		} else if !info.IsDir() {
			return s, option.Usagef("--junit: %s is not a directory", filepath.Dir(f.JUnit))
		}
		if info, err := os.Stat(f.JUnit); err == nil && info.IsDir() {
			return s, option.Usagef("--junit: %s is a directory: name a file in it", f.JUnit)
		}
	}
	if f.Keep < 0 {
		return s, option.Usagef("--keep %d is negative", f.Keep)
	}
	return s, durations(f.Timeout, f.WaitTimeout)
}

// begun is a run that has been started, or an image that needs none.
type begun struct {
	app string
	// run is nil when there is nothing to wait for.
	run *tektonv1.PipelineRun
	// delivers says that the app is delivered, or was already.
	delivers bool
	// before is what the cluster ran of the app.
	before release.Deployed
	// result is what is known of the end: the image, when there is no run.
	result   event.Result
	config   *manifests.Config
	registry *registry.Client
}

// show shows a run from its beginnings to its end: start takes it to the cluster.
func (s *session) show(ctx context.Context, app string, start func(*track.Tracker) (*begun, error)) error {
	shown, err := buildview.New(s.mode, s.streams.Out, s.streams.ErrOut)
	if err != nil {
		return err
	}
	// Again at the end for its error; twice does no harm.
	defer shown.Close() //nolint:errcheck // the first one counts
	tracker := track.NewTracker(app, s.clients.Namespace, shown.Show)
	b, err := start(tracker)
	if b != nil && b.registry != nil {
		defer b.registry.Close()
	}
	if err == nil && s.detach && b.run != nil {
		s.tidy(ctx, tracker, b)
		return s.leave(shown, b)
	}
	result := event.Result{}
	if err == nil {
		result, err = s.watch(ctx, tracker, b)
		if writing := s.writeJUnit(tracker, b); err == nil {
			err = writing
		}
		s.tidy(ctx, tracker, b)
	}
	err = tracker.Finish(ctx, result, err)
	if closing := shown.Close(); err == nil {
		err = closing
	}
	return err
}

// writeJUnit keeps the results of the tests, red ones too.
func (s *session) writeJUnit(tracker *track.Tracker, b *begun) error {
	results := tracker.JUnit()
	switch {
	case s.junit == "":
		return nil
	case b.run == nil || !pipelinerun.Tests(b.run):
		tracker.Notice("Nothing was tested, as nothing has changed since the tests passed: " + s.junit + " is not written")
		return nil
	case len(results) == 0:
		tracker.Warn("the tests wrote no results as JUnit's XML: " + s.junit + " is not written")
		return nil
	}
	if err := os.WriteFile(s.junit, results, 0o644); err != nil { //nolint:gosec // for whoever reads reports
		return fmt.Errorf("--junit: %w", err)
	}
	if _, err := junit.Parse(results); err != nil {
		tracker.Warn("what is in " + s.junit + " is not JUnit's XML, or was cut off: " + err.Error())
	}
	return nil
}

// leave prints what the run of b can be found by.
func (s *session) leave(shown buildview.View, b *begun) error {
	if err := shown.Close(); err != nil || s.mode == buildview.JSON {
		return err
	}
	fmt.Fprintf(s.streams.ErrOut, "It goes on in the cluster: %s\n", display.QuoteCommand("kubectl", "pyflow", "logs", b.run.Name, "-f"))
	_, err := fmt.Fprintln(s.streams.Out, b.run.Name)
	return err
}

// tidy deletes old runs. What the next build can do as well is no reason for this one
// to fail.
func (s *session) tidy(ctx context.Context, tracker *track.Tracker, b *begun) {
	if b.run == nil || s.keep == 0 || ctx.Err() != nil {
		return
	}
	_, err := pipelinerun.Prune(ctx, pipelinerun.Clients{Tekton: s.clients.Tekton, Kube: s.clients.Kube}, s.clients.Namespace, b.app, s.keep)
	if err != nil && ctx.Err() == nil {
		tracker.Warn("old runs stay: " + err.Error())
	}
}

// watch takes a run to its end, and adds what there is to say of it then.
func (s *session) watch(ctx context.Context, tracker *track.Tracker, b *begun) (event.Result, error) {
	result, repository := b.result, b.config.Registry.NodeRepository(s.clients.Namespace, b.app)
	if b.run != nil {
		outcome, err := tracker.Run(ctx, track.Clients{Tekton: s.clients.Tekton, Kube: s.clients.Kube}, track.Target{
			Run: b.run, App: b.app, Repository: repository, Timeout: s.timeout, WaitTimeout: s.waitTimeout,
		})
		if result.Digest == "" {
			result.Digest = outcome.Digest
		}
		if outcome.Commit != "" {
			result.Commit = outcome.Commit
		}
		if err != nil {
			return s.describe(result, repository), err
		}
	}
	result = s.describe(result, repository)
	return result, s.measure(ctx, b, &result)
}

// describe adds the image to a result with a digest.
func (s *session) describe(result event.Result, repository string) event.Result {
	if result.Digest != "" {
		result.Image = repository + "@" + result.Digest
	}
	return result
}

// measure adds sizes and the address.
func (s *session) measure(ctx context.Context, b *begun, result *event.Result) error {
	path := b.config.Registry.Path(s.clients.Namespace, b.app)
	size := func(digest string) int64 {
		if digest == "" || b.registry == nil {
			return 0
		}
		manifest, err := b.registry.Manifest(ctx, path, digest)
		if err != nil {
			return 0 // an older one may be gone
		}
		var total int64
		for _, blob := range manifest.Blobs() {
			total += blob.Size
		}
		return total
	}
	result.SizeBytes = size(result.Digest)
	if b.before.Digest != result.Digest {
		result.PreviousSizeBytes = size(b.before.Digest)
	}
	if !b.delivers {
		return nil
	}
	var err error
	result.URL, err = status.AppURL(ctx, s.clients.Kube, s.clients.Namespace, b.app)
	return err
}

// connect makes a client of the registry for the namespace.
func (s *session) connect(ctx context.Context, config *manifests.Config) (*registry.Client, string, error) {
	user, ca, err := platform.Login(ctx, s.clients.Kube, s.clients.Namespace, config.Registry.Host)
	if err != nil {
		return nil, "", err
	}
	client, err := platform.Registry(s.clients, config.Registry, user, ca)
	return client, user.Password, err
}

// rights are what every run needs.
func (s *session) rights() []access.Permission {
	namespace := s.clients.Namespace
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
