// Package session holds what the verbs that start a run have in common: the flags for
// watching it, what they print, and the decision to cancel it.
package session

import (
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/junit"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/signing"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display/buildview"
)

const (
	// defaultKeep is the number of finished runs of an app that are kept.
	defaultKeep = 10
	// defaultKeepReleases is the number of releases of an app that are kept on record.
	defaultKeepReleases = 20
	// defaultTimeout bounds a run, and defaultWait how long it may make no progress.
	defaultTimeout = 30 * time.Minute
	defaultWait    = 5 * time.Minute
)

// Flags are the flags of every verb that starts a run.
type Flags struct {
	Timeout     time.Duration
	WaitTimeout time.Duration
	Keep        int
	Detach      bool
	Progress    string
	Output      string
	Quiet       bool
	JUnit       string
	Open        bool
	// KeepReleases is the number of releases of the app to keep on record.
	KeepReleases int
	// Atomic rolls back a release whose deployment or rollout fails.
	Atomic bool
	// Tags are added to the image.
	Tags []string
	// Attest attaches to the image what is known of it.
	Attest signing.Attest

	// command has the flags.
	command *cobra.Command
}

// NewFlags returns the flags with their defaults.
func NewFlags() Flags {
	return Flags{Timeout: defaultTimeout, WaitTimeout: defaultWait, Keep: defaultKeep, KeepReleases: defaultKeepReleases, Progress: string(buildview.Auto)}
}

// Add adds the flags and their completions to a command that builds.
func (f *Flags) Add(cmd *cobra.Command) {
	f.AddDelivery(cmd)
	f.AddAtomic(cmd)
	cmd.Flags().StringArrayVar(&f.Tags, "tag", nil, "Tag to add to the image when everything has succeeded, such as v1.2; repeatable. A tag that another image has moves")
	f.Attest.Add(cmd)
	_ = cmd.RegisterFlagCompletionFunc("tag", cobra.NoFileCompletions)
	cmd.Flags().StringVar(&f.JUnit, "junit", "", "File for the test results as JUnit XML")
}

// AddAtomic adds the flag of a command that deploys what may not work.
func (f *Flags) AddAtomic(cmd *cobra.Command) {
	f.command = cmd
	cmd.Flags().BoolVar(&f.Atomic, "atomic", false, "Roll back to the release before if the deployment or the rollout fails (default: true in CI, by the variable CI)")
}

// atomic returns whether a failed release is rolled back. Nobody does it for a run that is not
// watched.
func (f *Flags) atomic() (bool, error) {
	given := f.command != nil && f.command.Flags().Changed("atomic")
	switch {
	case f.command == nil:
		return false, nil
	case given && f.Atomic && f.Detach:
		return false, option.Usagef("--atomic rolls back after a rollout that fails, which --detach does not wait for")
	case given:
		return f.Atomic, nil
	}
	return buildview.InCI() && !f.Detach, nil
}

// AddDelivery adds the flags of a command that deploys and builds nothing.
func (f *Flags) AddDelivery(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.DurationVar(&f.Timeout, "timeout", f.Timeout, "Time limit of the run, and of the rollout after it")
	flags.DurationVar(&f.WaitTimeout, "wait-timeout", f.WaitTimeout, "Fail if a pod has not started, or a rollout has not progressed, for this long; 0 waits as long as --timeout")
	flags.IntVar(&f.Keep, "keep", f.Keep, "Number of finished runs of the app to keep; older runs are deleted with their pods, 0 keeps all")
	flags.IntVar(&f.KeepReleases, "keep-releases", f.KeepReleases, "Number of releases of the app to keep on record; 0 keeps all")
	flags.BoolVarP(&f.Detach, "detach", "d", false, "Print the name of the run when it has started, and do not wait for it")
	flags.StringVar(&f.Progress, "progress", f.Progress, "Type of progress output: auto, tty or plain")
	flags.StringVarP(&f.Output, "output", "o", "", "Output format: json, one event per line; with --detach also name, the run as kubectl names it")
	flags.BoolVar(&f.Open, "open", false, "Open the app in the browser after the rollout; outside of a terminal only its URL is printed")
	flags.BoolVarP(&f.Quiet, "quiet", "q", false, "Print only the digest of the image")
	for flag, values := range map[string][]string{"progress": {"auto", "tty", "plain"}, "output": {"json", option.Name}} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// ToSession checks the flags. The session has no clients yet.
func (f *Flags) ToSession(streams genericiooptions.IOStreams) (Session, error) {
	s := Session{
		Streams: streams, Mode: buildview.Mode(f.Progress), Detach: f.Detach,
		Names: f.Output == option.Name, Timeout: f.Timeout, WaitTimeout: f.WaitTimeout, Keep: f.Keep, KeepReleases: f.KeepReleases, JUnit: f.JUnit,
		Tags: f.Tags, Attest: &f.Attest, Open: f.Open && display.IsTerminal(streams.Out),
	}
	if !slices.Contains([]buildview.Mode{buildview.Auto, buildview.TTY, buildview.Plain}, s.Mode) {
		return s, option.OneOf("progress", f.Progress, "auto", "tty", "plain")
	}
	switch {
	case !slices.Contains([]string{"", string(buildview.JSON), option.Name}, f.Output):
		return s, option.OneOf("output", f.Output, "json", option.Name)
	case s.Names && !f.Detach:
		return s, option.Usagef("--output name prints the run that --detach leaves running: pass --detach as well")
	case f.Output != "" && f.Quiet:
		return s, option.Usagef("--output and --quiet exclude each other")
	case f.Open && f.Detach:
		return s, option.Usagef("--open opens the app after the rollout, which --detach does not wait for")
	case f.Quiet && f.Detach:
		return s, option.Usagef("--quiet prints the image's digest, which --detach does not wait for")
	case len(f.Tags) > 0 && f.Detach:
		return s, option.Usagef("--tag names the image when it is built, which --detach does not wait for")
	case f.JUnit != "" && f.Detach:
		return s, option.Usagef("--junit is for the results of the tests, which --detach does not wait for; later: kubectl pyflow logs RUN --junit")
	case f.Output == string(buildview.JSON):
		s.Mode = buildview.JSON
	case f.Quiet:
		s.Mode = buildview.Quiet
	}
	if err := buildview.Check(s.Mode, streams.ErrOut); err != nil {
		return s, err
	}
	err := f.Attest.Check(f.Detach)
	if err != nil {
		return s, err
	}
	if s.Atomic, err = f.atomic(); err != nil {
		return s, err
	}
	switch {
	case f.Keep < 0:
		return s, option.Usagef("--keep %d is negative", f.Keep)
	case f.KeepReleases < 0:
		return s, option.Usagef("--keep-releases %d is negative", f.KeepReleases)
	case f.Timeout <= 0:
		return s, option.Usagef("--timeout %s is not positive", f.Timeout)
	case f.WaitTimeout < 0:
		return s, option.Usagef("--wait-timeout %s is negative; 0 waits as long as --timeout", f.WaitTimeout)
	}
	if i := slices.IndexFunc(f.Tags, func(tag string) bool { return !tagPattern.MatchString(tag) }); i >= 0 {
		return s, option.Usagef("--tag %q is not a tag: use at most 128 letters, digits, periods, hyphens and underscores, and no period or hyphen first", f.Tags[i])
	}
	if err := junit.CheckFile(f.JUnit); err != nil {
		return s, option.Usagef("--junit: %w", err)
	}
	return s, nil
}

// tagPattern is what the OCI distribution specification takes for a tag.
var tagPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
