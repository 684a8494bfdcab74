package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/usage"
)

// firstSentence is a capitalized verb with what it acts on, at the start of a help.
var firstSentence = regexp.MustCompile(`^[A-Z][a-z-]+ [^.]+\.(\s|$)`)

// banned matches the phrases that help does not use: those of the whole project, and some more.
func banned(t *testing.T) *regexp.Regexp {
	t.Helper()
	list, err := os.ReadFile("../../hack/verify/words.txt")
	if err != nil {
		t.Fatal(err)
	}
	phrases := []string{`deliver\w*`, "logins?"}
	for line := range strings.Lines(string(list)) {
		if phrase, _, ok := strings.Cut(line, "\t"); ok && !strings.HasPrefix(line, "#") {
			phrases = append(phrases, phrase)
		}
	}
	return regexp.MustCompile(`(?i)\b(` + strings.Join(phrases, "|") + `)\b`)
}

// named are the names of a Secret and of a stage, which hold banned words.
var named = regexp.MustCompile(`\bgit-login\b|, deliver$`)

func TestHelp(t *testing.T) {
	phrases := banned(t)
	root := New(genericiooptions.NewTestIOStreamsDiscard())
	usage.Walk(root, func(cmd *cobra.Command) {
		name := cmd.CommandPath()
		if page := usage.Page(cmd); page == "" {
			t.Errorf("%s has no page", name)
		} else if _, err := os.Stat(filepath.Join("..", "..", page)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.HasPrefix(cmd.Example, "  # ") {
			t.Errorf("%s has no example with a comment", name)
		}
		if !firstSentence.MatchString(cmd.Long) {
			t.Errorf("%s: the help does not open with a sentence: %.80q", name, cmd.Long)
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the summary is empty or ends with a period: %q", name, cmd.Short)
		}
		if cmd.HasParent() && cmd.Parent() == root && cmd.GroupID == "" && cmd.Name() != "help" && cmd.Name() != "options" {
			t.Errorf("%s is in no group", name)
		}
		text := cmd.Short + "\n" + cmd.Long + "\n" + cmd.Example
		cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) { text += "\n--" + flag.Name + ": " + flag.Usage })
		for line := range strings.SplitSeq(text, "\n") {
			if phrase := phrases.FindString(named.ReplaceAllString(line, "")); phrase != "" {
				t.Errorf("%s: %q in the help: %s", name, phrase, strings.TrimSpace(line))
			}
		}
	})
}

// Root lists the verbs of a group in the order of use.
func TestHelpOrder(t *testing.T) {
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	if code := Run(t.Context(), streams, nil); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	var got []string
	for _, match := range regexp.MustCompile(`(?m)^  ([a-z]+) +[A-Z]`).FindAllStringSubmatch(out.String(), -1) {
		got = append(got, match[1])
	}
	want := "setup init build rerun rollback promote cancel compare apps open logs shell env scale restart delete status runs history ui images lint gather teardown version completion help options"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The help of every command ends with what scripts and readers look for.
func TestHelpEnds(t *testing.T) {
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	if code := Run(t.Context(), streams, []string{"images", "prune", "--help"}); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	want := `Run "kubectl pyflow options" for the flags that every command takes.
Learn more: https://github.com/pyflow-dev/kubectl-pyflow/blob/main/docs/images.md
Environment: KUBECONFIG, TERM
Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted
`
	if !strings.HasSuffix(out.String(), want) || strings.Contains(out.String(), "--kubeconfig") {
		t.Errorf("got\n%s\nwant the end\n%s", out, want)
	}
}
