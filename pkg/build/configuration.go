package build

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// MissingConfigurationError reports Secrets and ConfigMaps, or keys of them, that the pods of
// the app need and the namespace does not have.
type MissingConfigurationError struct {
	Namespace string
	// Missing are sorted by object.
	Missing []MissingSource
}

// MissingSource is an object that does not exist, or one without some keys.
type MissingSource struct {
	Kind app.SourceKind
	Name string
	// Exists reports that the object exists, with the keys Has, sorted.
	Exists bool
	Has    []string
	// Keys are the keys that are missing, sorted; none if the app takes whatever there is.
	Keys []string
	// Places name the object, such as pyproject.toml:9: DATABASE_URL.
	Places []string
}

// Error has a line for each object.
func (e *MissingConfigurationError) Error() string {
	var lines []string
	for _, missing := range e.Missing {
		lines = append(lines, missing.line(e.Namespace))
	}
	return strings.Join(lines, "\n")
}

// line says what is missing, and who needs it.
func (m *MissingSource) line(namespace string) string {
	text := fmt.Sprintf("namespace %s has no %s %s", namespace, m.Kind, m.Name)
	if m.Exists {
		has := "no keys"
		if len(m.Has) > 0 {
			has = strings.Join(m.Has, ", ")
		}
		text = fmt.Sprintf("%s %s has no key %s: it has %s", m.Kind, m.Name, strings.Join(m.Keys, ", "), has)
	}
	if len(m.Places) > 0 {
		text = strings.Join(m.Places, ", ") + ": " + text
	}
	return text
}

// Advice returns the commands that make what is missing, without the values.
func (e *MissingConfigurationError) Advice() []string {
	var advice []string
	for _, missing := range e.Missing {
		advice = append(advice, missing.command(e.Namespace))
	}
	return advice
}

func (m *MissingSource) command(namespace string) string {
	kind := strings.ToLower(string(m.Kind))
	if m.Exists {
		field := "data"
		if m.Kind == app.SourceSecret {
			field = "stringData"
		}
		var pairs []string
		for _, key := range m.Keys {
			pairs = append(pairs, fmt.Sprintf("%q:%q", key, "VALUE"))
		}
		return "add it: " + display.QuoteCommand("kubectl", "--namespace", namespace, "patch", kind, m.Name, "--patch", fmt.Sprintf("{%q:{%s}}", field, strings.Join(pairs, ",")))
	}
	args := []string{"kubectl", "--namespace", namespace, "create", kind}
	if slices.Equal(m.Keys, []string{"tls.crt", "tls.key"}) {
		return "create it: " + display.QuoteCommand(append(args, "tls", m.Name, "--cert", "FILE", "--key", "FILE")...)
	}
	if m.Kind == app.SourceSecret {
		args = append(args, "generic")
	}
	args = append(args, m.Name)
	keys := m.Keys
	if len(keys) == 0 {
		keys = []string{"NAME"}
	}
	for _, key := range keys {
		args = append(args, "--from-literal="+key+"=VALUE")
	}
	return "create it: " + display.QuoteCommand(args...)
}

// checkConfiguration checks that the namespace has the Secrets and ConfigMaps that the pods of the
// app need. Of manifests of the user's own it only warns: what they deploy may make them. Who may
// not read an object learns it from the rollout.
func checkConfiguration(ctx context.Context, p *Prepared) error {
	namespace := p.env.Clients.Namespace
	missing, err := missingSources(ctx, p.env.Clients.Kube, namespace, p.manifests.Needs(), p.options.Sources)
	if err != nil || len(missing) == 0 {
		return err
	}
	failure := &MissingConfigurationError{Namespace: namespace, Missing: missing}
	if p.options.Release.Directory == "" {
		return failure
	}
	for _, one := range missing {
		p.options.Notices = append(p.options.Notices, event.Event{Reason: event.Warning, Message: one.line(namespace) + ": pods wait for it unless these manifests make it"})
	}
	return nil
}

// missingSources returns those of the needs, which are sorted, that the namespace lacks.
func missingSources(ctx context.Context, client kubernetes.Interface, namespace string, needs []app.Source, places map[app.Source]string) ([]MissingSource, error) {
	var missing []MissingSource
	for len(needs) > 0 {
		first := needs[0]
		same := slices.IndexFunc(needs, func(one app.Source) bool { return one.Kind != first.Kind || one.Name != first.Name })
		if same < 0 {
			same = len(needs)
		}
		one, err := missingOf(ctx, client, namespace, needs[:same])
		if err != nil {
			return nil, err
		}
		if one != nil {
			for _, need := range needs[:same] {
				if place := places[need]; place != "" && !slices.Contains(one.Places, place) && (!one.Exists || slices.Contains(one.Keys, need.Key)) {
					one.Places = append(one.Places, place)
				}
			}
			missing = append(missing, *one)
		}
		needs = needs[same:]
	}
	return missing, nil
}

// missingOf returns what an object lacks; nil if it lacks nothing or the user may not read it.
func missingOf(ctx context.Context, client kubernetes.Interface, namespace string, needs []app.Source) (*MissingSource, error) {
	one := &MissingSource{Kind: needs[0].Kind, Name: needs[0].Name}
	for _, need := range needs {
		if need.Key != "" {
			one.Keys = append(one.Keys, need.Key)
		}
	}
	has, err := keysIn(ctx, client, namespace, needs[0])
	switch {
	case apierrors.IsForbidden(err):
		return nil, nil //nolint:nilnil // nothing is known to be missing
	case apierrors.IsNotFound(err):
		return one, nil
	case err != nil:
		return nil, fmt.Errorf("get %s %s: %w", strings.ToLower(string(one.Kind)), one.Name, err)
	}
	one.Keys = slices.DeleteFunc(one.Keys, func(key string) bool { return slices.Contains(has, key) })
	if len(one.Keys) == 0 {
		return nil, nil //nolint:nilnil // nothing is missing
	}
	one.Exists, one.Has = true, has
	return one, nil
}

// keysIn returns the keys of a Secret or a ConfigMap, sorted.
func keysIn(ctx context.Context, client kubernetes.Interface, namespace string, source app.Source) ([]string, error) {
	if source.Kind == app.SourceSecret {
		found, err := client.CoreV1().Secrets(namespace).Get(ctx, source.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return slices.Sorted(maps.Keys(found.Data)), nil
	}
	found, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, source.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(found.Data)), slices.Collect(maps.Keys(found.BinaryData))))), nil
}
