//go:build e2e

package env

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Base images of the tests' Dockerfiles.
const (
	// SmallBase has a shell, the usual commands and a web server in two megabytes.
	// Use it for everything that does not test Python itself.
	SmallBase = "busybox:1.37"
	// PythonBase is the base image of a usual service.
	PythonBase = "python:3.13-slim"
)

// SmallServer is a Dockerfile's last line: a web server for the working directory on
// port 8000, which ends when its pod is deleted.
const SmallServer = `CMD ["sh", "-c", "trap exit TERM; httpd -f -p 8000 & wait"]` + "\n"

// Root returns a path in the repository. The go command starts tests in the directory
// of their package.
func Root(elem ...string) string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || dir == filepath.Dir(dir) {
			return filepath.Join(append([]string{dir}, elem...)...)
		}
		dir = filepath.Dir(dir)
	}
}

// Project writes files into a new directory of the given name.
func Project(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	for file, content := range files {
		path := filepath.Join(dir, file)
		Check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		Check(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

// Page is a project that serves text. Its Dockerfile has the instructions of more
// after FROM.
func Page(t *testing.T, name, text, more string) string {
	t.Helper()
	return Project(t, name, map[string]string{
		"Dockerfile": "FROM " + SmallBase + " AS base\n" + more + "COPY index.html /app/\nWORKDIR /app\nEXPOSE 8000\n" + SmallServer,
		"index.html": text,
	})
}

// Example copies a project of examples/ and replaces text in one of its files.
func Example(t *testing.T, name, file, old, new string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	Check(t, os.CopyFS(dir, os.DirFS(Root("examples", name))))
	path := filepath.Join(dir, file)
	content, err := os.ReadFile(path)
	Check(t, err)
	if strings.Count(string(content), old) != 1 {
		t.Fatalf("%s should have %q once", path, old)
	}
	Check(t, os.WriteFile(path, []byte(strings.Replace(string(content), old, new, 1)), 0o644))
	return dir
}

// Tree returns the files of a project that the detection's own tests have, without
// what they expect of it.
func Tree(t *testing.T, name string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(Root("pkg", "python", "detect", "testdata", name+".txtar"))
	Check(t, err)
	files, file := map[string]string{}, ""
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(line, " --\n") {
			file = strings.TrimSuffix(rest, " --\n")
			files[file] = ""
		} else if file != "" {
			files[file] += line
		}
	}
	for _, expected := range []string{"want.json", "want-error", "options.json", "project-dir"} {
		delete(files, expected)
	}
	return files
}

// WaitTimeout is how long builds of stuck apps wait for what may pass.
const WaitTimeout = "20s"

// StuckApp is a project whose image is built at once and cannot run, so that only what
// keeps its pod from starting counts. Its manifests have the pod's fields that are
// given, and further documents.
func StuckApp(t *testing.T, name, pod string, documents ...string) string {
	t.Helper()
	manifest := fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
spec:
  selector:
    matchLabels: {app: %[1]s}
  template:
    metadata:
      labels: {app: %[1]s}
    spec:
%[2]s`, name, indent(pod, 6))
	return Project(t, name, map[string]string{
		"Dockerfile":             "FROM scratch\nCOPY Dockerfile /Dockerfile\nCMD [\"/none\"]\n",
		"k8s/kustomization.yaml": "resources: [deployment.yaml]\n",
		"k8s/deployment.yaml":    strings.Join(append(documents, manifest), "---\n"),
	})
}

func indent(text string, spaces int) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Repeat(" ", spaces)+line)
	}
	return strings.Join(lines, "")
}
