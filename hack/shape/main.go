// Command shape measures the layout of the Go code, and checks its gates.
//
// usage: shape [--check] [DIRECTORY]
//
//	--check  print what breaks a gate, and end with 1 if anything does
package main

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The gates.
const (
	maxMethods   = 20
	maxVerbLines = 500
)

type pkg struct {
	path  string
	lines int
}

type method struct{ pkg, receiver string }

// shape is what was measured, tests and generated files left out.
type shape struct {
	packages  []pkg
	methods   map[method]int
	funcLines int
	branches  int
	functions int
}

func main() {
	check := flag.Bool("check", false, "check the gates")
	flag.Parse()
	root := cmp.Or(flag.Arg(0), ".")
	measured, err := measure(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	if *check {
		broken := measured.broken()
		for _, line := range broken {
			fmt.Fprintln(os.Stderr, line)
		}
		if len(broken) > 0 {
			os.Exit(1)
		}
		return
	}
	measured.print()
}

func measure(root string) (*shape, error) {
	s := &shape{methods: map[method]int{}}
	sizes := map[string]int{}
	for _, top := range []string{"cmd", "pkg"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == "templates"):
				return fs.SkipDir
			case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			directory, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			lines, err := s.file(path, directory)
			sizes[directory] += lines
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for path, lines := range sizes {
		s.packages = append(s.packages, pkg{path, lines})
	}
	slices.SortFunc(s.packages, func(a, b pkg) int { return cmp.Compare(a.lines, b.lines) })
	return s, nil
}

// file adds one file and returns its lines.
func (s *shape) file(path, directory string) (int, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		return 0, err
	}
	for _, declaration := range parsed.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Body == nil {
			continue
		}
		s.functions++
		s.funcLines += files.Position(function.End()).Line - files.Position(function.Pos()).Line + 1
		s.branches += branches(function.Body)
		if name := receiver(function); name != "" {
			s.methods[method{directory, name}]++
		}
	}
	return files.File(parsed.Pos()).LineCount(), nil
}

// branches counts the places where control may go two ways.
func branches(body ast.Node) int {
	count := 0
	ast.Inspect(body, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			count++
		case *ast.CaseClause:
			if node.List != nil {
				count++
			}
		case *ast.CommClause:
			if node.Comm != nil {
				count++
			}
		case *ast.BinaryExpr:
			if node.Op == token.LAND || node.Op == token.LOR {
				count++
			}
		}
		return true
	})
	return count
}

func receiver(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return ""
	}
	kind := function.Recv.List[0].Type
	if pointer, ok := kind.(*ast.StarExpr); ok {
		kind = pointer.X
	}
	if generic, ok := kind.(*ast.IndexExpr); ok {
		kind = generic.X
	}
	if name, ok := kind.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// exempt are the places that are right above a gate, each with its reason.
func exempt() map[string]string {
	return map[string]string{}
}

// broken returns a line for each place above a gate.
func (s *shape) broken() []string {
	var lines []string
	for at, count := range s.methods {
		name := at.pkg + "." + at.receiver
		if count > maxMethods && exempt()[name] == "" {
			lines = append(lines, fmt.Sprintf("%s has %d methods, more than %d", name, count, maxMethods))
		}
	}
	for _, pkg := range s.packages {
		if strings.HasPrefix(pkg.path, "pkg/cmd/") && pkg.lines > maxVerbLines && exempt()[pkg.path] == "" {
			lines = append(lines, fmt.Sprintf("%s has %d lines, more than %d", pkg.path, pkg.lines, maxVerbLines))
		}
	}
	slices.Sort(lines)
	return lines
}

func (s *shape) print() {
	fmt.Printf("packages                        %d\n", len(s.packages))
	fmt.Printf("lines, median of a package      %d\n", s.packages[len(s.packages)/2].lines)
	fmt.Printf("branches per 100 function lines %.1f\n", 100*float64(s.branches)/float64(s.funcLines))
	fmt.Printf("lines per function              %.1f\n", float64(s.funcLines)/float64(s.functions))
	for _, line := range s.broken() {
		fmt.Println(line)
	}
}
