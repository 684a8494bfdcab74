package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// TestLintExitCodes holds what main hands on to the system.
func TestLintExitCodes(t *testing.T) {
	for name, test := range map[string]struct {
		dockerfile string
		args       []string
		code       int
		out        string
	}{
		"clean":                        {"FROM python:3.13-slim\nUSER 10001\n", nil, exitOK, "no findings in Dockerfile\n"},
		"a warning":                    {"FROM python:3.13-slim\n", nil, exitOK, "1 warning in Dockerfile\n"},
		"a warning, strictly":          {"FROM python:3.13-slim\n", []string{"--strict"}, exitFailed, "1 warning in Dockerfile\n"},
		"an error":                     {"FROM python:3.13-slim\nUSER 10001\nENV DEBUG=1\n", []string{"-o", "json"}, exitFailed, "1 error in Dockerfile\n"},
		"bad input":                    {"FROM python:3.13-slim\n", []string{"--target", "run"}, exitUsage, "error: --target: Dockerfile has no stage \"run\": none of its stages has a name\n"},
		"a name of control characters": {"FROM python:3.13-slim\n", []string{"--file", "\x1b[2Jx"}, exitFailed, "error: there is no Dockerfile: DIR/x\n"},
		"no Dockerfile":                {"", nil, exitFailed, "error: DIR: there is neither a Dockerfile nor a Python project\nhint: "},
		"both":                         {"FROM python:3.13-slim\n", []string{"--rules", "--explain=root-user"}, exitUsage, "error: --explain and --rules exclude each other"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if test.dockerfile != "" {
				if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(test.dockerfile), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			streams, _, _, errOut := genericiooptions.NewTestIOStreams()
			code := Run(t.Context(), streams, append([]string{"lint", dir}, test.args...))
			if code != test.code || !strings.HasPrefix(strings.ReplaceAll(errOut.String(), dir, "DIR"), test.out) {
				t.Errorf("exit code is %d with %q, want %d with %q", code, errOut, test.code, test.out)
			}
		})
	}
}
