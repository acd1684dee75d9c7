package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"slices"
	"strings"
)

const (
	maxFileLines     = 400
	maxFunctionLines = 60
)

// rules judge a tree. Each returns what is wrong, and what to do about it.
var rules = []func(tree) []string{
	packagesHaveAPlace, importsPointDown, bansHold, supportStaysWithTests, onlyWritersWrite, noToolkitModule,
	namesSayWhat, packagesAreDescribed, filesAreShort, functionsAreShort, nothingWaitsOrSkips,
}

func judge(t tree) []string {
	var out []string
	for _, rule := range rules {
		out = append(out, rule(t)...)
	}
	return out
}

// product calls see with each file of the product's module that is no test.
func (t tree) product(see func(f file)) {
	for _, f := range t.files {
		if f.module == "." && !f.test {
			see(f)
		}
	}
}

func packagesHaveAPlace(t tree) []string {
	unknown := map[string]bool{}
	for _, f := range t.files {
		if f.module == "." && layer(f.pkg) < 0 && !matches(f.pkg, support) {
			unknown[f.pkg] = true
		}
	}
	var out []string
	for _, pkg := range slices.Sorted(maps.Keys(unknown)) {
		out = append(out, fmt.Sprintf("%s: this package is in no layer; add it to layers in internal/archtest/layers_test.go", pkg))
	}
	return out
}

func importsPointDown(t tree) []string {
	var out []string
	t.product(func(f file) {
		if matches(f.pkg, support) {
			return
		}
		f.imports(func(spec *ast.ImportSpec, imported string) {
			target, ours := local(imported)
			if ours && !matches(target, support) && layer(target) >= layer(f.pkg) {
				out = append(out, fmt.Sprintf("%s: %s imports %s, which is not in a lower layer", f.at(spec), f.pkg, target))
			}
		})
	})
	return out
}

