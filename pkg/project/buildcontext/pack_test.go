package buildcontext

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// node is an entry of a tree: a directory, a link or a file.
type node struct {
	dir        bool
	link       string
	executable bool
	content    string
}

type tree map[string]node

// write creates the tree in the random order of the map.
func (want tree) write(t *testing.T, dir string) {
	t.Helper()
	for name, n := range want {
		file := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		switch {
		case n.dir:
			must(t, os.MkdirAll(file, 0o755))
		case n.link != "":
			must(t, os.Symlink(n.link, file))
		default:
			mode := fs.FileMode(0o644)
			if n.executable {
				mode = 0o755
			}
			must(t, os.WriteFile(file, []byte(n.content), mode))
		}
	}
}

// files returns a tree of files whose content is their name.
func files(names ...string) tree {
	made := tree{}
	for _, name := range names {
		made[name] = node{content: name}
	}
	return made
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustPack(t *testing.T, dir string, opts Options) *Archive {
	t.Helper()
	archive, err := Pack(t.Context(), dir, opts)
	must(t, err)
	t.Cleanup(func() { must(t, archive.Close()) })
	return archive
}

// unpack reads an archive, and checks what must be true for every header.
func unpack(t *testing.T, archive *Archive) (tree, []string) {
	t.Helper()
	content, err := archive.Layer().Uncompressed()
	must(t, err)
	defer func() { _ = content.Close() }()
	got, order := tree{}, []string{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return got, order
		}
		must(t, err)
		name := strings.TrimSuffix(header.Name, "/")
		if _, twice := got[name]; twice {
			t.Errorf("%q is in the archive twice", name)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" || header.Gname != "" {
			t.Errorf("%q has an owner: %+v", name, header)
		}
		if !header.AccessTime.IsZero() || !header.ChangeTime.IsZero() {
			t.Errorf("%q has times beside its date: %+v", name, header)
		}
		if header.Typeflag != tar.TypeReg && !header.ModTime.Equal(time.Unix(318211200, 0)) {
			t.Errorf("%q has a date of its own: %+v", name, header)
		}
		order = append(order, name)
		switch header.Typeflag {
		case tar.TypeDir:
			if header.Mode != 0o755 {
				t.Errorf("mode of directory %q is %o", name, header.Mode)
			}
			got[name] = node{dir: true}
		case tar.TypeSymlink:
			got[name] = node{link: header.Linkname}
		case tar.TypeReg:
			if header.Mode != 0o755 && header.Mode != 0o644 {
				t.Errorf("mode of file %q is %o", name, header.Mode)
			}
			text, err := io.ReadAll(reader)
			must(t, err)
			got[name] = node{content: string(text), executable: header.Mode == 0o755}
		default:
			t.Errorf("%q has type %c", name, header.Typeflag)
		}
	}
}

// parents adds the parent directories of the entries of a tree.
func (want tree) parents() tree {
	all := maps.Clone(want)
	for name := range want {
		for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
			all[dir] = node{dir: true}
		}
	}
	return all
}

func compare(t *testing.T, got, want tree) {
	t.Helper()
	for name, n := range want {
		switch have, ok := got[name]; {
		case !ok:
			t.Errorf("%q is missing", name)
		case have != n:
			t.Errorf("%q is %+v, want %+v", name, have, n)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q should not be there", name)
		}
	}
}

func TestPackIsTheSameForTheSameTree(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			want := randomTree(rand.New(rand.NewPCG(seed, 1)))
			first, second := t.TempDir(), filepath.Join(t.TempDir(), "another name")
			want.write(t, first)
			want.write(t, second)
			must(t, os.WriteFile(filepath.Join(first, ignoreFile), nil, 0o644))
			must(t, os.WriteFile(filepath.Join(second, ignoreFile), nil, 0o644))
			want[ignoreFile] = node{}
			must(t, filepath.WalkDir(second, func(name string, entry fs.DirEntry, err error) error {
				if err != nil || entry.Type()&fs.ModeSymlink != 0 {
					return err
				}
				info, err := entry.Info()
				must(t, err)
				// With another umask, and checked out at another time.
				must(t, os.Chmod(name, info.Mode()&^0o077))
				return os.Chtimes(name, time.Now(), time.Unix(rand.Int64N(1e9), 5))
			}))

			a, b := mustPack(t, first, Options{}), mustPack(t, second, Options{umask: func() fs.FileMode { return 0o077 }})
			if a.Digest != b.Digest || a.DiffID != b.DiffID || a.Size != b.Size || a.Files != b.Files {
				t.Errorf("two packs of one tree differ:\n%+v\n%+v", a, b)
			}
			got, order := unpack(t, a)
			compare(t, got, want.parents())
			if !slices.IsSortedFunc(order, compareInDepth) {
				t.Errorf("not sorted: %q", order)
			}
			if err := validate.Layer(a.Layer()); err != nil {
				t.Errorf("layer: %v", err)
			}
		})
	}
}

