// Package completion is the verb that makes the shell complete the plugin.
package completion

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/usage"
)

// Name is the program that kubectl runs for the completions of the plugin.
const Name = "kubectl_complete-pyflow"

// ErrExists says that a file of another program has the name of the link.
var ErrExists = errors.New("it exists and is not a link to this plugin")

// Args returns the command line to run for the arguments of a process, program name
// first. Called as Name, the plugin completes the rest.
func Args(process []string) []string {
	if len(process) == 0 {
		return nil
	}
	program := strings.TrimSuffix(filepath.Base(process[0]), ".exe")
	if program == Name {
		return append([]string{cobra.ShellCompRequestCmd}, process[1:]...)
	}
	return process[1:]
}

// NewCommand returns the verb with a subcommand for each shell, and install.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion",
		Short: "Make the shell complete kubectl pyflow",
		Long: `Make the shell complete kubectl pyflow.

The completion of kubectl has to be set up, see "kubectl completion --help". kubectl
runs kubectl_complete-pyflow for the completions of this plugin, which "completion
install" links to it. The scripts of the other subcommands complete the word
kubectl-pyflow.`,
		Example: `  # Complete "kubectl pyflow <Tab>"
  kubectl pyflow completion install`,
	}
	usage.Parent(cmd)
	cmd.AddCommand(newInstallCommand(streams))
	for _, shell := range []struct {
		name     string
		generate func(*cobra.Command) error
	}{
		{"bash", func(root *cobra.Command) error { return root.GenBashCompletionV2(streams.Out, true) }},
		{"zsh", func(root *cobra.Command) error { return root.GenZshCompletion(streams.Out) }},
		{"fish", func(root *cobra.Command) error { return root.GenFishCompletion(streams.Out, true) }},
		{"powershell", func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(streams.Out) }},
	} {
		cmd.AddCommand(&cobra.Command{
			Use:     shell.name,
			Short:   "Print the script for " + shell.name,
			Long:    "Print the script that makes " + shell.name + " complete kubectl-pyflow.",
			Example: "  # Print the script\n  kubectl-pyflow completion " + shell.name,
			Args:    cobra.NoArgs,
			RunE:    func(cmd *cobra.Command, _ []string) error { return shell.generate(cmd.Root()) },
		})
	}
	return cmd
}

func newInstallCommand(streams genericiooptions.IOStreams) *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Link kubectl_complete-pyflow to the plugin",
		Long: `Link kubectl_complete-pyflow to the plugin, so that kubectl completes it.

The link is put beside the plugin, or into another directory of PATH. On Windows it
is a copy, which has to be made again after an upgrade.`,
		Example: `  # Beside the plugin
  kubectl pyflow completion install

  # Into another directory of PATH
  kubectl pyflow completion install --dir ~/.local/bin`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find the plugin: %w", err)
			}
			beside := besideOf(program, filepath.SplitList(os.Getenv("PATH")))
			if dir == "" {
				dir = filepath.Dir(beside)
			} else if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				return option.Usagef("--dir is a directory, not %q", dir)
			}
			path, done, err := install(beside, dir, runtime.GOOS)
			if err != nil {
				return fmt.Errorf("install the completion: %w", err)
			}
			fmt.Fprintln(streams.ErrOut, done)
			_, err = fmt.Fprintln(streams.Out, path)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "Directory of PATH for the link (default: the plugin's)")
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

// besideOf returns the name under which the shell finds program: krew links it into a
// directory of PATH, and keeps it elsewhere.
func besideOf(program string, path []string) string {
	resolved, err := filepath.EvalSymlinks(program)
	if err != nil {
		return program
	}
	for _, dir := range path {
		candidate := filepath.Join(dir, filepath.Base(program))
		if target, err := filepath.EvalSymlinks(candidate); err == nil && target == resolved {
			return candidate
		}
	}
	return program
}

// install makes the link, or on Windows the copy, to program in dir. It returns its
// path and what was done. What already completes this plugin is left or replaced, a
// file of another program is ErrExists.
func install(program, dir, system string) (path, done string, err error) {
	path = filepath.Join(dir, Name)
	if system == "windows" {
		path += ".exe"
		content, err := os.ReadFile(program)
		if err != nil {
			return "", "", err
		}
		if err := os.WriteFile(path, content, 0o755); err != nil { //nolint:gosec // a program
			return "", "", err
		}
		return path, "Copied " + program + " to " + path, nil
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode()&fs.ModeSymlink == 0:
		return "", "", fmt.Errorf("%s: %w", path, ErrExists)
	case err == nil:
		target, err := os.Readlink(path)
		if err != nil {
			return "", "", err
		}
		if target == program {
			return path, path + " already links to " + program, nil
		}
		if filepath.Base(target) != filepath.Base(program) {
			return "", "", fmt.Errorf("%s: %w", path, ErrExists)
		}
		if err := os.Remove(path); err != nil {
			return "", "", err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return "", "", err
	}
	if err := os.Symlink(program, path); err != nil {
		return "", "", err
	}
	return path, "Linked " + path + " to " + program, nil
}
