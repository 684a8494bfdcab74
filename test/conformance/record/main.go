// Command record writes into the cases of test/conformance what image BuildKit makes of
// each. It starts a BuildKit of its own, as root, and ends it again.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/pyflow-dev/kubectl-pyflow/test/conformance"
)

const (
	// startLimit bounds the start of BuildKit, buildLimit one build.
	startLimit = 30 * time.Second
	buildLimit = 10 * time.Minute
	// comment is what BuildKit writes into the history for an instruction.
	comment = "buildkit.dockerfile.v0"
	pause   = 100 * time.Millisecond
)

type options struct {
	bin, mirror, cases string
	all                bool
	args               []string
	names              []string
}

func main() {
	var o options
	flag.StringVar(&o.bin, "buildkit", "", "directory of buildkitd and buildctl")
	flag.StringVar(&o.mirror, "mirror", "", "mirror of Docker Hub, by plain HTTP")
	flag.StringVar(&o.cases, "cases", "test/conformance/testdata", "directory of the cases")
	flag.BoolVar(&o.all, "all", false, "record cases that have not changed, too")
	flag.Func("build-arg", "build argument of cases that use the package index; repeatable", func(value string) error {
		o.args = append(o.args, value)
		return nil
	})
	flag.Parse()
	o.names = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	cases, err := conformance.Cases(o.cases)
	if err != nil {
		return err
	}
	cases = slices.DeleteFunc(cases, func(c *conformance.Case) bool {
		if len(o.names) > 0 {
			return !slices.Contains(o.names, c.Name)
		}
		return c.Recorded() && !o.all
	})
	if len(cases) == 0 {
		fmt.Println("every case is recorded")
		return nil
	}
	dir, err := os.MkdirTemp("", "pyflow-conformance-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	daemon, err := start(ctx, o, dir)
	if err != nil {
		return err
	}
	defer daemon.stop()
	var failed []error
	for _, c := range cases {
		if err := daemon.record(ctx, o, c); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", c.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// daemon is a BuildKit that runs for this program.
type daemon struct {
	bin, dir string
	// ended is closed when it has ended, with the error failure.
	ended   chan struct{}
	failure error
	end     func()
}

// start starts BuildKit and waits until it answers.
func start(ctx context.Context, o options, dir string) (*daemon, error) {
	config := "root = " + quote(filepath.Join(dir, "root")) + "\n[worker.containerd]\nenabled = false\n[worker.oci]\nenabled = true\nnetworkMode = \"host\"\n"
	if o.mirror != "" {
		config += "[registry.\"docker.io\"]\nmirrors = [" + quote(o.mirror) + "]\n[registry." + quote(o.mirror) + "]\nhttp = true\n"
	}
	file := filepath.Join(dir, "buildkitd.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "buildkitd.log"))
	if err != nil {
		return nil, err
	}
	d := &daemon{bin: o.bin, dir: dir, ended: make(chan struct{})}
	command := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(o.bin, "buildkitd"), "--config", file, "--addr", d.address())
	command.Stdout, command.Stderr = log, log
	// Its builds end with it.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start buildkitd: %w", err)
	}
	go func() {
		d.failure = command.Wait()
		close(d.ended)
	}()
	d.end = func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.ended:
		case <-time.After(startLimit):
			_ = command.Process.Kill()
		}
		_ = log.Close()
	}
	if err := d.wait(ctx); err != nil {
		d.end()
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("wait for buildkitd: %w\n%s", err, said)
	}
	return d, nil
}

func quote(text string) string { return `"` + text + `"` }

func (d *daemon) address() string { return "unix://" + filepath.Join(d.dir, "buildkitd.sock") }

func (d *daemon) stop() { d.end() }

func (d *daemon) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		err := d.buildctl(ctx, io.Discard, "debug", "workers")
		if err == nil {
			return nil
		}
		select {
		case <-d.ended:
			return errors.Join(errors.New("it ended"), d.failure)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

func (d *daemon) buildctl(ctx context.Context, out io.Writer, args ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(d.bin, "buildctl"), append([]string{"--addr", d.address()}, args...)...)
	command.Stdout, command.Stderr = out, out
	return command.Run()
}

// record builds a case and writes down what came out.
func (d *daemon) record(ctx context.Context, o options, c *conformance.Case) error {
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	dir, err := os.MkdirTemp(d.dir, "case-")
	if err != nil {
		return err
	}
	folder, secrets, result := filepath.Join(dir, "folder"), filepath.Join(dir, "secrets"), filepath.Join(dir, "image.tar")
	if err := errors.Join(os.Mkdir(folder, 0o755), os.Mkdir(secrets, 0o700)); err != nil {
		return err
	}
	if err := c.Write(folder); err != nil {
		return err
	}
	values, err := c.WriteSecrets(secrets)
	if err != nil {
		return err
	}
	args := []string{
		"build", "--progress=plain", "--frontend=dockerfile.v0", "--local=context=" + folder, "--local=dockerfile=" + folder,
		"--opt=filename=" + c.Dockerfile(), "--output=type=docker,name=case,dest=" + result,
		// The frontend of the daemon itself, whatever the Dockerfile's first line names.
		"--opt=cmdline=docker/dockerfile:1",
	}
	if c.Target != "" {
		args = append(args, "--opt=target="+c.Target)
	}
	buildArgs := c.Args
	if c.Index {
		buildArgs = append(slices.Clone(o.args), buildArgs...)
	}
	for _, arg := range buildArgs {
		args = append(args, "--opt=build-arg:"+arg)
	}
	for _, value := range values {
		args = append(args, "--secret="+value)
	}
	var said bytes.Buffer
	err = d.buildctl(ctx, &said, args...)
	if err != nil && strings.HasSuffix(strings.TrimSpace(said.String()), context.DeadlineExceeded.Error()) {
		// On a busy machine buildctl gives up on what follows the build.
		said.Reset()
		err = d.buildctl(ctx, &said, args...)
	}
	if err != nil {
		if !c.Broken {
			return fmt.Errorf("%w\n%s", err, said.String())
		}
		fmt.Printf("%s: fails, as it should\n%s\n", c.Name, lastLine(said.String()))
		return c.Record(o.cases, nil)
	}
	if c.Broken {
		return errors.New("BuildKit builds what should fail")
	}
	image, err := tarball.ImageFromPath(result, nil)
	if err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	lines, err := conformance.Lines(image, func(entry v1.History) bool { return strings.HasPrefix(entry.Comment, comment) }, c.Only)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d lines\n", c.Name, len(lines))
	return c.Record(o.cases, lines)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
