//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

const shopProcesses = `[tool.kubectl-pyflow]
env = { LEVEL = "info", QUEUE = "default" }

[tool.kubectl-pyflow.processes]
release = "echo migrated by $LEVEL, PORT=$PORT."
worker = { command = "trap exit TERM; echo works on $LEVEL $QUEUE; sleep 3600 & wait", replicas = 2, env = { QUEUE = "mail" } }
tick = { command = "echo 'tick'", schedule = "30 4 * * *", timezone = "Europe/Berlin", timeout = "1m" }
`

// TestProcesses is an app with a worker, a schedule and a step before each release, from its
// first build to its end.
func TestProcesses(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Page(t, "shop", "first", "")
	settings := filepath.Join(dir, "pyproject.toml")
	env.Check(t, os.WriteFile(settings, []byte(shopProcesses), 0o644))

	r := ns.Build(t, dir)
	_, url := r.Released(t)
	r.Says(t, "Processes (pyproject.toml): web, tick (at 30 4 * * *), worker, release (before the others)")
	env.Serves(t, url, "first")
	if pods := servicePods(t, ns, "shop"); len(pods) != 1 || pods[0].Labels["pyflow.dev/process"] != "web" {
		t.Errorf("the Service has %d pods: %v", len(pods), pods)
	}
	worker := deploymentOf(t, ns, "shop-worker")
	if worker.Status.ReadyReplicas != 2 || worker.Spec.Template.Spec.Containers[0].ReadinessProbe != nil {
		t.Errorf("%d workers are ready, with the probe %v", worker.Status.ReadyReplicas, worker.Spec.Template.Spec.Containers[0].ReadinessProbe)
	}
	ns.Pyflow(t, "logs", "shop/worker").Succeeded(t).Prints(t, "works on info mail")
	if log := jobLog(t, ns, "shop-release"); log != "migrated by info, PORT=.\n" {
		t.Errorf("the release process wrote %q", log)
	}
	ns.Run(t, nil, "kubectl", "-n", ns.Name, "create", "job", "--from=cronjob/shop-tick", "now").Succeeded(t)
	env.Eventually(t, "the scheduled process runs", func(ctx context.Context) error {
		job, err := ns.Kube.BatchV1().Jobs(ns.Name).Get(ctx, "now", metav1.GetOptions{})
		if err == nil && job.Status.Succeeded != 1 {
			err = errors.New("it has not succeeded")
		}
		return err
	})
	ns.Pyflow(t, "status", "shop", "-o", "wide").Succeeded(t).Prints(t, "shop-worker")
	ns.Build(t, dir).Succeeded(t).Says(t, "Nothing has changed, and the release is already running")

	t.Run("one process", func(t *testing.T) { oneProcess(t, ns) })
	t.Run("next release", func(t *testing.T) { nextRelease(t, ns, dir, settings) })
	t.Run("mistakes", func(t *testing.T) { processMistakes(t, ns, dir, settings) })

	ns.Pyflow(t, "delete", "shop", "--yes").Succeeded(t).Prints(t, "cronjobs.batch/shop-tick deleted", "jobs.batch/shop-release deleted", "deployments.apps/shop-worker deleted")
	env.Eventually(t, "all objects of the app go", func(ctx context.Context) error {
		left, err := ns.Command(ctx, "kubectl", "-n", ns.Name, "get", "deployments,cronjobs,jobs,services", "-l", "pyflow.dev/app=shop", "-o", "name").Output()
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("there is %s", left)
		}
		return err
	})
}

// oneProcess looks after one process of an app.
func oneProcess(t *testing.T, ns *env.NS) {
	ns.Pyflow(t, "scale", "shop/worker", "1").Succeeded(t).Prints(t, "deployment/shop-worker scaled from 2 to 1 replica")
	ns.Pyflow(t, "scale", "shop", "2").Succeeded(t).Prints(t, "deployment/shop scaled from 1 to 2 replicas")
	if worker := deploymentOf(t, ns, "shop-worker"); *worker.Spec.Replicas != 1 {
		t.Errorf("scale of the app changed the worker to %d", *worker.Spec.Replicas)
	}
	before := deploymentOf(t, ns, "shop").Generation
	ns.Pyflow(t, "restart", "shop/worker").Succeeded(t).Prints(t, "deployment/shop-worker")
	if after := deploymentOf(t, ns, "shop").Generation; after != before {
		t.Error("the restart of a worker changed the web process")
	}
	ns.Pyflow(t, "shell", "shop/worker", "--", "sh", "-c", "echo queue $QUEUE").Succeeded(t).Prints(t, "queue mail\n")
	ns.Pyflow(t, "logs", "shop/none").Failed(t, `app shop has no workload "none": it has web, worker`)
	ns.Pyflow(t, "__complete", "scale", "shop/").Succeeded(t).Prints(t, "shop/worker\tdeployment/shop-worker")
}

