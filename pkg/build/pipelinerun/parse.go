package pipelinerun

import (
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Info is what the spec of a run says: what it builds and what it does with the image.
type Info struct {
	App, Namespace, Name string
	// Pipeline is the platform's Pipeline of the run; empty for a run of another one.
	Pipeline string
	// DeployOnly reports that the run deploys the image Digest and builds nothing.
	DeployOnly bool
	Digest     string
	// Deploys reports that the run deploys the image.
	Deploys bool
	// Source is the artifact with the build context, repository@digest; empty for git.
	Source string
	// Git is the folder of a repository that the run builds; nil for another source. Its
	// Secret is not known.
	Git *Git
	// Repository is where the run pushes the image, NodeRepository the same repository
	// as nodes pull it.
	Repository, NodeRepository string
	// Dockerfile is the path of the Dockerfile in the source, DockerfileText its text
	// if the run keeps it.
	Dockerfile, DockerfileText string
	// Target is the stage that becomes the image; empty means the last one.
	Target string
	// Test is nil if the run tests nothing.
	Test *Test
	// Sequence is the value of manifests.AnnotationSequence on what the run deploys;
	// empty before Create.
	Sequence string
	// Timeout bounds the run; zero is Tekton's default.
	Timeout time.Duration
	// Dirty reports that the source differed from its commit.
	Dirty bool
	// Untrusted reports that the run does not write the cache.
	Untrusted bool
}

// Parse reads what New has written. It is pure, and does not fail: what is missing
// stays empty.
func Parse(run *tektonv1.PipelineRun) Info {
	info := Info{
		App: run.Labels[manifests.LabelApp], Namespace: run.Namespace, Name: run.Name,
		Pipeline:       pipelineOf(run),
		Digest:         text(run, paramDigest),
		Deploys:        text(run, paramDeploy) != "false",
		Source:         run.Annotations[manifests.AnnotationSource],
		Repository:     text(run, paramImage),
		NodeRepository: text(run, paramNodeImage),
		Dockerfile:     text(run, paramDockerfile),
		DockerfileText: run.Annotations[manifests.AnnotationDockerfile],
		Target:         run.Annotations[manifests.AnnotationTarget],
		Sequence:       text(run, paramSequence),
		Dirty:          run.Annotations[manifests.AnnotationDirty] == "true",
		Untrusted:      run.Annotations[manifests.AnnotationTrust] == manifests.TrustUntrusted,
	}
	info.DeployOnly = info.Pipeline == manifests.DeliverPipelineName
	if url := text(run, paramURL); url != "" {
		info.Git = &Git{URL: url, Revision: text(run, paramRevision), Path: text(run, paramPath)}
	}
	if text(run, paramTest) != "" {
		info.Test = &Test{Command: list(run, paramTestCommand), Stage: run.Annotations[manifests.AnnotationTestStage]}
	}
	if timeouts := run.Spec.Timeouts; timeouts != nil && timeouts.Pipeline != nil {
		info.Timeout = timeouts.Pipeline.Duration
	}
	return info
}

// pipelineOf returns the platform's Pipeline of a run; empty for a run of another one.
func pipelineOf(run *tektonv1.PipelineRun) string {
	if run.Spec.PipelineRef == nil {
		return ""
	}
	reference := map[string]string{}
	for _, param := range run.Spec.PipelineRef.Params {
		reference[param.Name] = param.Value.StringVal
	}
	if reference["namespace"] != manifests.SystemNamespace || !slices.Contains(pipelines(), reference["name"]) {
		return ""
	}
	return reference["name"]
}

// text returns a parameter of a run, or nothing.
func text(run *tektonv1.PipelineRun, name string) string {
	for _, param := range run.Spec.Params {
		if param.Name == name {
			return param.Value.StringVal
		}
	}
	return ""
}

// list returns an array parameter of a run, or nil.
func list(run *tektonv1.PipelineRun, name string) []string {
	for _, param := range run.Spec.Params {
		if param.Name == name {
			return param.Value.ArrayVal
		}
	}
	return nil
}

// result returns a result of a run, or nothing.
func result(run *tektonv1.PipelineRun, name string) string {
	for _, result := range run.Status.Results {
		if result.Name == name {
			return strings.TrimSpace(result.Value.StringVal)
		}
	}
	return ""
}

// Outcome is what the status of a run says.
type Outcome struct {
	// Done reports that the run has ended, whatever its end was.
	Done bool
	// Succeeded reports that it ended well.
	Succeeded bool
	// Canceled reports that it ended, or is ending, because it was canceled.
	Canceled bool
	// Reason and Message are Tekton's own, of the condition Succeeded.
	Reason, Message string
	// Digest is the digest of the pushed image, sha256:<hex>; empty until it is
	// pushed. For a run that only deploys it is the digest of the image it deploys.
	Digest string
	// ImageURL is the pushed image as repository:tag[@digest].
	ImageURL string
	// Commit is the full git commit that was built; empty if it is not known.
	Commit string
	// Tested reports that the image has passed the tests of the run, also if the run
	// failed later; true for a run without tests that has an image.
	Tested bool
}

// Trim removes from a run, in place, what Parse and Verdict do not read and what is long:
// the texts of its Dockerfile and of its Pipeline, and who manages which field. What is
// left serves a list, and cannot be written back.
func Trim(run *tektonv1.PipelineRun) {
	run.ManagedFields = nil
	delete(run.Annotations, manifests.AnnotationDockerfile)
	run.Status.PipelineSpec, run.Status.Provenance = nil, nil
	run.Status.SkippedTasks, run.Status.SpanContext = nil, nil
}

// reasonCanceled is the Reason of a canceled run, spelled as everywhere in our output.
const reasonCanceled = "Canceled"

// Verdict returns the outcome of a run. It is pure; the outcome of a nil run is empty.
// Pass the last object watched, not the one that was created.
func Verdict(run *tektonv1.PipelineRun) Outcome {
	if run == nil {
		return Outcome{}
	}
	outcome := Outcome{Canceled: run.IsCancelled(), Commit: run.Annotations[manifests.AnnotationCommit]}
	if condition := run.Status.GetCondition(apis.ConditionSucceeded); condition != nil {
		outcome.Done = !condition.IsUnknown()
		outcome.Succeeded = condition.IsTrue()
		outcome.Reason, outcome.Message = condition.Reason, condition.Message
		// A run that was faster than its cancellation is not canceled.
		outcome.Canceled = outcome.Canceled && !outcome.Succeeded
		if outcome.Done && outcome.Reason == string(tektonv1.PipelineRunReasonCancelled) {
			outcome.Reason = reasonCanceled
		}
	}
	if commit := result(run, resultCommit); commit != "" {
		outcome.Commit = commit
	}
	outcome.Digest, outcome.ImageURL = pushed(run, outcome.Succeeded)
	outcome.Tested = outcome.Digest != "" && tested(run, outcome.Succeeded)
	return outcome
}

// pushed returns the image that a run has pushed, or the digest that it deploys. The
// engine writes its results for every layer that it pushes to the cache, too.
func pushed(run *tektonv1.PipelineRun, succeeded bool) (digest, url string) {
	digest, url = result(run, resultDigest), result(run, resultURL)
	image := text(run, paramImage)
	switch {
	case digest == "":
		return text(run, paramDigest), url
	case succeeded || image != "" && strings.HasPrefix(url, image+":"):
		return digest, url
	}
	return text(run, paramDigest), ""
}

// tested reports whether the image of a run has passed the tests of the run.
func tested(run *tektonv1.PipelineRun, succeeded bool) bool {
	switch text(run, paramTest) {
	case "", testStage:
		// The engine pushes an image after its tests have passed.
		return true
	}
	return succeeded || result(run, resultTested) == "true"
}
