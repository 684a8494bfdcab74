// Command bench measures the plugin against kubectl in the same run: how fast it
// starts, and how much memory it takes whatever the size of the build context and
// of the log.
// It prints ratios and fails on none.
//
// It imports nothing but the standard library: on Linux, the peak memory of a
// child is never reported below what its parent had when it started the child.
//
// Usage, at the root of the repository:
//
//	go run ./test/bench [-runs N] [-sizes MB,MB] [-files N,N] [-lines N,N] [-kubectl FILE] [-plugin FILE]
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const megabyte = 1 << 20

// options are the command line.
type options struct {
	runs                int
	sizes, files, lines []int64
	kubectl, plugin     string
}

func parse(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.runs, "runs", 21, "how often each program is started")
	sizes := flags.String("sizes", "50,500", "sizes of the build contexts in MB")
	files := flags.String("files", "1000,100000", "sizes of the build contexts in small files")
	lines := flags.String("lines", "10000,1000000", "lengths of the logs in lines")
	flags.StringVar(&o.kubectl, "kubectl", "bin/kubectl", "the kubectl to compare with")
	flags.StringVar(&o.plugin, "plugin", "bin/kubectl-pyflow", "the plugin")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	for name, list := range map[string]struct {
		text   string
		values *[]int64
	}{"sizes": {*sizes, &o.sizes}, "files": {*files, &o.files}, "lines": {*lines, &o.lines}} {
		for text := range strings.SplitSeq(list.text, ",") {
			value, err := strconv.ParseInt(text, 10, 64)
			if err != nil || value <= 0 {
				return nil, fmt.Errorf("-%s: %q is not a positive number", name, text)
			}
			*list.values = append(*list.values, value)
		}
	}
	if o.runs < 1 {
		return nil, fmt.Errorf("-runs %d is not positive", o.runs)
	}
	return o, nil
}

func run(ctx context.Context, out io.Writer, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	kubectl, err := start(ctx, out, o)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "pyflow-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) //nolint:errcheck // the system empties it, too
	if err := upload(ctx, out, o, kubectl, temp); err != nil {
		return err
	}
	return follow(ctx, out, o, kubectl, temp)
}

// cost is what one run of a program took.
type cost struct {
	wall time.Duration
	// rss is the peak of the resident set in bytes.
	rss int64
}

// measure runs a program to its end.
func measure(ctx context.Context, stdout io.Writer, program string, args ...string) (cost, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil {
		return cost{}, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, &stderr)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return cost{}, fmt.Errorf("%s: this system does not tell what a process used", program)
	}
	return cost{wall, usage.Maxrss * rssUnit()}, nil
}

// start compares how long both programs take to print their version, and how
// much memory. Runs take turns, so that other load hits both. It returns
// kubectl's median.
func start(ctx context.Context, out io.Writer, o *options) (cost, error) {
	programs := [][]string{{o.kubectl, "version", "--client"}, {o.plugin, "--version"}}
	costs := make([][]cost, len(programs))
	for i := range o.runs + 1 {
		for p, program := range programs {
			c, err := measure(ctx, nil, program[0], program[1:]...)
			if err != nil {
				return cost{}, err
			}
			// The first run reads the file from the disk.
			if i > 0 {
				costs[p] = append(costs[p], c)
			}
		}
	}
	kubectl, plugin := median(costs[0]), median(costs[1])
	fmt.Fprintf(out, "Start, %d runs each in turn, medians\n\n", o.runs)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\ttime\tmax RSS\t")
	fmt.Fprintf(table, "kubectl version --client\t%d ms\t%.1f MB\t\n", kubectl.wall.Milliseconds(), megabytes(kubectl.rss))
	fmt.Fprintf(table, "kubectl-pyflow --version\t%d ms\t%.1f MB\t\n", plugin.wall.Milliseconds(), megabytes(plugin.rss))
	fmt.Fprintf(table, "ratio\t%.2f\t%.2f\t\n", float64(plugin.wall)/float64(kubectl.wall), float64(plugin.rss)/float64(kubectl.rss))
	return kubectl, table.Flush()
}

// median takes time and memory each for itself.
func median(costs []cost) cost {
	wall, rss := make([]time.Duration, len(costs)), make([]int64, len(costs))
	for i, c := range costs {
		wall[i], rss[i] = c.wall, c.rss
	}
	slices.Sort(wall)
	slices.Sort(rss)
	return cost{wall[len(wall)/2], rss[len(rss)/2]}
}

func megabytes(bytes int64) float64 { return float64(bytes) / megabyte }

