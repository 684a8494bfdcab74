package input

import (
	"os"
	"path/filepath"
	"testing"
)

func TestProposed(t *testing.T) {
	event := func(text string) string {
		path := filepath.Join(t.TempDir(), "event.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	github := func(name, text string) map[string]string {
		return map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": name, "GITHUB_REPOSITORY": "acme/shop", "GITHUB_EVENT_PATH": event(text)}
	}
	for name, test := range map[string]struct {
		environment map[string]string
		want        bool
	}{
		"a terminal":                  {nil, false},
		"GitHub, a push":              {github("push", `{}`), false},
		"GitHub, a branch":            {github("pull_request", `{"pull_request":{"head":{"repo":{"full_name":"acme/shop"}}}}`), false},
		"GitHub, a fork":              {github("pull_request", `{"pull_request":{"head":{"repo":{"full_name":"eve/shop"}}}}`), true},
		"GitHub, a fork as a target":  {github("pull_request_target", `{"pull_request":{"head":{"repo":{"full_name":"eve/shop"}}}}`), true},
		"GitHub, a fork that is gone": {github("pull_request", `{"pull_request":{"head":{"repo":null}}}`), true},
		"GitHub, no event":            {github("pull_request", `{`), true},
		"GitLab, a branch":            {map[string]string{"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "push"}, false},
		"GitLab, a merge request":     {map[string]string{"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "merge_request_event"}, true},
	} {
		why, ok := Proposed(func(key string) string { return test.environment[key] })
		if ok != test.want || ok == (why == "") {
			t.Errorf("%s: %v, %q", name, ok, why)
		}
	}
}
