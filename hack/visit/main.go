// Command visit reads a status report, kubectl pyflow status -o json, from its
// standard input and prints the URL of one app and what it answers to GET.
//
// Usage: visit APP
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"
)

const (
	// patience is how long a node port may take to follow a rollout.
	patience = 30 * time.Second
	interval = 500 * time.Millisecond
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: visit APP < status.json")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1], os.Stdin, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, app string, report io.Reader, out io.Writer) error {
	url, err := address(app, report)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, url)
	answer, err := get(ctx, url)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, strings.TrimSpace(string(answer)))
	return nil
}

// address finds the app in a status report.
func address(app string, report io.Reader) (string, error) {
	var status struct {
		Apps []struct {
			Name string `json:"name"`
			URL  string `json:"url"`
		} `json:"apps"`
	}
	if err := json.NewDecoder(report).Decode(&status); err != nil {
		return "", fmt.Errorf("read status report: %w", err)
	}
	for _, candidate := range status.Apps {
		if candidate.Name != app {
			continue
		}
		if candidate.URL == "" {
			return "", fmt.Errorf("app %s has no URL that is reachable from outside the cluster", app)
		}
		return candidate.URL, nil
	}
	return "", fmt.Errorf("no app %s in the status report", app)
}

// get fetches url, again while it does not answer with 200. A node's address is
// never behind a proxy, so none is used.
func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{}}
	var last error
	for {
		answer, err := once(ctx, client, url)
		if err == nil {
			return answer, nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(last, ctx.Err())
		case <-time.After(interval):
		}
	}
}

func once(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("get %s: %s", url, response.Status)
	}
	return answer, err
}
