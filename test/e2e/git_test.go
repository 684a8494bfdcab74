//go:build e2e

package e2e

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/servers"
)

// gitServer serves two repositories of equal content, one of them to everyone.
type gitServer struct {
	// dir holds the repositories, bare: public.git and private.git.
	dir string
	// https and ssh are the URLs that the names of the repositories follow.
	https, ssh string
	// ca is the CA of the https certificate, PEM.
	ca []byte
	// token and key open private.git, and every repository by ssh.
	token string
	key   []byte
	// knownHosts is the line with the ssh server's key.
	knownHosts string
	// first and second are the commits of the branch main, the first one of the
	// tag v1 and of the branch old as well.
	first, second string
}

// newGitServer makes the repositories with the files of each commit, and serves
// them from this process.
func newGitServer(t *testing.T, ns *env.NS, first, second map[string]string) *gitServer {
	t.Helper()
	g := &gitServer{dir: t.TempDir(), token: "token-" + rand.Text()}
	work := t.TempDir()
	git(t, work, "init", "--quiet", "--initial-branch=main")
	commit := func(files map[string]string) string {
		for name, content := range files {
			file := filepath.Join(work, name)
			env.Check(t, os.MkdirAll(filepath.Dir(file), 0o755))
			env.Check(t, os.WriteFile(file, []byte(content), 0o644))
		}
		git(t, work, "add", "--all")
		git(t, work, "commit", "--quiet", "--message=change")
		return git(t, work, "rev-parse", "HEAD")
	}
	g.first = commit(first)
	git(t, work, "tag", "--annotate", "--message=release", "v1")
	git(t, work, "branch", "old")
	g.second = commit(second)
	for _, name := range []string{"public.git", "private.git"} {
		git(t, g.dir, "clone", "--quiet", "--bare", work, name)
	}
	address := ns.AddressForPods(t)
	g.serveHTTPS(t, address)
	g.serveSSH(t, address)
	return g
}

// git runs a command of git that depends on nothing of this machine's user.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.Command("git", args...)
	command.Dir = dir
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=e2e", "GIT_AUTHOR_EMAIL=e2e@example.com", "GIT_COMMITTER_NAME=e2e", "GIT_COMMITTER_EMAIL=e2e@example.com",
	}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (g *gitServer) serveHTTPS(t *testing.T, address string) {
	t.Helper()
	ca := servers.NewCA(t)
	g.ca = ca.PEM
	certificate, key := ca.Issue(t, address, time.Now().Add(24*time.Hour))
	pair, err := tls.X509KeyPair(certificate, key)
	env.Check(t, err)
	backend := &cgi.Handler{
		Path:   filepath.Join(git(t, g.dir, "--exec-path"), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + g.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + g.dir},
		Stderr: io.Discard,
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	env.Check(t, err)
	g.https = "https://" + listener.Addr().String() + "/"
	servers.Serve(t, tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}),
		func(w http.ResponseWriter, r *http.Request) {
			if _, password, _ := r.BasicAuth(); strings.HasPrefix(r.URL.Path, "/private.git/") && password != g.token {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			backend.ServeHTTP(w, r)
		})
}

// serveSSH serves what `git fetch` asks for and nothing else.
func (g *gitServer) serveSSH(t *testing.T, address string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	env.Check(t, err)
	block, err := ssh.MarshalPrivateKey(private, "e2e")
	env.Check(t, err)
	// As it is when it went through an editor that leaves out the last newline.
	g.key = []byte(strings.TrimSpace(string(pem.EncodeToMemory(block))))
	allowed, err := ssh.NewPublicKey(public)
	env.Check(t, err)
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	env.Check(t, err)
	signer, err := ssh.NewSignerFromKey(hostKey)
	env.Check(t, err)
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(allowed.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	env.Check(t, err)
	g.ssh = "ssh://git@" + listener.Addr().String() + "/"
	g.knownHosts = knownhosts.Line([]string{listener.Addr().String()}, signer.PublicKey()) + "\n"

	var connections sync.WaitGroup
	connections.Add(1)
	go func() {
		defer connections.Done()
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() {
				defer connection.Close()
				stop := context.AfterFunc(t.Context(), func() { _ = connection.Close() })
				defer stop()
				// A client that refuses the key of this server is part of the test.
				_, channels, requests, err := ssh.NewServerConn(connection, config)
				if err != nil {
					return
				}
				go ssh.DiscardRequests(requests)
				for channel := range channels {
					g.serveSession(channel)
				}
			})
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		connections.Wait()
	})
}

