// Command codemap writes the map of the code into CONTRIBUTING.md: every package, with
// the first sentence of its comment.
//
// usage: codemap [--check]
//
//	--check  fail if the map is not up to date, and change nothing
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/build"
	"go/doc"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	page  = "CONTRIBUTING.md"
	begin = "<!-- The map is generated: make map -->\n"
	end   = "<!-- end of the map -->\n"
)

func main() {
	check := flag.Bool("check", false, "fail if the map is not up to date")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	table, err := codemap("cmd", "pkg")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(text, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		return fmt.Errorf("%s has no place for the map", page)
	}
	updated := bytes.Join([][]byte{before, []byte(begin), table, []byte(end), after}, nil)
	switch {
	case bytes.Equal(updated, text):
		return nil
	case check:
		return errors.New("the map in " + page + " is not up to date: run make map")
	}
	return os.WriteFile(page, updated, 0o644)
}

// codemap returns the table of the packages below the directories, in the order of their
// paths.
func codemap(directories ...string) ([]byte, error) {
	var table bytes.Buffer
	table.WriteString("| package | what it does |\n|---|---|\n")
	for _, directory := range directories {
		err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case !entry.IsDir():
				return nil
			case entry.Name() == "testdata" || entry.Name() == "templates":
				return fs.SkipDir
			}
			return row(&table, path)
		})
		if err != nil {
			return nil, err
		}
	}
	return table.Bytes(), nil
}

// row adds a package; a directory without Go files is none.
func row(table *bytes.Buffer, path string) error {
	found, err := build.ImportDir(path, build.ImportComment)
	var none *build.NoGoError
	if errors.As(err, &none) {
		return nil
	}
	if err != nil {
		return err
	}
	if found.Doc == "" {
		return fmt.Errorf("package %s has no comment", path)
	}
	fmt.Fprintf(table, "| `%s` | %s |\n", path, responsibility(found.Name, found.Doc))
	return nil
}

// responsibility is the first sentence of a package's comment, without the words that
// each starts with.
func responsibility(name, comment string) string {
	sentence := strings.TrimSuffix((&doc.Package{}).Synopsis(comment), ".")
	for _, prefix := range []string{"Package " + name + " ", "Command kubectl-pyflow "} {
		sentence = strings.TrimPrefix(sentence, prefix)
	}
	return strings.ReplaceAll(sentence, "|", `\|`)
}
