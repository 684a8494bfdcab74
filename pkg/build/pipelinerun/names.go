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
	paramTestArgs    = "test-engine-args"
	paramDeploy      = "deploy"
	paramDigest      = "digest"
	paramDeployTask  = "deploy-task"
	// paramSequence is set by Create.
	paramSequence = "sequence"

	// The values of paramTest.
	testCommand      = "command"
	testStage        = "stage"
	testStageCommand = "stage-command"

	workspaceRegistry  = "registry"
	workspaceManifests = "manifests"
	workspaceGit       = "git"
	workspaceSecrets   = "secrets"

	resultDigest      = "IMAGE_DIGEST"
	resultURL         = "IMAGE_URL"
	resultCommit      = "COMMIT"
	resultTested      = "TESTED"
	resultStageTested = "STAGE_TESTED"
	resultTestURL     = "TEST_IMAGE_URL"

	// FetchTask brings the source of a repository into the registry.
	FetchTask = manifests.FetchTask
	// BuildTask builds and pushes the image.
	BuildTask = manifests.BuildTask
	// BuildTestTask builds the stage of the Dockerfile that is tested.
	BuildTestTask = manifests.BuildTestTask
	// TestTask runs the test command in the image, TestStageTask in the stage that
	// BuildTestTask has built.
	TestTask      = manifests.TestTask
	TestStageTask = manifests.TestStageTask
	// DeployTask applies the manifests.
	DeployTask = manifests.DeployTask

	// FetchStep brings the source into the pod of BuildTask.
	FetchStep = "fetch"
	// BuildStep is the build engine, in BuildTask and BuildTestTask.
	BuildStep = "build"
	// TestStep is the test command.
	TestStep = "test"
	// ReportStep prints the JUnit results after TestStep and exits with its code.
	ReportStep = "report"
)

// TestSuffix is what the repository of an app's test images has after the app's own.
const TestSuffix = "/test"

func pipelines() []string {
	return []string{
		manifests.PipelineName, manifests.GitPipelineName, manifests.TestedPipelineName,
		manifests.GitTestedPipelineName, manifests.DeliverPipelineName,
	}
}
