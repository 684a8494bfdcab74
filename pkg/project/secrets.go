package project

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// Secret is a secret that the build mounts.
type Secret struct {
	dockerfile.SecretMount
	// Source is the place that asks for it: of a generated Dockerfile those in the project's
	// files, else the line of the Dockerfile.
	Source string
}

// mountedSecrets returns the secrets that the stages mount that are built.
func mountedSecrets(p *Project) []Secret {
	targets := []string{p.Target.Value}
	if p.TestStage != "" {
		targets = append(targets, p.TestStage)
	}
	places := map[string]string{}
	if p.Detected != nil {
		places = secretPlaces(p.Detected)
	}
	parsed := p.Dockerfile.Value
	var secrets []Secret
	for _, mount := range parsed.Secrets(targets...) {
		source := places[mount.ID]
		if source == "" {
			source = fmt.Sprintf("%s:%d", parsed.Path, mount.Line)
		}
		secrets = append(secrets, Secret{mount, source})
	}
	return secrets
}

// secretSources returns what settings say about secrets, by ID.
func secretSources(table *settings.Settings) (map[string]Value[settings.SecretSource], error) {
	sources := map[string]Value[settings.SecretSource]{}
	for id, text := range table.Build.Secrets {
		source, err := settings.ParseSecretSource(id, text)
		if err != nil {
			return nil, err // Read refused it
		}
		sources[id] = Value[settings.SecretSource]{source, Origin{Setting, table.WhereIn("build.secrets", id)}}
	}
	return sources, nil
}

// secretPlaces returns the places that ask for secrets, by ID.
func secretPlaces(detected *detect.Project) map[string]string {
	places := map[string][]string{}
	for _, set := range []detect.Dependencies{detected.Dependencies, detected.Dev} {
		for _, secret := range set.Access.Secrets {
			for _, source := range secret.Sources {
				if !slices.Contains(places[secret.ID], source) {
					places[secret.ID] = append(places[secret.ID], source)
				}
			}
		}
	}
	joined := map[string]string{}
	for id, sources := range places {
		joined[id] = strings.Join(sources, ", ")
	}
	return joined
}

// givenSecrets returns the IDs of the secrets that flags or settings provide, sorted.
func givenSecrets(p *Project) []string {
	given := slices.Concat(p.flagSecrets, slices.Collect(maps.Keys(p.SecretSources)))
	slices.Sort(given)
	return slices.Compact(given)
}
