package engine

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnlyTheEngineKnowsItself checks that the name of the build engine occurs in the
// identifiers and strings of its own package, of the place that chooses it and of the
// manifests, and nowhere else. A generated Dockerfile has it in a comment for its reader.
func TestOnlyTheEngineKnowsItself(t *testing.T) {
	allowed := []string{"pkg/build/engine/kaniko/", "pkg/build/engine/installed/", "pkg/manifests/", "pkg/dockerfile/generate/"}
	root := filepath.FromSlash("../../../")
	files := 0
	for _, top := range []string{"cmd", "pkg"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			path := filepath.ToSlash(strings.TrimPrefix(file, root))
			for _, prefix := range allowed {
				if strings.HasPrefix(path, prefix) {
					return nil
				}
			}
			files++
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for node := range ast.Preorder(parsed) {
				text := ""
				switch node := node.(type) {
				case *ast.Ident:
					text = node.Name
				case *ast.BasicLit:
					text = node.Value
				}
				if strings.Contains(strings.ToLower(text), "kaniko") {
					t.Errorf("%s:%d: %s names the build engine: take its name from engine.Engine", path, set.Position(node.Pos()).Line, text)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 100 {
		t.Errorf("only %d files were checked", files)
	}
}