// compareInDepth sorts paths in the order of a walk over sorted directories.
func compareInDepth(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

func randomTree(random *rand.Rand) tree {
	names := []string{
		"a", "A", "b.py", "-rf", "with space", "tab\there", "new\nline", "quote\"'", "café", "山", "back\\slash",
		"trailing ", ".hidden", "a.b", "bad\xffutf8", "a-b", strings.Repeat("n", 200), strings.Repeat("é", 60), "*", "[x]", "!not",
	}
	made, dirs := tree{}, []string{""}
	for range 60 {
		parent := dirs[random.IntN(len(dirs))]
		name := filepath.Join(parent, names[random.IntN(len(names))])
		if _, taken := made[name]; taken {
			continue
		}
		switch random.IntN(5) {
		case 0:
			made[name] = node{dir: true}
			dirs = append(dirs, name)
		case 1:
			made[name] = node{link: "./" + names[random.IntN(len(names))]}
		default:
			content := make([]byte, random.IntN(3)*random.IntN(300_000))
			for i := range content {
				content[i] = byte(random.Uint32() >> (random.UintN(2) * 5))
			}
			made[name] = node{content: string(content), executable: random.IntN(2) == 0}
		}
	}
	return made
}

// Two contents of one size have two dates, or web servers answer 304 for a changed file.
func TestPackDatesFilesByContent(t *testing.T) {
	dir := t.TempDir()
	all := tree{}
	for i := range 500 {
		all[fmt.Sprintf("%03d.css", i)] = node{content: fmt.Sprintf("body { color: #%06d }", i)}
	}
	all["copy.css"] = all["007.css"]
	all.write(t, dir)
	content, err := mustPack(t, dir, Options{Files: map[string][]byte{"given.css": []byte(all["007.css"].content)}}).Layer().Uncompressed()
	must(t, err)
	defer func() { _ = content.Close() }()
	dates, names := map[string]time.Time{}, map[time.Time]string{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		date := header.ModTime
		if date.Year() < 1980 || date.After(time.Date(2014, time.March, 1, 0, 0, 0, 0, time.UTC)) || date.Unix()%2 != 0 || date.Nanosecond() != 0 {
			t.Errorf("%s has the date %s", header.Name, date)
		}
		dates[header.Name], names[date] = date, header.Name
	}
	if !dates["copy.css"].Equal(dates["007.css"]) || !dates["given.css"].Equal(dates["007.css"]) {
		t.Errorf("one content has the dates %s, %s and %s", dates["copy.css"], dates["007.css"], dates["given.css"])
	}
	if len(names) != 500 {
		t.Errorf("500 contents have %d dates", len(names))
	}
}

// Every release and every system must give the same bytes, or each user uploads every context
// again. The digest may change on purpose, with the version of the compressor; the DiffID must
// not.
func TestPackGolden(t *testing.T) {
	dir := t.TempDir()
	tree{
		"Dockerfile":     {content: "FROM python:3.13-slim\n"},
		"app/main.py":    {content: strings.Repeat("print('hello')\n", 1000)},
		"app/run.sh":     {content: "#!/bin/sh\n", executable: true},
		"app/current.py": {link: "main.py"},
		"empty":          {dir: true},
		"été.txt":        {content: "é"},
	}.write(t, dir)
	archive := mustPack(t, dir, Options{})
	if got, want := archive.DiffID.String(), "sha256:749f6d06d99d82dd562c8109f584d7e21d8e5130b1347cd6adeb73ef29f67ec4"; got != want {
		t.Errorf("DiffID is %s, want %s", got, want)
	}
	if got, want := archive.Digest.String(), "sha256:6fcc4e0bf841f6db776adcf457d4b097ec319b43d9db89ffd18aeefec09cd6fe"; got != want {
		t.Errorf("Digest is %s, want %s", got, want)
	}
}

func TestArchive(t *testing.T) {
	dir := t.TempDir()
	want := tree{"Dockerfile": {content: "FROM scratch\n"}, "link": {link: "Dockerfile"}, "d": {dir: true}}
	want.write(t, dir)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	archive, err := Pack(t.Context(), dir, Options{})
	must(t, err)

	if archive.Files != 2 || archive.ContentSize != int64(len("FROM scratch\n")) {
		t.Errorf("%d files with %d bytes, want 2 with 13", archive.Files, archive.ContentSize)
	}
	first, err := archive.Open()
	must(t, err)
	half := make([]byte, archive.Size/2)
	_, err = io.ReadFull(first, half)
	must(t, err)
	second, err := archive.Open()
	must(t, err)
	hash := sha256.New()
	size, err := io.Copy(hash, second)
	must(t, err)
	if got := hex.EncodeToString(hash.Sum(nil)); got != archive.Digest.Hex || size != archive.Size {
		t.Errorf("the file is %s with %d bytes, the archive says %s with %d", got, size, archive.Digest.Hex, archive.Size)
	}
	if kind, _ := archive.Layer().MediaType(); kind != types.OCILayer {
		t.Errorf("media type is %s", kind)
	}

	must(t, archive.Close())
	must(t, archive.Close())
	if _, err := archive.Open(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("open after close: %v, want %v", err, os.ErrClosed)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("left in the temporary directory: %v %v", left, err)
	}
}

func TestPackLeavesOut(t *testing.T) {
	tests := map[string]struct {
		ignore     string
		ignoreName string
		dockerfile string
		files      []string
		want       []string
	}{
		"without an ignore file the defaults": {
			files: []string{
				"Dockerfile", ".git/HEAD", "sub/.git", ".github/workflows/ci.yaml", ".gitignore", "a.git",
				".venv/pyvenv.cfg", ".venv/bin/python", "sub/venv/pyvenv.cfg", "venv/code.py", "env/pyvenv.cfg",
				"app/__pycache__/main.pyc", "app/main.pyc", "app/main.py", "app/main.pyc.txt", ".pytest_cache/x",
				".ruff_cache/x", ".mypy_cache/x", ".tox/x", "ui/node_modules/x", "node_modules.txt", "conf/pyvenv.cfg.txt",
				".nox/x", ".coverage", "tests/.coverage.host.123", ".coveragerc", "htmlcov/index.html", ".hypothesis/x",
				"shop.egg-info/PKG-INFO", "src/shop.egg-info/PKG-INFO", "vendor/lib.egg-info/PKG-INFO", ".eggs/x",
				"notes/.ipynb_checkpoints/x", "notes/a.ipynb", ".idea/x", ".vscode/settings.json", ".DS_Store", "app/main.pyo",
				"app/main.pyd", "build/x", "dist/x", "env/sub/x", ".pixi/envs/x", "__pypackages__/x", ".hg/x", ".svn/x", ".env",
			},
			want: []string{
				"Dockerfile", ".github/workflows/ci.yaml", ".gitignore", "a.git", "venv/code.py", "conf/pyvenv.cfg.txt",
				"app/main.py", "app/main.pyc.txt", "node_modules.txt", ".coveragerc", "vendor/lib.egg-info/PKG-INFO",
				"notes/a.ipynb", "app/main.pyd", "build/x", "dist/x", ".env",
			},
		},
		"with an ignore file only what it says": {
			ignore: "# comment\n\n*.log\n",
			files:  []string{".git/HEAD", "venv/pyvenv.cfg", "a.log", "sub/a.log"},
			want:   []string{".git/HEAD", "sub/a.log", ".dockerignore"},
		},
		"an empty ignore file leaves nothing out": {
			ignore: "\n",
			files:  []string{".git/HEAD", "a.pyc"},
			want:   []string{".git/HEAD", "a.pyc", ".dockerignore"},
		},
		"git does not mean github": {
			ignore: ".git\n",
			files:  []string{".git/HEAD", ".github/x", ".gitignore", "sub/.git"},
			want:   []string{".github/x", ".gitignore", "sub/.git", ".dockerignore"},
		},
		"negation": {
			ignore: "*\n!app\n!setup.py\napp/secret*\n",
			files:  []string{"setup.py", "README", "app/main.py", "app/sub/a.py", "app/secret.txt", "docs/app/x", "other/y"},
			want:   []string{"setup.py", "app/main.py", "app/sub/a.py", ".dockerignore"},
		},
		"negation inside of an ignored directory": {
			ignore: "docs\n!docs/api/README.md\n",
			files:  []string{"docs/index", "docs/api/README.md", "docs/api/x", "docs/other/README.md", "main.py"},
			want:   []string{"docs/api/README.md", "main.py", ".dockerignore"},
		},
		"negation with wildcards": {
			ignore: "**\n!**/*.py\n!d?/*/keep\n",
			files:  []string{"a.py", "x/y/z/b.py", "x/y/z/b.txt", "d1/any/keep", "d1/keep", "d12/any/keep"},
			want:   []string{"a.py", "x/y/z/b.py", "d1/any/keep", ".dockerignore"},
		},
		"the last pattern decides": {
			ignore: "*.md\n!README*.md\nREADME-secret.md\n",
			files:  []string{"README.md", "README-secret.md", "other.md"},
			want:   []string{"README.md", ".dockerignore"},
		},
		"two stars": {
			ignore: "**/tmp\nlogs/**\na/**/z\n",
			files:  []string{"tmp/x", "a/tmp/x", "a/tmpx", "logs/a", "logs/b/c", "a/z", "a/b/c/z/q", "a/b/zz", "z"},
			want:   []string{"a/tmpx", "a/b/zz", "z", ".dockerignore"},
		},
		"leading slash and trailing slash": {
			ignore: "/build/\n  /x  \n",
			files:  []string{"build/a", "sub/build/a", "x", "sub/x"},
			want:   []string{"sub/build/a", "sub/x", ".dockerignore"},
		},
		"the documentation's example": {
			ignore: "# comment\n*/temp*\n*/*/temp*\ntemp?\n",
			files:  []string{"somedir/temporary.txt", "somedir/temp", "somedir/subdir/temporary.txt", "tempa", "tempb", "temp", "tempab", "x/y/z/temp", "somedir/other"},
			want:   []string{"temp", "tempab", "x/y/z/temp", "somedir/other", ".dockerignore"},
		},
		"a byte order mark, Windows' line ends and spaces": {
			ignore: "\ufeff# comment\r\n  a.txt\t \r\n!  \tkeep.md  \r\n",
			files:  []string{"a.txt", "keep.md", "# comment"},
			want:   []string{"keep.md", "# comment", ".dockerignore"},
		},
		"a byte order mark before a pattern": {
			ignore: "\ufeffa.txt\n",
			files:  []string{"a.txt", "b.txt"},
			want:   []string{"b.txt", ".dockerignore"},
		},
		"a comment starts its line": {
			ignore: " # x\nb # y\n\\#z\n",
			files:  []string{"# x", "b", "b # y", "#z", "x"},
			want:   []string{"b", "x", ".dockerignore"},
		},
		"spaces inside of a name": {
			ignore: "a b\n",
			files:  []string{"a b", "a", "b"},
			want:   []string{"a", "b", ".dockerignore"},
		},
		"an ignored directory and a child of a child": {
			ignore: "data\n!data/keep\ndata/keep/secret\n",
			files:  []string{"data/a", "data/keep/b", "data/keep/deep/c", "data/keep/secret/d"},
			want:   []string{"data/keep/b", "data/keep/deep/c", ".dockerignore"},
		},
		"nothing but what is named": {
			ignore: "**\n!src/**/*.py\n!pyproject.toml\n",
			files:  []string{"src/a.py", "src/x/y/b.py", "src/x/y/b.txt", "a.py", "pyproject.toml", "sub/pyproject.toml"},
			want:   []string{"src/a.py", "src/x/y/b.py", "pyproject.toml", ".dockerignore"},
		},
		"the other way round nothing comes back": {
			ignore: "!README.md\n*.md\n",
			files:  []string{"README.md", "x"},
			want:   []string{"x", ".dockerignore"},
		},
		// BuildKit does not restore with a rule for a directory what a rule for the path itself
		// excludes.
		"a negation above": {
			ignore: "a/b\n!a\n",
			files:  []string{"a/b/c", "a/d"},
			want:   []string{"a/d", ".dockerignore"},
		},
		"dots and slashes": {
			ignore: "./a/../b//c/\n/./d\n",
			files:  []string{"b/c/x", "a/b/c", "d", "e"},
			want:   []string{"a/b/c", "e", ".dockerignore"},
		},
		"ranges": {
			ignore: "[a-c].txt\n[^x]?.md\n",
			files:  []string{"a.txt", "d.txt", "ab.md", "xb.md"},
			want:   []string{"d.txt", "xb.md", ".dockerignore"},
		},
		"a Dockerfile with a name that is a pattern": {
			ignore:     "*\n",
			dockerfile: "a[b]*/Docker?file",
			files:      []string{"a[b]*/Docker?file", "a[b]*/Dockerxfile", "ab/Docker?file"},
			want:       []string{"a[b]*/Docker?file", ".dockerignore"},
		},
		"the Dockerfile and the ignore file stay": {
			ignore: "*\n",
			files:  []string{"Dockerfile", "main.py"},
			want:   []string{"Dockerfile", ".dockerignore"},
		},
		"a Dockerfile in an ignored directory stays": {
			ignore:     "docker\nDockerfile",
			dockerfile: "./docker/api/Dockerfile",
			files:      []string{"Dockerfile", "docker/api/Dockerfile", "docker/api/x", "docker/web/Dockerfile"},
			want:       []string{"docker/api/Dockerfile", ".dockerignore"},
		},
		"a Dockerfile in a directory of the defaults stays": {
			dockerfile: "venv/Dockerfile",
			files:      []string{"venv/Dockerfile", "venv/pyvenv.cfg", "x/venv/pyvenv.cfg"},
			want:       []string{"venv/Dockerfile", "venv/pyvenv.cfg"},
		},
		"the Dockerfile's own ignore file comes first": {
			ignore:     "*.md\n*.dockerignore\n",
			ignoreName: "docker/api.Dockerfile.dockerignore",
			dockerfile: "docker/api.Dockerfile",
			files:      []string{"docker/api.Dockerfile", "a.md", "a.txt", ".git/HEAD"},
			want:       []string{"docker/api.Dockerfile", "docker/api.Dockerfile.dockerignore", "a.txt", ".git/HEAD"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			all := files(test.files...)
			want := files(test.want...)
			if test.ignore != "" {
				file := cmp.Or(test.ignoreName, ignoreFile)
				all[file] = node{content: test.ignore}
				want[file] = node{content: test.ignore}
			}
			all.write(t, dir)
			got, _ := unpack(t, mustPack(t, dir, Options{Dockerfile: test.dockerfile}))
			// A directory whose entries are all excluded may stay, as with Docker.
			maps.DeleteFunc(got, func(_ string, n node) bool { return n.dir })
			compare(t, got, want)
		})
	}
}

func TestPackDirectories(t *testing.T) {
	dir := t.TempDir()
	tree{
		".dockerignore": {content: "ignored\n!ignored/deep/kept\nalso\n!also/nothing\n"},
		"empty/inner":   {dir: true},
		"ignored/deep":  {dir: true}, "ignored/deep/kept": {content: "x"}, "ignored/deep/lost": {content: "x"},
		"ignored/other/lost": {content: "x"}, "also/lost": {content: "x"},
	}.write(t, dir)
	_, order := unpack(t, mustPack(t, dir, Options{}))
	want := []string{".dockerignore", "empty", "empty/inner", "ignored", "ignored/deep", "ignored/deep/kept"}
	if !slices.Equal(order, want) {
		t.Errorf("entries are %q, want %q", order, want)
	}
}

func TestPackLinks(t *testing.T) {
	outside := t.TempDir()
	dir := t.TempDir()
	tree{
		"main.py":          {content: "x"},
		"sub/deep/up":      {link: "../../main.py"},
		"sub/absolute":     {link: filepath.Join(dir, "main.py")},
		"sub/absolute-dir": {link: dir},
		"dangling":         {link: "nowhere/./to//be"},
		"loop":             {link: "loop"},
		"directory":        {link: "sub"},
	}.write(t, dir)
	want := tree{
		"main.py":          {content: "x"},
		"sub/deep/up":      {link: "../../main.py"},
		"sub/absolute":     {link: "../main.py"},
		"sub/absolute-dir": {link: ".."},
		"dangling":         {link: "nowhere/./to//be"},
		"loop":             {link: "loop"},
		"directory":        {link: "sub"},
	}
	got, _ := unpack(t, mustPack(t, dir, Options{}))
	compare(t, got, want.parents())

	// The same through a link to the directory: both of its names are inside.
	alias := filepath.Join(outside, "alias")
	must(t, os.Symlink(dir, alias))
	must(t, os.Symlink(filepath.Join(alias, "main.py"), filepath.Join(dir, "by-alias")))
	want["by-alias"] = node{link: "main.py"}
	got, _ = unpack(t, mustPack(t, alias, Options{}))
	compare(t, got, want.parents())
}

func TestPackLinksThatLeave(t *testing.T) {
	tests := map[string]struct{ name, target, ignore string }{
		"relative":              {name: "sub/out", target: "../../etc/passwd"},
		"relative and back":     {name: "out", target: "../context/main.py"},
		"relative through a":    {name: "a/out", target: "b/../../../x"},
		"absolute":              {name: "out", target: "/etc/passwd"},
		"absolute, same prefix": {name: "out", target: "CONTEXT-more/x"},
		"ignored":               {name: "sub/out", target: "/etc/passwd", ignore: "sub/out"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "context")
			target := strings.ReplaceAll(test.target, "CONTEXT", dir)
			tree{test.name: {link: target}, ignoreFile: {content: test.ignore}}.write(t, dir)
			archive := mustPack(t, dir, Options{})
			got, _ := unpack(t, archive)
			if test.ignore != "" {
				if len(archive.Warnings) != 0 {
					t.Errorf("warnings are %v", archive.Warnings)
				}
				return
			}
			if got[test.name].link != target {
				t.Errorf("the link is %+v, want it as it is", got[test.name])
			}
			if want := (Warning{Path: test.name, Kind: Outside, Reason: target}); len(archive.Warnings) != 1 || archive.Warnings[0] != want ||
				!strings.Contains(want.String(), "to "+target+": the image gets the link") {
				t.Errorf("warnings are %v", archive.Warnings)
			}
		})
	}
}

