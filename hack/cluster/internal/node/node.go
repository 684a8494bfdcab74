// Package node describes the nodes: their certificates, configuration files and processes.
package node

import (
	"bytes"
	"embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/layout"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/nodespec"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/pki"
)

const (
	// ContainerdSocket is the address of containerd inside the node.
	ContainerdSocket = "/run/containerd/containerd.sock"
	// MirrorPath is where the mirror has the images of every registry, each
	// below the registry's host.
	MirrorPath = "mirror/"
	// MirrorPort is where the upstream mirror listens, on the gateway address.
	MirrorPort = 5000
	// IndexPort is where the package index listens, on the gateway address.
	IndexPort = 3141

	// APIServer is the name of the API server's process.
	APIServer = "kube-apiserver"

	// ProxyStatusPort is the port on the node's address where kube-proxy reports its mode and
	// its progress.
	ProxyStatusPort = 10249

	apiPort     = 6443
	etcdAddress = "127.0.0.1:2379"
	proxyConfig = "kube-proxy.yaml"
)

//go:embed config
var configs embed.FS

// Name is the name of the node with that number.
func Name(number int) string {
	if number == 0 {
		return "pyflow"
	}
	return fmt.Sprintf("pyflow-%d", number+1)
}

// Layout is where in the cluster's layout the files of the node with that
// number are.
func Layout(cluster layout.Layout, number int) layout.Layout {
	if number == 0 {
		return cluster
	}
	return cluster.Node(Name(number))
}

// Node is what a node's files are made from.
type Node struct {
	// Number is the node's. Number 0 runs the control plane and the services
	// beside it; the others run pods only and need its files.
	Number int
	// Cluster is where the cluster's files are.
	Cluster layout.Layout
	// Subnets are the cluster's addresses.
	Subnets host.Subnets
	// MTU is the largest packet of the pods' interfaces.
	MTU int
	// ResolvConf is the text of the node's resolv.conf.
	ResolvConf string
	// ProxyMode is kube-proxy's: iptables or nftables.
	ProxyMode string
	// CgroupRoot is the cgroup that the pods' cgroups are in.
	CgroupRoot string
	// PauseImage and CoreDNSImage are references of images in the node.
	PauseImage, CoreDNSImage string
	// Mirror is the directory with the upstream mirror's content.
	Mirror string
	// Registries are the hosts of the registries that the mirror stands for.
	Registries []string
	// PackageIndex is the upstream of the package index.
	PackageIndex string
	// IndexEnv is the environment of the package index: the host's proxy.
	IndexEnv []string
	// Program returns the path of a built program.
	Program func(name string) string
}

// Server is the address of the API server.
func (n *Node) Server() string {
	return "https://" + n.apiServer()
}

func (n *Node) apiServer() string {
	return netip.AddrPortFrom(n.Subnets.Node(0), apiPort).String()
}

func (n *Node) name() string { return Name(n.Number) }

func (n *Node) layout() layout.Layout { return Layout(n.Cluster, n.Number) }

func (n *Node) address() netip.Addr { return n.Subnets.Node(n.Number) }

// fields are what the templates of the configuration files see.
type fields struct {
	*Node
	Name, PKI, Config, CNIPlugins string
	Pods                          netip.Prefix
	ProxyStatus                   netip.AddrPort
	MirrorPath, Registry          string
	MirrorPort                    int
}

// Write makes the node's directories, certificates and configuration files.
func (n *Node) Write() error {
	files := n.layout()
	dirs := []string{files.Logs()}
	if n.Number == 0 {
		dirs = append(dirs, files.Volumes())
	}
	for _, dir := range nodeDirs() {
		dirs = append(dirs, files.NodeDir(dir))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make node directory: %w", err)
		}
	}
	if err := os.Chmod(files.NodeDir("tmp"), os.ModeSticky|0o777); err != nil {
		return fmt.Errorf("open node's /tmp: %w", err)
	}
	if err := n.writePKI(); err != nil {
		return err
	}
	templates := map[string]string{
		"containerd.toml": "containerd.toml",
		"cni.conflist":    "cni/10-pyflow.conflist",
		"mirror.toml":     "certs.d/" + n.gateway(MirrorPort) + "/hosts.toml",
		"kubelet.yaml":    "kubelet.yaml",
		proxyConfig:       proxyConfig,
	}
	if n.Number == 0 {
		for _, name := range []string{"scheduler.yaml", "mirror.yaml", "manifests.yaml"} {
			templates[name] = name
		}
	}
	for template, path := range templates {
		if err := n.writeRendered(template, path, ""); err != nil {
			return err
		}
	}
	for _, registry := range n.Registries {
		if err := n.writeRendered("registry.toml", "certs.d/"+registry+"/hosts.toml", registry); err != nil {
			return err
		}
	}
	for name, value := range tunables() {
		if err := n.writeConfig(tunableFile(name), []byte(value+"\n")); err != nil {
			return err
		}
	}
	return n.writeConfig("resolv.conf", []byte(n.ResolvConf))
}