// nextRelease wants the release process run again with the new image, and a process gone that
// the settings no longer have, until a rollback.
func nextRelease(t *testing.T, ns *env.NS, dir, settings string) {
	before, err := ns.Kube.BatchV1().Jobs(ns.Name).Get(t.Context(), "shop-release", metav1.GetOptions{})
	env.Check(t, err)
	env.Check(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("second"), 0o644))
	env.Check(t, os.WriteFile(settings, []byte(strings.Replace(shopProcesses, "tick =", "tock =", 1)), 0o644))
	_, url := ns.Build(t, dir).Released(t)
	env.Serves(t, url, "second")
	after, err := ns.Kube.BatchV1().Jobs(ns.Name).Get(t.Context(), "shop-release", metav1.GetOptions{})
	env.Check(t, err)
	image := deploymentOf(t, ns, "shop").Spec.Template.Spec.Containers[0].Image
	if after.UID == before.UID || after.Spec.Template.Spec.Containers[0].Image != image || after.Status.Succeeded != 1 {
		t.Errorf("the release process ran %s with %d success, and the app runs %s", after.Spec.Template.Spec.Containers[0].Image, after.Status.Succeeded, image)
	}
	if names := cronJobs(t, ns); !slices.Equal(names, []string{"shop-tock"}) {
		t.Errorf("the scheduled processes are %q", names)
	}

	// A release process that fails leaves everything else as it is.
	env.Check(t, os.WriteFile(settings, []byte(strings.Replace(shopProcesses, `"echo migrated by $LEVEL, PORT=$PORT."`, `"echo no such column; exit 3"`, 1)), 0o644))
	ns.Build(t, dir).Failed(t, "shop-release").Says(t, "no such column")
	env.Serves(t, url, "second")
	if names := cronJobs(t, ns); !slices.Equal(names, []string{"shop-tock"}) {
		t.Errorf("after a release that failed, the scheduled processes are %q", names)
	}

	// A worker has no probe, and yet one that ends at once fails the build.
	env.Check(t, os.WriteFile(settings, []byte(strings.Replace(shopProcesses, "echo works on $LEVEL $QUEUE;", "echo no broker; sleep 2; exit 4;", 1)), 0o644))
	ns.Build(t, dir).Failed(t, "shop-worker").Says(t, "no broker")
	env.Check(t, os.WriteFile(settings, []byte(shopProcesses), 0o644))

	ns.Pyflow(t, "rollback", "shop", "--to", "1").Succeeded(t)
	env.Serves(t, url, "first")
	if names := cronJobs(t, ns); !slices.Equal(names, []string{"shop-tick"}) {
		t.Errorf("after the rollback, the scheduled processes are %q", names)
	}
}

// processMistakes are refused before anything is sent.
func processMistakes(t *testing.T, ns *env.NS, dir, settings string) {
	runs := len(ns.Runs(t))
	for line, want := range map[string]string{
		`bad = { command = "a", schedule = "0 25 * * *" }`: `pyproject.toml:2:24: tool.kubectl-pyflow.processes.bad.schedule: "0 25 * * *" is not a schedule`,
		`release = { command = "a", replicas = 2 }`:        "the release process runs once",
		`worker = "a 'b"`: "a quote or a command is not closed",
		`Worker = "a"`:    "the name of a process has lower case letters",
		`w = { command = "a", env = { T = { secret = "gone" } } }`: "gone",
		"web = \"a\"\n[tool.kubectl-pyflow]\nentrypoint = \"a:b\"": "the process web starts the web application, too",
	} {
		env.Check(t, os.WriteFile(settings, []byte("[tool.kubectl-pyflow.processes]\n"+line+"\n"), 0o644))
		ns.Build(t, dir).Failed(t, want)
	}
	if now := len(ns.Runs(t)); now != runs {
		t.Errorf("%d runs started", now-runs)
	}
	env.Check(t, os.Remove(settings))
}

