package pipelinerun

import "testing"

func TestParseLogLine(t *testing.T) {
	for text, want := range map[string]LogLine{
		`time="2026-01-02T03:04:05Z" level=info msg="RUN echo \"a\\tb\""`: {"info", `RUN echo "a\tb"`, false},
		`time="2026-01-02T03:04:05Z" level=warning msg=short`:             {"warning", "short", false},
		`time="2026-01-02T03:04:05Z" level=info msg=`:                     {"info", "", false},
		`time="x" level=info msg="Taking snapshot of files..."`:           {"info", "Taking snapshot of files...", true},
		`time="x" level=error msg="Taking snapshot of files..."`:          {"error", "Taking snapshot of files...", false},
		`Taking snapshot of files...`:                                     {"", "Taking snapshot of files...", false},
		`Collecting fastapi==0.115.0`:                                     {"", "Collecting fastapi==0.115.0", false},
		`prefix time="x" level=info msg="not the engine's"`:               {"", `prefix time="x" level=info msg="not the engine's"`, false},
		"": {"", "", false},
	} {
		if got := ParseLogLine(text); got != want {
			t.Errorf("ParseLogLine(%q) = %+v, want %+v", text, got, want)
		}
	}
}
