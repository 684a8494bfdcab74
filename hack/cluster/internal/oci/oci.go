// Package oci writes container images as an OCI image layout, without a
// container engine.
package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"time"
)

// Format changes when the same images would be written differently.
const Format = "2"

const (
	typeIndex     = "application/vnd.oci.image.index.v1+json"
	typeManifest  = "application/vnd.oci.image.manifest.v1+json"
	typeConfig    = "application/vnd.oci.image.config.v1+json"
	typeLayer     = "application/vnd.oci.image.layer.v1.tar"
	typeLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"

	// capabilityRecord is how a tar file holds the capabilities of a program.
	capabilityRecord = "SCHILY.xattr.security.capability"

	// annotationName is what containerd names an imported image after.
	annotationName = "io.containerd.image.name"
)

// Config is the part of an image's configuration that a container runs with.
type Config struct {
	User         string              `json:"User,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
}

// File is an entry of a layer. Exactly one of Source and Content describes a
// regular file; without either, a name that ends in a slash is a directory.
type File struct {
	// Name is the path in the image, without a leading slash.
	Name string
	// Source is a file on the host.
	Source string
	// Content is the file's content.
	Content []byte
	// Mode holds the permission bits; 0 stands for 0755.
	Mode int64
	// Capabilities are those that the program gets and cannot run without, one
	// bit each, as `setcap CAPABILITY=+ep` sets them: the kernel refuses to
	// start it in a container that may not have them.
	Capabilities uint32
}

// NetBindService is the capability to listen on ports below 1024.
const NetBindService uint32 = 1 << 10

// Image is a one-layer image.
type Image struct {
	// Reference is the full name with the tag.
	Reference string
	// Config is what a container runs with.
	Config Config
	// Files are the layer's entries. Parents that are missing are added.
	Files []File
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type configFile struct {
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Created      time.Time `json:"created"`
	Config       Config    `json:"config"`
	RootFS       rootFS    `json:"rootfs"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// Layout writes images into a directory. Its content depends on nothing but
// the images.
type Layout struct {
	dir       string
	manifests []descriptor
}

// NewLayout starts a layout in an empty directory.
func NewLayout(dir string) (*Layout, error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return nil, fmt.Errorf("make image layout: %w", err)
	}
	return &Layout{dir: dir}, nil
}

// WriteLayout writes a layout of one image into a directory.
func WriteLayout(dir string, image Image) error {
	layout, err := NewLayout(dir)
	if err != nil {
		return err
	}
	if err := layout.Add(image); err != nil {
		return err
	}
	return layout.Close()
}

// Add writes an image with one uncompressed layer: it never leaves the
// machine, so that compressing and expanding it would only take time.
func (l *Layout) Add(image Image) error {
	layer, err := l.addBlob(typeLayer, func(blob io.Writer) error { return writeLayer(blob, image.Files) })
	if err != nil {
		return fmt.Errorf("write layer of %s: %w", image.Reference, err)
	}
	return l.addImage(image.Reference, image.Config, layer, layer.Digest)
}

// AddRootFS writes an image whose compressed layer is a whole file system,
// read from a tar stream.
func (l *Layout) AddRootFS(reference string, config Config, tarball io.Reader) error {
	plain := sha256.New()
	layer, err := l.addBlob(typeLayerGzip, func(blob io.Writer) error {
		compressed := gzip.NewWriter(blob)
		if _, err := io.Copy(io.MultiWriter(compressed, plain), tarball); err != nil {
			return err
		}
		return compressed.Close()
	})
	if err != nil {
		return fmt.Errorf("write layer of %s: %w", reference, err)
	}
	return l.addImage(reference, config, layer, "sha256:"+hex.EncodeToString(plain.Sum(nil)))
}

func (l *Layout) addImage(reference string, config Config, layer descriptor, diffID string) error {
	configuration, err := l.addJSON(typeConfig, configFile{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Created:      epoch(),
		Config:       config,
		RootFS:       rootFS{Type: "layers", DiffIDs: []string{diffID}},
	})
	if err != nil {
		return fmt.Errorf("write configuration of %s: %w", reference, err)
	}
	described, err := l.addJSON(typeManifest, manifest{
		SchemaVersion: 2, MediaType: typeManifest, Config: configuration, Layers: []descriptor{layer},
	})
	if err != nil {
		return fmt.Errorf("write manifest of %s: %w", reference, err)
	}
	described.Annotations = map[string]string{annotationName: reference}
	l.manifests = append(l.manifests, described)
	return nil
}