// serveSession runs git-upload-pack for one of the repositories.
func (g *gitServer) serveSession(opened ssh.NewChannel) {
	channel, requests, err := opened.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	for request := range requests {
		var command struct{ Line string }
		name, ok := "", request.Type == "exec" && ssh.Unmarshal(request.Payload, &command) == nil
		if ok {
			name, ok = strings.CutPrefix(command.Line, "git-upload-pack '/")
		}
		if request.WantReply {
			_ = request.Reply(ok, nil)
		}
		if !ok {
			continue
		}
		pack := exec.Command("git", "upload-pack", "--strict", filepath.Join(g.dir, filepath.Base(strings.TrimSuffix(name, "'"))))
		pack.Stdin, pack.Stdout, pack.Stderr = channel, channel, channel.Stderr()
		// The client's end of the input is not the end of the session.
		pack.WaitDelay = time.Second
		status := struct{ Code uint32 }{}
		if err := pack.Run(); err != nil {
			status.Code = 128
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
		return
	}
}

// runSpec is a run of an app of that name in the namespace, with a random name.
func runSpec(t *testing.T, ns *env.NS, app string) pipelinerun.Build {
	t.Helper()
	config, err := platform.Config(t.Context(), ns.Kube)
	env.Check(t, err)
	return pipelinerun.Build{
		Meta: pipelinerun.Meta{
			App: app, Namespace: ns.Name, Name: app + "-" + strings.ToLower(rand.Text()[:8]),
			NodeRepository: manifests.NodeHost + "/" + ns.Name + "/" + app,
			Timeout:        env.CommandLimit,
		},
		Engine: installed.Engine(),
		Params: engine.Params{Repository: manifests.RegistryHost + "/" + ns.Name + "/" + app, Mirrors: config.ImageMirrors},
	}
}

func createRun(t *testing.T, ns *env.NS, spec pipelinerun.Spec, files map[string][]byte) string {
	t.Helper()
	run, err := pipelinerun.Create(t.Context(), pipelinerun.Clients{Tekton: ns.Tekton, Kube: ns.Kube}, spec, files)
	env.Check(t, err)
	return run.Name
}

// ended waits for the end of a run.
func ended(t *testing.T, ns *env.NS, name string) (*tektonv1.PipelineRun, pipelinerun.Outcome) {
	t.Helper()
	var run *tektonv1.PipelineRun
	env.Eventually(t, "wait for the run "+name, func(ctx context.Context) (err error) {
		run, err = ns.Tekton.TektonV1().PipelineRuns(ns.Name).Get(ctx, name, metav1.GetOptions{})
		if err == nil && !run.IsDone() {
			err = fmt.Errorf("it is %v", run.Status.GetCondition("Succeeded"))
		}
		return err
	})
	return run, pipelinerun.Verdict(run)
}

const gitApp = "from-git"

// TestGit builds from repositories over https and ssh, with right and wrong credentials.
func TestGit(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	g := newGitServer(t, ns, map[string]string{
		"service/Dockerfile": "FROM scratch\nCOPY . /\n",
		"service/text":       "first\n",
		"service/tool":       "a file that archives are made without\n",
		".gitattributes":     "tool export-ignore\n",
		"README":             "no Dockerfile here\n",
	}, map[string]string{"service/text": "second\n", ".gitmodules": ""})
	secrets := map[string]string{}
	for name, data := range map[string]map[string]string{
		"trust":       {"ca.crt": string(g.ca)},
		"token":       {"ca.crt": string(g.ca), "username": "me", "password": g.token},
		"wrong-token": {"ca.crt": string(g.ca), "username": "me", "password": "wrong-" + g.token[6:]},
		"key":         {"ssh-privatekey": string(g.key), "known_hosts": g.knownHosts},
		"key-only":    {"ssh-privatekey": string(g.key)},
		"wrong-host":  {"ssh-privatekey": string(g.key), "known_hosts": otherHostKey(t, g.knownHosts)},
	} {
		secrets[name] = ns.Secret(t, "git-"+name, data)
	}
	type test struct {
		git pipelinerun.Git
		// commit is what is built, or words is what the log says of the failure.
		commit string
		words  string
		run    string
	}
	public, private, byKey := g.https+"public.git", g.https+"private.git", g.ssh+"private.git"
	tests := map[string]*test{
		"head":            {git: pipelinerun.Git{URL: public, Path: "service", Secret: "trust"}, commit: g.second},
		"branch":          {git: pipelinerun.Git{URL: public, Revision: "old", Path: "./service/", Secret: "token"}, commit: g.first},
		"tag by token":    {git: pipelinerun.Git{URL: private, Revision: "v1", Path: "service", Secret: "token"}, commit: g.first},
		"commit by ssh":   {git: pipelinerun.Git{URL: byKey, Revision: g.first, Path: "service", Secret: "key"}, commit: g.first},
		"no credentials":  {git: pipelinerun.Git{URL: private, Secret: "trust"}, words: "authentication failed"},
		"wrong token":     {git: pipelinerun.Git{URL: private, Secret: "wrong-token"}, words: "authentication failed"},
		"unknown CA":      {git: pipelinerun.Git{URL: public}, words: "unknown certificate"},
		"no repository":   {git: pipelinerun.Git{URL: g.https + "absent.git", Secret: "trust"}, words: "repository not found"},
		"no revision":     {git: pipelinerun.Git{URL: public, Revision: "absent", Secret: "trust"}, words: "revision not found"},
		"no commit":       {git: pipelinerun.Git{URL: byKey, Revision: strings.Repeat("1", 40), Secret: "key"}, words: "revision not found"},
		"no folder":       {git: pipelinerun.Git{URL: public, Path: "absent", Secret: "trust"}, words: "path not found"},
		"no Dockerfile":   {git: pipelinerun.Git{URL: public, Secret: "trust"}, words: "no Dockerfile"},
		"no known_hosts":  {git: pipelinerun.Git{URL: byKey, Secret: "key-only"}, words: "no key known_hosts"},
		"wrong host key":  {git: pipelinerun.Git{URL: byKey, Secret: "wrong-host"}, words: "unknown host key"},
		"another program": {git: pipelinerun.Git{URL: "ext::sh -c date", Secret: "key"}, words: "git cannot fetch"},
	}
	for _, test := range tests {
		spec := runSpec(t, ns, gitApp)
		spec.NoDeploy = true
		spec.Git = &test.git
		if secret := test.git.Secret; secret != "" {
			spec.Git.Secret = secrets[secret]
		}
		test.run = createRun(t, ns, spec, nil)
	}
	for _, test := range tests {
		confirm(t, ns, test.run)
	}
	layers := map[string]string{}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, outcome := ended(t, ns, test.run)
			logs, all := ns.Traces(t, test.run)
			for what, secret := range map[string]string{"token": g.token[6:], "key": strings.Split(string(g.key), "\n")[2]} {
				if strings.Contains(all, secret) {
					t.Errorf("the %s is seen", what)
				}
			}
			log := logs["fetch/clone"]
			if test.words != "" {
				said := regexp.MustCompile(`(?m)^pyflow: .*` + regexp.QuoteMeta(test.words)).MatchString(log)
				if outcome.Succeeded || !said {
					t.Errorf("succeeded: %t; the log should say %q:\n%s", outcome.Succeeded, test.words, log)
				}
				return
			}
			if !outcome.Succeeded || outcome.Commit != test.commit {
				t.Fatalf("%+v, want commit %s; the log:\n%s", outcome, test.commit, log)
			}
			if !strings.Contains(log, "pyflow.dev/dockerfile FROM scratch\npyflow.dev/dockerfile COPY . /\n") {
				t.Errorf("the log should have the Dockerfile:\n%s", log)
			}
			if strings.Contains(log, "has submodules") != (test.commit == g.second) {
				t.Errorf("the second commit has submodules, the first one has none:\n%s", log)
			}
			if _, ok := logs["deploy/apply"]; ok {
				t.Error("the image is deployed")
			}
			want := map[string]string{g.first: "first\n", g.second: "second\n"}[test.commit]
			files := registrytest.Files(t, ns, gitApp, outcome.Digest)
			if files["text"] != want || files["tool"] == "" || files["README"] != "" {
				t.Errorf("the image has the files %q", files)
			}
			layer := taskResult(t, ns, test.run, manifests.FetchTask, "LAYER")
			if before, ok := layers[test.commit]; layer == "" || ok && before != layer {
				t.Errorf("the folder of commit %s has the bytes %q, and before %q", test.commit, layer, before)
			}
			layers[test.commit] = layer
		})
	}
}

