// Command upload is the measured part of bench: it packs a directory and uploads
// it with the plugin's own packages, to a registry that it can be as well.
//
// Usage: upload serve BLOB_DIR CA_FILE   (prints its address and serves)
// upload push DIR ADDRESS CA_FILE        (prints the seconds it took, as JSON)
package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// host is a name that the certificates of net/http/httptest are for.
const host = "example.com"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "upload:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	switch {
	case len(args) == 3 && args[0] == "serve":
		return serve(ctx, out, args[1], args[2])
	case len(args) == 4 && args[0] == "push":
		return push(ctx, out, args[1], args[2], args[3])
	}
	return errors.New("usage: upload serve BLOB_DIR CA_FILE | push DIR ADDRESS CA_FILE")
}

func serve(ctx context.Context, out io.Writer, dir, caFile string) error {
	server := httptest.NewTLSServer(spool(dir, ggcr.New(
		ggcr.WithBlobHandler(ggcr.NewDiskBlobHandler(dir)),
		ggcr.Logger(log.New(io.Discard, "", 0)),
	)))
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		return err
	}
	fmt.Fprintln(out, server.Listener.Addr())
	<-ctx.Done()
	return nil
}

// spool keeps the body of an upload on disk until it is complete: the registry
// itself would keep it in memory.
func spool(dir string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		uploads, id := path.Split(request.URL.Path)
		file := filepath.Join(dir, "upload-"+id)
		switch {
		case !strings.HasSuffix(uploads, "/blobs/uploads/") || id == "":
		case request.Method == http.MethodPatch:
			if err := save(file, request.Body); err != nil {
				http.Error(response, err.Error(), http.StatusInternalServerError)
				return
			}
			response.Header().Set("Location", request.URL.Path)
			response.WriteHeader(http.StatusAccepted)
			return
		case request.Method == http.MethodPut:
			if spooled, err := os.Open(file); err == nil {
				defer os.Remove(file) //nolint:errcheck // bench removes the directory
				defer spooled.Close() //nolint:errcheck // it was read
				request.Body = spooled
				if info, err := spooled.Stat(); err == nil {
					request.ContentLength = info.Size()
				}
			}
		}
		next.ServeHTTP(response, request)
	})
}

// save adds to what has arrived: a large layer comes in pieces.
func save(name string, content io.Reader) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

func push(ctx context.Context, out io.Writer, dir, address, caFile string) error {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	client, err := registry.New(registry.Options{
		Host: host, Username: "bench", Password: "bench", CA: ca,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	})
	if err != nil {
		return err
	}
	defer client.Close()
	start := time.Now()
	archive, err := buildcontext.Pack(ctx, dir, buildcontext.Options{})
	if err != nil {
		return err
	}
	defer archive.Close() //nolint:errcheck // nothing is left of it anyway
	packed := time.Now()
	ref, err := client.PushSource(ctx, "bench/app/source", archive.Layer(), nil, nil)
	if err != nil {
		return err
	}
	if !ref.Uploaded {
		return errors.New("the context was there already")
	}
	return json.NewEncoder(out).Encode(map[string]float64{
		"pack": packed.Sub(start).Seconds(), "upload": time.Since(packed).Seconds(),
	})
}
