package usage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
)

// repository is where the pages are that help links to.
const repository = "https://github.com/pyflow-dev/kubectl-pyflow/blob/main/"

const (
	pageAnnotation        = "pyflow.dev/page"
	environmentAnnotation = "pyflow.dev/environment"
	placeAnnotation       = "pyflow.dev/place"

	exitCodes = "0 success, 1 failure, 2 wrong usage, 130 interrupted"

	// width is the column that the help of flags is wrapped at.
	width = 100
)

// Describe names the page that explains cmd, as a file of the repository, and the environment variables
// that it reads. Subcommands have both from their parent unless they have their own.
func Describe(cmd *cobra.Command, page string, environment ...string) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[pageAnnotation] = page
	cmd.Annotations[environmentAnnotation] = strings.Join(environment, ", ")
}

// Place puts cmd at a position among the commands of its group. Help lists commands
// without a place first, by name.
func Place(cmd *cobra.Command, position int) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[placeAnnotation] = fmt.Sprintf("%03d", position)
}

// Page returns the file of the repository that explains cmd; empty if there is none.
func Page(cmd *cobra.Command) string { return annotation(cmd, pageAnnotation) }

func annotation(cmd *cobra.Command, name string) string {
	for ; cmd != nil; cmd = cmd.Parent() {
		if value, ok := cmd.Annotations[name]; ok {
			return value
		}
	}
	return ""
}

// Help sets the help of root and of all below it: the flags that every command takes
// are behind the command options, and each help ends with what Describe named.
func Help(root *cobra.Command) {
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := fmt.Fprint(cmd.OutOrStderr(), body(cmd))
		return err
	})
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		text := strings.TrimSpace(cmd.Long)
		if text == "" {
			text = cmd.Short
		}
		fmt.Fprint(cmd.OutOrStdout(), text+"\n\n"+body(cmd))
	})
	root.SetHelpCommand(helpCommand())
	root.AddCommand(optionsCommand())
}

// body is the help after the description.
func body(cmd *cobra.Command) string {
	var sections []string
	section := func(title, text string) {
		if text = strings.TrimRight(text, " \n"); text != "" {
			sections = append(sections, title+":\n"+text)
		}
	}
	section("Usage", useLines(cmd))
	section("Examples", cmd.Example)
	commands(cmd, section)
	if cmd.HasParent() {
		section("Flags", cmd.LocalNonPersistentFlags().FlagUsagesWrapped(width))
	}
	return strings.Join(append(sections, closing(cmd)), "\n\n") + "\n"
}

func useLines(cmd *cobra.Command) string {
	var lines []string
	if cmd.Runnable() && cmd.HasParent() {
		lines = append(lines, "  "+cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		lines = append(lines, "  "+cmd.CommandPath()+" [command]")
	}
	return strings.Join(lines, "\n")
}

// commands lists the subcommands by group.
func commands(cmd *cobra.Command, section func(title, text string)) {
	children := slices.SortedStableFunc(slices.Values(cmd.Commands()), func(a, b *cobra.Command) int {
		return strings.Compare(a.Annotations[placeAnnotation], b.Annotations[placeAnnotation])
	})
	list := func(group string) string {
		var text strings.Builder
		for _, child := range children {
			if child.GroupID == group && (child.IsAvailableCommand() || child.Name() == "help") {
				fmt.Fprintf(&text, "  %-*s %s\n", cmd.NamePadding()+1, child.Name(), child.Short)
			}
		}
		return text.String()
	}
	for _, group := range cmd.Groups() {
		section(group.Title, list(group.ID))
	}
	title := "Commands"
	if len(cmd.Groups()) > 0 {
		title = "Other commands"
	}
	section(title, list(""))
}

func closing(cmd *cobra.Command) string {
	var lines []string
	if cmd.HasAvailableSubCommands() {
		lines = append(lines, fmt.Sprintf("Run %q for the help of a command.", cmd.CommandPath()+" [command] --help"))
	}
	if cmd.Name() != "options" {
		lines = append(lines, fmt.Sprintf("Run %q for the flags that every command takes.", cmd.Root().CommandPath()+" options"))
	}
	if page := Page(cmd); page != "" {
		lines = append(lines, "Learn more: "+repository+page)
	}
	if environment := annotation(cmd, environmentAnnotation); environment != "" {
		lines = append(lines, "Environment: "+environment)
	}
	return strings.Join(append(lines, "Exit codes: "+exitCodes), "\n")
}

// optionsCommand prints the flags that every command takes.
func optionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "options",
		Short:   "List the flags that every command takes",
		Long:    "List the flags that every command takes.",
		Example: "  # List them\n  kubectl pyflow options",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), "Every command takes these flags:\n\n"+cmd.InheritedFlags().FlagUsagesWrapped(width))
			return err
		},
	}
	Describe(cmd, "docs/output.md", "KUBECONFIG")
	return cmd
}

// helpCommand is cobra's, but fails for a topic that does not exist.
func helpCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Print the help of a command",
		Long:    "Print the help of a command.",
		Example: "  # The help of a command and of one of its subcommands\n  kubectl pyflow help build\n  kubectl pyflow help images prune",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			parent, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, child := range parent.Commands() {
				if child.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(child.Name(), child.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found := cmd.Root()
			for _, name := range args {
				next := slices.IndexFunc(found.Commands(), func(child *cobra.Command) bool { return child.Name() == name })
				if next < 0 {
					return option.Usagef("unknown help topic %q%s", strings.Join(args, " "), DidYouMean(Verbs(found, name)))
				}
				found = found.Commands()[next]
			}
			found.InitDefaultHelpFlag()
			found.InitDefaultVersionFlag()
			return found.Help()
		},
	}
	Describe(cmd, "docs/output.md")
	return cmd
}
