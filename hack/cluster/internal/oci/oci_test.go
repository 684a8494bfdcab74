package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, image Image) (string, index) {
	t.Helper()
	dir := t.TempDir()
	if err := WriteLayout(dir, image); err != nil {
		t.Fatal(err)
	}
	var written index
	decode(t, filepath.Join(dir, "index.json"), &written)
	return dir, written
}

func decode(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}

func blob(dir string, described descriptor) string {
	return filepath.Join(dir, "blobs", "sha256", described.Digest[len("sha256:"):])
}

func TestLayoutIsConsistent(t *testing.T) {
	dir, written := write(t, Image{
		Reference: "example.test/a:1",
		Config:    Config{User: "65532", Entrypoint: []string{"/bin/a"}},
		Files:     []File{{Name: "bin/a", Content: []byte("program")}, {Name: "tmp/", Mode: 0o1777}},
	})
	if len(written.Manifests) != 1 || written.Manifests[0].Annotations[annotationName] != "example.test/a:1" {
		t.Fatalf("index names %+v", written.Manifests)
	}
	var described manifest
	decode(t, blob(dir, written.Manifests[0]), &described)
	var config configFile
	decode(t, blob(dir, described.Config), &config)
	if config.Config.User != "65532" || config.OS != "linux" {
		t.Errorf("configuration is %+v", config)
	}
	layer, err := os.ReadFile(blob(dir, described.Layers[0]))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(layer)
	if got := "sha256:" + hex.EncodeToString(sum[:]); got != config.RootFS.DiffIDs[0] || int64(len(layer)) != described.Layers[0].Size {
		t.Errorf("layer %s of %d bytes is described as %+v", got, len(layer), described.Layers[0])
	}
	want := []string{"bin/", "bin/a", "tmp/"}
	archive := tar.NewReader(bytes.NewReader(layer))
	for _, name := range want {
		header, err := archive.Next()
		if err != nil || header.Name != name {
			t.Fatalf("next entry is %v (%v), want %s", header, err, name)
		}
		if name == "tmp/" && header.Mode != 0o1777 {
			t.Errorf("mode of /tmp is %o", header.Mode)
		}
	}
	if _, err := archive.Next(); err != io.EOF {
		t.Errorf("after the last entry: %v", err)
	}
}

func TestEqualImagesHaveEqualDigests(t *testing.T) {
	image := Image{Reference: "example.test/a:1", Files: []File{{Name: "b", Content: []byte("b")}, {Name: "a", Content: []byte("a")}}}
	_, first := write(t, image)
	image.Files[0], image.Files[1] = image.Files[1], image.Files[0]
	_, second := write(t, image)
	if first.Manifests[0].Digest != second.Manifests[0].Digest {
		t.Error("the order of the files changes the digest")
	}
}

func TestCapabilitiesAreInTheLayer(t *testing.T) {
	var layer bytes.Buffer
	err := writeLayer(&layer, []File{{Name: "a", Content: []byte("a"), Capabilities: NetBindService}, {Name: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(&layer)
	for _, want := range []string{
		// What getfattr shows after `setcap cap_net_bind_service=+ep`.
		"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"",
	} {
		header, err := archive.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := header.PAXRecords[capabilityRecord]; got != want {
			t.Errorf("%s has %q, want %q", header.Name, got, want)
		}
	}
}

func TestRootFSIsCompressed(t *testing.T) {
	dir := t.TempDir()
	layout, err := NewLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("x"), 4096)
	if err := layout.AddRootFS("a:1", Config{}, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	var described manifest
	decode(t, blob(dir, layout.manifests[0]), &described)
	var config configFile
	decode(t, blob(dir, described.Config), &config)
	sum := sha256.Sum256(content)
	if config.RootFS.DiffIDs[0] != "sha256:"+hex.EncodeToString(sum[:]) {
		t.Error("the diff ID is not that of the plain content")
	}
	if described.Layers[0].Size >= int64(len(content)) || described.Layers[0].MediaType != typeLayerGzip {
		t.Errorf("layer is %+v", described.Layers[0])
	}
}

func TestArchiveHoldsTheLayout(t *testing.T) {
	dir, _ := write(t, Image{Reference: "a:1", Files: []File{{Name: "a", Content: []byte("a")}}})
	var written bytes.Buffer
	if err := WriteArchive(dir, &written); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for archive := tar.NewReader(&written); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names[header.Name] = true
	}
	if !names["index.json"] || !names["oci-layout"] || len(names) != 5 {
		t.Errorf("archive holds %v", names)
	}
}
