// Command cluster runs a real Kubernetes of one or two nodes, built from
// source, for the tests and the demo of kubectl pyflow.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/cluster"
)

//go:embed go.mod
var gomod string

const usage = `usage: cluster COMMAND

commands:
  up               start the cluster, building what is missing
  down             end the cluster and remove all but its caches
  join             start a second node and wait until it is ready
  leave            end the second node at once, draining nothing
  proxy-mode MODE  switch kube-proxy of all nodes to iptables or nftables
  restart-apiserver
                   end the API server and return when it answers again
  build            make the programs and images, start nothing
  tools --bin DIR  put kubectl and tkn into DIR
  kubeconfig       print the path of the kubeconfig
  setup-flags      print the flags that make "kubectl pyflow setup" use this
                   cluster's image mirror and package index; with
                   --all-mirrors every image comes from the mirror

environment:
  PYFLOW_CLUSTER   the name of the cluster, for several side by side: up to four
                   lower case letters
`

var errUsage = errors.New("unknown command")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, out, errOut io.Writer) error {
	if len(arguments) == 0 {
		return fmt.Errorf("no command\n%s", usage)
	}
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() { _, _ = fmt.Fprint(errOut, usage) }
	bin := flags.String("bin", "", "directory for the clients (tools)")
	allMirrors := flags.Bool("all-mirrors", false, "redirect every registry (setup-flags)")
	if err := flags.Parse(arguments[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if allowed := map[string]int{"proxy-mode": 1}[arguments[0]]; flags.NArg() > allowed {
		return fmt.Errorf("%s takes no argument %q", arguments[0], flags.Arg(allowed))
	}
	node, err := cluster.New(os.Getenv("PYFLOW_CLUSTER"), gomod, errOut)
	if err != nil {
		return err
	}
	switch arguments[0] {
	case "up":
		return node.Up(ctx)
	case "down":
		return node.Down(ctx)
	case "join":
		return node.Join(ctx)
	case "leave":
		return node.Leave(ctx)
	case "proxy-mode":
		return node.SetProxyMode(ctx, flags.Arg(0))
	case "restart-apiserver":
		return node.RestartAPIServer(ctx)
	case "build":
		return node.Build(ctx)
	case "tools":
		if *bin == "" {
			return errors.New("tools needs --bin DIR")
		}
		return node.Tools(ctx, *bin)
	case "kubeconfig":
		_, err := fmt.Fprintln(out, node.Kubeconfig())
		return err
	case "setup-flags":
		setup, err := node.SetupFlags(*allMirrors)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, setup)
		return err
	case "help", "-h", "--help":
		_, err := fmt.Fprint(out, usage)
		return err
	default:
		return fmt.Errorf("%w: %s\n%s", errUsage, arguments[0], usage)
	}
}