// WriteProxyConfig writes the configuration of kube-proxy alone. One that runs
// ends when it sees that, and what starts instead removes the rules of other
// modes.
func (n *Node) WriteProxyConfig() error { return n.writeRendered(proxyConfig, proxyConfig, "") }

// tunables are the kernel settings that the kubelet insists on. They are not
// part of any namespace: the node sees files with these values in their place,
// so that the kubelet is content and the host's settings stay.
func tunables() map[string]string {
	return map[string]string{
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/keys/root_maxbytes": "25000000",
	}
}

func tunableFile(name string) string { return "sysctl-" + strings.ReplaceAll(name, "/", ".") }

// gateway is an address of one of the services beside the node.
func (n *Node) gateway(port uint16) string {
	return netip.AddrPortFrom(n.Subnets.Gateway(), port).String()
}

func (n *Node) writeRendered(template, path, registry string) error {
	content, err := n.render(template, registry)
	if err != nil {
		return err
	}
	return n.writeConfig(path, content)
}

func (n *Node) render(name, registry string) ([]byte, error) {
	parsed, err := template.New(name).Option("missingkey=error").ParseFS(configs, "config/"+name)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	var content bytes.Buffer
	err = parsed.Execute(&content, fields{
		Node: n, Name: n.name(), PKI: n.layout().PKI(), Config: n.layout().Config(),
		CNIPlugins: host.CNIPlugins, Pods: n.Subnets.NodePods(n.Number),
		ProxyStatus: netip.AddrPortFrom(n.address(), ProxyStatusPort),
		MirrorPath:  MirrorPath, Registry: registry, MirrorPort: MirrorPort,
	})
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return content.Bytes(), nil
}

