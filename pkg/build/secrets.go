package build

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
)

// MissingSecretsError reports all secrets that a build needs and that nothing provides.
type MissingSecretsError struct{ Secrets []project.Secret }

// Error lists them with the places that ask for them.
func (e *MissingSecretsError) Error() string {
	return fmt.Sprintf("the build lacks %s: %s", display.Count(len(e.Secrets), "secret"), named(e.Secrets))
}

// Flags returns the flags that provide them from this machine.
func (e *MissingSecretsError) Flags() []string { return flags(e.Secrets) }

// named lists secrets with the places that ask for them.
func named(secrets []project.Secret) string {
	texts := make([]string, len(secrets))
	for i, secret := range secrets {
		texts[i] = secret.ID + " (" + secret.Source + ")"
	}
	return strings.Join(texts, ", ")
}

// flags returns a flag that provides each secret from this machine.
func flags(secrets []project.Secret) []string {
	texts := make([]string, len(secrets))
	for i, secret := range secrets {
		source := "src=FILE"
		if secret.Variable != "" {
			source = "env=" + secret.Variable
		}
		texts[i] = "--build-secret id=" + secret.ID + "," + source
	}
	return texts
}

// checkSecrets finds every reason why the secrets of a build do not suffice, and completes
// those that every build of the platform gets. It returns what the user should know of them.
func (p *Prepared) checkSecrets(ctx context.Context) ([]event.Event, error) {
	o := &p.options
	given := func(id string) bool {
		return slices.ContainsFunc(o.Secrets, func(one pipelinerun.BuildSecret) bool { return one.ID == id })
	}
	var missing, optional []project.Secret
	for _, need := range o.Needs {
		switch {
		case given(need.ID):
		case slices.Contains(p.env.Config.BuildEnv, need.Variable):
			o.Secrets = append(slices.Clone(o.Secrets), pipelinerun.BuildSecret{ID: need.ID, Secret: manifests.BuildSecret, Key: need.Variable})
		case need.Required:
			missing = append(missing, need)
		default:
			optional = append(optional, need)
		}
	}
	var problems []error
	if len(missing) > 0 {
		problems = append(problems, &MissingSecretsError{missing})
	}
	for _, secret := range o.Secrets {
		if err := p.checkSource(ctx, secret); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	var notices []event.Event
	if len(optional) > 0 {
		notices = append(notices, event.Event{Message: "Not given, and optional: " + display.Count(len(optional), "secret") + ", " + named(optional) + "; to give it, pass " + strings.Join(flags(optional), " ")})
	}
	return append(notices, unusedSecrets(p)...), nil
}

// checkSource checks that the namespace has the Secret and the key of a build secret. Who may
// not read Secrets learns it from the build.
func (p *Prepared) checkSource(ctx context.Context, secret pipelinerun.BuildSecret) error {
	if secret.Secret == "" {
		return nil
	}
	namespace := p.env.Clients.Namespace
	found, err := p.env.Clients.Kube.CoreV1().Secrets(namespace).Get(ctx, secret.Secret, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("build secret %s: namespace %s has no Secret %s", secret.ID, namespace, secret.Secret)
	case err != nil:
		return fmt.Errorf("build secret %s: %w", secret.ID, err)
	}
	if _, ok := found.Data[secret.Key]; ok {
		return nil
	}
	keys := strings.Join(slices.Sorted(maps.Keys(found.Data)), ", ")
	if keys == "" {
		keys = "no keys"
	}
	return fmt.Errorf("build secret %s: the Secret %s has no key %s; it has %s", secret.ID, secret.Secret, secret.Key, keys)
}

// unusedSecrets returns a warning of the secrets that nothing mounts; the Dockerfile of a repository
// is not known.
func unusedSecrets(p *Prepared) []event.Event {
	if p.options.Folder == nil {
		return nil
	}
	var ids []string
	for _, secret := range p.options.Secrets {
		if !slices.ContainsFunc(p.options.Needs, func(need project.Secret) bool { return need.ID == secret.ID }) {
			ids = append(ids, secret.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return []event.Event{{Reason: event.Warning, Message: "No RUN of the build mounts the secret " + strings.Join(ids, ", ")}}
}
