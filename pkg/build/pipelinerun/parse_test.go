package pipelinerun_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// TestParse checks that Parse reads back what New has written.
func TestParse(t *testing.T) {
	info := func(pipeline string, change func(*pipelinerun.Info)) pipelinerun.Info {
		info := pipelinerun.Info{
			App: "mountains", Namespace: "hiking", Name: "mountains-x7k2p", Pipeline: pipeline, Deploys: true,
			Repository: minimal().Repository, NodeRepository: minimal().NodeRepository, Dockerfile: "Dockerfile",
		}
		change(&info)
		return info
	}
	folder := func(change func(*pipelinerun.Info)) func(*pipelinerun.Info) {
		return func(info *pipelinerun.Info) {
			info.Source = minimal().Folder.Artifact
			if change != nil {
				change(info)
			}
		}
	}
	git := func(info *pipelinerun.Info) {
		info.Target, info.Deploys = "runtime", false
		// Its Secret is not known.
		info.Git = &pipelinerun.Git{URL: fromGit().Git.URL, Revision: fromGit().Git.Revision, Path: fromGit().Git.Path}
	}
	for name, test := range map[string]struct {
		spec pipelinerun.Spec
		want pipelinerun.Info
	}{
		"a folder": {minimal(), info(manifests.PipelineName, folder(nil))},
		"every setting": {full(), info(manifests.PipelineName, folder(func(info *pipelinerun.Info) {
			info.Dockerfile, info.DockerfileText = "docker/prod.Dockerfile", "FROM python:3.13-slim\n"
			info.Dirty, info.Timeout = true, 20*time.Minute
		}))},
		"git": {fromGit(), info(manifests.GitPipelineName, git)},
		"a command in a stage": {tested(), info(manifests.TestedPipelineName, folder(func(info *pipelinerun.Info) {
			info.Dockerfile, info.DockerfileText = "docker/prod.Dockerfile", "FROM python:3.13-slim\n"
			info.Dirty, info.Timeout = true, 20*time.Minute
			info.Test = tested().Test
		}))},
		"a command in the image": {testedBeside(), info(manifests.TestedPipelineName, folder(func(info *pipelinerun.Info) {
			info.Test = testedBeside().Test
		}))},
		"a stage": {testedBuild(), info(manifests.TestedPipelineName, folder(func(info *pipelinerun.Info) {
			info.Test = &pipelinerun.Test{Stage: "test"}
		}))},
		"an image": {deploy(), info(manifests.DeliverPipelineName, func(info *pipelinerun.Info) {
			info.DeployOnly, info.Digest, info.Dockerfile = true, "sha256:"+hex('c'), ""
		})},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pipelinerun.Parse(pipelinerun.New(test.spec)); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestParseReadsTheSequence(t *testing.T) {
	c := newCluster()
	run, err := pipelinerun.Create(t.Context(), c.clients(), minimal(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := pipelinerun.Parse(run).Sequence, pipelinerun.Sequence(run); got != want || !strings.HasSuffix(got, run.Name) {
		t.Errorf("sequence is %q, want %q", got, want)
	}
}