func (n *Node) writeConfig(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(n.ConfigFile(name)), 0o755); err != nil {
		return fmt.Errorf("make directory of %s: %w", name, err)
	}
	if err := os.WriteFile(n.ConfigFile(name), content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// ConfigFile is the path of one of the node's configuration files.
func (n *Node) ConfigFile(name string) string { return filepath.Join(n.layout().Config(), name) }

func (n *Node) writePKI() error {
	if n.Number > 0 {
		authority, err := pki.OpenAuthority(n.Cluster.PKI(), n.layout().PKI())
		if err != nil {
			return err
		}
		return n.issue(authority)
	}
	authority, err := pki.NewAuthority(n.layout().PKI())
	if err != nil {
		return err
	}
	if err := n.issue(authority); err != nil {
		return err
	}
	return n.issueControlPlane(authority)
}

// issue makes what every node has.
func (n *Node) issue(authority *pki.Authority) error {
	kubelet := pki.Subject{Name: "system:node:" + n.name(), Groups: []string{"system:nodes"}}
	if err := authority.Kubeconfig(n.kubeconfig("kubelet"), n.Server(), kubelet); err != nil {
		return err
	}
	kubelet.DNSNames, kubelet.IPs = []string{n.name()}, []netip.Addr{n.address(), loopback()}
	if err := authority.Issue("kubelet", kubelet); err != nil {
		return err
	}
	return authority.Kubeconfig(n.kubeconfig("kube-proxy"), n.Server(), pki.Subject{Name: "system:kube-proxy"})
}

func loopback() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

func (n *Node) issueControlPlane(authority *pki.Authority) error {
	if err := authority.KeyPair("service-account"); err != nil {
		return err
	}
	for name, subject := range map[string]pki.Subject{
		"kube-apiserver": {
			Name:     "kube-apiserver",
			DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			// The first service address is the API server's own.
			IPs: []netip.Addr{loopback(), n.address(), n.Subnets.Services.Addr().Next()},
		},
		"kubelet-client": {Name: "kube-apiserver-kubelet-client"},
	} {
		if err := authority.Issue(name, subject); err != nil {
			return err
		}
	}
	for path, subject := range map[string]pki.Subject{
		n.Cluster.Kubeconfig():                  {Name: "pyflow-admin", Groups: []string{"system:masters"}},
		n.kubeconfig("kube-controller-manager"): {Name: "system:kube-controller-manager"},
		n.kubeconfig("kube-scheduler"):          {Name: "system:kube-scheduler"},
		n.kubeconfig("storage-provisioner"):     {Name: "pyflow:storage-provisioner"},
	} {
		if err := authority.Kubeconfig(path, n.Server(), subject); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) kubeconfig(component string) string {
	return filepath.Join(n.layout().PKI(), component+".kubeconfig")
}

// nodeDirs are the host's directories that the node has its own of.
func nodeDirs() []string { return []string{"run", "var/lib", "var/log", "tmp"} }

// Spec describes the node to its first process.
func (n *Node) Spec() nodespec.Spec {
	spec := nodespec.Spec{
		Hostname:   n.name(),
		Keep:       []string{n.Cluster.Root},
		ResolvConf: n.ConfigFile("resolv.conf"),
		LogDir:     n.layout().Logs(),
		Processes:  n.processes(),
	}
	for i := range spec.Processes {
		// They collect garbage less often: the memory is there, the cores are few.
		spec.Processes[i].Env = append(slices.Clone(spec.Processes[i].Env), "GOGC=400")
	}
	for _, dir := range nodeDirs() {
		spec.Binds = append(spec.Binds, nodespec.Bind{Source: n.layout().NodeDir(dir), Target: "/" + dir})
	}
	for name := range tunables() {
		spec.Binds = append(spec.Binds, nodespec.Bind{Source: n.ConfigFile(tunableFile(name)), Target: "/proc/sys/" + name})
	}
	return spec
}

func (n *Node) processes() []nodespec.Process {
	kube := n.Program("kube")
	processes := []nodespec.Process{
		{Name: "containerd", Path: host.Program("containerd"), Args: []string{"--config", n.ConfigFile("containerd.toml")}, Env: n.IndexEnv},
		{Name: "kubelet", Path: kube, WaitFor: []string{n.apiServer(), ContainerdSocket}, Args: []string{
			"--config=" + n.ConfigFile("kubelet.yaml"),
			"--kubeconfig=" + n.kubeconfig("kubelet"),
			"--hostname-override=" + n.name(),
			"--node-ip=" + n.address().String(),
		}},
		{Name: "kube-proxy", Path: kube, WaitFor: []string{n.apiServer()}, Args: []string{
			"--config=" + n.ConfigFile(proxyConfig),
		}},
	}
	if n.Number > 0 {
		return processes
	}
	return append(processes, n.controlPlane()...)
}

// controlPlane is what runs once per cluster.
func (n *Node) controlPlane() []nodespec.Process {
	pkiFile := func(name string) string { return filepath.Join(n.layout().PKI(), name) }
	kube := n.Program("kube")
	return []nodespec.Process{
		{Name: "etcd", Path: n.Program("etcd"), Args: []string{
			"--data-dir=/var/lib/etcd",
			"--listen-client-urls=http://" + etcdAddress,
			"--advertise-client-urls=http://" + etcdAddress,
			"--listen-peer-urls=http://127.0.0.1:2380",
			"--log-level=warn",
			// The data is gone with the cluster: what a crash of the machine
			// could lose is not worth the waiting.
			"--unsafe-no-fsync",
		}},
		{Name: APIServer, Path: kube, WaitFor: []string{etcdAddress}, Args: []string{
			"--etcd-servers=http://" + etcdAddress,
			"--secure-port=" + strconv.Itoa(apiPort),
			"--advertise-address=" + n.address().String(),
			"--service-cluster-ip-range=" + n.Subnets.Services.String(),
			"--client-ca-file=" + pkiFile("ca.crt"),
			"--tls-cert-file=" + pkiFile("kube-apiserver.crt"),
			"--tls-private-key-file=" + pkiFile("kube-apiserver.key"),
			"--kubelet-certificate-authority=" + pkiFile("ca.crt"),
			"--kubelet-client-certificate=" + pkiFile("kubelet-client.crt"),
			"--kubelet-client-key=" + pkiFile("kubelet-client.key"),
			"--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + pkiFile("service-account.pub"),
			"--service-account-signing-key-file=" + pkiFile("service-account.key"),
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true",
			"--profiling=false",
		}},
		{Name: "kube-controller-manager", Path: kube, WaitFor: []string{n.apiServer()}, Args: []string{
			"--kubeconfig=" + n.kubeconfig("kube-controller-manager"),
			"--authentication-kubeconfig=" + n.kubeconfig("kube-controller-manager"),
			"--authorization-kubeconfig=" + n.kubeconfig("kube-controller-manager"),
			"--bind-address=127.0.0.1",
			"--root-ca-file=" + pkiFile("ca.crt"),
			"--cluster-signing-cert-file=" + pkiFile("ca.crt"),
			"--cluster-signing-key-file=" + pkiFile("ca.key"),
			"--service-account-private-key-file=" + pkiFile("service-account.key"),
			"--use-service-account-credentials=true",
			"--flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins",
			"--leader-elect=false",
			"--profiling=false",
		}},
		{Name: "kube-scheduler", Path: kube, WaitFor: []string{n.apiServer()}, Args: []string{
			"--config=" + n.ConfigFile("scheduler.yaml"),
			"--authentication-kubeconfig=" + n.kubeconfig("kube-scheduler"),
			"--authorization-kubeconfig=" + n.kubeconfig("kube-scheduler"),
			"--bind-address=127.0.0.1",
		}},
		{Name: "storage-provisioner", Path: kube, WaitFor: []string{n.apiServer()}, Args: []string{
			"--kubeconfig=" + n.kubeconfig("storage-provisioner"),
			"--root=" + n.layout().Volumes(),
		}},
		{
			Name: "mirror", Path: n.Program("registry"), Args: []string{"serve", n.ConfigFile("mirror.yaml")},
			Env: []string{"OTEL_TRACES_EXPORTER=none"},
		},
		{Name: "pipindex", Path: n.Program("pipindex"), Env: n.IndexEnv, Args: []string{
			"-listen=" + n.gateway(IndexPort),
			"-upstream=" + n.PackageIndex,
			"-cache=" + n.Cluster.Index(),
		}},
	}
}