// TestGitCommandLine builds a repository by the command line.
func TestGitCommandLine(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	g := newGitServer(t, ns, map[string]string{
		"service/Dockerfile": "FROM scratch\nCOPY . /\n",
		"secret/Dockerfile":  "FROM " + env.SmallBase + "\nRUN --mount=type=secret,id=token,required=true test -s /run/secrets/token\n",
	}, map[string]string{"service/text": "second\n"})
	trust := ns.Secret(t, "trust", map[string]string{"ca.crt": string(g.ca)})
	wrong := ns.Secret(t, "wrong-token", map[string]string{"ca.crt": string(g.ca), "username": "me", "password": "wrong"})
	args := []string{"--git", g.https + "public.git", "--path", "service", "--git-secret", trust, "--name", gitApp, "--no-deploy"}
	built := ns.Build(t, append(args, "--revision", "old", "-o", "json")...).Succeeded(t)
	printed := env.Events(t, built)
	var lines []int
	for _, e := range printed {
		if e.Type == event.InstructionStarted {
			lines = append(lines, e.Instruction.Line)
		}
	}
	if result := printed[len(printed)-1].Result; result.Commit != g.first || slices.Contains(printed[0].Phases, event.Upload) || !slices.Equal(lines, []int{1, 2}) {
		t.Errorf("want commit %s, no upload and the instructions of the lines 1 and 2\n%s", g.first, built)
	}
	// A commit in full says what the source is, a branch does not.
	ns.Build(t, append(args, "--revision", g.first)...).Succeeded(t)
	ns.Build(t, append(args, "--revision", g.first)...).Succeeded(t).Says(t, "Nothing has changed")
	// The same commit, wherever the branch is by now.
	again := ns.Pyflow(t, "rerun", gitApp, "-o", "json").Succeeded(t)
	printed = env.Events(t, again)
	if result := printed[len(printed)-1].Result; result.Commit != g.first {
		t.Errorf("want commit %s\n%s", g.first, again)
	}
	ns.Build(t, "--git", g.https+"private.git", "--git-secret", wrong, "--name", gitApp, "--no-deploy").Failed(t, "step clone: authentication failed")

	// What the Dockerfile of a repository mounts is not known beforehand.
	mounts := []string{"--git", g.https + "public.git", "--path", "secret", "--git-secret", trust, "--name", "from-git-secret", "--no-deploy"}
	lacks := ns.Build(t, mounts...).Failed(t, "Dockerfile:2: RUN --mount=type=secret,id=token", "it needs the secret token, which the build was not given")
	lacks.Hints(t, "--build-secret id=token,src=FILE")
	given := ns.Secret(t, "company", map[string]string{"token": "x"})
	ns.Build(t, append(mounts, "--build-secret", "id=token,secret="+given)...).Succeeded(t)
}

