//go:build e2e

// Package disruptive has the end-to-end tests that change the platform or the nodes
// for everyone. They run one after another, after those of package e2e.
package disruptive

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

func TestMain(m *testing.M) { os.Exit(env.Main(m, 1)) }

// app is an app that serves while the platform changes below it. All tests share it
// and its namespace: what a test builds there has a name of its own.
type app struct {
	*env.NS
	name, text         string
	digest, image, url string
}

// pods selects the app's pods, and not those of its runs.
const pods = "app.kubernetes.io/name=bystander,pod-template-hash"

// bystander is built by the first test that asks for it.
var bystander struct {
	once sync.Once
	app  *app
}

// theApp returns the app, which serves.
func theApp(t *testing.T) *app {
	t.Helper()
	bystander.once.Do(func() {
		a := &app{NS: env.KeptNamespace(t), name: "bystander", text: "still here"}
		a.digest, a.url = a.Build(t, env.Page(t, a.name, a.text, ""), "--replicas", "2").Released(t)
		snapshot, _ := a.Status(t)
		a.image = env.App(t, snapshot, a.name).Image
		bystander.app = a
	})
	if bystander.app == nil {
		t.Fatal("the app was not deployed")
	}
	env.Serves(t, bystander.app.url, bystander.app.text)
	return bystander.app
}

// serves checks that the app answers, and that status has its release.
func (a *app) serves(t *testing.T) {
	t.Helper()
	env.Serves(t, a.url, a.text)
	snapshot, r := a.Status(t)
	if app := env.App(t, snapshot, a.name); app.Digest != a.digest || app.Ready != 2 {
		t.Errorf("%s should run with digest %s\n%s", a.name, a.digest, r)
	}
}

// workload is the app as setup's warnings name it.
func (a *app) workload() string {
	return fmt.Sprintf("deployment.apps/%s in namespace %s", a.name, a.Name)
}
