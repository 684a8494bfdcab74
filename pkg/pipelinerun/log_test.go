package pipelinerun

import "testing"

func TestParseLogLine(t *testing.T) {
	for text, want := range map[string]LogLine{
		`time="2026-01-02T03:04:05Z" level=info msg="RUN echo \"a\\tb\""`: {"info", `RUN echo "a\tb"`},
		`time="2026-01-02T03:04:05Z" level=warning msg=short`:             {"warning", "short"},
		`time="2026-01-02T03:04:05Z" level=info msg=`:                     {"info", ""},
		`Collecting fastapi==0.115.0`:                                     {"", "Collecting fastapi==0.115.0"},
		`prefix time="x" level=info msg="not the engine's"`:               {"", `prefix time="x" level=info msg="not the engine's"`},
		"": {"", ""},
	} {
		if got := ParseLogLine(text); got != want {
			t.Errorf("ParseLogLine(%q) = %+v, want %+v", text, got, want)
		}
	}
}