func wantFileError(t *testing.T, err error, name string, want error) {
	t.Helper()
	var file *FileError
	if !errors.As(err, &file) || file.Path != name || !errors.Is(err, want) {
		t.Fatalf("error is %v, want %q: %v", err, name, want)
	}
}

func TestPackSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "run"), 0o755))
	t.Chdir(dir) // a socket's name must be short
	listener, err := net.Listen("unix", "run/app.sock")
	must(t, err)
	defer func() { _ = listener.Close() }()
	archive := mustPack(t, dir, Options{})
	if got, _ := unpack(t, archive); len(got) != 1 || len(archive.Warnings) != 1 || archive.Warnings[0].String() != "left out: run/app.sock is a socket" {
		t.Errorf("packed are %v, warnings %v", got, archive.Warnings)
	}

	must(t, os.WriteFile(ignoreFile, []byte("run/*.sock"), 0o644))
	if archive := mustPack(t, dir, Options{}); len(archive.Warnings) != 0 {
		t.Errorf("warnings are %v", archive.Warnings)
	}
}

func TestPackVirtualenvs(t *testing.T) {
	elsewhere := t.TempDir()
	tree{"pyvenv.cfg": {content: "home = /usr/bin\n"}}.write(t, elsewhere)
	for name, test := range map[string]struct {
		ignore string
		packed bool
		warns  []string
	}{
		"an ignore file that does not name it": {ignore: "*.log\n", warns: []string{"left out: .venv is a virtual environment of this machine", "left out: env is a virtual environment of this machine"}},
		"one that does":                        {ignore: ".venv\nenv\n"},
		"one that wants it":                    {ignore: "*.log\n!.venv\n!env\n", packed: true, warns: []string{"env is a link out of the build context"}},
		"the default rules":                    {warns: []string{"left out: env is a virtual environment of this machine"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tree{"main.py": {}, ".venv/pyvenv.cfg": {content: "x"}, ".venv/lib/x.py": {content: "x"}, "env": {link: elsewhere}}.write(t, dir)
			if test.ignore != "" {
				tree{ignoreFile: {content: test.ignore}}.write(t, dir)
			}
			archive := mustPack(t, dir, Options{})
			got, _ := unpack(t, archive)
			if _, packed := got[".venv/lib/x.py"]; packed != test.packed || got["env"].link != "" != test.packed {
				t.Errorf("packed are %v", got)
			}
			if len(archive.Warnings) != len(test.warns) {
				t.Fatalf("warnings are %v", archive.Warnings)
			}
			for i, want := range test.warns {
				if !strings.HasPrefix(archive.Warnings[i].String(), want) {
					t.Errorf("the warning is %s, want %s", archive.Warnings[i], want)
				}
			}
		})
	}
}

