package env

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/env"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/rolling"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	release "github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// maxInput is how much standard input or a file may have: more than a Secret can hold.
const maxInput = 1 << 20

// setFlags are what the command line says.
type setFlags struct {
	rolling.Flags
	Secret bool
	File   string
}

func newSetCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &setFlags{}
	cmd := &cobra.Command{
		Use:   "set APP NAME[=VALUE]...",
		Short: "Set variables of an app and restart it",
		Long: `Set variables of an app, restart the workloads that read them, and wait for the rollout.

Values go into a ConfigMap of the namespace, with --secret into a Secret. A NAME without a
value takes it from standard input; on a terminal pyflow asks for it. Builds and rollbacks
leave the variables alone.

A variable that the manifests set wins, so setting it here is an error.`,
		Example: `  # Set a variable
  kubectl pyflow env set mountains LOG_LEVEL=debug

  # Set a password, which is asked for
  kubectl pyflow env set mountains DATABASE_PASSWORD --secret

  # Read a token from a command
  pass show sentry | kubectl pyflow env set mountains SENTRY_DSN --secret

  # Set all variables of a file
  kubectl pyflow env set mountains --from-env-file .env --secret`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return complete.Apps(config, false)(cmd, args, word)
			}
			names, directive := completeNames(config, args)(cmd, args, word)
			for i := range names {
				names[i] += "="
			}
			return names, directive | cobra.ShellCompDirectiveNoSpace
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.Check(); err != nil {
				return err
			}
			change, names, err := flags.read(cmd.Context(), streams, args[1:])
			if err != nil {
				return err
			}
			for _, name := range change.Plain() {
				fmt.Fprintf(streams.ErrOut, "warning: %s looks like a secret, and a ConfigMap is none: pass --secret to keep it in a Secret\n", name)
			}
			clients, err := kube.New(config)
			if err != nil {
				return err
			}
			options := &Options{Clients: clients, Streams: streams, Rollout: flags.Flags, App: args[0], Change: change, Names: names, Now: time.Now}
			return options.Run(cmd.Context())
		},
	}
	flags.Add(cmd)
	cmd.Flags().BoolVar(&flags.Secret, "secret", false, "Keep the values in a Secret")
	cmd.Flags().StringVar(&flags.File, "from-env-file", "", "File with lines of NAME=VALUE; - is standard input")
	_ = cmd.MarkFlagFilename("from-env-file")
	return cmd
}

// read returns the change and its names, in order. No error repeats a value.
func (f *setFlags) read(ctx context.Context, streams genericiooptions.IOStreams, args []string) (env.Change, []string, error) {
	change := env.Change{Set: map[string]string{}, Secret: f.Secret}
	var names, open []string
	add := func(name, value string) error {
		if err := release.CheckVariable(name, value); err != nil {
			return option.Usagef("variable %q: %w", name, err)
		}
		if slices.Contains(names, name) {
			return option.Usagef("variable %q is given twice", name)
		}
		names, change.Set[name] = append(names, name), value
		return nil
	}
	for _, arg := range args {
		name, value, given := strings.Cut(arg, "=")
		if !given {
			open = append(open, name)
		}
		if err := add(name, value); err != nil {
			return change, nil, err
		}
	}
	if f.File != "" {
		if f.File == "-" && len(open) > 0 {
			return change, nil, option.Usagef("standard input has the file, so %s needs a value", strings.Join(open, ", "))
		}
		if err := readFile(f.File, streams.In, add); err != nil {
			return change, nil, err
		}
	}
	if len(names) == 0 {
		return change, nil, option.Usagef("name a variable, as NAME=VALUE or NAME, or a file with --from-env-file")
	}
	return change, names, f.fill(ctx, streams, open, change.Set)
}

// fill reads the values of names without one: from standard input, or from the user.
func (f *setFlags) fill(ctx context.Context, streams genericiooptions.IOStreams, names []string, values map[string]string) error {
	if len(names) == 0 {
		return nil
	}
	if !display.CanAsk(streams.In, streams.ErrOut) {
		if len(names) > 1 {
			return option.Usagef("standard input is the value of one variable, and %s have none: write NAME=VALUE, or use --from-env-file", strings.Join(names, ", "))
		}
		content, err := readAll(streams.In)
		if err != nil {
			return fmt.Errorf("read the value from standard input: %w", err)
		}
		value := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
		if err := release.CheckVariable(names[0], value); err != nil {
			return option.Usagef("variable %q: %w", names[0], err)
		}
		values[names[0]] = value
		return nil
	}
	for _, name := range names {
		ask := display.Ask
		if f.Secret {
			ask = display.AskHidden
		}
		value, err := ask(ctx, streams.In, streams.ErrOut, "Value of "+name+": ")
		if err != nil {
			return err
		}
		values[name] = value
	}
	return nil
}

// readFile calls add for each line of a file as kubectl reads it: NAME=VALUE, literally. It leaves
// out empty lines and those that start with #.
func readFile(name string, in io.Reader, add func(name, value string) error) error {
	content, err := func() ([]byte, error) {
		if name == "-" {
			return readAll(in)
		}
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		return readAll(file)
	}()
	if err != nil {
		return fmt.Errorf("read the variables: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(content, []byte("\ufeff"))))
	lines.Buffer(nil, maxInput)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		variable, value, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("%s:%d: the line is not of the form NAME=VALUE", name, number)
		}
		if err := add(variable, value); err != nil {
			return fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
	return lines.Err()
}

// readAll reads at most maxInput bytes.
func readAll(in io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(content) > maxInput {
		err = fmt.Errorf("it has more than %d KiB", maxInput>>10)
	}
	return content, err
}

func newUnsetCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &rolling.Flags{}
	cmd := &cobra.Command{
		Use:   "unset APP NAME...",
		Short: "Remove variables that env set has set, and restart the app",
		Long: `Remove variables that "env set" has set, restart the workloads that read them, and wait
for the rollout.`,
		Example: `  # Remove a variable
  kubectl pyflow env unset mountains LOG_LEVEL`,
		Args: cobra.MinimumNArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return complete.Apps(config, false)(cmd, args, word)
			}
			return completeNames(config, args)(cmd, args, word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.Check(); err != nil {
				return err
			}
			clients, err := kube.New(config)
			if err != nil {
				return err
			}
			names := slices.Compact(slices.Sorted(slices.Values(args[1:])))
			options := &Options{Clients: clients, Streams: streams, Rollout: *flags, App: args[0], Change: env.Change{Unset: names}, Names: names, Now: time.Now}
			return options.Run(cmd.Context())
		},
	}
	flags.Add(cmd)
	return cmd
}

// completeNames completes the names that set has set.
func completeNames(config *genericclioptions.ConfigFlags, args []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		clients, err := kube.New(config)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, err := read(cmd.Context(), clients, args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := map[string]bool{}
		for _, one := range list.Items {
			if one.Settable && !slices.Contains(args[1:], one.Name) && !strings.HasSuffix(one.Name, "*") {
				names[one.Name] = true
			}
		}
		return slices.Sorted(maps.Keys(names)), cobra.ShellCompDirectiveNoFileComp
	}
}
