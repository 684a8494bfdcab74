package inspect

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
)

// listScript is the script of the step that lists.
const listScript = "../../manifests/platform/scripts/list.sh"

// busyBox is a tar that lists as that of BusyBox: hard links like files, and names unescaped.
const busyBox = `#!/bin/sh
PATH=/usr/bin:/bin
[ "$1" != --version ] || exec echo BusyBox
[ "$2" = -tvf ] || exec tar "$@"
tar --quoting-style=literal "$@" | sed 's/^h/-/; s/ link to / -> /'
`

// TestTask runs the script of the Task on the files that uv leaves behind when it links its
// cache into the image, and on a name with a line break.
func TestTask(t *testing.T) {
	const site = "opt/venv/lib/python3.13/site-packages/"
	dir := t.TempDir()
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	for _, entry := range []tar.Header{
		{Name: site + "x-1.dist-info/METADATA", PAXRecords: map[string]string{"comment": "Metadata-Version: 2.4\nName: X\nVersion: 1.0\nRequires-Dist: a>1\nSummary: x\n\nName: y\n"}},
		{Name: site + "x-1.dist-info/RECORD", PAXRecords: map[string]string{"comment": "x.py,sha256=a,3\n\"a,b.py\",,\n"}},
		{Name: "root/.cache/uv/a/x-1.dist-info/METADATA", Typeflag: tar.TypeLink, Linkname: site + "x-1.dist-info/METADATA"},
		{Name: "./usr/lib/os-release", PAXRecords: map[string]string{"comment": "NAME=x\nID=debian\nVERSION_ID=\"13\"\n"}},
		{Name: "lib/apk/db/installed", PAXRecords: map[string]string{"comment": "C:Q1x\nP:musl\nV:1\nA:x86_64\nF:lib\nR:libc.so\na:0:0:755\n"}},
		{Name: "a\n@layer sha256/b", PAXRecords: map[string]string{"comment": "x"}},
	} {
		content := entry.PAXRecords["comment"]
		entry.Mode, entry.Size, entry.PAXRecords = 0o644, int64(len(content)), nil
		if err := archive.WriteHeader(&entry); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	programs := filepath.Join(dir, "bin")
	if err := os.Mkdir(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(programs, "tar"), []byte(busyBox), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"GNU": "/usr/bin:/bin", "BusyBox": programs + ":/usr/bin:/bin"} {
		t.Run(name, func(t *testing.T) {
			work := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Join(work, "image/blobs/sha256"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(work, "image/blobs/sha256/a"), layer.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "/bin/sh", listScript, "sha256/a")
			cmd.Env = []string{"PATH=" + path, "LC_ALL=C", "IMAGE=" + work + "/image", "WORK=" + work + "/work"}
			var said bytes.Buffer
			cmd.Stderr = &said
			log, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, said.String())
			}
			listing, err := Decode(bytes.NewReader(log))
			if err != nil || len(listing.Layers) != 1 {
				t.Fatalf("got %+v, %v", listing, err)
			}
			got := listing.Layers[0]
			if want := map[string][]string{
				site + "x-1.dist-info/METADATA": {"Name: X", "Version: 1.0", "Requires-Dist: a>1"},
				site + "x-1.dist-info/RECORD":   {"x.py", `"a,b.py"`},
				"usr/lib/os-release":            {"ID=debian", `VERSION_ID="13"`},
				"lib/apk/db/installed":          {"P:musl", "V:1", "A:x86_64", "F:lib", "R:libc.so"},
			}; !reflect.DeepEqual(got.Metadata, want) {
				t.Errorf("metadata is %q, want %q", got.Metadata, want)
			}
			if len(got.Entries) != 6 || got.Entries[2].Type != Hardlink || got.Entries[2].Target != site+"x-1.dist-info/METADATA" {
				t.Errorf("entries are %+v", got.Entries)
			}
		})
	}
}
