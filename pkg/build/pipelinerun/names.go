package pipelinerun

import "github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"

// The names that runs share with the Pipelines and Tasks of pkg/manifests; a test compares
// them.
const (
	paramName        = "name"
	paramSource      = "source"
	paramContextPath = "context-path"
	paramURL         = "url"
	paramRevision    = "revision"
	paramPath        = "path"
	paramRegistry    = "registry"
	paramImage       = "image"
	paramNodeImage   = "node-image"
	paramTag         = "tag"
	paramDockerfile  = "dockerfile"
	paramEngineArgs  = "engine-args"
	paramTest        = "test"
	paramTestCommand = "test-command"
	paramBuildTask   = "build-task"
	paramDeploy      = "deploy"
	paramDigest      = "digest"
	paramDeployTask  = "deploy-task"
	paramUser        = "user"
	paramRecord      = "record"
	paramAdopt       = "adopt"
	paramRelease     = "release"
	// paramSequence is set by Create.
	paramSequence = "sequence"

	// The values of paramTest.
	testCommand = "command"
	testStage   = "stage"

	workspaceRegistry  = "registry"
	workspacePush      = "push"
	workspaceManifests = "manifests"
	workspaceGit       = "git"
	workspaceSecrets   = "secrets"

	resultDigest = "IMAGE_DIGEST"
	resultURL    = "IMAGE_URL"
	resultCommit = "COMMIT"
	resultTested = "TESTED"

	// FetchTask brings the source of a repository into the registry.
	FetchTask = manifests.FetchTask
	// BuildTask builds and pushes the image.
	BuildTask = manifests.BuildTask
	// TestTask runs the test command in the image.
	TestTask = manifests.TestTask
	// DeployTask applies the manifests.
	DeployTask = manifests.DeployTask

	// FetchStep brings the source into the pod of BuildTask.
	FetchStep = "fetch"
	// BuildStep is the build engine.
	BuildStep = "build"
	// DigestStep reads the digest of the pushed image from the registry.
	DigestStep = "digest"
	// PullStep fetches the image whose user DeployTask looks up.
	PullStep = "pull"
	// TestStep is the test command.
	TestStep = "test"
	// ReportStep prints the JUnit results after TestStep, or after BuildStep if that
	// tests, and exits with its code.
	ReportStep = "report"
	// OverlayStep writes what DeployTask applies.
	OverlayStep = "overlay"
	// CheckStep asks the API server whether it accepts the manifests, before any is applied.
	CheckStep = "check"
)

func pipelines() []string {
	return []string{
		manifests.PipelineName, manifests.GitPipelineName, manifests.TestedPipelineName,
		manifests.GitTestedPipelineName, manifests.DeliverPipelineName,
	}
}
