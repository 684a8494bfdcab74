package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrPackages is returned when something that the node runs is not installed.
var ErrPackages = errors.New("missing Debian packages")

// CNIPlugins is where Debian installs the network plugins.
const CNIPlugins = "/usr/lib/cni"

// program is a file that the cluster runs and the package that brings it.
type program struct{ file, pkg string }

func nodePrograms() []program {
	return []program{
		{"containerd", "containerd"},
		{"containerd-shim-runc-v2", "containerd"},
		{"ctr", "containerd"},
		{"runc", "runc"},
		{CNIPlugins + "/ptp", "containernetworking-plugins"},
		{CNIPlugins + "/portmap", "containernetworking-plugins"},
		{"iptables", "iptables"},
		{"conntrack", "conntrack"},
		{"nft", "nftables"},
		{"ip", "iproute2"},
		{"nsenter", "util-linux"},
		{"mount", "mount"},
		{"pip3", "python3-pip"},
	}
}

func buildPrograms() []program {
	return []program{
		{"mmdebstrap", "mmdebstrap"},
		{TiniStatic, "tini"},
		{caBundlePath, "ca-certificates"},
	}
}

// TiniStatic is the init program that an image of the pipeline carries.
const TiniStatic = "/usr/bin/tini-static"

const caBundlePath = "/etc/ssl/certs/ca-certificates.crt"

// CABundle is the file with the certificate authorities that the host trusts.
func CABundle() string {
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		return file
	}
	return caBundlePath
}

// MissingPackages names the packages that the node needs and the host lacks,
// those that only a build needs as well when build is true. It looks for the
// programs, so that another vendor's package is as good.
func MissingPackages(build bool) []string {
	programs := nodePrograms()
	if build {
		programs = append(programs, buildPrograms()...)
	}
	return missing(programs, func(file string) bool {
		_, err := exec.LookPath(file)
		if err != nil && strings.HasPrefix(file, "/") {
			_, err = os.Stat(file)
		}
		return err == nil
	})
}

func missing(programs []program, present func(string) bool) []string {
	var packages []string
	for _, program := range programs {
		if !present(program.file) && !slices.Contains(packages, program.pkg) {
			packages = append(packages, program.pkg)
		}
	}
	return packages
}

// InstallPackages installs Debian packages, which takes root and apt-get.
func InstallPackages(ctx context.Context, packages []string, log io.Writer) error {
	if len(packages) == 0 {
		return nil
	}
	names := strings.Join(packages, " ")
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: %s: run `sudo apt-get install %s`", ErrPackages, names, names)
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%w: %s: install them, this host has no apt-get", ErrPackages, names)
	}
	install := func() error {
		return run(ctx, log, "apt-get", append([]string{"install", "-y", "--no-install-recommends"}, packages...)...)
	}
	if install() == nil {
		return nil
	}
	// The usual reason is a package list that is old or not there.
	if err := run(ctx, log, "apt-get", "update"); err != nil {
		return fmt.Errorf("%w: %s: apt-get update: %w", ErrPackages, names, err)
	}
	if err := install(); err != nil {
		return fmt.Errorf("%w: %s: apt-get install: %w", ErrPackages, names, err)
	}
	return nil
}

func run(ctx context.Context, log io.Writer, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	command.Stdout, command.Stderr = log, log
	return command.Run()
}

// Program is the full path of an installed program.
func Program(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return filepath.Join("/usr/bin", name)
	}
	return path
}
