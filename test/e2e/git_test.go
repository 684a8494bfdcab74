//go:build e2e

package e2e

import (
	"archive/tar"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
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

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
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
func (j *journey) newGitServer(t *testing.T, first, second map[string]string) *gitServer {
	t.Helper()
	g := &gitServer{dir: t.TempDir(), token: "token-" + rand.Text()}
	work := t.TempDir()
	git(t, work, "init", "--quiet", "--initial-branch=main")
	commit := func(files map[string]string) string {
		for name, content := range files {
			file := filepath.Join(work, name)
			check(t, os.MkdirAll(filepath.Dir(file), 0o755))
			check(t, os.WriteFile(file, []byte(content), 0o644))
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
	address := j.addressForPods(t)
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
	ca := newPrivateCA(t)
	g.ca = ca.pem
	certificate, key := ca.issue(t, address, time.Now().Add(24*time.Hour))
	pair, err := tls.X509KeyPair(certificate, key)
	check(t, err)
	backend := &cgi.Handler{
		Path:   filepath.Join(git(t, g.dir, "--exec-path"), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + g.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + g.dir},
		Stderr: io.Discard,
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	check(t, err)
	g.https = "https://" + listener.Addr().String() + "/"
	serve(t, tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}),
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
	check(t, err)
	block, err := ssh.MarshalPrivateKey(private, "e2e")
	check(t, err)
	// As it is when it went through an editor that leaves out the last newline.
	g.key = []byte(strings.TrimSpace(string(pem.EncodeToMemory(block))))
	allowed, err := ssh.NewPublicKey(public)
	check(t, err)
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	signer, err := ssh.NewSignerFromKey(hostKey)
	check(t, err)
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(allowed.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	check(t, err)
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

// secret makes a Secret of the namespace that is deleted after the test.
func (j *journey) secret(t *testing.T, name string, data map[string]string) string {
	t.Helper()
	_, err := j.kube.CoreV1().Secrets(j.namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data,
	}, metav1.CreateOptions{})
	check(t, err)
	t.Cleanup(func() {
		_ = j.kube.CoreV1().Secrets(j.namespace).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
	return name
}

// runSpec is a run of an app of that name in the namespace, with a random name.
func (j *journey) runSpec(t *testing.T, app string) pipelinerun.Spec {
	t.Helper()
	config, err := platform.Config(t.Context(), j.kube)
	check(t, err)
	return pipelinerun.Spec{
		App: app, Namespace: j.namespace, Name: app + "-" + strings.ToLower(rand.Text()[:8]),
		Repository:     manifests.RegistryHost + "/" + j.namespace + "/" + app,
		NodeRepository: manifests.NodeHost + "/" + j.namespace + "/" + app,
		Mirrors:        config.ImageMirrors,
		Timeout:        commandLimit,
	}
}

func (j *journey) createRun(t *testing.T, spec pipelinerun.Spec, files map[string][]byte) string {
	t.Helper()
	run, err := pipelinerun.Create(t.Context(), pipelinerun.Clients{Tekton: j.tekton, Kube: j.kube}, spec, files)
	check(t, err)
	return run.Name
}

// ended waits for the end of a run and deletes it with the test.
func (j *journey) ended(t *testing.T, name string) (*tektonv1.PipelineRun, pipelinerun.Outcome) {
	t.Helper()
	t.Cleanup(func() {
		_ = j.tekton.TektonV1().PipelineRuns(j.namespace).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
	var run *tektonv1.PipelineRun
	eventually(t, "wait for the run "+name, func(ctx context.Context) (err error) {
		run, err = j.tekton.TektonV1().PipelineRuns(j.namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && !run.IsDone() {
			err = fmt.Errorf("it is %v", run.Status.GetCondition("Succeeded"))
		}
		return err
	})
	return run, pipelinerun.Verdict(run)
}

// traces is all that the cluster tells of a run: its pods' logs by task and step,
// and everything as one text.
func (j *journey) traces(t *testing.T, run string) (logs map[string]string, all string) {
	t.Helper()
	logs = map[string]string{}
	list := metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run}
	var text strings.Builder
	write := func(object any, err error) {
		check(t, err)
		check(t, json.NewEncoder(&text).Encode(object))
	}
	pipelineRun, err := j.tekton.TektonV1().PipelineRuns(j.namespace).Get(t.Context(), run, metav1.GetOptions{})
	write(pipelineRun, err)
	tasks, err := j.tekton.TektonV1().TaskRuns(j.namespace).List(t.Context(), list)
	write(tasks, err)
	events, err := j.kube.CoreV1().Events(j.namespace).List(t.Context(), metav1.ListOptions{})
	write(events, err)
	pods, err := j.kube.CoreV1().Pods(j.namespace).List(t.Context(), list)
	write(pods, err)
	for _, pod := range pods.Items {
		for _, container := range pod.Spec.Containers {
			log, err := j.kube.CoreV1().Pods(j.namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container.Name}).DoRaw(t.Context())
			check(t, err)
			logs[pod.Labels["tekton.dev/pipelineTask"]+"/"+strings.TrimPrefix(container.Name, "step-")] = string(log)
			text.Write(log)
		}
	}
	return logs, text.String()
}

const gitApp = "from-git"

// git builds from repositories over https and ssh, with right and wrong logins.
func (j *journey) git(t *testing.T) {
	t.Parallel()
	g := j.newGitServer(t, map[string]string{
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
		secrets[name] = j.secret(t, "git-"+name, data)
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
		"no login":        {git: pipelinerun.Git{URL: private, Secret: "trust"}, words: "authentication failed"},
		"wrong token":     {git: pipelinerun.Git{URL: private, Secret: "wrong-token"}, words: "authentication failed"},
		"unknown CA":      {git: pipelinerun.Git{URL: public}, words: "unknown certificate"},
		"no repository":   {git: pipelinerun.Git{URL: g.https + "absent.git", Secret: "trust"}, words: "repository not found"},
		"no revision":     {git: pipelinerun.Git{URL: public, Revision: "absent", Secret: "trust"}, words: "revision not found"},
		"no commit":       {git: pipelinerun.Git{URL: byKey, Revision: strings.Repeat("1", 40), Secret: "key"}, words: "revision not found"},
		"no folder":       {git: pipelinerun.Git{URL: public, Path: "absent", Secret: "trust"}, words: "path not found"},
		"no Dockerfile":   {git: pipelinerun.Git{URL: public, Secret: "trust"}, words: "no Dockerfile"},
		"no known_hosts":  {git: pipelinerun.Git{URL: byKey, Secret: "key-only"}, words: "no key known_hosts"},
		"wrong host key":  {git: pipelinerun.Git{URL: byKey, Secret: "wrong-host"}, words: "unknown host key"},
		"another program": {git: pipelinerun.Git{URL: "ext::sh -c date", Secret: "key"}, words: "git can not fetch"},
	}
	for _, test := range tests {
		spec := j.runSpec(t, gitApp)
		spec.NoDeploy = true
		spec.Git = &test.git
		if secret := test.git.Secret; secret != "" {
			spec.Git.Secret = secrets[secret]
		}
		test.run = j.createRun(t, spec, nil)
	}
	layers := map[string]string{}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, outcome := j.ended(t, test.run)
			logs, all := j.traces(t, test.run)
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
				t.Error("the image is delivered")
			}
			want := map[string]string{g.first: "first\n", g.second: "second\n"}[test.commit]
			files := j.files(t, gitApp, outcome.Digest)
			if files["text"] != want || files["tool"] == "" || files["README"] != "" {
				t.Errorf("the image has the files %q", files)
			}
			layer := j.taskResult(t, test.run, manifests.FetchTask, "LAYER")
			if before, ok := layers[test.commit]; layer == "" || ok && before != layer {
				t.Errorf("the folder of commit %s has the bytes %q, and before %q", test.commit, layer, before)
			}
			layers[test.commit] = layer
		})
	}
	t.Run("command line", func(t *testing.T) {
		j.gitByCommand(t, public, private, secrets["trust"], secrets["wrong-token"], g.first)
	})
}

// gitByCommand builds a repository by the command line.
func (j *journey) gitByCommand(t *testing.T, public, private, trust, wrong, commit string) {
	t.Helper()
	j.forgetRuns(t, gitApp)
	args := []string{"--git", public, "--path", "service", "--git-secret", trust, "--name", gitApp, "--no-deploy"}
	built := j.pyflowBuild(t, append(args, "--revision", "old", "-o", "json")...).succeeded(t)
	told := events(t, built)
	var lines []int
	for _, e := range told {
		if e.Type == event.InstructionStarted {
			lines = append(lines, e.Instruction.Line)
		}
	}
	if result := told[len(told)-1].Result; result.Commit != commit || slices.Contains(told[0].Phases, event.Upload) || !slices.Equal(lines, []int{1, 2}) {
		t.Errorf("want commit %s, no upload and the instructions of the lines 1 and 2\n%s", commit, built)
	}
	// A commit in full says what the source is, a branch does not.
	j.pyflowBuild(t, append(args, "--revision", commit)...).succeeded(t)
	j.pyflowBuild(t, append(args, "--revision", commit)...).succeeded(t).says(t, "Nothing has changed")
	// The same commit, wherever the branch is by now.
	again := j.pyflow(t, "rerun", gitApp, "-n", j.namespace, "-o", "json").succeeded(t)
	told = events(t, again)
	if result := told[len(told)-1].Result; result.Commit != commit {
		t.Errorf("want commit %s\n%s", commit, again)
	}
	j.pyflowBuild(t, "--git", private, "--git-secret", wrong, "--name", gitApp, "--no-deploy").failed(t, "step clone: authentication failed")
}

// taskResult reads a result of a run's task.
func (j *journey) taskResult(t *testing.T, run, task, result string) string {
	t.Helper()
	list, err := j.tekton.TektonV1().TaskRuns(j.namespace).List(t.Context(), metav1.ListOptions{
		LabelSelector: "tekton.dev/pipelineRun=" + run + ",tekton.dev/pipelineTask=" + task,
	})
	check(t, err)
	for _, taskRun := range list.Items {
		for _, value := range taskRun.Status.Results {
			if value.Name == result {
				return value.Value.StringVal
			}
		}
	}
	return ""
}

// files reads the files of an image of one layer.
func (j *journey) files(t *testing.T, app, digest string) map[string]string {
	t.Helper()
	layers, err := j.image(t, app, digest).Layers()
	check(t, err)
	files := map[string]string{}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		check(t, err)
		archive := tar.NewReader(content)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			check(t, err)
			data, err := io.ReadAll(archive)
			check(t, err)
			files[strings.Trim(header.Name, "/")] = string(data)
		}
	}
	return files
}

// otherHostKey is a line of known_hosts for the same host with another key.
func otherHostKey(t *testing.T, line string) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	key, err := ssh.NewPublicKey(public)
	check(t, err)
	return strings.Fields(line)[0] + " " + string(ssh.MarshalAuthorizedKey(key))
}
