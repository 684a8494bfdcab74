// Package usage makes the command tree strict and its help uniform: a wrong command
// line is a usage error with a suggestion, and every help ends with the page to read,
// the environment and the exit codes.
package usage

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
)

// maxDistance is how many letters a suggestion may differ in.
const maxDistance = 2

// MissingArgumentError reports a command that lacks an argument.
type MissingArgumentError struct {
	// Command is the use line, such as "kubectl pyflow cancel APP|RUN...".
	Command string
	// Argument is its first argument, such as "APP|RUN".
	Argument string
}

func (e *MissingArgumentError) Error() string {
	return fmt.Sprintf("missing argument %s: %s", e.Argument, e.Command)
}

// Strict makes every wrong use of a command in the tree an option.UsageError. It
// replaces the argument checks, so it has to come after all commands are added.
func Strict(root *cobra.Command) {
	root.SetFlagErrorFunc(flagError)
	Walk(root, func(cmd *cobra.Command) {
		cmd.InitDefaultHelpFlag()
		cmd.Flags().Lookup("help").Usage = "Print this help"
		if check := cmd.Args; check != nil {
			cmd.Args = func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, args, check) }
		}
	})
	root.Args = knownVerb
}

// Walk calls visit for cmd and every command below it.
func Walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		Walk(child, visit)
	}
}

// Parent makes cmd, which only has subcommands, print its help without arguments and
// fail for an unknown one.
func Parent(cmd *cobra.Command) {
	cmd.Args = knownVerb
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// knownVerb rejects arguments, which can only be a misspelled subcommand.
func knownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	next := DidYouMean(Verbs(cmd, args[0]))
	if next == "" && cmd.HasParent() {
		var names []string
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() {
				names = append(names, child.Name())
			}
		}
		next = "; its commands are " + strings.Join(names, ", ")
	}
	return option.Usagef("unknown command %q for %q%s", args[0], cmd.CommandPath(), next)
}

// Verbs returns the subcommands of cmd that name may mean.
func Verbs(cmd *cobra.Command, name string) []string {
	cmd.SuggestionsMinimumDistance = maxDistance
	return cmd.SuggestionsFor(name)
}

// DidYouMean is the end of an error message: empty without suggestions.
func DidYouMean(suggestions []string) string {
	if len(suggestions) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(suggestions, " or ") + "?"
}

// checkArgs rewords the errors of cobra's checks.
func checkArgs(cmd *cobra.Command, args []string, check cobra.PositionalArgs) error {
	err := check(cmd, args)
	var usage *option.UsageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	for n := len(args) - 1; n >= 0; n-- {
		if check(cmd, args[:n]) != nil {
			continue
		}
		if n == 0 {
			return option.Usagef("%s takes no arguments, not %q", cmd.CommandPath(), args[0])
		}
		return option.Usagef("unexpected argument %q: %s takes one", args[n], cmd.CommandPath())
	}
	arguments, _ := strings.CutPrefix(cmd.Use, cmd.Name()+" ")
	first, _, _ := strings.Cut(arguments, " ")
	return option.Usage(&MissingArgumentError{Command: cmd.CommandPath() + " " + arguments, Argument: strings.TrimSuffix(first, "...")})
}

// exclusive are the flags in cobra's error about flags that exclude each other.
var exclusive = regexp.MustCompile(`none of the others can be; \[(.*)\] were all set`)

// CheckFlags checks the required and the mutually exclusive flags of cmd, as cobra
// does after its hooks have run.
func CheckFlags(cmd *cobra.Command) error {
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return option.Usage(err)
	}
	err := cmd.ValidateFlagGroups()
	if err == nil {
		return nil
	}
	if match := exclusive.FindStringSubmatch(err.Error()); match != nil {
		return option.Usagef("--%s exclude each other", strings.Join(strings.Fields(match[1]), " and --"))
	}
	return option.Usage(err)
}

// flagError rewords the errors of the flag set, and suggests a flag for an unknown one.
func flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		invalid *pflag.InvalidValueError
		oneOf   *option.OneOfError
	)
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		return option.Usagef("unknown flag: --%s%s", unknown.GetSpecifiedName(), DidYouMean(flags(cmd, unknown.GetSpecifiedName())))
	case errors.As(err, &oneOf) && errors.As(err, &invalid):
		return option.Usagef("--%s %w", invalid.GetFlag().Name, oneOf)
	case errors.As(err, &invalid):
		return option.Usagef("--%s is %s, not %q", invalid.GetFlag().Name, kind(invalid.GetFlag().Value.Type()), invalid.GetValue())
	}
	return option.Usage(err)
}

// kind describes the values of a type of flag.
func kind(name string) string {
	switch name {
	case "bool":
		return "true or false"
	case "duration":
		return "a duration such as 90s or 5m"
	case "int", "int32", "int64":
		return "a number"
	}
	return "a " + name
}

// renamed returns the present names of flags that had another name.
func renamed() map[string]string { return map[string]string{"app": "entrypoint"} }

// flags returns the flags of cmd that name may mean.
func flags(cmd *cobra.Command, name string) []string {
	if present := renamed()[name]; cmd.Flags().Lookup(present) != nil {
		return []string{"--" + present}
	}
	var found []string
	best := maxDistance
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		distance := levenshtein.Distance(name, flag.Name, nil)
		if flag.Hidden || distance > best || distance >= len(flag.Name) {
			return
		}
		if distance < best {
			best, found = distance, nil
		}
		found = append(found, "--"+flag.Name)
	})
	slices.Sort(found)
	return found
}
