package pipelinerun

import (
	"strings"
	"testing"
)

var digestLine = "r.svc/a/source@sha256:" + strings.Repeat("0a", 32)

func TestParseFetchLine(t *testing.T) {
	for text, want := range map[string]FetchLine{
		"Fetched commit abc":                                                              {Message: "Fetched commit abc"},
		"fatal: repository not found":                                                     {Message: "fatal: repository not found"},
		"pyflow: repository not found: https://x":                                         {Level: "error", Message: "repository not found: https://x"},
		"pyflow: warning: the repository has LFS":                                         {Level: "warning", Message: "the repository has LFS"},
		"pyflow.dev/dockerfile RUN echo pyflow: no":                                       {Message: "RUN echo pyflow: no", Dockerfile: true},
		"pyflow.dev/dockerfile ":                                                          {Dockerfile: true},
		"pyflow.dev/dockerfile   pip install gunicorn ":                                   {Message: "  pip install gunicorn ", Dockerfile: true},
		"2026/11/30 08:06:56 base unspecified, using empty image":                         {Message: "2026/11/30 08:06:56 base unspecified, using empty image", Chatter: true},
		"2026/11/30 08:06:56 pushed blob: sha256:0831":                                    {Message: "2026/11/30 08:06:56 pushed blob: sha256:0831", Chatter: true},
		"2026/11/30 08:06:56 r.svc/a/source:2026-11-30-08: digest: sha256:5755 size: 401": {Message: "2026/11/30 08:06:56 r.svc/a/source:2026-11-30-08: digest: sha256:5755 size: 401", Chatter: true},
		"2026/11/30 08:11:35 existing manifest: 2026-11-30-0831@sha256:5755":              {Message: "2026/11/30 08:11:35 existing manifest: 2026-11-30-0831@sha256:5755", Chatter: true},
		digestLine: {Message: digestLine, Chatter: true},
		"2026/11/30 08:06:56 retrying after error: connection reset": {Message: "2026/11/30 08:06:56 retrying after error: connection reset"},
		"Error: pushing image r.svc/a/source: UNAUTHORIZED":          {Message: "Error: pushing image r.svc/a/source: UNAUTHORIZED"},
	} {
		if got := ParseFetchLine(text); got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
}