// upload packs and uploads directories of growing size to a registry in a process
// of its own: first of random bytes, then of ever more small files.
func upload(ctx context.Context, out io.Writer, o *options, kubectl cost, temp string) error {
	program, err := compile(ctx, temp, "upload")
	if err != nil {
		return err
	}
	ca, address, stop, err := serve(ctx, program, temp)
	if err != nil {
		return err
	}
	defer stop()
	pushed := func(dir string) (seconds struct{ Pack, Upload float64 }, c cost, err error) {
		var report bytes.Buffer
		if c, err = measure(ctx, &report, program, "push", dir, address, ca); err != nil {
			return seconds, c, err
		}
		err = errors.Join(json.Unmarshal(report.Bytes(), &seconds), os.RemoveAll(dir))
		return seconds, c, err
	}
	for _, kind := range []struct {
		title, unit string
		sizes       []int64
		fill        func(dir string, size int64) error
	}{
		{"of random bytes", " MB", o.sizes, func(dir string, size int64) error { return fill(ctx, dir, size*megabyte) }},
		{"of small files", " files", o.files, func(dir string, size int64) error { return scatter(ctx, dir, size) }},
	} {
		fmt.Fprintf(out, "\nBuild context %s, packed and uploaded\n\n", kind.title)
		table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "size\tpack\tupload\tmax RSS\tof kubectl's\t")
		var first, last int64
		for _, size := range kind.sizes {
			dir := filepath.Join(temp, "context")
			if err := kind.fill(dir, size); err != nil {
				return err
			}
			seconds, c, err := pushed(dir)
			if err != nil {
				return err
			}
			first, last = cmp.Or(first, c.rss), c.rss
			fmt.Fprintf(table, "%d%s\t%.1f s\t%.1f s\t%.1f MB\t%.2f\t\n", size, kind.unit, seconds.Pack, seconds.Upload, megabytes(c.rss), float64(c.rss)/float64(kubectl.rss))
		}
		fmt.Fprintf(table, "last to first\t\t\t%.2f\t\t\n", float64(last)/float64(first))
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// follow tells logs of growing length.
func follow(ctx context.Context, out io.Writer, o *options, kubectl cost, temp string) error {
	program, err := compile(ctx, temp, "log")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nLog of a build, followed to its end\n\n")
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "lines\ttime\tmax RSS\tof kubectl's\t")
	var first, last int64
	for _, lines := range o.lines {
		var report bytes.Buffer
		c, err := measure(ctx, &report, program, strconv.FormatInt(lines, 10))
		if err != nil {
			return err
		}
		var seconds struct{ Follow float64 }
		if err := json.Unmarshal(report.Bytes(), &seconds); err != nil {
			return err
		}
		first, last = cmp.Or(first, c.rss), c.rss
		fmt.Fprintf(table, "%d\t%.1f s\t%.1f MB\t%.2f\t\n", lines, seconds.Follow, megabytes(c.rss), float64(c.rss)/float64(kubectl.rss))
	}
	fmt.Fprintf(table, "last to first\t\t%.2f\t\t\n", float64(last)/float64(first))
	return table.Flush()
}

// compile builds one of the programs beside this one and returns its file.
func compile(ctx context.Context, temp, name string) (string, error) {
	program := filepath.Join(temp, name)
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./test/bench/"+name)
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", build, err, output)
	}
	return program, nil
}

// serve starts the registry and returns the file of its CA and its address.
func serve(ctx context.Context, program, temp string) (ca, address string, stop func(), err error) {
	ca = filepath.Join(temp, "ca.crt")
	blobs := filepath.Join(temp, "registry")
	if err := os.Mkdir(blobs, 0o700); err != nil {
		return "", "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, "serve", blobs, ca)
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return "", "", nil, err
	}
	stop = func() {
		cancel()
		_ = cmd.Wait() // It was killed.
	}
	address, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stop()
		return "", "", nil, fmt.Errorf("start the registry: %w", err)
	}
	return ca, strings.TrimSpace(address), stop, nil
}

// fill writes size random bytes into dir, in files of up to 10 MB.
func fill(ctx context.Context, dir string, size int64) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for i := 0; size > 0; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := min(size, 10*megabyte)
		file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%03d.bin", i)))
		if err != nil {
			return err
		}
		_, err = io.CopyN(file, rand.Reader, part)
		if cerr := file.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
		size -= part
	}
	return nil
}

// scatter writes count files of a few lines into dir, a hundred to a directory.
func scatter(ctx context.Context, dir string, count int64) error {
	for i := range count {
		if err := ctx.Err(); err != nil {
			return err
		}
		sub := filepath.Join(dir, strconv.FormatInt(i/10_000, 10), strconv.FormatInt(i/100, 10))
		if i%100 == 0 {
			if err := os.MkdirAll(sub, 0o700); err != nil {
				return err
			}
		}
		content := strings.Repeat(fmt.Sprintf("x = %d\n", i), int(i%50))
		if err := os.WriteFile(filepath.Join(sub, strconv.FormatInt(i, 10)+".py"), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
