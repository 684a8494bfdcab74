package hostile

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// TestIgnoreFiles packs a folder with an ignore file of a stranger: it ends in time, with an archive or
// an error.
func TestIgnoreFiles(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, strings.Repeat("a/", 60))
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(dir, "Dockerfile"), filepath.Join(deep, strings.Repeat("a", 200))} {
		if err := os.WriteFile(file, []byte("FROM scratch\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"stars":          strings.Repeat("*a", 2000) + "b",
		"double stars":   strings.Repeat("**/", 2000) + "b",
		"mixed stars":    strings.Repeat("**/*a*/", 500) + "b",
		"classes":        strings.Repeat("[a-z]", 2000),
		"open class":     "[" + strings.Repeat("a", size),
		"many":           strings.Repeat("**/a*b\n", 2000),
		"many negations": strings.Repeat("**\n!**/b\n", 1000),
		"backslashes":    strings.Repeat(`\`, size),
		"zeros":          strings.Repeat("\x00", size),
		"one long line":  strings.Repeat("a", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), maxTime)
			defer cancel()
			start := time.Now()
			archive, err := buildcontext.Pack(ctx, dir, buildcontext.Options{})
			if err == nil {
				_ = archive.Close()
			}
			if took := time.Since(start); took > maxTime || ctx.Err() != nil {
				t.Errorf("it takes %s: %v", took, err)
			}
		})
	}
}

// TestLogLines prints lines of a program that wants the terminal: no control character is left, and
// the time is in proportion to the length.
func TestLogLines(t *testing.T) {
	for name, line := range map[string]string{
		"escapes":              strings.Repeat("\x1b[", size),
		"open string":          "\x1b]0;" + strings.Repeat("x", 16*size),
		"colors":               strings.Repeat("\x1b[31m", size),
		"nested":               strings.Repeat("\x1b]", size) + "\x07",
		"control characters":   strings.Repeat("\x00\x07\x08\x9b\u202e", size),
		"carriage returns":     strings.Repeat("x\r", size),
		"no UTF-8":             strings.Repeat("\xff\xfe", size),
		"userinfo":             strings.Repeat("https://a:b@", size/8),
		"tokens":               strings.Repeat("ghp_", size),
		"ends of parameters":   "\x1b[" + strings.Repeat("1;", size) + "m",
		"combining characters": strings.Repeat("e\u0301", size),
	} {
		start := time.Now()
		shown := display.SanitizeLog(secret.ReplaceTokens(line, "***"), false)
		if took := time.Since(start); took > maxTime {
			t.Errorf("%s: it takes %s", name, took)
		}
		if strings.ContainsAny(shown, "\x00\x07\x08\x1b\u009b\u202e\r") {
			t.Errorf("%s: a control character is left", name)
		}
	}
}
