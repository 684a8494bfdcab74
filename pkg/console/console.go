// Package console serves the page of kubectl pyflow ui: the registry, runs, apps and the
// platform in a browser, with the permissions of the user's kubeconfig. It listens on the
// loopback interface only, and installs nothing in the cluster.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/live"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/cached"
)

// apiPrefix is where everything is that needs the token.
const apiPrefix = "/api/"

// Options are what the console shows, and where.
type Options struct {
	Clients *kube.Clients
	// Namespace is the one to show; empty for all.
	Namespace string
	// Verb runs a command, Flags are the flags of the kubeconfig that every command has, and
	// Explain returns an error with what to do about it, as the command line prints it.
	Verb    Verb
	Flags   []string
	Explain func(error) string
	// Version is that of the plugin.
	Version string
	// Context is the name of the kubeconfig's context, Server the address of the API server:
	// shown so that nobody mistakes one cluster for another.
	Context, Server string
	// Port is the local port; 0 is any that is free.
	Port int
}

// Server is a console that listens.
type Server struct {
	options  Options
	listener net.Listener
	token    string
	renderer *view.Renderer
	cluster  *live.Cluster
	registry *registryViews
	allowed  *allowed
	// stopWatching ends what reads the cluster.
	stopWatching context.CancelFunc
	// working are the actions at work, ending is closed when they have to end: with the
	// server, and not with their tab.
	working sync.WaitGroup
	ending  chan struct{}
}

// Listen starts to listen on the loopback interface, and to watch the cluster until ctx ends. The
// caller calls Serve, or else Close.
func Listen(ctx context.Context, options Options) (*Server, error) {
	renderer, err := view.NewRenderer()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(options.Port)))
	if err != nil {
		return nil, fmt.Errorf("listen on port %d: %w", options.Port, err)
	}
	ctx, stop := context.WithCancel(ctx)
	cluster, err := live.New(ctx, options.Clients, options.Namespace)
	if err != nil {
		stop()
		return nil, errors.Join(err, listener.Close())
	}
	s := &Server{
		options: options, listener: listener, token: newToken(), renderer: renderer,
		allowed: newAllowed(options.Clients.Kube), cluster: cluster, stopWatching: stop, ending: make(chan struct{}),
	}
	// Without a cache the registry is only read again.
	cache, _ := cached.OpenDefault()
	s.registry = &registryViews{Server: s, registry: live.NewRegistry(ctx, cluster, cache)}
	return s, nil
}

// Close ends what Listen started. It is called by Serve, or in place of it.
func (s *Server) Close() {
	s.stopWatching()
	// The connections that it has accepted end with Serve.
	_ = s.listener.Close()
	s.cluster.Wait()
}

// URL returns the address to open: that of a view, such as /runs, with the token behind the
// #, which browsers do not send.
func (s *Server) URL(path string) string {
	return "http://" + s.listener.Addr().String() + path + "#token=" + s.token
}

// Serve serves until ctx ends, which is no error. Then it ends the actions at work as an
// interrupt ends their commands, and returns when they have ended. It is called once.
func (s *Server) Serve(ctx context.Context) error {
	defer s.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return fmt.Errorf("read the address: %w", err)
	}
	server := &http.Server{
		Handler:           guard(port, s.token, s.routes()),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		// A browser that closes a connection is no news.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	defer s.working.Wait()
	context.AfterFunc(ctx, func() {
		close(s.ending)
		_ = server.Close()
	})
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
