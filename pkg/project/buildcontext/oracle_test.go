package buildcontext

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
)

// oracle returns what Docker sends of a directory: by BuildKit's own walk, its filter and its
// reader of the ignore file, with the files that Docker sends separately.
func oracle(t *testing.T, dir string, always ...string) tree {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, ignoreFile))
	must(t, err)
	patterns, err := ignorefile.ReadAll(strings.NewReader(string(content)))
	must(t, err)
	sent := tree{}
	must(t, fsutil.Walk(t.Context(), dir, &fsutil.FilterOpt{ExcludePatterns: patterns}, func(name string, info fs.FileInfo, err error) error {
		must(t, err)
		sent[name] = read(t, dir, name)
		return nil
	}))
	for _, name := range append(always, ignoreFile) {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			sent[name] = read(t, dir, name)
		}
	}
	return sent.parents()
}

func read(t *testing.T, dir, name string) node {
	t.Helper()
	file := filepath.Join(dir, name)
	info, err := os.Lstat(file)
	must(t, err)
	switch {
	case info.IsDir():
		return node{dir: true}
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(file)
		must(t, err)
		return node{link: target}
	}
	content, err := os.ReadFile(file)
	must(t, err)
	return node{content: string(content), executable: info.Mode()&0o100 != 0}
}

// TestPackMatchesDocker packs generated trees with generated rules.
func TestPackMatchesDocker(t *testing.T) {
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 7))
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			dir := t.TempDir()
			made := ruledTree(random)
			made[ignoreFile] = node{content: randomRules(random, slices.Sorted(maps.Keys(made)))}
			made.write(t, dir)
			got, _ := unpack(t, mustPack(t, dir, Options{Dockerfile: "b/Dockerfile"}))
			compare(t, got, oracle(t, dir, "b/Dockerfile"))
			if t.Failed() {
				t.Logf("rules\n%s", made[ignoreFile].content)
			}
		})
	}
}

// ruledTree returns a tree of a few short names, so that rules match and overlap.
func ruledTree(random *rand.Rand) tree {
	made := tree{"b/Dockerfile": {content: "FROM scratch\n"}}
	names := []string{"a", "b", "c", "ab", ".x", "a b", "é", "[a]"}
	for range 40 {
		parts := make([]string, 1+random.IntN(4))
		for i := range parts {
			parts[i] = names[random.IntN(len(names))]
		}
		name := path.Join(parts...)
		taken := func(other string) bool {
			return other == name || strings.HasPrefix(other, name+"/") || !made[other].dir && strings.HasPrefix(name, other+"/")
		}
		if slices.ContainsFunc(slices.Collect(maps.Keys(made)), taken) {
			continue
		}
		made[name] = []node{{dir: true}, {link: "./a"}, {content: name}, {content: name, executable: true}}[random.IntN(4)]
	}
	return made
}

// randomRules returns rules about existing paths, with wildcards.
func randomRules(random *rand.Rand, names []string) string {
	var text strings.Builder
	for range 1 + random.IntN(6) {
		if random.IntN(3) == 0 {
			text.WriteString("!")
		}
		parts := strings.Split(names[random.IntN(len(names))], "/")
		parts = parts[:1+random.IntN(len(parts))]
		for i := range parts {
			switch random.IntN(6) {
			case 0:
				parts[i] = "*"
			case 1:
				parts[i] = "**"
			case 2:
				parts[i] = "?" + strings.TrimLeft(parts[i], "[aébc.")
			default:
				parts[i] = strings.ReplaceAll(parts[i], "[", `\[`)
			}
		}
		text.WriteString([]string{"", "/", "./", " "}[random.IntN(4)] + strings.Join(parts, "/") + []string{"", "/", " ", "/**", "\r"}[random.IntN(5)] + "\n")
	}
	return text.String()
}

// FuzzIgnore compares the result of any ignore file with BuildKit's.
func FuzzIgnore(f *testing.F) {
	for _, seed := range []string{
		"", "*", "*\n!a", "**\n!**/c", "a\n!a/b/c", "a/**\n!a/b", "!a\na", "a/*\n!a/b\na/b/c", "?\n!a?", "[a-b]\n!a/b/c/d",
		"**/c\n!a/**/c\n", "a/b\n!*/b/c\n", "\\a\n!\\a/b", "/a/\n!/a/b/", ".\n!.", "..\n", "*\n!a/./b", "a**\n!a**c", "ab*\n!a*/c",
		"*\n!**/b\n**/c", "a/b/../..\n", "é\n", "a\n!a\n!a/b\na/b/c\n!a/b/c/d", "a/b\n!a", "!!b\n*", "a\n!a/c\n?", "\ufeff*\r\n! b \r\n",
		"# a\n #a\n", "[", "!", "a\\\n", "**/**/c\n!a/**", "***\n!*/", "a/b/c/d/e/f\n!a/b/c/d/e\n",
	} {
		f.Add(seed)
	}
	dir := f.TempDir()
	for _, name := range []string{"Dockerfile", "a/b/c/d", "a/b/e", "a/c", "ab/c", "b", "c/a/b/c", "é/c", "a/!b", ".x/c"} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, ignore string) {
		must(t, os.WriteFile(filepath.Join(dir, ignoreFile), []byte(ignore), 0o644))
		packsLikeDocker(t, dir)
		if t.Failed() {
			t.Logf("patterns %q", ignore)
		}
	})
}

