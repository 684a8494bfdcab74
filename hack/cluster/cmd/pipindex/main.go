// Command pipindex serves a caching package index for pip over plain HTTP.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/pipindex"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:3141", "address to listen on")
	upstream := flag.String("upstream", "", "URL of the index's simple root")
	cache := flag.String("cache", "", "directory that keeps pages and files")
	flag.Parse()
	server := &http.Server{
		Addr: *listen,
		Handler: &pipindex.Index{
			Upstream: *upstream,
			Dir:      *cache,
			Client:   &http.Client{Timeout: 10 * time.Minute},
			Log:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
		},
		ReadHeaderTimeout: 10 * time.Second,
	}
	fmt.Fprintln(os.Stderr, "pipindex:", server.ListenAndServe())
	os.Exit(1)
}
