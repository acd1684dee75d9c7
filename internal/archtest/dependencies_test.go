package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependenciesAreExplained: whoever adds a module says what it is for.
func TestDependenciesAreExplained(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../..")
	found, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, breach := range unexplained(found, string(page)) {
		t.Error(breach)
	}
}

func TestUnexplained(t *testing.T) {
	t.Parallel()
	gomod := "module " + module + "\nrequire (\n\texample.com/a v1.0.0\n\texample.com/a/b v1.0.0 // indirect\n\texample.com/c v1.0.0 // indirect\n)\ntool example.com/c/cmd/gen\n"
	imports := []string{"fmt", "example.com/a/b/pkg", module + "/dag"}
	for name, tc := range map[string]struct{ page, want string }{
		"all explained":                     {"## Plumb\n| `example.com/a/b` | x |\n| `example.com/c` | x |\n", ""},
		"a module without a line":           {"## Plumb\n| `example.com/c` | x |\n", ".: example.com/a/b has no line"},
		"a tool without a line":             {"## Plumb\n| `example.com/a/b` | x |\n", ".: example.com/c has no line"},
		"a line for a module that is gone":  {"## Plumb\n| `example.com/a/b` | x |\n| `example.com/c` | x |\n| `example.com/a` | x |\n", ".: example.com/a has a line and is not used"},
		"a line in another module's table":  {"## Plumb\n| `example.com/c` | x |\n## devcluster\n| `example.com/a/b` | x |\n", ".: example.com/a/b has no line"},
		"a module of ours that has no page": {"", ".: example.com/a/b has no line"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(unexplained(tree{modules: map[string]string{".": gomod}, files: []file{importing(imports...)}}, tc.page), "\n")
			if (got == "") != (tc.want == "") || !strings.HasPrefix(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func importing(paths ...string) file {
	f := file{module: ".", syntax: &ast.File{}}
	for _, p := range paths {
		f.syntax.Imports = append(f.syntax.Imports, &ast.ImportSpec{Path: &ast.BasicLit{Value: fmt.Sprintf("%q", p)}})
	}
	return f
}

// unexplained compares what each module uses with the page's table of it.
func unexplained(t tree, page string) []string {
	var out []string
	for _, dir := range slices.Sorted(maps.Keys(t.modules)) {
		used, lines := t.uses(dir), explained(page, dir)
		for _, name := range slices.Sorted(maps.Keys(used)) {
			if !lines[name] {
				out = append(out, fmt.Sprintf("%s: %s has no line in docs/dependencies.md; say what it is for", dir, name))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(lines)) {
			if !used[name] {
				out = append(out, fmt.Sprintf("%s: %s has a line and is not used; take it out of docs/dependencies.md", dir, name))
			}
		}
	}
	return out
}

var (
	required = regexp.MustCompile(`(?m)^(?:require )?\s*(\S+) v\S+`)
	tool     = regexp.MustCompile(`(?m)^tool (\S+)`)
	row      = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
)

// uses are the modules that the module in dir imports itself, or has as a tool.
func (t tree) uses(dir string) map[string]bool {
	var known []string
	for _, match := range required.FindAllStringSubmatch(t.modules[dir], -1) {
		known = append(known, match[1])
	}
	used := map[string]bool{}
	note := func(imported string) {
		best := ""
		for _, name := range known {
			if within(imported, name) && len(name) > len(best) {
				best = name
			}
		}
		if best != "" {
			used[best] = true
		}
	}
	for _, match := range tool.FindAllStringSubmatch(t.modules[dir], -1) {
		note(match[1])
	}
	for _, f := range t.files {
		if f.module == dir {
			f.imports(func(_ *ast.ImportSpec, imported string) { note(imported) })
		}
	}
	return used
}

// explained are the modules in the page's table about the module in dir.
func explained(page, dir string) map[string]bool {
	heading := dir
	if dir == "." {
		heading = "Plumb"
	}
	_, section, _ := strings.Cut(page, "\n## "+heading+"\n")
	if text, ok := strings.CutPrefix(page, "## "+heading+"\n"); ok {
		section = text
	}
	section, _, _ = strings.Cut(section, "\n## ")
	lines := map[string]bool{}
	for _, match := range row.FindAllStringSubmatch(section, -1) {
		lines[match[1]] = true
	}
	return lines
}
