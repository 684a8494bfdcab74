package pipelinerun

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

const (
	// defaultTimeout is Tekton's for a run that names none.
	defaultTimeout = time.Hour
	// unlimitedTimeout is how long the certificate of a run without a timeout is valid.
	unlimitedTimeout = 24 * time.Hour
	// timeoutMargin is for the time between the signature and the start of the run.
	timeoutMargin = 10 * time.Minute
)

// Login is how a build authenticates at the registry, in the container that runs the code of
// its Dockerfile. The zero value mounts the login of the namespace there, which an external
// registry needs.
type Login struct {
	// Builder signs a certificate for each run, valid for its timeout.
	Builder *credentials.Builder
	// Engine is the one that shows it.
	Engine engine.Engine
}

// give gives a run that builds its login, and returns the Secret with it, if there is one.
func (l Login) give(run *tektonv1.PipelineRun) ([]*corev1.Secret, error) {
	info := Parse(run)
	if info.DeployOnly {
		return nil, nil
	}
	run.Spec.Workspaces = slices.DeleteFunc(slices.Clone(run.Spec.Workspaces), func(w tektonv1.WorkspaceBinding) bool { return w.Name == workspacePush })
	binding := tektonv1.WorkspaceBinding{Name: workspacePush}
	if l.Builder == nil {
		binding.Secret = loginOfNamespace()
		run.Spec.Workspaces = append(run.Spec.Workspaces, binding)
		return nil, nil
	}
	host, repository, _ := strings.Cut(info.Repository, "/")
	certificate, err := l.Builder.Sign(credentials.Build{
		Repository: repository, Tag: text(run, paramTag), Untrusted: info.Untrusted,
	}, lifetime(run), time.Now())
	if err != nil {
		return nil, fmt.Errorf("create pipelinerun %s: %w", run.Name, err)
	}
	secret := ownSecret(Meta{Namespace: run.Namespace, App: info.App}, run.Name+pushSuffix, map[string][]byte{
		corev1.TLSCertKey: certificate.Certificate, corev1.TLSPrivateKeyKey: certificate.Key,
	})
	binding.Projected = &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: secret.Name}}},
		{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: manifests.RegistrySecret},
			Items:                []corev1.KeyToPath{{Key: manifests.CAKey, Path: manifests.CAKey}},
		}},
	}}
	run.Spec.Workspaces = append(run.Spec.Workspaces, binding)
	for i := range run.Spec.Params {
		if p := &run.Spec.Params[i]; p.Name == paramEngineArgs {
			p.Value.ArrayVal = l.Engine.Authenticate(p.Value.ArrayVal, host)
		}
	}
	return []*corev1.Secret{secret}, nil
}

// lifetime returns how long a run needs its certificate.
func lifetime(run *tektonv1.PipelineRun) time.Duration {
	timeouts := run.Spec.Timeouts
	switch {
	case timeouts == nil || timeouts.Pipeline == nil:
		return defaultTimeout + timeoutMargin
	case timeouts.Pipeline.Duration == 0:
		return unlimitedTimeout
	}
	return timeouts.Pipeline.Duration + timeoutMargin
}

// loginOfNamespace is the volume with the login of the namespace.
func loginOfNamespace() *corev1.SecretVolumeSource {
	return &corev1.SecretVolumeSource{
		SecretName: manifests.RegistrySecret,
		Items: []corev1.KeyToPath{
			{Key: corev1.DockerConfigJsonKey, Path: "config.json"},
			{Key: manifests.CAKey, Path: manifests.CAKey},
		},
	}
}
