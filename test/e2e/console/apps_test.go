//go:build e2e

package console

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// writer is a workload of an app whose replicas write what a page must not take for HTML.
func writer(ns *env.NS, name, image, script string) *appsv1.Deployment {
	labels := map[string]string{"run": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns.Name, Labels: map[string]string{manifests.LabelApp: name}},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					ImagePullSecrets: []corev1.LocalObjectReference{{Name: manifests.RegistrySecret}},
					Containers:       []corev1.Container{{Name: "app", Image: image, Command: []string{"/bin/sh", "-c", script}}},
				},
			},
		},
	}
}

// TestApps shows what is deployed, what is wrong with it, and the log of every replica.
func TestApps(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	u := serve(t, ns)
	tb := open(t, u, "/apps")
	tb.shows(t, "No app is deployed yet")
	ns.Build(t, env.Page(t, "shop", "hello", "")).Released(t)
	run := ns.RunList(t)[0].Name
	tb.shows(t, "1 app, 0 unhealthy", "Healthy", run)

	deployments := ns.Kube.AppsV1().Deployments(ns.Name)
	shop, err := deployments.Get(t.Context(), "shop", metav1.GetOptions{})
	env.Check(t, err)
	image := shop.Spec.Template.Spec.Containers[0].Image
	for name, script := range map[string]string{
		"broken":  `echo "<script>alert(1)</script>"; exit 3`,
		"counter": `i=0; while true; do i=$((i+1)); echo "count $i end"; sleep 0.2; done`,
	} {
		_, err := deployments.Create(t.Context(), writer(ns, name, image, script), metav1.CreateOptions{})
		env.Check(t, err)
	}
	// Another one that starts may be the first for a moment.
	tb.until(t, `document.querySelector("main").innerText.includes("3 apps, 1 unhealthy") && document.querySelector("tbody th").innerText === "broken"`)
	tb.fill(t, "Health", "Healthy")
	tb.shows(t, "2 of 3 apps")
	tb.fill(t, "Name, commit or image", "nothing like it")
	tb.shows(t, "No app matches")
	tb.press(t, "Show all apps")

	t.Run("unhealthy", func(t *testing.T) {
		tb.press(t, "broken")
		tb.shows(t, "Unhealthy", "exited with code 3", "Replicas", "0 of 2 ready", "<script>alert(1)</script>")
		if n := is[int](t, tb, `document.querySelectorAll("main script").length`); n != 0 {
			t.Errorf("the log made %d elements", n)
		}
		for _, s := range screens() {
			tb.picture(t, "unhealthy-app", s)
		}
		tb.accessible(t, "an unhealthy app")
	})
	t.Run("log of every replica", func(t *testing.T) {
		tb.visit(t, u.url("/apps/"+ns.Name+"/counter"))
		tb.until(t, `document.querySelectorAll("#log-source option").length === 3`)
		source := is[string](t, tb, `document.querySelectorAll("#log-source option")[1].value`)
		tb.fill(t, "Replica", source)
		tb.until(t, fmt.Sprintf(`[...document.querySelectorAll(".log-row .source")].every(e => e.innerText === %s)`, quote(source)))
		// Each line comes once, in order.
		tb.until(t, `(() => {
			const numbers = [...document.querySelectorAll(".log-row")].map(e => Number(/count (\d+) end/.exec(e.innerText)?.[1]));
			return numbers.length > 5 && numbers.every((n, i) => i === 0 || n === numbers[i-1] + 1);
		})()`)
	})
	t.Run("log of one replica", func(t *testing.T) {
		link := is[string](t, tb, `document.querySelectorAll('a[aria-label^="Log of counter-"]')[1].getAttribute("href")`)
		tb.click(t, `a[href="`+link+`"]`)
		_, pod, _ := strings.Cut(link, "?replica=")
		tb.shows(t, "Log of replica "+pod)
		tb.until(t, fmt.Sprintf(`(rows => rows.length > 5 && rows.every(e => e.querySelector(".source").innerText === %s))([...document.querySelectorAll(".log-row")])`, quote(pod[strings.LastIndex(pod, "-")+1:])))
		// It survives a reload, and leads back.
		tb.visit(t, u.url(link))
		tb.shows(t, "Log of replica "+pod)
		tb.press(t, "Log of all replicas")
		tb.until(t, `document.querySelectorAll("#log-source option").length === 3`)
		tb.visit(t, u.url("/apps/"+ns.Name+"/counter?replica=counter-gone"))
		tb.shows(t, "Replica counter-gone does not exist any more")
		tb.visit(t, u.url("/apps/"+ns.Name+"/counter"))
		tb.until(t, `document.querySelectorAll("#log-source option").length === 3`)
	})
	t.Run("rollout", func(t *testing.T) {
		before, err := deployments.Get(t.Context(), "counter", metav1.GetOptions{})
		env.Check(t, err)
		before.Spec.Template.Spec.Containers[0].Command[2] = `echo "of the new release"; exec sleep 3600`
		_, err = deployments.Update(t.Context(), before, metav1.UpdateOptions{})
		env.Check(t, err)
		tb.fill(t, "Replica", "")
		tb.fill(t, "Search the log", "of the new release")
		tb.until(t, `document.querySelector(".matches").textContent.endsWith("of 2")`)
	})
	t.Run("what runs", func(t *testing.T) {
		tb.visit(t, u.url("/apps/"+ns.Name+"/shop"))
		tb.shows(t, "Built by", run, "Ready", "deployment/shop")
		for _, s := range screens() {
			tb.picture(t, "app", s)
		}
		tb.accessible(t, "an app")
		tb.press(t, "Build again")
		tb.fill(t, "Memory of the build", "256Mi")
		tb.shows(t, "kubectl pyflow rerun --namespace="+ns.Name+" --memory=256Mi --detach "+run)
		tb.fill(t, "Memory of the build", "much")
		tb.press(t, "Build again")
		tb.shows(t, "--memory much is not a quantity, such as 2Gi")
		tb.press(t, "Close")
		tb.press(t, "deployment/shop")
		tb.shows(t, "kind: Deployment")
	})
	t.Run("list", func(t *testing.T) {
		tb.visit(t, u.url("/apps"))
		tb.shows(t, "3 apps")
		for _, s := range screens() {
			tb.picture(t, "apps", s)
		}
		tb.accessible(t, "the apps")
	})
	t.Run("none of that name", func(t *testing.T) {
		tb.visit(t, u.url("/apps/"+ns.Name+"/nothing"))
		tb.shows(t, `there is no app "nothing"`)
	})
}

// TestPlatform shows the parts of the platform as they are when the page is opened.
func TestPlatform(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	tb := open(t, serve(t, ns), "/platform")
	tb.shows(t, "Parts", "registry-storage", "tekton-controller", "node-access", "Nodes", "read ", ns.Name)
	tb.until(t, `[...document.querySelectorAll("tbody tr")].some(e => /^registry\b.*\d{4}-\d\d-\d\d, in \d+ days/s.test(e.innerText))`)
	tb.press(t, "Refresh")
	tb.shows(t, "Parts", "read ")
	for _, s := range screens() {
		tb.picture(t, "platform", s)
	}
	tb.accessible(t, "the platform")
	// What is not in a column of a narrow screen is below the name.
	tb.run(t, width(360))
	tb.until(t, `[...document.querySelectorAll("tbody tr")].some(e => /^registry\b.*Certificate valid until \d{4}-\d\d-\d\d/s.test(e.innerText))`)
	tb.run(t, width(1280))
	tb.press(t, "Overview")
	tb.shows(t, "Platform devel")
}
