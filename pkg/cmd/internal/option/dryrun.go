package option

import (
	"slices"

	"github.com/spf13/cobra"
)

// DryRunStrategy is how much of a command is done.
type DryRunStrategy string

// The strategies of kubectl.
const (
	// DryRunNone makes the changes.
	DryRunNone DryRunStrategy = "none"
	// DryRunClient prints what would change and sends nothing.
	DryRunClient DryRunStrategy = "client"
	// DryRunServer lets the API server check the changes and persist nothing.
	DryRunServer DryRunStrategy = "server"
)

// DryRun is the flag group of --dry-run. The zero value makes the changes.
type DryRun struct {
	strategy DryRunStrategy
	allowed  []string
}

// AddFlag adds --dry-run to cmd. The bare flag means client. Beside none and client
// the flag accepts the other strategies that the verb supports.
func (d *DryRun) AddFlag(cmd *cobra.Command, usage string, others ...DryRunStrategy) {
	d.allowed = []string{string(DryRunNone), string(DryRunClient)}
	for _, other := range others {
		d.allowed = append(d.allowed, string(other))
	}
	flag := cmd.Flags().VarPF(d, "dry-run", "", usage)
	flag.NoOptDefVal = string(DryRunClient)
	_ = cmd.RegisterFlagCompletionFunc("dry-run", cobra.FixedCompletions(d.allowed, cobra.ShellCompDirectiveNoFileComp))
}

// Strategy returns what --dry-run asks for.
func (d *DryRun) Strategy() DryRunStrategy {
	if d.strategy == "" {
		return DryRunNone
	}
	return d.strategy
}

// Enabled reports whether nothing is to change.
func (d *DryRun) Enabled() bool { return d.Strategy() != DryRunNone }

// String returns the value, for the flag set.
func (d *DryRun) String() string { return string(d.Strategy()) }

// Set takes a value of the command line. It returns a *OneOfError for one that the
// verb does not support.
func (d *DryRun) Set(value string) error {
	if d.allowed != nil && !slices.Contains(d.allowed, value) {
		return &OneOfError{value, d.allowed}
	}
	d.strategy = DryRunStrategy(value)
	return nil
}

// Type names the value in help.
func (d *DryRun) Type() string { return "string" }