// packsLikeDocker packs a directory with an ignore file, and returns the archive unless the
// ignore file is invalid.
func packsLikeDocker(t *testing.T, dir string) *Archive {
	t.Helper()
	archive, err := Pack(t.Context(), dir, Options{})
	if err != nil {
		var file *FileError
		if !errors.As(err, &file) || file.Path != ignoreFile {
			t.Fatalf("error is %v", err)
		}
		return nil
	}
	t.Cleanup(func() { must(t, archive.Close()) })
	got, order := unpack(t, archive)
	compare(t, got, oracle(t, dir, "Dockerfile"))
	if !slices.IsSortedFunc(order, compareInDepth) {
		t.Errorf("not sorted: %q", order)
	}
	return archive
}

// FuzzPack packs any tree with any rules. The archive holds what the tree holds, and the same
// bytes from another place, at another time and with another umask.
func FuzzPack(f *testing.F) {
	for _, seed := range []struct{ script, ignore string }{
		{"", ""},
		{"f\x05hello\x05world", "*"},
		{"d\x03dir\x00f\x04file\x07content^l\x04link\x04file", "dir\n!dir/file"},
		{"d\x02\xff\xfe\x00f\x03a\nb\x00x\x02\\x\x03#!x", "**/x"},
		{"f\x0aDockerfile\x05FROM l\x01l\x01l", "Dockerfile"},
		{"d\x01a\x00d\x01a\x00d\x01a\x00f\x01a\x01a", "a\n!a/a/a/a"},
		{"f\xfa" + strings.Repeat("n", 250) + "\x01x", "n*"},
		{"d\x04.git\x00f\x04HEAD\x01x^f\x04.env\x03A=1", "\ufeff.git \r\n"},
		{"x\x01*\x00x\x03[a]\x00x\x01?\x00x\x01!\x00x\x02-r\x00x\x01 \x00", "\\*\n\\[a]\n!"},
	} {
		f.Add([]byte(seed.script), seed.ignore)
	}
	f.Fuzz(func(t *testing.T, script []byte, ignore string) {
		made := fuzzedTree(script)
		made[ignoreFile] = node{content: ignore}
		first := t.TempDir()
		made.write(t, first)
		archive := packsLikeDocker(t, first)
		if archive == nil {
			return
		}
		second := filepath.Join(t.TempDir(), "elsewhere")
		made.write(t, second)
		must(t, touch(second))
		again := mustPack(t, second, Options{umask: func() fs.FileMode { return 0o077 }})
		if again.Digest != archive.Digest || again.DiffID != archive.DiffID {
			t.Errorf("two packs of one tree differ: %+v, %+v", archive, again)
		}
	})
}

// touch gives all files another time, and the modes of another umask.
func touch(dir string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return errors.Join(os.Chmod(name, info.Mode()&^0o077), os.Chtimes(name, time.Time{}, time.Unix(int64(len(name)), 5)))
	})
}

// fuzzedTree reads a tree from a script: a letter for the kind (d starts a directory; l is a
// link; x an executable file; ^ ends the directory; any other letter a file), then a name and a
// text, each after its length.
func fuzzedTree(script []byte) tree {
	made, dir := tree{}, ""
	text := func() string {
		if len(script) == 0 {
			return ""
		}
		length := min(int(script[0]), len(script)-1)
		read := string(script[1 : 1+length])
		script = script[1+length:]
		return read
	}
	clean := strings.NewReplacer("/", "_", "\x00", "_")
	for len(script) > 0 && len(made) < 40 {
		kind := script[0]
		script = script[1:]
		if kind == '^' {
			dir = path.Dir("/" + dir)[1:]
			continue
		}
		name, content := clean.Replace(text()), text()
		name = name[:min(len(name), 250)]
		file := path.Join(dir, name)
		if _, taken := made[file]; taken || name == "" || name == "." || name == ".." || strings.HasSuffix(name, ignoreFile) {
			continue
		}
		switch target := clean.Replace(content); {
		case kind == 'd' && strings.Count(dir, "/") < 6:
			made[file] = node{dir: true}
			dir = file
		case kind == 'l' && target != "" && target != "..":
			made[file] = node{link: target}
		default:
			made[file] = node{content: content, executable: kind == 'x'}
		}
	}
	return made
}
