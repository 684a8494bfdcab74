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

func newNode(t *testing.T) *Node {
	t.Helper()
	subnets, err := host.ChooseSubnets(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Node{
		Layout: layout.Layout{Root: t.TempDir()}, Subnets: subnets, MTU: 1400,
		ResolvConf: "nameserver 192.0.2.1\n", ProxyMode: "iptables", CgroupRoot: "/test",
		PauseImage: "pause:1", CoreDNSImage: "coredns:1", Mirror: "/mirror",
		PackageIndex: "https://index.test/simple/",
		Program:      func(name string) string { return filepath.Join("/programs", name) },
	}
}

func TestEveryConfigurationFileRenders(t *testing.T) {
	described := newNode(t)
	err := fs.WalkDir(configs, "config", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := described.render(entry.Name())
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
	described := newNode(t)
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
			if !strings.HasPrefix(value, described.Layout.Run()) {
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