// TestProcfile is a project with a Procfile alone: the command of its web process runs, with
// its port, and so do the others.
func TestProcfile(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	files := env.Tree(t, "ready-flask-factory")
	dir := env.Project(t, "heroic", files)
	procfile := filepath.Join(dir, "Procfile")
	shown := ns.Pyflow(t, "build", dir, "--show-dockerfile").Succeeded(t)
	_, command, _ := strings.Cut(shown.Stdout, "\nCMD ")
	app := strings.Trim(command[strings.LastIndex(strings.TrimSpace(command), " "):], "\"]\n ")
	env.Check(t, os.WriteFile(procfile, []byte(fmt.Sprintf("release: python -c 'print(6 * 7)'\nweb: gunicorn --bind 0.0.0.0:$PORT --access-logfile - --workers 2 '%s'\nback_office: python -c 'import time; print(\"busy\", flush=True); time.sleep(3600)'\n", app)), 0o644))

	r := ns.Build(t, dir, "--port", "8123")
	_, url := r.Released(t)
	r.Says(t, "Processes (Procfile): web, back-office, release (before the others)")
	env.Serves(t, url+"/healthz", "")
	web := deploymentOf(t, ns, "heroic").Spec.Template.Spec.Containers[0]
	if web.Ports[0].ContainerPort != 8123 || !slices.Contains(web.Command, "0.0.0.0:$(PORT)") || len(web.Args) != 0 {
		t.Errorf("the web process is %q %q on port %d", web.Command, web.Args, web.Ports[0].ContainerPort)
	}
	if log := jobLog(t, ns, "heroic-release"); log != "42\n" {
		t.Errorf("the release process wrote %q", log)
	}
	ns.Pyflow(t, "logs", "heroic/back-office").Succeeded(t).Prints(t, "busy")

	// The settings replace the Procfile, and what it named goes.
	env.Check(t, os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte(files["pyproject.toml"]+"\n[tool.kubectl-pyflow.processes]\n"), 0o644))
	ns.Build(t, dir).Released(t)
	if web := deploymentOf(t, ns, "heroic").Spec.Template.Spec.Containers[0]; len(web.Command) != 0 {
		t.Errorf("the web process still runs %q", web.Command)
	}
	if _, err := ns.Kube.AppsV1().Deployments(ns.Name).Get(t.Context(), "heroic-back-office", metav1.GetOptions{}); err == nil {
		t.Error("the worker of the Procfile is still there")
	}
}

// TestDjango is a Django project with static files, a migration, a worker and a report, in an
// image with a shell and in one without.
func TestDjango(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "shop", env.Tree(t, "ready-django"))
	secret := ns.Secret(t, "shop-key", map[string]string{"key": "hunter2hunter2hunter2"})
	for _, variant := range []string{"slim", "distroless"} {
		r := ns.Build(t, dir, "--variant", variant, "--env-from", "SECRET_KEY=secret/"+secret+":key")
		_, url := r.Released(t)
		r.Says(t, "Processes (pyproject.toml): web, report (at 30 4 * * *), worker, release (before the others)")

		// The page names the style by its content, and WhiteNoise serves that for ever.
		page, err := env.Get(t.Context(), url)
		env.Check(t, err)
		_, style, _ := strings.Cut(page, `href="/`)
		style, _, _ = strings.Cut(style, `"`)
		if !strings.HasPrefix(style, "static/orders/shop.") || style == "static/orders/shop.css" {
			t.Errorf("%s: the style of the page is %q\n%s", variant, style, page)
		}
		env.Serves(t, url+"/"+style, "darkgreen")
		if log := jobLog(t, ns, "shop-release"); !strings.Contains(log, "Applying orders.0001_initial... OK") {
			t.Errorf("%s: the migration wrote\n%s", variant, log)
		}
		ns.Pyflow(t, "logs", "shop/worker").Succeeded(t).Prints(t, "works on mail")
		ns.Run(t, nil, "kubectl", "-n", ns.Name, "create", "job", "--from=cronjob/shop-report", "now-"+variant).Succeeded(t)
		env.Eventually(t, "the report is written", func(ctx context.Context) error {
			job, err := ns.Kube.BatchV1().Jobs(ns.Name).Get(ctx, "now-"+variant, metav1.GetOptions{})
			if err == nil && job.Status.Succeeded != 1 {
				err = fmt.Errorf("the Job is %+v", job.Status)
			}
			return err
		})
		if log := jobLog(t, ns, "now-"+variant); log != "the style is /"+style+"\n" {
			t.Errorf("%s: the report is %q", variant, log)
		}
	}
	add(t, dir, map[string]string{"pyproject.toml": "[tool.kubectl-pyflow.processes]\nworker = \"cd orders && python work.py\"\n"})
	ns.Pyflow(t, "build", dir, "--variant", "distroless").Failed(t, "pyproject.toml:2: tool.kubectl-pyflow.processes.worker: only a shell can run this command, and the image has none")
}

