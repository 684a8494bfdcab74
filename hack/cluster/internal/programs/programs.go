// Package programs builds every program of the cluster from pinned modules.
package programs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/pins"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/progress"
)

// module is the path of the module that pins everything.
const module = "github.com/pyflow-dev/kubectl-pyflow/hack/cluster"

// heartbeat is the interval at which a long build reports its progress.
const heartbeat = 20 * time.Second

// Builder builds the programs into one directory per key.
type Builder struct {
	// Pins are the versions of the modules.
	Pins pins.Pins
	// Dir holds the directories of the builds.
	Dir string
	// Log shows the progress.
	Log *progress.Log

	root string
	key  string
}

// Resolve finds the module's sources and the key of the build. Call it first.
func (b *Builder) Resolve(ctx context.Context) error {
	output, err := goCommand(ctx, "", "list", "-m", "-f", "{{.Path}} {{.Dir}}").Output()
	path, root, _ := strings.Cut(strings.TrimSpace(string(output)), " ")
	if err != nil || path != module {
		return errors.New("the cluster's sources are missing: run this in hack/cluster of the repository")
	}
	version, err := goCommand(ctx, root, "env", "GOVERSION").Output()
	if err != nil {
		return fmt.Errorf("find the Go version: %w", err)
	}
	b.root = root
	b.key, err = key(root, string(version), b.linkerFlags())
	return err
}

// Key names the build.
func (b *Builder) Key() string { return b.key }

// Path is where a program of this build is.
func (b *Builder) Path(name string) string { return filepath.Join(b.dir(), name) }

func (b *Builder) dir() string { return filepath.Join(b.Dir, b.key) }

// Built reports whether the programs exist.
func (b *Builder) Built() bool {
	_, err := os.Stat(b.dir())
	return err == nil
}

// Build compiles and links all programs when they are not there. One command
// builds them all: what they share is compiled once, and while one links the
// others compile.
func (b *Builder) Build(ctx context.Context) error {
	if b.Built() {
		return nil
	}
	b.Log.Printf("building Kubernetes, etcd, CoreDNS, Tekton, Kaniko, the registry and their clients from source")
	temporary := b.dir() + ".part"
	if err := os.RemoveAll(temporary); err != nil {
		return fmt.Errorf("clear unfinished build: %w", err)
	}
	if err := os.MkdirAll(temporary, 0o755); err != nil {
		return fmt.Errorf("make build directory: %w", err)
	}
	// The pattern "tool" stands for the programs that the module file pins.
	err := b.compile(ctx, "build", "-v", "-ldflags", b.linkerFlags(), "-o", temporary+string(filepath.Separator), "./cmd/...", "tool")
	if err != nil {
		return err
	}
	// Named after its module's last element.
	if err := os.Rename(filepath.Join(temporary, "server"), filepath.Join(temporary, "etcd")); err != nil {
		return fmt.Errorf("name etcd: %w", err)
	}
	if err := os.Rename(temporary, b.dir()); err != nil {
		return fmt.Errorf("keep build: %w", err)
	}
	b.Log.Printf("built the programs")
	return nil
}

// linkerFlags strip the programs and give Kubernetes its version: clients
// refuse a server that does not know its own.
func (b *Builder) linkerFlags() string {
	version := b.Pins[pins.Kubernetes]
	major, minor := majorMinor(version)
	const set = " -X k8s.io/component-base/version."
	return "-s -w" + set + "gitVersion=" + version + set + "gitMajor=" + major + set + "gitMinor=" + minor +
		set + "gitTreeState=clean"
}

func majorMinor(version string) (major, minor string) {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return "", ""
	}
	return parts[0], parts[1]
}

// compile runs the go command, counts the packages that it names and shows the
// count from time to time. What it says else is kept for the error.
func (b *Builder) compile(ctx context.Context, arguments ...string) error {
	command := goCommand(ctx, b.root, arguments...)
	output, err := command.StderrPipe()
	if err != nil {
		return fmt.Errorf("read the compiler's output: %w", err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the go command: %w", err)
	}
	var said bytes.Buffer
	compiled, last := 0, time.Now()
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "go: downloading"):
		case !strings.ContainsAny(line, " :"):
			compiled++
		default:
			said.WriteString(line + "\n")
		}
		if time.Since(last) > heartbeat {
			last = time.Now()
			b.Log.Printf("  %d packages compiled", compiled)
		}
	}
	if err := command.Wait(); err != nil {
		return compileError(err, said.String())
	}
	return nil
}

// ErrNetwork is returned when a module is neither in the module cache nor to
// be downloaded.
var ErrNetwork = errors.New("no network")

// compileError tells a download that failed from code that does not compile:
// the first is the machine's matter, one line says it all.
func compileError(err error, said string) error {
	for line := range strings.Lines(said) {
		if strings.Contains(line, "dial tcp") || strings.Contains(line, "no such host") {
			return fmt.Errorf("download Go modules: %w: check GOPROXY and the connection: %s", ErrNetwork, strings.TrimSpace(line))
		}
	}
	return fmt.Errorf("compile the programs: %w\n%s", err, strings.TrimSpace(said))
}

// ModuleDir is where the sources of a module are.
func (b *Builder) ModuleDir(ctx context.Context, path string) (string, error) {
	output, err := goCommand(ctx, b.root, "list", "-m", "-f", "{{.Dir}}", path).Output()
	dir := strings.TrimSpace(string(output))
	if err != nil || dir == "" {
		return "", fmt.Errorf("find the sources of %s: %w", path, err)
	}
	return dir, nil
}

// Prune removes the builds of other keys; they can be built again quickly from
// the compiler's own cache. Nothing may run from them.
func (b *Builder) Prune() error {
	return RemoveOthers(b.Dir, b.key)
}

// RemoveOthers removes everything from a directory but the entries named.
func RemoveOthers(dir string, keep ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, entry := range entries {
		if slices.Contains(keep, entry.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("remove %s: %w", entry.Name(), err)
		}
	}
	return nil
}

// goCommand is the go command as every build here uses it: nothing but the
// pinned modules, and programs that run in an image without a C library. Its flags are
// those of the Makefile, so that both compile a package once.
func goCommand(ctx context.Context, dir string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly -buildvcs=false -trimpath", "GOWORK=off", "GOOS=linux")
	return command
}
