package node

import (
	"encoding/json"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/layout"
)

func newNode(t *testing.T, number int) *Node {
	t.Helper()
	subnets, err := host.ChooseSubnets(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Node{
		Number: number, Cluster: layout.Layout{Root: t.TempDir()}, Subnets: subnets, MTU: 1400,
		ResolvConf: "nameserver 192.0.2.1\n", ProxyMode: "iptables", CgroupRoot: "/test",
		PauseImage: "pause:1", CoreDNSImage: "coredns:1", Mirror: "/mirror",
		Registries:   []string{"docker.io"},
		PackageIndex: "https://index.test/simple/",
		Program:      func(name string) string { return filepath.Join("/programs", name) },
	}
}

func TestEveryConfigurationFileRenders(t *testing.T) {
	described := newNode(t, 0)
	err := fs.WalkDir(configs, "config", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := described.render(entry.Name(), "registry.test")
		if err != nil {
			return err
		}
		if strings.Contains(string(content), "<no value>") || strings.Contains(string(content), "{{") {
			t.Errorf("%s:\n%s", path, content)
		}
		if entry.Name() == "cni.conflist" && !json.Valid(content) {
			t.Errorf("%s is not JSON:\n%s", path, content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWrittenFilesAreThoseThatProcessesName(t *testing.T) {
	first := newNode(t, 0)
	second := newNode(t, 1)
	second.Cluster = first.Cluster // it is signed for by the first one's authority
	for _, described := range []*Node{first, second} {
		t.Run(described.name(), func(t *testing.T) { checkFiles(t, described) })
	}
}

func checkFiles(t *testing.T, described *Node) {
	t.Helper()
	if err := described.Write(); err != nil {
		t.Fatal(err)
	}
	spec := described.Spec()
	for _, process := range spec.Processes {
		for _, argument := range process.Args {
			_, value, ok := strings.Cut(argument, "=")
			if !ok {
				value = argument
			}
			if !strings.HasPrefix(value, described.Cluster.Run()) {
				continue
			}
			if matches, err := filepath.Glob(value); err != nil || len(matches) == 0 {
				t.Errorf("%s reads %s, which is not there", process.Name, value)
			}
		}
	}
	for _, bind := range spec.Binds {
		if matches, err := filepath.Glob(bind.Source); err != nil || len(matches) == 0 {
			t.Errorf("%s is to cover %s, but is not there", bind.Source, bind.Target)
		}
	}
}

func TestNodesShareNothing(t *testing.T) {
	first, second := newNode(t, 0), newNode(t, 1)
	second.Cluster = first.Cluster
	binds := map[string]string{}
	for _, bind := range first.Spec().Binds {
		binds[bind.Target] = bind.Source
	}
	for _, bind := range second.Spec().Binds {
		if source, ok := binds[bind.Target]; !ok || source == bind.Source {
			t.Errorf("%s is %s on both nodes", bind.Target, source)
		}
	}
	if first.Spec().Hostname == second.Spec().Hostname {
		t.Errorf("both are named %s", first.Spec().Hostname)
	}
	for _, process := range second.Spec().Processes {
		if strings.HasPrefix(process.Name, "kube-apiserver") || process.Name == "mirror" {
			t.Errorf("the second node runs %s, too", process.Name)
		}
	}
	pods, err := second.render("cni.conflist", "")
	if err != nil || !strings.Contains(string(pods), `"10.88.128.0/17"`) {
		t.Errorf("its pods' network: %v\n%s", err, pods)
	}
}
