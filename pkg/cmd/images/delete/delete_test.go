package delete

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/cmdtest"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

func removals() []images.Removal {
	repository := &images.Repository{Namespace: "team", App: "shop"}
	manifest := func(digit string, tags ...string) *images.Manifest {
		return &images.Manifest{Manifest: &registry.Manifest{Digest: cmdtest.Digest(digit)}, Tags: tags}
	}
	return []images.Removal{
		{Repository: repository, Manifest: manifest("a", "new", "latest")},
		{Repository: repository, Manifest: manifest("b", "one", "two"), Tag: "one"},
		{Repository: repository, Manifest: manifest("c"), Parts: []*images.Manifest{manifest("d")}},
	}
}

func TestConfirm(t *testing.T) {
	answer := func(text string) func(context.Context, string) (string, error) {
		return func(_ context.Context, prompt string) (string, error) {
			if prompt != "Delete 2 images and 1 tag? Type yes to continue: " {
				t.Errorf("asks %q", prompt)
			}
			return text, nil
		}
	}
	shown := "image shop@" + cmdtest.Digest("a") + " goes with the tags new, latest\n" +
		"tag shop:one goes; the image sha256:bbbbbbbbbbbb stays with the tags two\n" +
		"image shop@" + cmdtest.Digest("c") + " goes with the tags <none> and 1 part of it\n"
	for name, test := range map[string]struct {
		options Options
		err     error
		shown   string
	}{
		"yes":         {Options{Ask: answer("yes")}, nil, shown},
		"no":          {Options{Ask: answer("y")}, ErrDeclined, shown},
		"no terminal": {Options{}, ErrNotInteractive, shown},
		"--yes":       {Options{Yes: true}, nil, ""},
		"dry run":     {Options{DryRun: true, Ask: answer("no")}, errDryRun, ""},
	} {
		var errOut bytes.Buffer
		test.options.Streams = genericiooptions.IOStreams{ErrOut: &errOut}
		if err := test.options.confirm(t.Context(), removals()); !errors.Is(err, test.err) || errOut.String() != test.shown {
			t.Errorf("%s: error %v, shown\n%s", name, err, errOut.String())
		}
	}
}

func TestPrint(t *testing.T) {
	for want, options := range map[string]Options{
		"image \"shop@" + cmdtest.Digest("a") + "\" deleted (dry run)\ntag \"shop:one\" deleted (dry run)\nimage \"shop@" + cmdtest.Digest("c") + "\" deleted (dry run)\n": {},
		"shop@" + cmdtest.Digest("a") + "\nshop:one\nshop@" + cmdtest.Digest("c") + "\n": {
			Names: true,
		},
	} {
		var out bytes.Buffer
		options.Streams = genericiooptions.IOStreams{Out: &out}
		if err := options.print(removals(), " (dry run)"); err != nil || out.String() != want {
			t.Errorf("got %q, want %q, error %v", out.String(), want, err)
		}
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                         "",
		"shop":                     `"shop" names no image: write shop:TAG or shop@DIGEST`,
		"shop:":                    "no tag after the colon",
		cmdtest.Digest("a"):        "names no app",
		"shop:a -o json":           `--output is name, not "json"`,
		"shop:a --dry-run=server":  `invalid argument "server"`,
		"shop@sha256:nothex":       "is not a digest",
		"registry/team/shop:a --y": "unknown flag: --y",
	} {
		cmd := NewCommand(genericclioptions.NewConfigFlags(true), genericiooptions.NewTestIOStreamsDiscard())
		cmd.SetArgs(strings.Fields(args))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", args, err, want)
		}
	}
}
