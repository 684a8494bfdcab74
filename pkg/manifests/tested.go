package manifests

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	buildTaskName = "pyflow-build"
	testTaskName  = "pyflow-test"
	// testsVolume holds the results of tests, where the build step and the report see it.
	testsVolume  = "tests"
	testsSize    = "1Gi"
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
	r.set(task, append(list(task, "spec", "volumes"), map[string]any{"name": testsVolume, "emptyDir": map[string]any{"sizeLimit": testsSize}}), "spec", "volumes")
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
	// The report ends as the build ended: a build that failed has pushed nothing.
	at := slices.IndexFunc(steps, func(item any) bool { step, _ := item.(map[string]any); return step["name"] == digestStep })
	if at < 0 && r.err == nil {
		r.err = fmt.Errorf("task %s: there is no step %s", TestedBuildTask, digestStep)
		return task
	}
	r.set(task, slices.Insert(steps, at, any(report)), "spec", "steps")
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
	if err := setVariable(steps, "USER_OF_PODS", "$(params.user)"); err != nil && r.err == nil {
		r.err = fmt.Errorf("task %s: %w", DeployAsTask, err)
	}
	r.set(task, steps, "spec", "steps")
	return task
}

// withJobs returns the Task that does what deploy does, and runs the Jobs among the manifests as
// jobs does: it is deploy, with the steps of jobs after the overlay.
func withJobs(deploy, jobs *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	task := deploy.DeepCopy()
	task.SetName(deploy.GetName() + JobsSuffix)
	steps, ordered := list(task, "spec", "steps"), list(jobs, "spec", "steps")
	if err := setVariable(steps, "ORDERED", "true"); err != nil {
		return nil, fmt.Errorf("task %s: %w", deploy.GetName(), err)
	}
	isOverlay := func(item any) bool { step, _ := item.(map[string]any); return step["name"] == overlayStep }
	steps = slices.Concat(steps[:slices.IndexFunc(steps, isOverlay)+1], ordered[slices.IndexFunc(ordered, isOverlay)+1:])
	if err := unstructured.SetNestedSlice(task.Object, steps, "spec", "steps"); err != nil {
		return nil, fmt.Errorf("task %s: %w", deploy.GetName(), err)
	}
	about := fmt.Sprintf("Does what %s does, and runs Jobs as %s does.", deploy.GetName(), jobs.GetName())
	return task, unstructured.SetNestedField(task.Object, about, "spec", "description")
}

// overlayStep is the step of the Tasks that deploy which writes what they apply.
const overlayStep = "overlay"

// setVariable sets a variable of the step that writes what a Task applies.
func setVariable(steps []any, name, value string) error {
	env, _ := step(steps, overlayStep)["env"].([]any)
	for _, item := range env {
		if variable, _ := item.(map[string]any); variable["name"] == name {
			variable["value"] = value
			return nil
		}
	}
	return fmt.Errorf("no step %s has the variable %s", overlayStep, name)
}

// digestStep is the step of the Task that builds which reads what was pushed.
const digestStep = "digest"

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
