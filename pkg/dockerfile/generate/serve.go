package generate

import (
	"fmt"
	"strconv"
	"strings"
)

// The servers.
const (
	uvicorn   = "uvicorn"
	hypercorn = "hypercorn"
	gunicorn  = "gunicorn"
)

// grace is how many seconds open requests get when a replica is stopped. Kubernetes
// waits 30. The rest is for a service that first continues to serve, or for a preStop hook of
// its Deployment.
const grace = 20

// serve returns the command that starts the app, its server first.
func (p *plan) serve() []string {
	app := p.project.App
	if app == nil {
		return p.command
	}
	address := fmt.Sprintf("0.0.0.0:%d", p.port)
	called := app.Object
	if app.Factory {
		called += "()"
	}
	seconds := strconv.Itoa(grace)
	switch app.Server {
	case gunicorn:
		return []string{
			gunicorn, "--bind", address, "--workers", "1", "--threads", "8",
			"--graceful-timeout", seconds, "--worker-tmp-dir", "/dev/shm", "--access-logfile", "-", called,
		}
	case hypercorn:
		return []string{hypercorn, "--bind", address, "--graceful-timeout", seconds, "--access-logfile", "-", called}
	default:
		command := []string{uvicorn, app.Object, "--host", "0.0.0.0", "--port", strconv.Itoa(p.port), "--timeout-graceful-shutdown", seconds}
		if app.Factory {
			command = append(command, "--factory")
		}
		return command
	}
}

// serveNotes writes the comments about that command.
func serveNotes(w *writer, p *plan) {
	w.note("Exec form: the server is process 1 and gets SIGTERM itself; behind a shell that does not pass it on, it is killed after Kubernetes' grace period, with its requests.")
	switch app := p.project.App; {
	case app == nil:
	case app.Server == gunicorn:
		w.note("One worker with threads: Kubernetes scales with replicas, and eight requests may wait for a database at the same time. The worker's heartbeat file is in memory, as a slow disk looks like a worker that hangs.")
	default:
		w.note("One process: Kubernetes scales with replicas. X-Forwarded-* headers are not trusted by default: set FORWARDED_ALLOW_IPS in the Deployment if a proxy is in front.")
	}
}

// testCommand returns the command that runs the tests: pytest runs those of unittest, too.
func testCommand() []string { return []string{"python", "-m", "pytest"} }

// shell returns a command as a shell reads it.
func shell(words []string) string {
	quoted := make([]string, 0, len(words))
	for _, word := range words {
		if strings.ContainsAny(word, "()[]<>*!~ ;&|") {
			word = "'" + word + "'"
		}
		quoted = append(quoted, word)
	}
	return strings.Join(quoted, " ")
}
