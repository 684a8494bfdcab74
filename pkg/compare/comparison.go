// Package compare measures the images that different Dockerfiles make of one
// service.
package compare

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

// What a Comparison says it is.
const (
	Kind       = "ImageComparison"
	APIVersion = "pyflow.dev/v1"
)

// Comparison is what was measured of the variants of one app. Its JSON form is
// documented in docs/compare.md.
type Comparison struct {
	metav1.TypeMeta `json:",inline"`
	Namespace       string `json:"namespace"`
	App             string `json:"app"`
	// Changed is the file that the change of code was made to.
	Changed string `json:"changed"`
	// Variants are in the order in which they were measured.
	Variants []Variant `json:"variants"`
	// Notes say which variants cannot be made of the project, and why.
	Notes []string `json:"notes"`
}

// Variant is one image. What could not be measured is zero, or nil, and Error says
// why.
type Variant struct {
	Name string `json:"name"`
	// Digest is the image's, sha256:<hex>.
	Digest string `json:"digest"`
	// CompressedBytes, UnpackedBytes, User and Root are as inspect.Analysis has them,
	// Layers is their number, Packages are the three largest.
	CompressedBytes int64             `json:"compressedBytes"`
	UnpackedBytes   int64             `json:"unpackedBytes"`
	Layers          int               `json:"layers"`
	User            string            `json:"user"`
	Root            bool              `json:"root"`
	Packages        []inspect.Package `json:"packages"`
	// ColdSeconds is how long the build engine took with nothing cached, and
	// ChangeSeconds after a change of code with the cache of that build.
	ColdSeconds   *float64 `json:"coldSeconds"`
	ChangeSeconds *float64 `json:"changeSeconds"`
	// StartSeconds is from the start of the program to its first answer by HTTP: the
	// median of Starts.
	StartSeconds *float64  `json:"startSeconds"`
	Starts       []float64 `json:"starts"`
	// Error says in one line what has failed; empty when all was measured.
	Error string `json:"error"`
}

var _ runtime.Object = (*Comparison)(nil)

// DeepCopyObject makes Comparison an object that the printers of kubectl take.
func (c *Comparison) DeepCopyObject() runtime.Object {
	deep := *c
	deep.Notes, deep.Variants = slices.Clone(c.Notes), slices.Clone(c.Variants)
	for i := range deep.Variants {
		v := &deep.Variants[i]
		v.Packages, v.Starts = slices.Clone(v.Packages), slices.Clone(v.Starts)
		for _, number := range []**float64{&v.ColdSeconds, &v.ChangeSeconds, &v.StartSeconds} {
			if *number != nil {
				*number = new(**number)
			}
		}
	}
	return &deep
}

// Failed are the variants of which something could not be measured.
func (c *Comparison) Failed() []Variant {
	return slices.DeleteFunc(slices.Clone(c.Variants), func(v Variant) bool { return v.Error == "" })
}

// largest is how many packages of an image are named.
const largest = 3

// take fills in what an analysis says.
func (v *Variant) take(analysis *inspect.Analysis) {
	v.CompressedBytes, v.UnpackedBytes, v.Layers = analysis.CompressedBytes, analysis.UnpackedBytes, len(analysis.Layers)
	v.User, v.Root = analysis.User, analysis.Root
	v.Packages = slices.Clone(analysis.Packages[:min(largest, len(analysis.Packages))])
}

// seconds is a duration in hundredths: nothing is measured in more detail.
func seconds(d time.Duration) *float64 {
	return new(d.Round(10 * time.Millisecond).Seconds())
}

// median of numbers, of which there is at least one.
func median(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// VariantError says that a variant could not be measured.
type VariantError struct {
	Name string
	// Total is how many variants there are, and Failed how many have failed.
	Failed, Total int
	Err           error
}

func (e *VariantError) Error() string {
	if e.Failed > 1 {
		return fmt.Sprintf("%d of %d variants could not be measured; the first is %s: %v", e.Failed, e.Total, e.Name, e.Err)
	}
	return fmt.Sprintf("variant %s could not be measured: %v", e.Name, e.Err)
}

// Unwrap is what has failed.
func (e *VariantError) Unwrap() error { return e.Err }

// All measures candidates in their order, and goes on after one that fails: the error
// is a *VariantError then. It ends early when ctx does.
func All(ctx context.Context, bench *Bench, candidates []Candidate) (*Comparison, error) {
	comparison := &Comparison{
		TypeMeta:  metav1.TypeMeta{Kind: Kind, APIVersion: APIVersion},
		Namespace: bench.Namespace, App: bench.App, Changed: bench.Changed,
		Variants: []Variant{}, Notes: []string{},
	}
	var failure *VariantError
	for _, candidate := range candidates {
		variant, err := bench.Measure(ctx, candidate)
		if ctx.Err() != nil {
			return comparison, context.Cause(ctx)
		}
		if err != nil {
			variant.Error = strings.Join(strings.Fields(err.Error()), " ")
			if failure == nil {
				failure = &VariantError{Name: candidate.Name, Total: len(candidates), Err: err}
			}
			failure.Failed++
		}
		comparison.Variants = append(comparison.Variants, variant)
	}
	if failure != nil {
		return comparison, failure
	}
	return comparison, nil
}
