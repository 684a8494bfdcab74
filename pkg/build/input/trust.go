package input

import (
	"encoding/json"
	"os"
)

// Proposed reports whether a job of a CI service builds what has not been merged and who may
// not merge has written: on GitHub a pull request of a fork, on GitLab any merge request. why
// says which. An event that cannot be read counts as one of a fork. getenv is os.Getenv.
func Proposed(getenv func(string) string) (why string, ok bool) {
	switch {
	case getenv("GITLAB_CI") == "true" && getenv("CI_PIPELINE_SOURCE") == "merge_request_event":
		return "the pipeline of a merge request", true
	case getenv("GITHUB_ACTIONS") != "true":
		return "", false
	}
	switch getenv("GITHUB_EVENT_NAME") {
	case "pull_request", "pull_request_target":
	default:
		return "", false
	}
	var event struct {
		PullRequest struct {
			Head struct {
				Repo struct {
					FullName string `json:"full_name"`
				} `json:"repo"`
			} `json:"head"`
		} `json:"pull_request"`
	}
	text, err := os.ReadFile(getenv("GITHUB_EVENT_PATH"))
	if err == nil {
		err = json.Unmarshal(text, &event)
	}
	// The repository of a fork that was deleted has no name.
	if head := event.PullRequest.Head.Repo.FullName; err == nil && head != "" && head == getenv("GITHUB_REPOSITORY") {
		return "", false
	}
	return "a pull request of a fork", true
}
