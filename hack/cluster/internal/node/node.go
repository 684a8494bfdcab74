// Package node describes the one node: its certificates, its configuration
// files and the processes that run with them.
package node

import (
	"bytes"
	"embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/layout"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/nodespec"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/pki"
)

const (
	// Name is the node's name.
	Name = "pyflow"
	// ContainerdSocket is where containerd listens, inside the node.
	ContainerdSocket = "/run/containerd/containerd.sock"
	// MirrorPort is where the upstream mirror listens, on the gateway address.
	MirrorPort = 5000
	// IndexPort is where the package index listens, on the gateway address.
	IndexPort = 3141

	apiPort     = 6443
	etcdAddress = "127.0.0.1:2379"
)

//go:embed config
var configs embed.FS

// Node is what the node's files are made from.
type Node struct {
	// Layout is where the files go.
	Layout layout.Layout
	// Subnets are the node's addresses.
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
	// PackageIndex is the upstream of the package index.
	PackageIndex string
	// IndexEnv is the environment of the package index: the host's proxy.
	IndexEnv []string
	// Program returns the path of a built program.
	Program func(name string) string
}

// Server is the address of the API server.
func (n *Node) Server() string {
	return "https://" + netip.AddrPortFrom(n.Subnets.Node, apiPort).String()
}

// fields are what the templates of the configuration files see.
type fields struct {
	*Node
	Name, PKI, Config, CNIPlugins string
	MirrorPort                    int
}

