package pipelinerun_test

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/kaniko"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

func push(run *tektonv1.PipelineRun) []tektonv1.WorkspaceBinding {
	return slices.DeleteFunc(slices.Clone(run.Spec.Workspaces), func(w tektonv1.WorkspaceBinding) bool { return w.Name != "push" })
}

func certificateArgs(run *tektonv1.PipelineRun) (found []string) {
	for _, p := range run.Spec.Params {
		for _, arg := range p.Value.ArrayVal {
			if strings.HasPrefix(arg, "--registry-client-cert=") {
				found = append(found, arg)
			}
		}
	}
	return found
}

func TestCreateSignsACertificate(t *testing.T) {
	all, err := credentials.Ensure(credentials.Credentials{}, credentials.Request{FrontHost: "front", StorageHost: "storage", Namespaces: []string{"hiking"}, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	builder, err := credentials.NewBuilder(all.Builders["hiking"])
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster()
	clients := c.clients()
	clients.Login = pipelinerun.Login{Builder: builder, Engine: kaniko.Engine{}}
	spec := minimal()
	spec.Untrusted, spec.Timeout = true, 30*time.Minute
	run, err := pipelinerun.Create(t.Context(), clients, spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	check := func(run *tektonv1.PipelineRun) {
		t.Helper()
		secret, err := c.kube.CoreV1().Secrets("hiking").Get(t.Context(), run.Name+"-push", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(secret.OwnerReferences) != 1 || secret.OwnerReferences[0].Name != run.Name {
			t.Errorf("the owner of the Secret is %v", secret.OwnerReferences)
		}
		pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
		if err != nil {
			t.Fatal(err)
		}
		if got, want := pair.Leaf.URIs[0].Path, "/untrusted/mountains:"+run.Name; got != want {
			t.Errorf("the certificate is for %s, want %s", got, want)
		}
		if valid := time.Until(pair.Leaf.NotAfter); valid < 35*time.Minute || valid > 45*time.Minute {
			t.Errorf("the certificate is valid for %s, the run for 30m", valid)
		}
		bound := push(run)
		if len(bound) != 1 || bound[0].Projected == nil || bound[0].Projected.Sources[0].Secret.Name != secret.Name {
			t.Errorf("the workspace push is %+v", bound)
		}
		if args := certificateArgs(run); len(args) != 1 {
			t.Errorf("the arguments are %v", args)
		}
	}
	check(run)
	again, err := pipelinerun.Rerun(run, "mountains-again")
	if err != nil {
		t.Fatal(err)
	}
	if !pipelinerun.Parse(again).Untrusted {
		t.Error("the repetition of an untrusted run is trusted")
	}
	if again, err = pipelinerun.Start(t.Context(), clients, again); err != nil {
		t.Fatal(err)
	}
	check(again)
}

func TestCreateWithoutBuilder(t *testing.T) {
	run, err := pipelinerun.Create(t.Context(), newCluster().clients(), minimal(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if bound := push(run); len(bound) != 1 || bound[0].Secret == nil || bound[0].Secret.SecretName != "pyflow-registry" {
		t.Errorf("the workspace push is %+v, want the login for an external registry", bound)
	}
	if args := certificateArgs(run); len(args) != 0 {
		t.Errorf("the arguments are %v", args)
	}
}

func TestBuildKeyOfUntrusted(t *testing.T) {
	b := minimal()
	trusted := pipelinerun.BuildKey(b, "1")
	b.Untrusted = true
	if trusted == "" || pipelinerun.BuildKey(b, "1") == trusted {
		t.Error("a trusted build would take the image of an untrusted one")
	}
}