// local is the folder of an imported package of the product's module.
func local(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func bansHold(t tree) []string {
	var out []string
	t.product(func(f file) {
		for _, ban := range bans {
			if !matches(f.pkg, ban.packages) {
				continue
			}
			f.imports(func(spec *ast.ImportSpec, imported string) {
				if slices.ContainsFunc(ban.forbidden, func(root string) bool { return within(imported, root) }) {
					out = append(out, fmt.Sprintf("%s: %s must not import %s: %s", f.at(spec), f.pkg, imported, ban.reason))
				}
			})
		}
	})
	return out
}

func supportStaysWithTests(t tree) []string {
	var out []string
	t.product(func(f file) {
		f.imports(func(spec *ast.ImportSpec, imported string) {
			if target, ours := local(imported); ours && matches(target, support) && !matches(f.pkg, support) {
				out = append(out, fmt.Sprintf("%s: %s is for tests; the product must not import it", f.at(spec), target))
			}
		})
	})
	return out
}

// onlyWritersWrite looks for calls that have the shape of a request that
// changes an object: one of the verbs, with a context as first argument.
func onlyWritersWrite(t tree) []string {
	verbs := []string{"Apply", "Create", "Delete", "DeleteCollection", "Patch", "Update", "UpdateStatus"}
	var out []string
	t.product(func(f file) {
		if matches(f.pkg, support) {
			return
		}
		f.calls(func(call *ast.CallExpr, selector *ast.SelectorExpr) {
			verb := selector.Sel.Name
			if slices.Contains(verbs, verb) && takesContext(call) && !slices.Contains(writers[f.pkg], verb) {
				out = append(out, fmt.Sprintf("%s: %s must not call %s on a cluster; see writers in internal/archtest/layers_test.go", f.at(call), f.pkg, verb))
			}
		})
	})
	return out
}

func takesContext(call *ast.CallExpr) bool {
	if len(call.Args) == 0 {
		return false
	}
	switch arg := call.Args[0].(type) {
	case *ast.Ident:
		return strings.HasSuffix(strings.ToLower(arg.Name), "ctx")
	case *ast.CallExpr:
		selector, ok := arg.Fun.(*ast.SelectorExpr)
		return ok && slices.Contains([]string{"Background", "TODO", "Context", "WithoutCancel"}, selector.Sel.Name)
	}
	return false
}

// toolkit is what the modules of the toolkit begin with. Plumb serves its APIs and
// shares no code with it.
const toolkit = "github.com/fluxcd"

// noToolkitModule covers every module of the checkout, tests and indirect
// requirements included.
func noToolkitModule(t tree) []string {
	var out []string
	for _, f := range t.files {
		f.imports(func(spec *ast.ImportSpec, imported string) {
			if within(imported, toolkit) {
				out = append(out, fmt.Sprintf("%s: %s must not be imported anywhere", f.at(spec), imported))
			}
		})
	}
	for _, dir := range slices.Sorted(maps.Keys(t.modules)) {
		for i, line := range strings.Split(t.modules[dir], "\n") {
			if code, _, _ := strings.Cut(line, "//"); strings.Contains(code, toolkit+"/") {
				out = append(out, fmt.Sprintf("%s:%d: %s must not be required, not even indirectly", path.Join(dir, "go.mod"), i+1, strings.TrimSpace(code)))
			}
		}
	}
	return out
}

func namesSayWhat(t tree) []string {
	var out []string
	for _, f := range t.files {
		if slices.Contains(vague, path.Base(f.pkg)) || slices.Contains(vague, f.syntax.Name.Name) {
			out = append(out, fmt.Sprintf("%s: a package named %s says nothing; name it for what it provides", f.path, f.syntax.Name.Name))
		}
	}
	return out
}

// packagesAreDescribed wants the package comment where a reader looks for it,
// so one in a test file counts only where there is nothing else.
func packagesAreDescribed(t tree) []string {
	described, hasCode := map[string]bool{}, map[string]bool{}
	for _, f := range t.files {
		hasCode[f.pkg] = hasCode[f.pkg] || !f.test
	}
	for _, f := range t.files {
		if !f.test || !hasCode[f.pkg] {
			described[f.pkg] = described[f.pkg] || f.syntax.Doc != nil
		}
	}
	var out []string
	for _, pkg := range slices.Sorted(maps.Keys(described)) {
		if !described[pkg] {
			out = append(out, fmt.Sprintf("%s: no package comment; say what it is and define its nouns", pkg))
		}
	}
	return out
}

func filesAreShort(t tree) []string {
	var out []string
	for _, f := range t.files {
		if f.lines > maxFileLines && !strings.HasPrefix(path.Base(f.path), "zz_generated") {
			out = append(out, fmt.Sprintf("%s: %d lines, %d are allowed; split it by topic", f.path, f.lines, maxFileLines))
		}
	}
	return out
}

func functionsAreShort(t tree) []string {
	var out []string
	for _, f := range t.files {
		for _, decl := range f.syntax.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || f.test || strings.HasPrefix(path.Base(f.path), "zz_generated") {
				continue
			}
			if n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1; n > maxFunctionLines {
				out = append(out, fmt.Sprintf("%s: %s has %d lines, %d are allowed; split it by step", f.at(fn), fn.Name.Name, n, maxFunctionLines))
			}
		}
	}
	return out
}

// nothingWaitsOrSkips: who waits for something is woken by it, and a test that
// can be skipped is one that nobody misses. The development cluster starts
// processes that tell nobody when they are ready.
func nothingWaitsOrSkips(t tree) []string {
	var out []string
	for _, f := range t.files {
		f.calls(func(call *ast.CallExpr, selector *ast.SelectorExpr) {
			receiver, ok := selector.X.(*ast.Ident)
			if !ok {
				return
			}
			switch name := receiver.Name + "." + selector.Sel.Name; {
			case (name == "time.Sleep" || name == "time.Tick") && f.module != "devcluster":
				out = append(out, fmt.Sprintf("%s: %s; wait for the event instead", f.at(call), name))
			case slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, selector.Sel.Name) && slices.Contains([]string{"t", "b", "f", "tb"}, receiver.Name):
				out = append(out, fmt.Sprintf("%s: %s; bring about what the test needs, or fail", f.at(call), name))
			}
		})
	}
	return out
}