// Write makes the node's directories, certificates and configuration files.
func (n *Node) Write() error {
	dirs := []string{n.Layout.Logs(), n.Layout.Volumes()}
	for _, dir := range nodeDirs() {
		dirs = append(dirs, n.Layout.NodeDir(dir))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make node directory: %w", err)
		}
	}
	if err := os.Chmod(n.Layout.NodeDir("tmp"), os.ModeSticky|0o777); err != nil {
		return fmt.Errorf("open node's /tmp: %w", err)
	}
	if err := n.writePKI(); err != nil {
		return err
	}
	for template, path := range map[string]string{
		"containerd.toml": "containerd.toml",
		"cni.conflist":    "cni/10-pyflow.conflist",
		"docker-hub.toml": "certs.d/docker.io/hosts.toml",
		"mirror.toml":     "certs.d/" + n.gateway(MirrorPort) + "/hosts.toml",
		"kubelet.yaml":    "kubelet.yaml",
		"kube-proxy.yaml": "kube-proxy.yaml",
		"scheduler.yaml":  "scheduler.yaml",
		"mirror.yaml":     "mirror.yaml",
		"manifests.yaml":  "manifests.yaml",
	} {
		content, err := n.render(template)
		if err != nil {
			return err
		}
		if err := n.writeConfig(path, content); err != nil {
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

func (n *Node) render(name string) ([]byte, error) {
	parsed, err := template.New(name).Option("missingkey=error").ParseFS(configs, "config/"+name)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	var content bytes.Buffer
	err = parsed.Execute(&content, fields{
		Node: n, Name: Name, PKI: n.Layout.PKI(), Config: n.Layout.Config(),
		CNIPlugins: host.CNIPlugins, MirrorPort: MirrorPort,
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
func (n *Node) ConfigFile(name string) string { return filepath.Join(n.Layout.Config(), name) }

func (n *Node) writePKI() error {
	authority, err := pki.NewAuthority(n.Layout.PKI())
	if err != nil {
		return err
	}
	if err := authority.KeyPair("service-account"); err != nil {
		return err
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for name, subject := range map[string]pki.Subject{
		"kube-apiserver": {
			Name:     "kube-apiserver",
			DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			// The first service address is the API server's own.
			IPs: []netip.Addr{loopback, n.Subnets.Node, n.Subnets.Services.Addr().Next()},
		},
		"kubelet":        {Name: "system:node:" + Name, Groups: []string{"system:nodes"}, DNSNames: []string{Name}, IPs: []netip.Addr{n.Subnets.Node, loopback}},
		"kubelet-client": {Name: "kube-apiserver-kubelet-client"},
	} {
		if err := authority.Issue(name, subject); err != nil {
			return err
		}
	}
	for path, subject := range map[string]pki.Subject{
		n.Layout.Kubeconfig():                   {Name: "pyflow-admin", Groups: []string{"system:masters"}},
		n.kubeconfig("kube-controller-manager"): {Name: "system:kube-controller-manager"},
		n.kubeconfig("kube-scheduler"):          {Name: "system:kube-scheduler"},
		n.kubeconfig("kube-proxy"):              {Name: "system:kube-proxy"},
		n.kubeconfig("kubelet"):                 {Name: "system:node:" + Name, Groups: []string{"system:nodes"}},
		n.kubeconfig("storage-provisioner"):     {Name: "pyflow:storage-provisioner"},
	} {
		if err := authority.Kubeconfig(path, n.Server(), subject); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) kubeconfig(component string) string {
	return filepath.Join(n.Layout.PKI(), component+".kubeconfig")
}

// nodeDirs are the host's directories that the node has its own of.
func nodeDirs() []string { return []string{"run", "var/lib", "var/log", "tmp"} }

// Spec describes the node to its first process.
func (n *Node) Spec() nodespec.Spec {
	spec := nodespec.Spec{
		Hostname:   Name,
		Keep:       []string{n.Layout.Root},
		ResolvConf: n.ConfigFile("resolv.conf"),
		LogDir:     n.Layout.Logs(),
		Processes:  n.processes(),
	}
	for _, dir := range nodeDirs() {
		spec.Binds = append(spec.Binds, nodespec.Bind{Source: n.Layout.NodeDir(dir), Target: "/" + dir})
	}
	for name := range tunables() {
		spec.Binds = append(spec.Binds, nodespec.Bind{Source: n.ConfigFile(tunableFile(name)), Target: "/proc/sys/" + name})
	}
	return spec
}

func (n *Node) processes() []nodespec.Process {
	pkiFile := func(name string) string { return filepath.Join(n.Layout.PKI(), name) }
	apiServer := netip.AddrPortFrom(n.Subnets.Node, apiPort).String()
	kube := n.Program("kube")
	return []nodespec.Process{
		{Name: "containerd", Path: host.Program("containerd"), Args: []string{"--config", n.ConfigFile("containerd.toml")}, Env: n.IndexEnv},
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
		{Name: "kube-apiserver", Path: kube, WaitFor: []string{etcdAddress}, Args: []string{
			"--etcd-servers=http://" + etcdAddress,
			"--secure-port=" + strconv.Itoa(apiPort),
			"--advertise-address=" + n.Subnets.Node.String(),
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
		{Name: "kube-controller-manager", Path: kube, WaitFor: []string{apiServer}, Args: []string{
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
		{Name: "kube-scheduler", Path: kube, WaitFor: []string{apiServer}, Args: []string{
			"--config=" + n.ConfigFile("scheduler.yaml"),
			"--authentication-kubeconfig=" + n.kubeconfig("kube-scheduler"),
			"--authorization-kubeconfig=" + n.kubeconfig("kube-scheduler"),
			"--bind-address=127.0.0.1",
		}},
		{Name: "kubelet", Path: kube, WaitFor: []string{apiServer, ContainerdSocket}, Args: []string{
			"--config=" + n.ConfigFile("kubelet.yaml"),
			"--kubeconfig=" + n.kubeconfig("kubelet"),
			"--hostname-override=" + Name,
			"--node-ip=" + n.Subnets.Node.String(),
		}},
		{Name: "kube-proxy", Path: kube, WaitFor: []string{apiServer}, Args: []string{
			"--config=" + n.ConfigFile("kube-proxy.yaml"),
		}},
		{Name: "storage-provisioner", Path: kube, WaitFor: []string{apiServer}, Args: []string{
			"--kubeconfig=" + n.kubeconfig("storage-provisioner"),
			"--root=" + n.Layout.Volumes(),
		}},
		{
			Name: "mirror", Path: n.Program("registry"), Args: []string{"serve", n.ConfigFile("mirror.yaml")},
			Env: []string{"OTEL_TRACES_EXPORTER=none"},
		},
		{Name: "pipindex", Path: n.Program("pipindex"), Env: n.IndexEnv, Args: []string{
			"-listen=" + n.gateway(IndexPort),
			"-upstream=" + n.PackageIndex,
			"-cache=" + n.Layout.Index(),
		}},
	}
}
