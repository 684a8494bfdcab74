//go:build e2e

package env

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patterns of what a build prints for scripts.
var (
	DigestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
	URLPattern    = regexp.MustCompile(`http://\S+`)
)

// Output collects what a command writes. It may be read while the command runs.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String returns what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Result is what a command did.
type Result struct {
	Line           string
	Code           int
	Stdout, Stderr string
	Took           time.Duration
}

// String renders the result for a failure message.
func (r Result) String() string {
	return fmt.Sprintf("$ %s\nexit code %d after %s\n--- stdout\n%s--- stderr\n%s---", r.Line, r.Code, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Succeeded requires exit code 0.
func (r Result) Succeeded(t *testing.T) Result {
	t.Helper()
	if r.Code != 0 {
		t.Fatalf("it should have succeeded\n%s", r)
	}
	t.Logf("%s: %s", r.Line, r.Took.Round(100*time.Millisecond))
	return r
}

// Failed wants exit code 1 and every one of words on standard error.
func (r Result) Failed(t *testing.T, words ...string) Result {
	t.Helper()
	return r.FailedWith(t, 1, words...)
}

// FailedWith wants an exit code and every one of words on standard error, and no
// trace of the program's internals.
func (r Result) FailedWith(t *testing.T, code int, words ...string) Result {
	t.Helper()
	if r.Code != code {
		t.Errorf("the exit code should have been %d\n%s", code, r)
	}
	r.Says(t, words...)
	if strings.Contains(r.Stderr, "goroutine ") || strings.Contains(r.Stderr, ".go:") {
		t.Errorf("stderr shows the program's internals\n%s", r)
	}
	return r
}

// Says wants every one of words on standard error.
func (r Result) Says(t *testing.T, words ...string) Result {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(r.Stderr, word) {
			t.Errorf("stderr should have %q\n%s", word, r)
		}
	}
	return r
}

// Prints wants every one of words on standard output.
func (r Result) Prints(t *testing.T, words ...string) Result {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(r.Stdout, word) {
			t.Errorf("stdout should have %q\n%s", word, r)
		}
	}
	return r
}

// Hints wants every one of words on standard error, and a hint that contains
// advice.
func (r Result) Hints(t *testing.T, advice string, words ...string) {
	t.Helper()
	r.Failed(t, append(words, "hint: ")...)
	for line := range strings.Lines(r.Stderr) {
		if strings.HasPrefix(line, "hint: ") && strings.Contains(line, advice) {
			return
		}
	}
	t.Errorf("stderr should have a hint with %q:\n%s", advice, r)
}

// Released requires success and returns the digest and the URL that a build
// printed for scripts.
func (r Result) Released(t *testing.T) (digest, url string) {
	t.Helper()
	r.Succeeded(t)
	digest, url = DigestPattern.FindString(r.Stdout), URLPattern.FindString(r.Stdout)
	if digest == "" || url == "" {
		t.Fatalf("stdout should have a digest and a URL\n%s", r)
	}
	return digest, url
}

// Command prepares a program of the bin directory. It finds no other programs but
// the system's, and no configuration but the kubeconfig.
func (c *Cluster) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, program), args...)
	cmd.Env = []string{"PATH=" + c.bin + ":/usr/bin:/bin", "HOME=" + c.home, "KUBECONFIG=" + c.Kubeconfig}
	cmd.Dir = c.home
	return cmd
}

// Run runs a program of the bin directory to its end.
func (c *Cluster) Run(t *testing.T, stdin io.Reader, program string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), CommandLimit)
	defer cancel()
	cmd := c.Command(ctx, program, args...)
	cmd.Stdin = stdin
	return Finish(t, cmd, cmd.Run)
}

// Pyflow runs `kubectl pyflow` as a user does, in the kubeconfig's namespace.
func (c *Cluster) Pyflow(t *testing.T, args ...string) Result {
	t.Helper()
	return c.Run(t, nil, "kubectl", append([]string{"pyflow"}, args...)...)
}

// AfterFailure runs the plugin when the test has failed, so that the next test
// finds the platform in order.
func (c *Cluster) AfterFailure(t *testing.T, args ...string) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), CommandLimit)
		defer cancel()
		cmd := c.Command(ctx, "kubectl", append([]string{"pyflow"}, args...)...)
		t.Log(Finish(t, cmd, cmd.Run))
	})
}

// Pyflow runs `kubectl pyflow` as a user does, in this namespace.
func (n *NS) Pyflow(t *testing.T, args ...string) Result {
	t.Helper()
	r := n.Cluster.Pyflow(t, n.in(args)...)
	_, _ = fmt.Fprintln(&n.Printed, r)
	return r
}

// Build runs `kubectl pyflow build` in this namespace.
func (n *NS) Build(t *testing.T, args ...string) Result {
	t.Helper()
	return n.Pyflow(t, append([]string{"build"}, args...)...)
}

// in puts the flag for the namespace behind the verb.
func (n *NS) in(args []string) []string {
	return slices.Insert(slices.Clone(args), 1, "-n", n.Name)
}

// Started is a command that runs beside the test.
type Started struct {
	Cmd            *exec.Cmd
	Stdout, Stderr *Output

	printed *Output
}

// Start starts `kubectl pyflow` in this namespace, with environment variables
// beside the usual ones.
func (n *NS) Start(t *testing.T, environment []string, args ...string) Started {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), CommandLimit)
	t.Cleanup(cancel)
	s := Started{
		Cmd: n.Command(ctx, "kubectl", append([]string{"pyflow"}, n.in(args)...)...), Stdout: &Output{}, Stderr: &Output{}, printed: &n.Printed,
	}
	s.Cmd.Env = append(s.Cmd.Env, environment...)
	s.Cmd.Stdout, s.Cmd.Stderr = s.Stdout, s.Stderr
	Check(t, s.Cmd.Start())
	return s
}

// Says waits until the command has written text to standard error.
func (s Started) Says(t *testing.T, text string) { t.Helper(); s.wrote(t, s.Stderr, text) }

// Prints waits until the command has written text to standard output.
func (s Started) Prints(t *testing.T, text string) { t.Helper(); s.wrote(t, s.Stdout, text) }

func (s Started) wrote(t *testing.T, output *Output, text string) {
	t.Helper()
	Eventually(t, "wait for "+text, func(context.Context) error {
		if !strings.Contains(output.String(), text) {
			return fmt.Errorf("it printed\n%s\n%s", s.Stdout, s.Stderr)
		}
		return nil
	})
}

// Ends waits for the end of the command.
func (s Started) Ends(t *testing.T) Result {
	t.Helper()
	r := Finish(t, s.Cmd, s.Cmd.Wait)
	_, _ = fmt.Fprintln(s.printed, r)
	return r
}

// Finish runs a command by wait, or waits for one that was started, and returns
// its result.
func Finish(t *testing.T, cmd *exec.Cmd, wait func() error) Result {
	t.Helper()
	if cmd.Stdout == nil {
		cmd.Stdout, cmd.Stderr = &Output{}, &Output{}
	}
	start := time.Now()
	err := wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	return Result{
		Line: strings.Join(append([]string{filepath.Base(cmd.Path)}, cmd.Args[1:]...), " "), Code: cmd.ProcessState.ExitCode(),
		Stdout: fmt.Sprint(cmd.Stdout), Stderr: fmt.Sprint(cmd.Stderr), Took: time.Since(start),
	}
}
