package build

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display/buildview"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
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
	flags.DurationVar(&f.Timeout, "timeout", defaultTimeout, "Time limit of the run, and of the rollout after it")
	flags.DurationVar(&f.WaitTimeout, "wait-timeout", defaultWait, "Fail if a pod has not started, or a rollout has not progressed, for this long; 0 waits as long as --timeout")
	flags.IntVar(&f.Keep, "keep", keepRuns, "Number of finished runs of the app to keep; older runs are deleted with their pods, 0 keeps all")
	flags.BoolVarP(&f.Detach, "detach", "d", false, "Print the name of the run when it has started, and do not wait for it")
	flags.StringVar(&f.Progress, "progress", string(buildview.Auto), "Type of progress output: auto, tty or plain")
	flags.StringVarP(&f.Output, "output", "o", "", "Output format: json, one event per line")
	flags.StringVar(&f.JUnit, "junit", "", "File for the test results as JUnit XML")
	flags.BoolVarP(&f.Quiet, "quiet", "q", false, "Print only the digest of the image")
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
