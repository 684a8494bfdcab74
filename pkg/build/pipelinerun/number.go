package pipelinerun

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
)

// NumberedName returns the name of a run of an app. What it delivers is the release of the same
// number.
func NumberedName(app string, number int) string { return fmt.Sprintf("%s-%d", app, number) }

// NumberOf returns the number in the name of a run of an app; 0 if it has none.
func NumberOf(app, name string) int {
	digits, ok := strings.CutPrefix(name, app+"-")
	number, err := strconv.Atoi(digits)
	if !ok || err != nil || number < 1 || NumberedName(app, number) != name {
		return 0
	}
	return number
}

// LastNumber returns the greatest number of the runs of an app; 0 if none has one.
func LastNumber(ctx context.Context, client versioned.Interface, namespace, app string) (int, error) {
	last := 0
	err := Each(ctx, client, namespace, app, func(run *tektonv1.PipelineRun) {
		last = max(last, NumberOf(app, run.Name))
	})
	if err != nil {
		return 0, fmt.Errorf("list pipelineruns: %w", err)
	}
	return last, nil
}

// Numbered returns the spec as that of the run of this number: with its name, and with the
// number of the release that it delivers.
func Numbered(spec Spec, number int) Spec { return spec.numbered(number) }

func (m Meta) withNumber(number int) Meta {
	m.Name, m.Number = NumberedName(m.App, number), number
	return m
}

func (b Build) numbered(number int) Spec {
	b.Meta = b.withNumber(number)
	return b
}

func (d Deploy) numbered(number int) Spec {
	d.Meta = d.withNumber(number)
	return d
}

// Renumber makes a run of Rerun that of this number, with what the record of its release says.
func Renumber(run *tektonv1.PipelineRun, app string, number int, record string) {
	old := run.Name
	run.Name = NumberedName(app, number)
	run.Spec.Params = slices.DeleteFunc(run.Spec.Params, func(p tektonv1.Param) bool {
		return p.Name == paramRelease || p.Name == paramRecord
	})
	for i := range run.Spec.Params {
		if p := &run.Spec.Params[i]; p.Name == paramTag && p.Value.StringVal == old {
			p.Value = *tektonv1.NewStructuredValues(run.Name)
		}
	}
	run.Spec.Params = append(run.Spec.Params, param(paramRelease, strconv.Itoa(number)), param(paramRecord, record))
}

// Adopt lets a run of Rerun take over objects that are not the app's, and fields of other
// managers. Rerun itself does not repeat that.
func Adopt(run *tektonv1.PipelineRun) {
	run.Spec.Params = append(run.Spec.Params, param(paramAdopt, "true"))
}

// Record returns what the record of the release of a run says, a JSON object; empty if there is
// none.
func Record(run *tektonv1.PipelineRun) string { return text(run, paramRecord) }
