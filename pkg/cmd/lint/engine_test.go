package lint

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint"
)

// TestEngine checks that what the build engine refuses and rewrites are findings, of which a
// comment can ignore notes only.
func TestEngine(t *testing.T) {
	dir := t.TempDir()
	text := "# pyflow: ignore-file=run-heredoc,run-mount-ssh\n" +
		"FROM python:3.13-slim\nRUN --mount=type=ssh true\nRUN <<EOF\ntrue\nEOF\nRUN cat <<EOF\ntrue\nEOF\nUSER 1000\nCMD [\"python\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := run(t, Flags{Output: "json"}, dir)
	if !errors.Is(err, ErrFindings) {
		t.Errorf("error is %v", err)
	}
	var found struct{ Findings []lint.Finding }
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, finding := range found.Findings {
		if strings.HasPrefix(finding.Rule, "run-") {
			got = append(got, finding.Rule+" "+string(finding.Severity))
			if finding.Line == 0 || finding.URL == "" {
				t.Errorf("%+v", finding)
			}
		}
	}
	if want := "run-mount-ssh error, run-heredoc-input note"; strings.Join(got, ", ") != want {
		t.Errorf("findings are %q, want %q", strings.Join(got, ", "), want)
	}
	sarif, _, _ := run(t, Flags{Output: "sarif"}, dir)
	if !strings.Contains(sarif, `"id": "run-mount-ssh"`) || !strings.Contains(sarif, "dockerfile-support.md") {
		t.Errorf("SARIF has no rule for it:\n%s", sarif)
	}
	page, _, err := run(t, Flags{Explain: "run-mount-ssh"})
	if err != nil || !strings.Contains(page, "refused") {
		t.Errorf("--explain: %q, %v", page, err)
	}
}
