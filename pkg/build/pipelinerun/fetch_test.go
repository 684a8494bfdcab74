package pipelinerun

import "testing"

func TestParseFetchLine(t *testing.T) {
	for text, want := range map[string]FetchLine{
		"Fetched commit abc":                            {Message: "Fetched commit abc"},
		"fatal: repository not found":                   {Message: "fatal: repository not found"},
		"pyflow: repository not found: https://x":       {Level: "error", Message: "repository not found: https://x"},
		"pyflow: warning: the repository has LFS":       {Level: "warning", Message: "the repository has LFS"},
		"pyflow.dev/dockerfile RUN echo pyflow: no":     {Message: "RUN echo pyflow: no", Dockerfile: true},
		"pyflow.dev/dockerfile ":                        {Dockerfile: true},
		"pyflow.dev/dockerfile   pip install gunicorn ": {Message: "  pip install gunicorn ", Dockerfile: true},
	} {
		if got := ParseFetchLine(text); got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
}
