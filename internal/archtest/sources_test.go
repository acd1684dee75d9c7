package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// file is one Go file of the checkout.
type file struct {
	path   string // from the root of the checkout, with slashes
	pkg    string // its folder, "." for the root
	module string // the nearest folder with a go.mod
	test   bool
	lines  int
	syntax *ast.File
	fset   *token.FileSet
}

// tree is what the rules judge.
type tree struct {
	files   []file
	modules map[string]string // folder to the text of its go.mod
}

// load reads the Go files and go.mod files of a checkout.
//
// It opens the files itself: go test keeps a result as long as no opened file
// has changed, and would know nothing of what another process read.
func load(fsys fs.FS) (tree, error) {
	out := tree{modules: map[string]string{}}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && ignored(name):
			return fs.SkipDir
		case path.Base(name) == "go.mod":
			raw, err := fs.ReadFile(fsys, name)
			out.modules[path.Dir(name)] = string(raw)
			return err
		case path.Ext(name) == ".go":
			f, err := parse(fsys, name)
			out.files = append(out.files, f)
			return err
		}
		return nil
	})
	for i := range out.files {
		out.files[i].module = out.moduleOf(out.files[i].pkg)
	}
	return out, err
}

// ignored folders hold no sources of ours.
func ignored(dir string) bool {
	base := path.Base(dir)
	return dir != "." && (strings.HasPrefix(base, ".") || slices.Contains([]string{"bin", "dist", "testdata"}, base))
}

func parse(fsys fs.FS, name string) (file, error) {
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return file{}, err
	}
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, name, raw, parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	return file{
		path: name, pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
		lines: bytes.Count(raw, []byte("\n")), syntax: syntax, fset: fset,
	}, nil
}

func (t tree) moduleOf(dir string) string {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := t.modules[dir]; ok {
			return dir
		}
	}
	return "."
}

// at is a position as editors understand it.
func (f file) at(node ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, f.fset.Position(node.Pos()).Line)
}

// imports calls see with each import path.
func (f file) imports(see func(spec *ast.ImportSpec, imported string)) {
	for _, spec := range f.syntax.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
			see(spec, imported)
		}
	}
}

// calls visits the calls of a method or of a package's function.
func (f file) calls(see func(call *ast.CallExpr, selector *ast.SelectorExpr)) {
	ast.Inspect(f.syntax, func(node ast.Node) bool {
		if call, ok := node.(*ast.CallExpr); ok {
			if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
				see(call, selector)
			}
		}
		return true
	})
}

// within tells whether an import path is that of a module or package, or below it.
func within(imported, root string) bool {
	return imported == root || strings.HasPrefix(imported, root+"/")
}