// confirm confirms the Dockerfile of a run as the command does that starts one, without a check.
func confirm(t *testing.T, ns *env.NS, run string) {
	t.Helper()
	env.Eventually(t, "wait for the fetch of "+run, func(ctx context.Context) error {
		pods, err := ns.Kube.CoreV1().Pods(ns.Name).List(ctx, metav1.ListOptions{
			LabelSelector: "tekton.dev/pipelineRun=" + run + ",tekton.dev/pipelineTask=" + manifests.FetchTask,
		})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			for _, status := range pod.Status.ContainerStatuses {
				ended := status.State.Terminated
				if status.Name != "step-clone" || ended == nil {
					continue
				}
				if ended.ExitCode != 0 {
					return nil
				}
				log, err := ns.Kube.CoreV1().Pods(ns.Name).GetLogs(pod.Name, &corev1.PodLogOptions{Container: status.Name}).DoRaw(ctx)
				if err != nil {
					return err
				}
				var text strings.Builder
				for line := range strings.Lines(string(log)) {
					if line, ok := strings.CutPrefix(line, manifests.AnnotationDockerfile+" "); ok {
						text.WriteString(line)
					}
				}
				return build.Confirm(ctx, ns.Kube, ns.Name, run, text.String())
			}
		}
		return errors.New("the step clone has not ended")
	})
}

