package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// ErrDebianMirror is returned when the host's package sources name no Debian
// archive.
var ErrDebianMirror = errors.New("no Debian archive among the apt sources")

// DebianMirror is the address of the Debian archive that the host itself
// uses, or that of $DEBIAN_MIRROR.
func DebianMirror(ctx context.Context) (string, error) {
	if mirror := os.Getenv("DEBIAN_MIRROR"); mirror != "" {
		return mirror, nil
	}
	output, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(SITE) $(BASE_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY) $(REPO_URI)").Output()
	if err != nil {
		return "", fmt.Errorf("read apt sources: %w", err)
	}
	if mirror := debianArchive(string(output)); mirror != "" {
		return mirror, nil
	}
	return "", fmt.Errorf("%w: set DEBIAN_MIRROR to the address of one", ErrDebianMirror)
}

// debianArchive finds the archive in a list of index targets: the first
// repository with a main component whose address ends as Debian archives do.
func debianArchive(targets string) string {
	for line := range strings.Lines(targets) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		address := strings.TrimSuffix(fields[len(fields)-1], "/")
		if strings.HasSuffix(address, "/debian") && strings.Contains(" "+line, " main ") {
			return address
		}
	}
	return ""
}

// PackageIndex is the address of the simple package index that the host's pip
// is configured with, or pip's own default.
func PackageIndex(ctx context.Context) (string, error) {
	if index := os.Getenv("PIP_INDEX_URL"); index != "" {
		return index, nil
	}
	for _, arguments := range [][]string{
		{"-m", "pip", "config", "get", "global.index-url"},
		{"-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"},
	} {
		output, err := exec.CommandContext(ctx, "python3", arguments...).Output()
		if index := string(bytes.TrimSpace(output)); err == nil && index != "" {
			return index, nil
		}
	}
	return "", errors.New("no package index: set PIP_INDEX_URL to one, or install python3-pip")
}

// ProxyEnv is the host's proxy configuration, which everything of the node
// that reaches outside has to use as well.
func ProxyEnv() []string {
	var env []string
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		for _, name := range []string{name, strings.ToLower(name)} {
			if value := os.Getenv(name); value != "" {
				env = append(env, name+"="+value)
			}
		}
	}
	return env
}
