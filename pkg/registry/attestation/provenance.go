package attestation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// BuildType says how to read the parameters of a provenance; docs/attestations.md describes them.
const BuildType = "https://github.com/pyflow-dev/kubectl-pyflow/blob/main/docs/attestations.md#provenance"

// provenance is the predicate https://slsa.dev/spec/v1.0/provenance.
type provenance struct {
	BuildDefinition definition `json:"buildDefinition"`
	RunDetails      details    `json:"runDetails"`
}

type definition struct {
	BuildType            string         `json:"buildType"`
	ExternalParameters   parameters     `json:"externalParameters"`
	InternalParameters   map[string]any `json:"internalParameters"`
	ResolvedDependencies []resource     `json:"resolvedDependencies,omitempty"`
}

// parameters are what the user of the build has chosen.
type parameters struct {
	Source     source `json:"source"`
	Dockerfile string `json:"dockerfile,omitempty"`
	Target     string `json:"target,omitempty"`
	// BuildArgs are names: a value may be a password, against all advice.
	BuildArgs []string `json:"buildArgs,omitempty"`
}

type source struct {
	URI      string `json:"uri,omitempty"`
	Revision string `json:"revision,omitempty"`
	Path     string `json:"path,omitempty"`
}

// resource is a ResourceDescriptor.
type resource struct {
	URI    string            `json:"uri,omitempty"`
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

type details struct {
	Builder struct {
		ID      string            `json:"id"`
		Version map[string]string `json:"version"`
	} `json:"builder"`
	Metadata struct {
		InvocationID string `json:"invocationId"`
		StartedOn    string `json:"startedOn,omitempty"`
		FinishedOn   string `json:"finishedOn,omitempty"`
	} `json:"metadata"`
}

// NewProvenance returns the predicate Provenance of the image that a run has pushed: its source,
// what it was built with, and by what. It has the names of build arguments and no value of them.
// It is pure: the same run gives the same bytes.
func NewProvenance(run *tektonv1.PipelineRun, platform *manifests.Config) (json.RawMessage, error) {
	info, outcome := pipelinerun.Parse(run), pipelinerun.Verdict(run)
	var p provenance
	p.BuildDefinition = definition{
		BuildType:          BuildType,
		ExternalParameters: parameters{Dockerfile: info.Dockerfile, Target: info.Target, BuildArgs: argumentNames(run)},
		InternalParameters: map[string]any{
			"namespace": run.Namespace, "pipeline": info.Pipeline, "trusted": !info.Untrusted, "dirty": info.Dirty,
		},
	}
	definition := &p.BuildDefinition
	switch {
	case info.Git != nil:
		address := withoutLogin(info.Git.URL)
		definition.ExternalParameters.Source = source{URI: "git+" + address, Revision: info.Git.Revision, Path: info.Git.Path}
		if outcome.Commit != "" {
			definition.add(resource{URI: "git+" + address, Digest: map[string]string{"gitCommit": outcome.Commit}})
		}
	case info.Source != "":
		definition.ExternalParameters.Source = source{URI: "oci://" + info.Source}
		if _, digest, ok := strings.Cut(info.Source, "@sha256:"); ok {
			definition.add(resource{URI: "oci://" + info.Source, Name: "build context", Digest: map[string]string{"sha256": digest}})
		}
		if outcome.Commit != "" {
			// What the user's checkout says; with "dirty" the context differs from it.
			definition.add(resource{Name: "commit of the folder", Digest: map[string]string{"gitCommit": outcome.Commit}})
		}
	}
	if info.DockerfileText != "" {
		sum := sha256.Sum256([]byte(info.DockerfileText))
		definition.add(resource{Name: "Dockerfile", Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}})
	}
	p.RunDetails.Builder.ID = "https://github.com/pyflow-dev/kubectl-pyflow"
	p.RunDetails.Builder.Version = map[string]string{
		"kubectl-pyflow": platform.Version, "tekton": platform.Tekton.Version,
	}
	p.RunDetails.Metadata.InvocationID = run.Namespace + "/" + run.Name + "/" + string(run.UID)
	p.RunDetails.Metadata.StartedOn, p.RunDetails.Metadata.FinishedOn = stamp(run.Status.StartTime), stamp(run.Status.CompletionTime)
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("write the provenance: %w", err)
	}
	return text, nil
}

func (d *definition) add(m resource) { d.ResolvedDependencies = append(d.ResolvedDependencies, m) }

// argumentNames returns the names of the build arguments of a run, sorted.
func argumentNames(run *tektonv1.PipelineRun) []string {
	var names []string
	for _, argument := range pipelinerun.BuildArgs(run, installed.Engine()) {
		name, _, _ := strings.Cut(argument, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// withoutLogin removes a user and a password from an address.
func withoutLogin(address string) string {
	parsed, err := url.Parse(address)
	if err != nil || parsed.User == nil {
		return address
	}
	if _, secret := parsed.User.Password(); secret || parsed.Scheme != "ssh" {
		parsed.User = nil
	}
	return parsed.String()
}

func stamp(t *metav1.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
