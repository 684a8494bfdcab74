package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/catalog"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/enclosure"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/node"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/programs"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/pythonbase"
)

// startTimeout is how long a node may take from its start until it is ready.
const startTimeout = 5 * time.Minute

// Up builds what is missing and starts the cluster. When it runs already and
// is healthy nothing is done; whatever else is left of an earlier run is
// removed first.
func (c *Cluster) Up(ctx context.Context) error {
	if err := host.CheckPrivilege(); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.builder.Resolve(ctx); err != nil {
		return err
	}
	running, err := c.running(ctx)
	if err != nil {
		return err
	}
	if running {
		c.log.Printf("the cluster is running: export KUBECONFIG=%s", c.Kubeconfig())
		return nil
	}
	if err := host.CheckDisk(c.layout.Root, warmDisk); err != nil {
		return err
	}
	if err := c.install(ctx, false); err != nil {
		return err
	}
	images, err := c.build(ctx)
	if err != nil {
		return err
	}
	if err := c.start(ctx, images); err != nil {
		return fmt.Errorf("%w (logs are in %s)", err, c.layout.Logs())
	}
	c.log.Printf("the cluster is ready: export KUBECONFIG=%s", c.Kubeconfig())
	return c.builder.Prune()
}

// running tells whether there is nothing to do, and otherwise clears the way.
func (c *Cluster) running(ctx context.Context) (bool, error) {
	state, err := enclosure.Load(c.layout.State())
	if err != nil {
		return false, err
	}
	switch {
	case state.Alive() && state.Key != c.builder.Key():
		c.log.Printf("the cluster runs other versions: starting it anew")
	case state.Alive() && c.healthy(ctx):
		return true, nil
	case state != nil || enclosure.Leftovers():
		c.log.Printf("an earlier run left a cluster that does not work: starting it anew")
	default:
		return false, c.removeRun()
	}
	if err := enclosure.Stop(ctx, state); err != nil {
		return false, err
	}
	return false, c.removeRun()
}

func (c *Cluster) healthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, wait := range readiness() {
		if c.kubectl(ctx, append(wait, "--timeout=2s")...) != nil {
			return false
		}
	}
	return true
}

// readiness is what `kubectl wait` has to confirm.
func readiness() [][]string {
	return [][]string{
		{"wait", "node/" + node.Name, "--for=condition=Ready"},
		{"wait", "--namespace=kube-system", "deployment/coredns", "--for=condition=Available"},
	}
}

