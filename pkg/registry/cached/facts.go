package cached

import (
	"encoding/json"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// Facts returns what is known of the configuration with a digest.
func (m *Memory) Facts(digest string) (Facts, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	facts, ok := m.facts[digest]
	return facts, ok
}

// learn keeps the facts of a configuration.
func (m *Memory) learn(digest string, config []byte) Facts {
	facts := Facts{Created: registry.CreatedAt(config)}
	var platform struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	}
	// Another kind of artifact may have any configuration.
	if json.Unmarshal(config, &platform) == nil {
		facts.OS, facts.Architecture = platform.OS, platform.Architecture
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.facts) >= maxManifests {
		clear(m.facts)
	}
	m.facts[digest] = facts
	return facts
}

// Image returns the manifest and the configuration of an image that were read before; nil for
// what is not known. An index has no configuration.
func (m *Memory) Image(digest string) (manifest *registry.Manifest, config []byte) {
	if manifest = m.manifest(digest); manifest != nil && manifest.Config.Digest != "" {
		config = m.cache.get(configFile, manifest.Config.Digest)
	}
	return manifest, config
}
