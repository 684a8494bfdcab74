package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// checkoutAdvice is what to do about a Dockerfile of a repository that the engine builds
// differently.
const checkoutAdvice = "build a checkout, where the Dockerfile is checked before the upload, and rewritten: kubectl pyflow build DIR"

// errUnread means that a repository's Dockerfile could not be read.
var errUnread = errors.New("the Dockerfile of the repository cannot be checked: it is a link, has more than 64 KiB, or cannot be parsed")

// repositoryCheck returns the check of the Dockerfile of a repository, for a run of this build.
func repositoryCheck(p *Prepared) func(context.Context, *dockerfile.Dockerfile) error {
	o, config, client := p.options, p.env.Config, p.env.Clients.Kube
	return func(ctx context.Context, parsed *dockerfile.Dockerfile) error {
		return checkRepository(parsed, engine.Source{
			BuildArgs: slices.Concat(config.BuildArgs, o.BuildArgs), Targets: []string{o.Target},
			Workdir: func(image string) (string, error) { return baseWorkdir(ctx, image, config.ImageMirrors) },
		}, func() []string { return platforms(ctx, client, o.Resources.NodeSelector) })
	}
}

// checkRepository checks a Dockerfile that is known only since it was fetched. Nothing is
// rewritten there, so what needs a rewrite is an error as well: an *UnsupportedError. nodes
// returns the platforms of the nodes that may run the build; it may be nil.
func checkRepository(parsed *dockerfile.Dockerfile, source engine.Source, nodes func() []string) error {
	if parsed == nil {
		return errUnread
	}
	source.Dockerfile, source.Platforms = parsed.WithBuildArgs(source.BuildArgs), nodes
	found, err := installed.Engine().Check(installed.Version(), source)
	if err != nil {
		return err
	}
	remarks := slices.Concat(found.Refusals, found.Rewrites)
	if found.Platform != "" && (nodes == nil || !slices.Equal(nodes(), []string{found.Platform})) {
		remarks = append(remarks, engine.Remark{
			Text: "FROM --platform=" + found.Platform, Message: "the node was chosen before the Dockerfile was known",
			Remedy: "choose the node: --node-selector kubernetes.io/arch=" + strings.TrimPrefix(found.Platform, "linux/"),
		})
	}
	if len(remarks) == 0 {
		return nil
	}
	slices.SortStableFunc(remarks, func(a, b engine.Remark) int { return a.Line - b.Line })
	return &UnsupportedError{Dockerfile: parsed.Path, Engine: installed.Engine().Name(), Refusals: remarks}
}

// unfaithful reports what a check found, a line for each instruction, and returns the failure of
// a run that must not build it; nil if the check found nothing.
func unfaithful(recorder *track.Recorder, err error) error {
	if err == nil {
		return nil
	}
	failure := &event.Failure{Message: err.Error(), Reason: "DockerfileUnsupported", Advice: checkoutAdvice, Terminal: true, Cause: err}
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		for _, refusal := range unsupported.Refusals {
			recorder.Warn(line(unsupported.Dockerfile, refusal))
		}
		failure.Message = fmt.Sprintf("%s: %s cannot build it as it is written, and that of a repository is not rewritten: see the warnings above", unsupported.Dockerfile, unsupported.Engine)
	}
	return failure
}

// line returns what is said about an instruction, with what to write instead, in one line.
func line(file string, remark engine.Remark) string {
	text := fmt.Sprintf("%s:%d: %s: %s", file, remark.Line, oneLine(remark.Text), remark.Message)
	if remark.Remedy != "" {
		text += "; " + remark.Remedy
	}
	return text
}
