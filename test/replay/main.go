// Command replay shows events of a build from a file, one JSON object per line,
// as the plugin would show them: to look at a view without a cluster.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display/buildview"
)

func main() {
	mode := flag.String("progress", string(buildview.Auto), "auto, tty, plain, json or quiet")
	speed := flag.Float64("speed", 1, "how many times as fast as it was")
	hold := flag.Bool("hold", false, "go on after the first Ctrl-C, as a build does that cancels its run")
	repeat := flag.Int("repeat", 1, "how often each line of the log is repeated")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: replay [flags] events.jsonl")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if *hold {
		ctx = context.WithoutCancel(ctx)
	}
	err := replay(ctx, flag.Arg(0), buildview.Mode(*mode), *speed, *repeat)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func replay(ctx context.Context, path string, mode buildview.Mode, speed float64, repeat int) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the events: %w", err)
	}
	defer file.Close()
	shown, err := buildview.New(mode, os.Stdout, os.Stderr)
	if err != nil {
		return err
	}
	defer func() {
		if closed := shown.Close(); err == nil {
			err = closed
		}
	}()
	var before time.Time
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var e event.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if !before.IsZero() {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Duration(float64(e.Time.Sub(before)) / speed)):
			}
		}
		before = e.Time
		times := 1
		if e.Type == event.Log {
			times = repeat
		}
		for range times {
			shown.Show(e)
		}
	}
	return lines.Err()
}