func (c *Cluster) start(ctx context.Context, images imageSet) error {
	described, err := c.describeNode(ctx, images)
	if err != nil {
		return err
	}
	if err := described.Write(); err != nil {
		return err
	}
	state := &enclosure.State{Key: c.builder.Key(), Subnets: described.Subnets}
	enclosed := &enclosure.Enclosure{
		NodeInit:  c.builder.Path("nodeinit"),
		Spec:      described.Spec(),
		State:     state,
		StatePath: c.layout.State(),
		LogPath:   filepath.Join(c.layout.Logs(), "nodeinit.log"),
		MTU:       described.MTU,
	}
	c.log.Printf("starting the node at %s", described.Subnets.Node)
	if err := enclosed.Start(ctx); err != nil {
		return errors.Join(err, enclosure.Stop(context.WithoutCancel(ctx), state))
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	mirrored := make(chan error, 1)
	go func() { mirrored <- c.fillMirror(ctx, state, images) }()
	imported := make(chan error, 1)
	go func() { imported <- c.importImages(ctx, state, images) }()

	if err := c.await(ctx, state, "the API server", func(ctx context.Context) error {
		return c.kubectl(ctx, "get", "--raw=/readyz")
	}); err != nil {
		return err
	}
	c.log.Printf("the API server answers")
	if err := <-imported; err != nil {
		return err
	}
	c.log.Printf("the images are in the node")
	if err := c.await(ctx, state, "the cluster's own objects", func(ctx context.Context) error {
		return c.kubectl(ctx, "apply", "--server-side", "--filename="+described.ConfigFile("manifests.yaml"))
	}); err != nil {
		return err
	}
	for _, wait := range readiness() {
		if err := c.await(ctx, state, wait[len(wait)-2], func(ctx context.Context) error {
			return c.kubectl(ctx, append(wait, "--timeout=20s")...)
		}); err != nil {
			return err
		}
	}
	c.log.Printf("the node and the name server are ready")
	return <-mirrored
}

func (c *Cluster) describeNode(ctx context.Context, images imageSet) (*node.Node, error) {
	resolvConf, nameservers, err := host.Resolver(host.Root())
	if err != nil {
		return nil, err
	}
	inUse, err := host.InUse(ctx, nameservers)
	if err != nil {
		return nil, err
	}
	subnets, err := host.ChooseSubnets(inUse)
	if err != nil {
		return nil, err
	}
	index, err := host.PackageIndex(ctx)
	if err != nil {
		return nil, err
	}
	mode := os.Getenv("KUBE_PROXY_MODE")
	switch mode {
	case "":
		mode = "iptables"
	case "iptables", "nftables":
	default:
		return nil, fmt.Errorf("KUBE_PROXY_MODE is %q: it must be iptables or nftables", mode)
	}
	return &node.Node{
		Layout:       c.layout,
		Subnets:      subnets,
		MTU:          host.MTU(ctx),
		ResolvConf:   resolvConf,
		ProxyMode:    mode,
		CgroupRoot:   enclosure.CgroupRoot,
		PauseImage:   catalog.Pause,
		CoreDNSImage: catalog.CoreDNS(c.pins),
		Mirror:       c.mirrorDir(images),
		PackageIndex: index,
		IndexEnv:     host.ProxyEnv(),
		Program:      c.builder.Path,
	}, nil
}

// await repeats an attempt until it succeeds, the node ends or the time is up.
func (c *Cluster) await(ctx context.Context, state *enclosure.State, what string, attempt func(context.Context) error) error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := attempt(ctx)
		if err == nil {
			return nil
		}
		if !state.Alive() {
			return fmt.Errorf("wait for %s: the node has ended", what)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", what, ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// importImages gives containerd all images at once. They are unpacked when a
// container needs them: most clusters never use them all.
func (c *Cluster) importImages(ctx context.Context, state *enclosure.State, images imageSet) error {
	ctr := func(ctx context.Context, arguments ...string) error {
		socket := "--address=" + state.Path(node.ContainerdSocket)
		return capture(exec.CommandContext(ctx, "ctr", append([]string{socket, "--namespace=k8s.io"}, arguments...)...))
	}
	if err := c.await(ctx, state, "containerd", func(ctx context.Context) error { return ctr(ctx, "version") }); err != nil {
		return err
	}
	if err := ctr(ctx, "images", "import", "--no-unpack", images.archive()); err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	return nil
}

// fillMirror pushes the Python base image and the images of Docker Hub into
// the mirror, whose storage is kept from run to run.
func (c *Cluster) fillMirror(ctx context.Context, state *enclosure.State, images imageSet) error {
	marker := filepath.Join(c.mirrorDir(images), "filled")
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	layouts := map[string]string{} // by the name in the mirror
	for _, tag := range pythonbase.Tags() {
		layouts[pythonbase.Repository+":"+tag] = c.pythonDir()
	}
	for _, reference := range catalog.HubImages() {
		layouts[strings.TrimPrefix(reference, catalog.DockerHub)] = images.layout(reference)
	}
	for name, layout := range layouts {
		reference := fmt.Sprintf("%s:%d/%s", state.Subnets.Gateway(), node.MirrorPort, name)
		err := c.await(ctx, state, "the upstream mirror", func(ctx context.Context) error {
			return capture(state.Command(ctx, c.builder.Path("crane"), "push", "--insecure", layout, reference))
		})
		if err != nil {
			return err
		}
	}
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		return fmt.Errorf("note that the mirror is filled: %w", err)
	}
	return programs.RemoveOthers(c.layout.Mirror(), filepath.Base(c.mirrorDir(images)))
}

func (c *Cluster) kubectl(ctx context.Context, arguments ...string) error {
	return capture(exec.CommandContext(ctx, c.builder.Path("kubectl"), append([]string{
		"--kubeconfig=" + c.Kubeconfig(),
		// Not the user's: they would keep what this cluster offered.
		"--cache-dir=" + filepath.Join(c.layout.Run(), "kubectl-cache"),
	}, arguments...)...))
}

// capture runs a command and puts what it said into the error.
func capture(command *exec.Cmd) error {
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(command.Path), err, strings.TrimSpace(output.String()))
	}
	return nil
}
