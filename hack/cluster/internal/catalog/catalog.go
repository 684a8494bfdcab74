// Package catalog lists the images of the cluster under the names that their
// projects publish them with, so that manifests run unchanged.
package catalog

import (
	"crypto/md5" //nolint:gosec // part of a published image name, not a protection
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/oci"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/pins"
)

const (
	// Pause is the image that holds a pod's namespaces.
	Pause = "registry.k8s.io/pause:3.10"

	// DockerHub is what the names of images of Docker Hub start with.
	DockerHub = "docker.io/"

	registryImage = DockerHub + "library/registry:"
	caddyImage    = DockerHub + "library/caddy:"

	nonroot = "65532"
	path    = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// CoreDNS is the cluster's name server's image.
func CoreDNS(versions pins.Pins) string {
	return "registry.k8s.io/coredns/coredns:" + versions[pins.CoreDNS]
}

// Caddy is the image of the registry's front and of node access.
func Caddy(versions pins.Pins) string {
	return caddyImage + strings.TrimPrefix(versions[pins.Caddy], "v")
}

// EveryNode are the images that a node which joins later has to have, for its
// sandboxes and for what runs on every node. It pulls all others.
func EveryNode(versions pins.Pins) []string { return []string{Pause, Caddy(versions)} }

// Registries are the hosts of the images that the platform names. There is no
// image of the last two: Tekton names there the shells that it prepares the
// scripts of steps with, for Linux and for Windows, and no step of ours is a
// script.
func Registries() []string {
	return []string{"docker.io", "gcr.io", "ghcr.io", "registry.k8s.io", "cgr.dev", "mcr.microsoft.com"}
}

// Sources is where the images' content comes from.
type Sources struct {
	// Program returns the path of a built program.
	Program func(name string) string
	// TektonDir holds the sources of Tekton Pipelines.
	TektonDir string
}

// tektonCommands are the programs of Tekton Pipelines that have images.
func tektonCommands() []string {
	return []string{"controller", "webhook", "events", "resolvers", "entrypoint", "nop", "workingdirinit", "sidecarlogresults"}
}

// TektonImage is the published name of the image of one of Tekton's commands:
// ko puts the checksum of the import path behind the command's name.
func TektonImage(command, version string) string {
	sum := md5.Sum([]byte(pins.Tekton + "/cmd/" + command)) //nolint:gosec // see above
	return "ghcr.io/tektoncd/pipeline/" + command + "-" + hex.EncodeToString(sum[:]) + ":" + version
}

// Images describes every image of the cluster.
func Images(versions pins.Pins, sources Sources) ([]oci.Image, error) {
	images := []oci.Image{
		{
			Reference: Pause,
			Config:    oci.Config{User: "65535:65535", Env: []string{path}, Entrypoint: []string{"/pause"}},
			Files:     []oci.File{{Name: "pause", Source: sources.Program("pause")}},
		},
		{
			Reference: CoreDNS(versions),
			Config:    oci.Config{Env: []string{path}, Entrypoint: []string{"/coredns"}},
			Files:     []oci.File{{Name: "coredns", Source: sources.Program("coredns")}, caBundle()},
		},
		{
			Reference: "ghcr.io/osscontainertools/kaniko:" + versions[pins.Kaniko],
			Config: oci.Config{
				Env: []string{
					"HOME=/root", "USER=root",
					"PATH=/usr/local/bin:/kaniko",
					"SSL_CERT_DIR=/kaniko/ssl/certs", "DOCKER_CONFIG=/kaniko/.docker/",
				},
				WorkingDir: "/workspace",
				Entrypoint: []string{"/kaniko/executor"},
			},
			Files: []oci.File{
				{Name: "kaniko/executor", Source: sources.Program("executor")},
				{Name: "kaniko/", Mode: 0o777},
				{Name: "kaniko/.docker/", Mode: 0o777},
				{Name: "kaniko/ssl/certs/ca-certificates.crt", Source: host.CABundle(), Mode: 0o644},
				{Name: "workspace/", Mode: 0o777},
			},
		},
		{
			Reference: "gcr.io/go-containerregistry/crane:" + versions[pins.Crane],
			Config: oci.Config{
				Env:        []string{path + ":/ko-app", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
				Entrypoint: []string{"/ko-app/crane"},
			},
			Files: []oci.File{{Name: "ko-app/crane", Source: sources.Program("crane")}, caBundle()},
		},
		{
			Reference: "registry.k8s.io/kubectl:" + versions[pins.Kubernetes],
			Config:    oci.Config{User: nonroot, Env: []string{path}, Entrypoint: []string{"/bin/kubectl"}},
			Files:     []oci.File{{Name: "bin/kubectl", Source: sources.Program("kubectl")}},
		},
		{
			Reference: registryImage + strings.TrimPrefix(versions[pins.Registry], "v"),
			Config: oci.Config{
				Env:          []string{path, "OTEL_TRACES_EXPORTER=none"},
				ExposedPorts: map[string]struct{}{"5000/tcp": {}},
				Entrypoint:   []string{"registry"},
				Cmd:          []string{"serve", "/etc/distribution/config.yml"},
			},
			Files: []oci.File{
				{Name: "bin/registry", Source: sources.Program("registry")},
				{Name: "var/lib/registry/", Mode: 0o777},
				caBundle(),
			},
		},
		{
			Reference: Caddy(versions),
			Config: oci.Config{
				Env:        []string{path, "CADDY_VERSION=" + versions[pins.Caddy], "XDG_CONFIG_HOME=/config", "XDG_DATA_HOME=/data"},
				WorkingDir: "/srv",
				Cmd:        []string{"caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"},
			},
			Files: []oci.File{
				// As published: ports below 1024 for whatever user runs it.
				{Name: "usr/bin/caddy", Source: sources.Program("caddy"), Capabilities: oci.NetBindService},
				{Name: "etc/caddy/"},
				{Name: "srv/"},
				{Name: "config/caddy/", Mode: 0o777},
				{Name: "data/caddy/", Mode: 0o777},
				caBundle(),
			},
		},
	}
	for _, command := range tektonCommands() {
		image, err := tektonImage(command, versions[pins.Tekton], sources)
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	for i := range images {
		images[i].Files = append(images[i].Files, common()...)
	}
	return images, nil
}

func tektonImage(command, version string, sources Sources) (oci.Image, error) {
	image := oci.Image{
		Reference: TektonImage(command, version),
		Config: oci.Config{
			User:       nonroot,
			Env:        []string{path + ":/ko-app", "KO_DATA_PATH=/var/run/ko", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
			Entrypoint: []string{"/ko-app/" + command},
		},
		Files: []oci.File{{Name: "ko-app/" + command, Source: sources.Program(command)}, caBundle()},
	}
	if command == "resolvers" {
		// Its manifest starts it below an init, for the children of git.
		image.Files = append(image.Files, oci.File{Name: "sbin/tini", Source: host.TiniStatic})
	}
	data, err := dataFiles(filepath.Join(sources.TektonDir, "cmd", command, "kodata"))
	if err != nil {
		return oci.Image{}, err
	}
	image.Files = append(image.Files, data...)
	return image, nil
}

// dataFiles are the files that ko puts beside a program.
func dataFiles(dir string) ([]oci.File, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, nil //nolint:nilerr // a command need not have any
	}
	var files []oci.File
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative := strings.TrimPrefix(name, dir+"/")
		files = append(files, oci.File{Name: "var/run/ko/" + relative, Source: name, Mode: 0o644})
		return nil
	})
	return files, err
}

func caBundle() oci.File {
	return oci.File{Name: "etc/ssl/certs/ca-certificates.crt", Source: host.CABundle(), Mode: 0o644}
}

// common is what every image has: users to run as and a place for files.
func common() []oci.File {
	return []oci.File{
		{Name: "tmp/", Mode: 0o1777},
		{Name: "root/", Mode: 0o700},
		{Name: "home/nonroot/", Mode: 0o777},
		{Name: "etc/passwd", Mode: 0o644, Content: []byte(
			"root:x:0:0:root:/root:/sbin/nologin\n" +
				"nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n" +
				"nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")},
		{Name: "etc/group", Mode: 0o644, Content: []byte("root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n")},
		{Name: "etc/nsswitch.conf", Mode: 0o644, Content: []byte("hosts: files dns\n")},
	}
}
