package manifests

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// scriptPrefix starts the name of a script where a Task runs it.
const scriptPrefix = "scripts/"

// setScripts replaces the names of scripts in a Task, in its annotations and in the
// arguments of its steps, by their text.
func (r *renderer) setScripts(task *unstructured.Unstructured) {
	annotations := task.GetAnnotations()
	for key, value := range annotations {
		annotations[key] = r.script(value)
	}
	task.SetAnnotations(annotations)

	steps, _, err := unstructured.NestedSlice(task.Object, "spec", "steps")
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("task %s: %w", task.GetName(), err)
	}
	for _, item := range steps {
		step, _ := item.(map[string]any)
		args, _ := step["args"].([]any)
		for i, arg := range args {
			if text, ok := arg.(string); ok {
				args[i] = r.script(text)
			}
		}
	}
	r.set(task, steps, "spec", "steps")
}

// script returns the text of the script that value names, or value if it names none.
func (r *renderer) script(value string) string {
	if !strings.HasPrefix(value, scriptPrefix) {
		return value
	}
	text, err := embedded.ReadFile("platform/" + value)
	if err != nil && r.err == nil {
		r.err = err
	}
	return string(text)
}
