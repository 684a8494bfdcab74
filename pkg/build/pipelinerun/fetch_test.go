package pipelinerun

import "testing"

func TestParseFetchLine(t *testing.T) {
	for text, want := range map[string]struct {
		line       LogLine
		dockerfile bool
	}{
		"Fetched commit abc":                            {LogLine{Message: "Fetched commit abc"}, false},
		"fatal: repository not found":                   {LogLine{Message: "fatal: repository not found"}, false},
		"pyflow: repository not found: https://x":       {LogLine{Level: "error", Message: "repository not found: https://x"}, false},
		"pyflow: warning: the repository has LFS":       {LogLine{Level: "warning", Message: "the repository has LFS"}, false},
		"pyflow.dev/dockerfile RUN echo pyflow: no":     {LogLine{Message: "RUN echo pyflow: no"}, true},
		"pyflow.dev/dockerfile ":                        {LogLine{}, true},
		"pyflow.dev/dockerfile   pip install gunicorn ": {LogLine{Message: "  pip install gunicorn "}, true},
	} {
		if line, dockerfile := ParseFetchLine(text); line != want.line || dockerfile != want.dockerfile {
			t.Errorf("%q: %+v, Dockerfile %t, want %+v", text, line, dockerfile, want)
		}
	}
}