// TestNoWeb is a program that serves nothing.
func TestNoWeb(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "bot", map[string]string{
		".python-version": "3.13\n", "Procfile": "chat: python bot.py $HOSTNAME\n",
		"bot.py": "import signal, sys\nprint('chats as', sys.argv[1], flush=True)\nsignal.sigwait({signal.SIGTERM})\nprint('leaves', flush=True)\n",
	})
	r := ns.Build(t, dir).Succeeded(t)
	r.Says(t, "Processes (Procfile): chat")
	if strings.Contains(r.Stdout, "http") {
		t.Errorf("there is a URL\n%s", r)
	}
	services, err := ns.Kube.CoreV1().Services(ns.Name).List(t.Context(), metav1.ListOptions{LabelSelector: "pyflow.dev/app=bot"})
	env.Check(t, err)
	deployments, err := ns.Kube.AppsV1().Deployments(ns.Name).List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	if len(services.Items) != 0 || len(deployments.Items) != 1 || deployments.Items[0].Name != "bot-chat" {
		t.Errorf("there are %d Services and %d Deployments", len(services.Items), len(deployments.Items))
	}
	ns.Pyflow(t, "logs", "bot").Succeeded(t).Prints(t, "chats as bot-chat-")
	ns.Pyflow(t, "scale", "bot", "2").Succeeded(t).Prints(t, "deployment/bot-chat scaled from 1 to 2 replicas")
	if list := releases(t, ns, "bot"); states(list) != "1 Live" {
		t.Errorf("the releases are %s", states(list))
	}
	ns.Build(t, dir).Succeeded(t).Says(t, "Nothing has changed, and the release is already running")
	ns.Pyflow(t, "open", "bot", "--no-browser").Failed(t)
}

// deploymentOf returns a Deployment.
func deploymentOf(t *testing.T, ns *env.NS, name string) *appsv1.Deployment {
	t.Helper()
	deployment, err := ns.Kube.AppsV1().Deployments(ns.Name).Get(t.Context(), name, metav1.GetOptions{})
	env.Check(t, err)
	return deployment
}

// servicePods returns the pods that a Service selects.
func servicePods(t *testing.T, ns *env.NS, name string) []corev1.Pod {
	t.Helper()
	service, err := ns.Kube.CoreV1().Services(ns.Name).Get(t.Context(), name, metav1.GetOptions{})
	env.Check(t, err)
	pods, err := ns.Kube.CoreV1().Pods(ns.Name).List(t.Context(), metav1.ListOptions{LabelSelector: labels.Set(service.Spec.Selector).String()})
	env.Check(t, err)
	return pods.Items
}

// jobLog returns what the pod of a Job wrote.
func jobLog(t *testing.T, ns *env.NS, name string) string {
	t.Helper()
	pods, err := ns.Kube.CoreV1().Pods(ns.Name).List(t.Context(), metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + name})
	env.Check(t, err)
	if len(pods.Items) != 1 {
		t.Fatalf("Job %s has %d pods", name, len(pods.Items))
	}
	log, err := ns.Kube.CoreV1().Pods(ns.Name).GetLogs(pods.Items[0].Name, &corev1.PodLogOptions{}).DoRaw(t.Context())
	env.Check(t, err)
	return string(log)
}

// cronJobs returns the names of the CronJobs of a namespace.
func cronJobs(t *testing.T, ns *env.NS) []string {
	t.Helper()
	list, err := ns.Kube.BatchV1().CronJobs(ns.Name).List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	var names []string
	for _, one := range list.Items {
		names = append(names, one.Name)
	}
	return names
}
