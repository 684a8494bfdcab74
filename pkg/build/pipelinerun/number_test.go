package pipelinerun_test

import (
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
)

func TestNumbers(t *testing.T) {
	for name, want := range map[string]int{
		"shop-7": 7, "shop-10": 10, "shop-07": 0, "shop-0": 0, "shop--1": 0, "shop-x7k2p": 0, "shop": 0, "shop-api-7": 0, "my-shop-7": 0, "shop-7-1": 0,
	} {
		if got := pipelinerun.NumberOf("shop", name); got != want {
			t.Errorf("%s has the number %d, want %d", name, got, want)
		}
	}
}

// TestRenumber wants a repetition with a number, a tag and a record of its own, and none that
// takes over what is not the app's.
func TestRenumber(t *testing.T) {
	spec := minimal()
	spec.Adopt, spec.Record = true, `{"by":"alice"}`
	old := pipelinerun.New(pipelinerun.Numbered(spec, 3))
	again, err := pipelinerun.Rerun(old, "mountains")
	if err != nil {
		t.Fatal(err)
	}
	pipelinerun.Renumber(again, "mountains", 4, `{"by":"bob"}`)
	pipelinerun.Renumber(again, "mountains", 5, `{"by":"bob"}`)
	for name, want := range map[string]string{"tag": "mountains-5", "release": "5", "record": `{"by":"bob"}`, "adopt": ""} {
		if got := values(again, name); len(got) > 1 || (len(got) == 1) != (want != "") || (want != "" && got[0] != want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if again.Name != "mountains-5" || pipelinerun.Record(again) != `{"by":"bob"}` || old.Name != "mountains-3" {
		t.Errorf("the runs are %s and %s", old.Name, again.Name)
	}
}

func values(run *tektonv1.PipelineRun, name string) (all []string) {
	for _, param := range run.Spec.Params {
		if param.Name == name {
			all = append(all, param.Value.StringVal)
		}
	}
	return all
}
