package manifests

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// reportScript is the script of the step that ends as the tests did, with files below
// dir.
func reportScript(t *testing.T, dir string) string {
	t.Helper()
	platform, err := Render(fixed("default"))
	if err != nil {
		t.Fatal(err)
	}
	steps, _, err := unstructured.NestedSlice(find(platform.Pipeline, "Task", "pyflow-test").Object, "spec", "steps")
	if err != nil {
		t.Fatal(err)
	}
	last, ok := steps[len(steps)-1].(map[string]any)
	if !ok {
		t.Fatalf("the last step is %v", steps[len(steps)-1])
	}
	args, _, err := unstructured.NestedStringSlice(last, "args")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(
		"$(results.TESTED.path)", dir+"/TESTED", "$(steps.step-test.exitCode.path)", dir+"/exitCode", "/pyflow-test/", dir+"/",
	).Replace(args[0])
}

func TestReportEndsAsTheTestsDid(t *testing.T) {
	for name, test := range map[string]struct {
		// exitCode is what Tekton writes down; it writes nothing when that is empty.
		exitCode string
		files    map[string]string
		code     int
		out      string
		tested   bool
	}{
		"green":                  {"0", map[string]string{"junit.xml": "<testsuite/>"}, 0, "<testsuite/>\n", true},
		"without results":        {"0", nil, 0, "", true},
		"red":                    {"3", map[string]string{"junit.xml": "<testsuite/>"}, 3, "<testsuite/>\n", false},
		"red, and says green":    {"1", map[string]string{"TESTED": "true"}, 1, "", false},
		"ended by a signal":      {"-1", nil, 1, "", false},
		"nobody knows":           {"", map[string]string{"TESTED": "true"}, 1, "", false},
		"results that are large": {"0", map[string]string{"junit.xml": strings.Repeat("x", 5<<20)}, 0, strings.Repeat("x", 4<<20) + "\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string]string{}
			if test.exitCode != "" {
				files["exitCode"] = test.exitCode
			}
			maps.Copy(files, test.files)
			for name, content := range files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			code := 0
			out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", reportScript(t, dir)).Output()
			var ended *exec.ExitError
			if errors.As(err, &ended) {
				code = ended.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			result, err := os.ReadFile(filepath.Join(dir, "TESTED"))
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if code != test.code || string(out) != test.out || (string(result) == "true") != test.tested {
				t.Errorf("it ends with %d, tested %q, and prints %d bytes, want %d, %t, %d", code, result, len(out), test.code, test.tested, len(test.out))
			}
		})
	}
}