func TestPackChangedFiles(t *testing.T) {
	tests := map[string]func(t *testing.T, name string){
		"grows": func(t *testing.T, name string) {
			t.Helper()
			file, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = file.WriteString("more")
			must(t, errors.Join(err, file.Close()))
		},
		"shrinks": func(t *testing.T, name string) {
			t.Helper()
			must(t, os.Truncate(name, chunk+1))
		},
		"is emptied": func(t *testing.T, name string) {
			t.Helper()
			must(t, os.Truncate(name, 0))
		},
		"is rewritten, same size": func(t *testing.T, name string) {
			t.Helper()
			info, err := os.Stat(name)
			must(t, err)
			must(t, os.Chtimes(name, time.Time{}, info.ModTime().Add(time.Second)))
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tree{"a": {content: "a"}, "data/app.log": {content: strings.Repeat("x", 3*chunk)}}.write(t, dir)
			temporary := t.TempDir()
			t.Setenv("TMPDIR", temporary)
			changed := false
			_, err := Pack(t.Context(), dir, Options{Progress: func(files int, _ int64) {
				if files == 1 && !changed {
					// The first call after "a" is done is that for "a" itself.
					changed = true
				} else if changed {
					changed = false
					change(t, filepath.Join(dir, "data/app.log"))
				}
			}})
			wantFileError(t, err, "data/app.log", ErrChanged)
			if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
				t.Errorf("left in the temporary directory: %v %v", left, err)
			}
		})
	}
}