// Close writes the layout's index.
func (l *Layout) Close() error {
	content, err := json.Marshal(index{SchemaVersion: 2, MediaType: typeIndex, Manifests: l.manifests})
	if err != nil {
		return fmt.Errorf("encode image index: %w", err)
	}
	for name, content := range map[string][]byte{
		"index.json": content,
		"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`),
	} {
		if err := os.WriteFile(filepath.Join(l.dir, name), content, 0o644); err != nil {
			return fmt.Errorf("write image index: %w", err)
		}
	}
	return nil
}

func (l *Layout) addJSON(mediaType string, value any) (descriptor, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, err
	}
	return l.addBlob(mediaType, func(blob io.Writer) error {
		_, err := blob.Write(content)
		return err
	})
}

func (l *Layout) addBlob(mediaType string, write func(io.Writer) error) (descriptor, error) {
	blobs := filepath.Join(l.dir, "blobs", "sha256")
	file, err := os.CreateTemp(blobs, ".part-*")
	if err != nil {
		return descriptor{}, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	sum := sha256.New()
	counter := &counter{}
	if err := write(io.MultiWriter(file, sum, counter)); err != nil {
		_ = file.Close()
		return descriptor{}, err
	}
	if err := file.Close(); err != nil {
		return descriptor{}, err
	}
	name := hex.EncodeToString(sum.Sum(nil))
	if err := os.Rename(file.Name(), filepath.Join(blobs, name)); err != nil {
		return descriptor{}, err
	}
	return descriptor{MediaType: mediaType, Digest: "sha256:" + name, Size: counter.count}, nil
}

type counter struct{ count int64 }

func (c *counter) Write(data []byte) (int, error) {
	c.count += int64(len(data))
	return len(data), nil
}

// epoch is the time of every entry, so that equal content makes equal digests.
func epoch() time.Time { return time.Unix(0, 0).UTC() }

func writeLayer(out io.Writer, files []File) error {
	archive := tar.NewWriter(out)
	for _, file := range withParents(files) {
		if err := writeEntry(archive, file); err != nil {
			return fmt.Errorf("add %s: %w", file.Name, err)
		}
	}
	return archive.Close()
}

func writeEntry(archive *tar.Writer, file File) error {
	header := &tar.Header{Name: file.Name, Mode: file.Mode, ModTime: epoch(), Typeflag: tar.TypeReg}
	if header.Mode == 0 {
		header.Mode = 0o755
	}
	if file.Capabilities != 0 {
		header.PAXRecords = map[string]string{capabilityRecord: fileCapabilities(file.Capabilities)}
	}
	var content io.Reader = bytes.NewReader(file.Content)
	header.Size = int64(len(file.Content))
	switch {
	case strings.HasSuffix(file.Name, "/"):
		header.Typeflag = tar.TypeDir
	case file.Source != "":
		source, err := os.Open(file.Source)
		if err != nil {
			return err
		}
		defer func() { _ = source.Close() }()
		info, err := source.Stat()
		if err != nil {
			return err
		}
		header.Size, content = info.Size(), source
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(archive, content)
	return err
}

// fileCapabilities encodes vfs_cap_data of linux/capability.h, version 2:
// permitted and effective, nothing to inherit.
func fileCapabilities(permitted uint32) string {
	const version2, effective = 0x02000000, 1
	var data []byte
	for _, word := range []uint32{version2 | effective, permitted, 0, 0, 0} {
		data = binary.LittleEndian.AppendUint32(data, word)
	}
	return string(data)
}

// withParents adds the directories that the files are in, parents first.
func withParents(files []File) []File {
	entries := map[string]File{}
	for _, file := range files {
		for dir := filepath.Dir(strings.TrimSuffix(file.Name, "/")); dir != "."; dir = filepath.Dir(dir) {
			if _, known := entries[dir+"/"]; !known {
				entries[dir+"/"] = File{Name: dir + "/"}
			}
		}
	}
	for _, file := range files {
		entries[file.Name] = file
	}
	all := make([]File, 0, len(entries))
	for _, file := range entries {
		all = append(all, file)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}