// TestGitUnchecked wants no image of a run whose Dockerfile nobody has checked: one of another
// program, or of a command that has ended.
func TestGitUnchecked(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	g := newGitServer(t, ns, map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n"}, map[string]string{"text": "x"})
	spec := runSpec(t, ns, "unchecked")
	spec.NoDeploy = true
	spec.Git = &pipelinerun.Git{URL: g.https + "public.git", Secret: ns.Secret(t, "trust", map[string]string{"ca.crt": string(g.ca)})}
	name := createRun(t, ns, spec, nil)
	run, outcome := ended(t, ns, name)
	logs, _ := ns.Traces(t, name)
	if outcome.Succeeded || outcome.Digest != "" || !strings.Contains(logs["fetch/check"], "pyflow: the Dockerfile was not checked within 120 seconds") {
		t.Errorf("%+v; the log:\n%s", outcome, logs["fetch/check"])
	}
	for _, task := range run.Status.ChildReferences {
		if task.PipelineTaskName != manifests.FetchTask {
			t.Errorf("task %s has started", task.PipelineTaskName)
		}
	}
	if log := ns.Pyflow(t, "logs", name).Succeeded(t); !strings.Contains(log.Stdout, "so it is not built") || !strings.Contains(log.Stdout, "kubectl pyflow rerun "+name) {
		t.Errorf("the log should have the reason and what to do\n%s", log)
	}
	// The command that repeats the run checks it.
	ns.Pyflow(t, "rerun", name).Succeeded(t)
	detached := strings.TrimSpace(ns.Pyflow(t, "rerun", name, "--detach").Succeeded(t).Stdout)
	if _, outcome := ended(t, ns, detached); !outcome.Succeeded {
		t.Errorf("the run of --detach: %+v", outcome)
	}
}

// TestGitDockerfile wants no image of a Dockerfile that the engine would build differently.
func TestGitDockerfile(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	g := newGitServer(t, ns,
		map[string]string{"Dockerfile": "FROM busybox:1.37 AS b\nRUN ln -s /bin /l\nFROM busybox:1.37\nCOPY --from=b /l /l\n"},
		map[string]string{"Dockerfile": "FROM busybox:1.37\nRUN <<EOF\necho 1 > /x\nEOF\n"})
	trust := ns.Secret(t, "trust", map[string]string{"ca.crt": string(g.ca)})
	for revision, test := range map[string]struct {
		flag, said string
	}{
		"old":  {"--detach", "Dockerfile:4: COPY --from=b /l /l: /l is a symbolic link to /bin"},
		"main": {"--force", "Dockerfile:2: RUN <<EOF"},
	} {
		app := "git-" + revision
		ns.Build(t, "--git", g.https+"public.git", "--git-secret", trust, "--name", app, "--no-deploy", "--revision", revision, test.flag).
			Failed(t, test.said, "cannot build it as it is written", "build a checkout")
		for _, run := range ns.RunsOf(t, app) {
			ended, outcome := ended(t, ns, run.Name)
			if outcome.Succeeded || outcome.Digest != "" {
				t.Errorf("run %s has made an image: %+v", ended.Name, outcome)
			}
		}
	}
}

// taskResult reads a result of a run's task.
func taskResult(t *testing.T, ns *env.NS, run, task, result string) string {
	t.Helper()
	list, err := ns.Tekton.TektonV1().TaskRuns(ns.Name).List(t.Context(), metav1.ListOptions{
		LabelSelector: "tekton.dev/pipelineRun=" + run + ",tekton.dev/pipelineTask=" + task,
	})
	env.Check(t, err)
	for _, taskRun := range list.Items {
		for _, value := range taskRun.Status.Results {
			if value.Name == result {
				return value.Value.StringVal
			}
		}
	}
	return ""
}

// otherHostKey is a line of known_hosts for the same host with another key.
func otherHostKey(t *testing.T, line string) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	env.Check(t, err)
	key, err := ssh.NewPublicKey(public)
	env.Check(t, err)
	return strings.Fields(line)[0] + " " + string(ssh.MarshalAuthorizedKey(key))
}