func TestPackIsCanceled(t *testing.T) {
	dir := t.TempDir()
	tree{"a": {content: strings.Repeat("x", 4*chunk)}, "b": {content: "b"}}.write(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := Pack(ctx, dir, Options{Progress: func(int, int64) { calls++; cancel() }})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("error is %v after %d calls, want %v after 1", err, calls, context.Canceled)
	}
	var file *FileError
	if errors.As(err, &file) {
		t.Errorf("%v blames a file", err)
	}
}

func TestPackProgress(t *testing.T) {
	dir := t.TempDir()
	tree{"a": {content: strings.Repeat("x", 2*chunk)}, "b": {content: "b"}, "c": {link: "b"}}.write(t, dir)
	var files int
	var bytes int64
	archive := mustPack(t, dir, Options{Progress: func(f int, b int64) {
		if f < files || b < bytes {
			t.Errorf("went back from %d, %d to %d, %d", files, bytes, f, b)
		}
		files, bytes = f, b
	}})
	if files != 3 || files != archive.Files || bytes != 2*chunk+1 || bytes != archive.ContentSize {
		t.Errorf("ended at %d files, %d bytes: %+v", files, bytes, archive)
	}
}

func TestPackBadInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	tests := map[string]struct {
		dir, dockerfile, ignore string
		want                    string
		is                      error
	}{
		"no directory":                  {dir: "/does/not/exist", want: "pack /does/not/exist: no such file", is: fs.ErrNotExist},
		"a file":                        {dir: file, want: "not a directory"},
		"a Dockerfile outside":          {dockerfile: "../Dockerfile", want: "../Dockerfile: the Dockerfile must be inside"},
		"an absolute Dockerfile":        {dockerfile: "/Dockerfile", want: "must be inside"},
		"a pattern that is none":        {ignore: "ok\n[a-\n", want: `.dockerignore: pattern "[a-": `, is: filepath.ErrBadPattern},
		"a pattern that does not match": {ignore: "[b-a]\n", want: `.dockerignore: pattern "[b-a]"`, is: filepath.ErrBadPattern},
		"a lonely negation":             {ignore: "!\n", want: `.dockerignore: pattern "!"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := cmp.Or(test.dir, t.TempDir())
			if test.ignore != "" {
				must(t, os.WriteFile(filepath.Join(dir, ignoreFile), []byte(test.ignore), 0o644))
			}
			_, err := Pack(t.Context(), dir, Options{Dockerfile: test.dockerfile})
			if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
	t.Run("an ignore file that is a directory", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, ignoreFile), 0o755))
		_, err := Pack(t.Context(), dir, Options{})
		var file *FileError
		if !errors.As(err, &file) || file.Path != ignoreFile {
			t.Errorf("error is %v", err)
		}
	})
}

func TestFileErrorQuotesOddNames(t *testing.T) {
	for name, want := range map[string]string{
		"a b/é.py":       "a b/é.py: changed",
		"new\nline":      `"new\nline": changed`,
		"\x1b[31mred":    `"\x1b[31mred": changed`,
		"bad\xff":        `"bad\xff": changed`,
		`back\slash"quo`: `"back\\slash\"quo": changed`,
	} {
		if got := (&FileError{Path: name, Err: ErrChanged}).Error(); !strings.HasPrefix(got, want) {
			t.Errorf("error is %s, want %s", got, want)
		}
	}
}

func TestPackDeepTree(t *testing.T) {
	// 60 directories with names of 100 bytes: longer than a path may be.
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must(t, err)
	name := strings.Repeat("d", 100)
	for range 60 {
		must(t, root.Mkdir(name, 0o755))
		below, err := root.OpenRoot(name)
		must(t, err)
		must(t, root.Close())
		root = below
	}
	must(t, root.WriteFile("bottom", []byte("x"), 0o644))
	must(t, root.Close())
	_, order := unpack(t, mustPack(t, dir, Options{}))
	if len(order) != 61 || !strings.HasSuffix(order[60], name+"/bottom") {
		t.Errorf("%d entries", len(order))
	}
}

func TestPackUsesConstantMemory(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "large"), nil, 0o644))
	must(t, os.Truncate(filepath.Join(dir, "large"), 256<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	archive := mustPack(t, dir, Options{})
	runtime.ReadMemStats(&after)
	if archive.ContentSize != 256<<20 {
		t.Errorf("packed %d bytes", archive.ContentSize)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("allocated %d bytes for a file of %d", used, archive.ContentSize)
	}
}

func TestPackFiles(t *testing.T) {
	dir := t.TempDir()
	tree{
		"app/main.py":     {content: "old", executable: true},
		"app/other.py":    {content: "other"},
		"notes.md":        {content: "left out by the ignore file that is given"},
		"secret/.env":     {content: "left out, too"},
		"docker/existing": {content: "stays"},
	}.write(t, dir)
	archive := mustPack(t, dir, Options{Dockerfile: "docker/gen/Dockerfile", Files: map[string][]byte{
		"docker/gen/Dockerfile":              []byte("FROM scratch\n"),
		"docker/gen/Dockerfile.dockerignore": []byte("*.md\nsecret\ndocker/gen\n"),
		"app/main.py":                        []byte("new"),
		"secret/given.txt":                   []byte("packed in any case"),
	}})
	want := tree{
		"app":                                {dir: true},
		"app/main.py":                        {content: "new"},
		"app/other.py":                       {content: "other"},
		"docker":                             {dir: true},
		"docker/existing":                    {content: "stays"},
		"docker/gen":                         {dir: true},
		"docker/gen/Dockerfile":              {content: "FROM scratch\n"},
		"docker/gen/Dockerfile.dockerignore": {content: "*.md\nsecret\ndocker/gen\n"},
		"secret":                             {dir: true},
		"secret/given.txt":                   {content: "packed in any case"},
	}
	got, _ := unpack(t, archive)
	compare(t, got, want)
	if archive.Files != 6 {
		t.Errorf("%d files were packed", archive.Files)
	}

	for name, test := range map[string]struct {
		file  string
		where string
		want  error
	}{
		"a directory in its place": {"app", "app", ErrConflict},
		"a file in the way":        {"app/main.py/x", "app/main.py", ErrConflict},
		"leaves the directory":     {"../x", "../x", fs.ErrInvalid},
		"absolute":                 {"/x", "/x", fs.ErrInvalid},
		"the directory itself":     {".", ".", fs.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Pack(t.Context(), dir, Options{Files: map[string][]byte{test.file: nil}})
			wantFileError(t, err, test.where, test.want)
		})
	}
}

// TestModes checks which modes travel as they are.
func TestModes(t *testing.T) {
	for _, test := range []struct {
		umask, found, want fs.FileMode
	}{
		{0o022, 0o644, 0o644},
		{0o022, 0o755, 0o755},
		{0o022, 0o600, 0o600},
		{0o022, 0o664, 0o664},
		{0o022, 0o4755, 0o755},
		{0o022, fs.ModeSetuid | 0o755, fs.ModeSetuid | 0o755},
		{0o022, fs.ModeDir | 0o700, fs.ModeDir | 0o700},
		{0o022, fs.ModeDir | fs.ModeSetgid | 0o755, fs.ModeDir | 0o755},
		{0o022, fs.ModeDir | fs.ModeSticky | 0o777, fs.ModeDir | 0o777},
		{0o002, 0o664, 0o644},
		{0o002, 0o775, 0o755},
		{0o002, fs.ModeDir | 0o775, fs.ModeDir | 0o755},
		{0o002, 0o644, 0o644},
		{0o002, 0o600, 0o600},
		{0o077, 0o600, 0o644},
		{0o077, 0o700, 0o755},
		{0o077, fs.ModeDir | 0o700, fs.ModeDir | 0o755},
		{0o077, fs.ModeDir | 0o600, fs.ModeDir | 0o600},
	} {
		m := modes{umask: test.umask}
		if got := m.of(test.found); got != test.want {
			t.Errorf("umask %04o, %v: got %v, want %v", test.umask, test.found, got, test.want)
		}
		if said, changed := len(m.notices()) > 0, test.found.Perm() != test.want.Perm(); said != changed {
			t.Errorf("umask %04o, %v: the notices are %q", test.umask, test.found, m.notices())
		}
	}
}

// TestPackKeepsModes packs what was set on purpose.
func TestPackKeepsModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	dir := t.TempDir()
	want := map[string]int64{"private": 0o600, "group": 0o660, "program": 0o4755, "dir/": 0o777, "dir/file": 0o640}
	for name, mode := range want {
		file := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(file, 0o755))
		} else {
			must(t, os.WriteFile(file, []byte(name), 0o644))
		}
		bits := fs.FileMode(mode).Perm()
		if mode&0o4000 != 0 {
			bits |= fs.ModeSetuid
		}
		must(t, os.Chmod(file, bits))
	}
	must(t, os.Mkdir(filepath.Join(dir, "shared"), 0o755))
	must(t, os.Chmod(filepath.Join(dir, "shared"), 0o755|fs.ModeSetgid))
	want["shared/"] = 0o755
	want["group"], want["dir/"] = 0o755, 0o711
	archive := mustPack(t, dir, Options{Modes: map[string]fs.FileMode{"group": 0o755, "dir": fs.ModeDir | 0o711}})
	got, _ := contentOf(t, archive)
	if !maps.Equal(got, want) {
		t.Errorf("modes are %v, want %v", got, want)
	}
	if said := fmt.Sprint(archive.Warnings); said != "[shared travels without its set-group-ID or sticky bit; to set it: RUN chmod]" {
		t.Errorf("warnings are %s", said)
	}
	if want := []string{"only root can read them in the image: private (0600)"}; !slices.Equal(archive.Notices, want) {
		t.Errorf("notices are %q, want %q", archive.Notices, want)
	}
}

// TestList lists what Pack packs.
func TestList(t *testing.T) {
	dir := t.TempDir()
	tree{
		".dockerignore": {content: "*.log\nskipped\n"}, "a.log": {content: "x"}, "skipped/x": {content: "x"}, "app/run.sh": {content: "x", executable: true},
		"app/link": {link: "run.sh"}, ".venv/pyvenv.cfg": {content: "x"}, "empty": {dir: true},
	}.write(t, dir)
	must(t, os.Chmod(filepath.Join(dir, "app"), 0o750))
	opts := Options{Files: map[string][]byte{"made/by/hand": nil}}
	got, err := List(t.Context(), dir, opts)
	must(t, err)
	_, packed := contentOf(t, mustPack(t, dir, opts))
	names := slices.Sorted(maps.Keys(got))
	slices.Sort(packed)
	if !slices.Equal(names, packed) {
		t.Errorf("listed %q, packed %q", names, packed)
	}
	for name, want := range map[string]fs.FileMode{"app": fs.ModeDir | 0o750, "app/run.sh": 0o755, "made/by/hand": 0o644, "made/by": fs.ModeDir | 0o755} {
		if got[name] != want {
			t.Errorf("%s has the mode %v, want %v", name, got[name], want)
		}
	}
	if got["app/link"].Type() != fs.ModeSymlink {
		t.Errorf("the link is %v", got["app/link"])
	}
}

// contentOf returns the modes of the headers of an archive, and the names of its entries.
func contentOf(t *testing.T, archive *Archive) (modes map[string]int64, names []string) {
	t.Helper()
	content, err := archive.Layer().Uncompressed()
	must(t, err)
	defer func() { _ = content.Close() }()
	modes = map[string]int64{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return modes, names
		}
		must(t, err)
		modes[header.Name] = header.Mode
		names = append(names, strings.TrimSuffix(header.Name, "/"))
	}
}
