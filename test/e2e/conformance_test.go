//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/test/conformance"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

// allCases is the variable that adds the cases which are not in the fast selection.
const allCases = "PYFLOW_CONFORMANCE"

// failureLines is how much of what a build printed that failed is shown.
const failureLines = 25

// TestConformance builds the cases of test/conformance and compares their images with
// those of BuildKit. At the end it prints a table.
func TestConformance(t *testing.T) {
	t.Parallel()
	cases, err := conformance.Cases(env.Root("test", "conformance", "testdata"))
	env.Check(t, err)
	byName := map[string]*conformance.Case{}
	for _, c := range cases {
		byName[c.Name] = c
	}
	if os.Getenv(allCases) == "" {
		cases = slices.DeleteFunc(cases, func(c *conformance.Case) bool { return !c.Fast })
	}
	ns := env.Namespace(t)
	table := verdicts{}
	t.Run("case", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				conforms(t, ns, c, byName[c.After], &table)
			})
		}
	})
	t.Logf("conformance:\n%s", table.String())
}

// verdicts are the rows of the table.
type verdicts struct {
	mu   sync.Mutex
	rows []string
}

func (v *verdicts) add(c *conformance.Case, verdict string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rows = append(v.rows, fmt.Sprintf("  %-28s %s\n", c.Name, verdict))
}

// String returns the rows, sorted.
func (v *verdicts) String() string {
	slices.Sort(v.rows)
	return strings.Join(v.rows, "")
}

// conforms builds one case and judges what came out. before is the case to build first,
// or nil.
func conforms(t *testing.T, ns *env.NS, c, before *conformance.Case, table *verdicts) {
	if !c.Recorded() {
		t.Errorf("the case has changed: make conformance-record")
	}
	args := arguments(t, c, c.Name)
	verdict := "deviates"
	defer func() { table.add(c, verdict) }()
	switch {
	case len(c.Refused) > 0:
		ns.Build(t, args...).Failed(t, c.Refused...)
		if runs := len(ns.RunsOf(t, c.Name)); runs > 0 {
			t.Errorf("there are %d runs of a build that is refused", runs)
		}
		if !t.Failed() {
			verdict = "refused"
		}
		return
	case c.Broken || len(c.Fails) > 0:
		if r := ns.Build(t, args...); r.Code == 0 {
			t.Errorf("the build should fail\n%s", r)
		} else if text := r.Stdout + r.Stderr; !containsAll(text, c.Fails) {
			t.Errorf("the build should fail with %q\n%s", c.Fails, r)
		} else {
			verdict = "ok (fails)"
		}
		return
	}
	if before != nil {
		ns.Build(t, arguments(t, before, c.Name)...).Succeeded(t)
	}
	difference, built := differs(t, ns, c, args)
	if c.Again && difference == "" {
		difference, built = differs(t, ns, c, append(args, "--force"))
	}
	switch {
	case !built:
		t.Error(difference)
	case difference == "" && c.Deviates == "":
		verdict = "ok"
	case difference == "":
		t.Errorf("the image is right: it no longer deviates (%s)", c.Deviates)
	case c.Deviates != "":
		verdict = "deviates: " + c.Deviates
		t.Logf("known to deviate:\n%s", difference)
	default:
		t.Error(difference)
	}
}

// arguments write the folder of a case and return the arguments of its build as an app.
func arguments(t *testing.T, c *conformance.Case, app string) []string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), app)
	env.Check(t, os.Mkdir(dir, 0o755))
	env.Check(t, c.Write(dir))
	secrets, err := c.WriteSecrets(t.TempDir())
	env.Check(t, err)
	args := []string{dir, "--name", app, "--no-deploy", "--no-test", "--progress", "plain"}
	if c.File != "" {
		args = append(args, "--file", c.File)
	}
	if c.Target != "" {
		args = append(args, "--target", c.Target)
	}
	for _, arg := range c.Args {
		args = append(args, "--build-arg", arg)
	}
	for _, secret := range secrets {
		args = append(args, "--build-secret", secret)
	}
	return args
}

func containsAll(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}

// differs builds a case and returns in what its image is not the right one: what
// BuildKit has with a minus, what we have with a plus. Without an image it returns why.
func differs(t *testing.T, ns *env.NS, c *conformance.Case, args []string) (difference string, built bool) {
	t.Helper()
	r := ns.Build(t, args...)
	if r.Code != 0 {
		lines := strings.SplitAfter(r.Stderr, "\n")
		return fmt.Sprintf("%s: exit code %d\n%s", r.Line, r.Code, strings.Join(lines[max(0, len(lines)-failureLines):], "")), false
	}
	if !containsAll(r.Stderr, c.Notes) {
		return fmt.Sprintf("the build does not say %q\n%s", c.Notes, r), true
	}
	image := registrytest.Image(t, ns, c.Name, env.DigestPattern.FindString(r.Stdout))
	author := installed.Capabilities().Author
	got, err := conformance.Lines(image, func(entry v1.History) bool { return entry.Author == author }, c.Only)
	env.Check(t, err)
	if slices.Equal(c.Want, got) {
		return "", true
	}
	return "the image is not what BuildKit makes (-BuildKit +ours):\n" + lineDiff(c.Want, got), true
}

// lineDiff lists the lines that only one of two lists has.
func lineDiff(want, got []string) string {
	var text strings.Builder
	for _, line := range want {
		if !slices.Contains(got, line) {
			text.WriteString("- " + line + "\n")
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			text.WriteString("+ " + line + "\n")
		}
	}
	if text.Len() == 0 {
		return cmp.Diff(want, got)
	}
	return text.String()
}
