package manifests

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	buildTaskName = "pyflow-build"
	testTaskName  = "pyflow-test"
	// testsVolume holds the results of tests, where the build step and the report see it.
	testsVolume  = "tests"
	buildTestDir = "/kaniko/tests"
	reportDir    = "/pyflow-test"
)

// testedBuild returns the Task TestedBuildTask: it is build, with a volume for the results of
// tests, and with the step of test that prints them and ends as the build ended. The tag is
// another one in every run, so that no run takes its tests from the cache.
func (r *renderer) testedBuild(build, test *unstructured.Unstructured) *unstructured.Unstructured {
	task := build.DeepCopy()
	task.SetName(TestedBuildTask)
	r.set(task, "Does what pyflow-build does, for a Dockerfile with a stage that tests the image: prints the JUnit results that pytest writes, and pushes no image whose tests fail.", "spec", "description")
	r.set(task, append(list(task, "spec", "volumes"), map[string]any{"name": testsVolume, "emptyDir": map[string]any{}}), "spec", "volumes")
	r.set(task, append(list(task, "spec", "results"), list(test, "spec", "results")...), "spec", "results")

	steps := list(task, "spec", "steps")
	engine, report := step(steps, "build"), step(list(test, "spec", "steps"), "report")
	if engine == nil || report == nil {
		if r.err == nil {
			r.err = fmt.Errorf("task %s: the steps build and report are not in the Tasks that it is made of", TestedBuildTask)
		}
		return task
	}
	engine["onError"] = "continue"
	args, _ := engine["args"].([]any)
	engine["args"] = append(args, "--build-arg="+TestRunArg+"=$(params.tag)")
	mount(engine, buildTestDir)
	mount(report, reportDir)
	env, _ := report["env"].([]any)
	for _, item := range env {
		if variable, _ := item.(map[string]any); variable["name"] == "EXIT_CODE" {
			variable["value"] = "$(steps.step-build.exitCode.path)"
		}
	}
	r.set(task, append(steps, report), "spec", "steps")
	return task
}

// deployAs returns the Task DeployAsTask: it is deployUser with a parameter for the user.
func (r *renderer) deployAs(deployUser *unstructured.Unstructured) *unstructured.Unstructured {
	task := deployUser.DeepCopy()
	task.SetName(DeployAsTask)
	r.set(task, "Does what pyflow-deploy-user does, with a user that is given in place of the one that the image names. Its names are those of the image.", "spec", "description")
	r.set(task, append(list(task, "spec", "params"), map[string]any{
		"name": "user", "description": "The user of the pods, USER or USER:GROUP, in names of the image or numbers.",
	}), "spec", "params")
	steps := list(task, "spec", "steps")
	overlay := step(steps, "overlay")
	if overlay == nil {
		if r.err == nil {
			r.err = fmt.Errorf("task %s: the step overlay is not in the Task that it is made of", DeployAsTask)
		}
		return task
	}
	env, _ := overlay["env"].([]any)
	for _, item := range env {
		if variable, _ := item.(map[string]any); variable["name"] == "USER_OF_PODS" {
			variable["value"] = "$(params.user)"
		}
	}
	r.set(task, steps, "spec", "steps")
	return task
}

// mount adds the volume of the tests to a step.
func mount(step map[string]any, path string) {
	mounts, _ := step["volumeMounts"].([]any)
	step["volumeMounts"] = append(mounts, map[string]any{"name": testsVolume, "mountPath": path})
}

// step returns the step of a name, or nil.
func step(steps []any, name string) map[string]any {
	for _, item := range steps {
		if step, _ := item.(map[string]any); step["name"] == name {
			return step
		}
	}
	return nil
}

// list returns a list of an object, which it copies; nil if there is none.
func list(object *unstructured.Unstructured, fields ...string) []any {
	found, _, _ := unstructured.NestedSlice(object.Object, fields...)
	return found
}
