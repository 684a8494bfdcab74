package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/catalog"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/debianbase"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/enclosure"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/node"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/oci"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/programs"
)

// startTimeout is how long a node may take from its start until it is ready.
const startTimeout = 5 * time.Minute

// Up builds what is missing and starts the cluster. When it runs already and
// is healthy, only the mode of kube-proxy is made what KUBE_PROXY_MODE says;
// whatever else is left of an earlier run is removed first.
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
	running, err := c.upToDate(ctx)
	if err != nil {
		return err
	}
	mode := os.Getenv("KUBE_PROXY_MODE")
	if running {
		if mode != "" {
			if err := c.setProxyMode(ctx, mode); err != nil {
				return err
			}
		}
		c.log.Printf("the cluster is running: export KUBECONFIG=%s", c.Kubeconfig())
		return nil
	}
	if mode == "" {
		mode = iptables
	}
	if err := checkProxyMode(mode); err != nil {
		return err
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
	if err := c.start(ctx, images, mode); err != nil {
		return fmt.Errorf("%w (logs are in %s)", err, c.layout.Logs())
	}
	c.log.Printf("the cluster is ready: export KUBECONFIG=%s", c.Kubeconfig())
	return c.builder.Prune()
}

// upToDate reports whether there is nothing to do, and otherwise clears the way.
func (c *Cluster) upToDate(ctx context.Context) (bool, error) {
	state, err := c.state(0)
	if err != nil {
		return false, err
	}
	switch {
	case state.Alive() && state.Key != c.builder.Key():
		c.log.Printf("the cluster runs other versions: restarting it")
	case state.Alive() && c.healthy(ctx):
		return true, nil
	case state != nil || c.names.Leftovers():
		c.log.Printf("an earlier run left a cluster that does not work: restarting it")
	default:
		return false, c.removeRun()
	}
	if err := c.stop(ctx, state); err != nil {
		return false, err
	}
	return false, c.removeRun()
}

// patience is how long a cluster may take to answer before it counts as broken. A restart loses
// all that is in it, and on a busy machine an answer can take many seconds.
const patience = 90 * time.Second

func (c *Cluster) healthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, wait := range readiness() {
		for c.kubectl(ctx, append(wait, "--timeout=10s")...) != nil {
			select {
			case <-ctx.Done():
				return false
			case <-time.After(time.Second):
			}
		}
	}
	return true
}

// readiness is what `kubectl wait` has to confirm.
func readiness() [][]string {
	return [][]string{
		{"wait", "node/" + node.Name(0), "--for=condition=Ready"},
		{"wait", "--namespace=kube-system", "deployment/coredns", "--for=condition=Available"},
	}
}

func (c *Cluster) start(ctx context.Context, images imageSet, proxyMode string) error {
	resolvConf, nameservers, err := host.Resolver(host.Root())
	if err != nil {
		return err
	}
	inUse, err := host.InUse(ctx, nameservers)
	if err != nil {
		return err
	}
	subnets, err := host.ChooseSubnets(inUse)
	if err != nil {
		return err
	}
	index, err := host.PackageIndex(ctx)
	if err != nil {
		return err
	}
	described := c.describeNode(0, subnets, proxyMode)
	described.MTU = host.MTU(ctx)
	described.ResolvConf = resolvConf
	described.CoreDNSImage = catalog.CoreDNS(c.pins)
	described.Mirror = c.mirrorDir(images)
	described.PackageIndex = index
	state, err := c.startNode(ctx, described)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	mirrored := make(chan error, 1)
	go func() { mirrored <- c.fillMirror(ctx, state, images) }()
	imported := make(chan error, 1)
	go func() { imported <- c.importImages(ctx, state, images, images.references) }()

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

// describeNode describes a node as far as all nodes are the same.
func (c *Cluster) describeNode(number int, subnets host.Subnets, proxyMode string) *node.Node {
	return &node.Node{
		Number:     number,
		Cluster:    c.layout,
		Subnets:    subnets,
		ProxyMode:  proxyMode,
		CgroupRoot: c.names.CgroupRoot(number),
		PauseImage: catalog.Pause,
		Registries: catalog.Registries(),
		IndexEnv:   host.ProxyEnv(),
		Program:    c.builder.Path,
	}
}

// startNode writes the node's files and starts its first process.
func (c *Cluster) startNode(ctx context.Context, described *node.Node) (*enclosure.State, error) {
	if err := described.Write(); err != nil {
		return nil, err
	}
	state := &enclosure.State{
		Number: described.Number, Key: c.builder.Key(), Subnets: described.Subnets, ProxyMode: described.ProxyMode,
	}
	files := node.Layout(c.layout, described.Number)
	enclosed := &enclosure.Enclosure{
		Names:     c.names,
		NodeInit:  c.builder.Path("nodeinit"),
		Spec:      described.Spec(),
		State:     state,
		StatePath: files.State(),
		LogPath:   filepath.Join(files.Logs(), "nodeinit.log"),
		MTU:       described.MTU,
	}
	c.log.Printf("starting the node %s at %s", node.Name(described.Number), described.Subnets.Node(described.Number))
	if err := enclosed.Start(ctx); err != nil {
		return nil, errors.Join(err, c.names.Stop(context.WithoutCancel(ctx), described.Number, state))
	}
	return state, nil
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

// importImages gives containerd images. They are unpacked when a container needs
// them: most clusters never use them all.
func (c *Cluster) importImages(ctx context.Context, state *enclosure.State, images imageSet, references []string) error {
	ctr := func(ctx context.Context, arguments ...string) *exec.Cmd {
		socket := "--address=" + state.Path(node.ContainerdSocket)
		return exec.CommandContext(ctx, "ctr", append([]string{socket, "--namespace=k8s.io"}, arguments...)...)
	}
	if err := c.await(ctx, state, "containerd", func(ctx context.Context) error {
		return capture(ctr(ctx, "version"))
	}); err != nil {
		return err
	}
	for _, reference := range references {
		archive, layout := io.Pipe()
		go func() { layout.CloseWithError(oci.WriteArchive(images.layout(reference), layout)) }()
		command := ctr(ctx, "images", "import", "--no-unpack", "-")
		command.Stdin = archive
		err := capture(command)
		_ = archive.Close() // ends the writer when containerd did not read it all
		if err != nil {
			return fmt.Errorf("import %s: %w", reference, err)
		}
	}
	return nil
}

// mirrored are the layouts of all that the mirror serves, by their names in it:
// every image below the directory of its registry, and those of Docker Hub
// under their own names, too, as a mirror of one registry has them.
func (c *Cluster) mirrored(images imageSet) map[string]string {
	layouts := map[string]string{}
	add := func(reference, layout string) {
		layouts[node.MirrorPath+reference] = layout
		if name, ok := strings.CutPrefix(reference, catalog.DockerHub); ok {
			layouts[name] = layout
		}
	}
	for _, reference := range images.references {
		add(reference, images.layout(reference))
	}
	for _, image := range debianbase.Images() {
		for _, tag := range image.Tags {
			add(image.Repository+":"+tag, c.debianDir(image))
		}
	}
	return layouts
}

// fillMirror pushes the images into the mirror, whose storage is kept from run
// to run.
func (c *Cluster) fillMirror(ctx context.Context, state *enclosure.State, images imageSet) error {
	marker := filepath.Join(c.mirrorDir(images), "filled")
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	for name, layout := range c.mirrored(images) {
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
