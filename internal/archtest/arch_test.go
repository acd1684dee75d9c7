package archtest

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestCheckout(t *testing.T) {
	t.Parallel()
	found, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(found.files) < 50 || found.modules["."] == "" {
		t.Fatalf("%d files found; this is not the checkout", len(found.files))
	}
	for _, breach := range judge(found) {
		t.Error(breach)
	}
}

// TestRules tries each rule on a small tree that breaks it.
func TestRules(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("\n", maxFileLines)
	for name, tc := range map[string]struct {
		path, text string
		want       string // a part of the one breach; none when empty
	}{
		"an import from a lower layer is fine": {"apply/x.go", `import "` + module + `/live"`, ""},
		"an import from a higher layer":        {"live/x.go", `import "` + module + `/apply"`, "live/x.go:4: live imports apply"},
		"an import from the same layer":        {"apply/x.go", `import "` + module + `/prune"`, "apply imports prune"},
		"an import of the root":                {"cli/x.go", `import "` + module + `"`, "cli imports ."},
		"an import under another name":         {"live/x.go", `import other "` + module + `/apply"`, "live imports apply"},
		"a test imports what it likes":         {"dag/x_test.go", `import "` + module + `/engine"`, ""},
		"a package in no layer":                {"novelty/x.go", ``, "novelty: this package is in no layer"},
		"a subpackage has its own layer":       {"source/git/x.go", `import "` + module + `/source"`, ""},
		"a backend is not above its sibling":   {"source/git/x.go", `import "` + module + `/source/oci"`, "not in a lower layer"},
		"a client in the deciding code":        {"drift/x.go", `import "k8s.io/client-go/rest"`, "drift must not import k8s.io/client-go/rest"},
		"a type is no client":                  {"drift/x.go", `import "k8s.io/apimachinery/pkg/types"`, ""},
		"Kubernetes in the graph":              {"dag/x.go", `import "k8s.io/apimachinery/pkg/types"`, "the graph knows no Kubernetes"},
		"the network in the build":             {"build/x.go", `import "net/http"`, "build must not import net/http"},
		"the network in a source is fine":      {"source/git/x.go", `import "net/http"`, ""},
		"a client in a source":                 {"source/git/x.go", `import "sigs.k8s.io/controller-runtime/pkg/client"`, "knows no Kubernetes client"},
		"test support in the product":          {"engine/x.go", `import "` + module + `/internal/testgit"`, "internal/testgit is for tests"},
		"test support in test support":         {"internal/demo/x.go", `import "` + module + `/internal/testgit"`, ""},
		"the toolkit in the product":           {"engine/x.go", `import "` + toolkit + `/pkg/ssa"`, "must not be imported anywhere"},
		"the toolkit in a test":                {"engine/x_test.go", `import "` + toolkit + `/pkg/ssa"`, "must not be imported anywhere"},
		"the toolkit in another module":        {"tools/x.go", `import "` + toolkit + `/pkg/ssa"`, "must not be imported anywhere"},
		"a write outside of the writers":       {"live/x.go", `func f() { r.Patch(ctx, "x") }`, "live must not call Patch"},
		"a write without a variable":           {"live/x.go", `func f() { r.Delete(context.Background(), "x") }`, "live must not call Delete"},
		"a write that is a writer's":           {"apply/x.go", `func f() { r.Apply(ctx, "x") }`, ""},
		"a write that is another writer's":     {"prune/x.go", `func f() { r.Apply(ctx, "x") }`, "prune must not call Apply"},
		"a delete that is no request":          {"live/x.go", `func f() { set.Delete(key) }`, ""},
		"a vague name":                         {"source/utils/x.go", ``, "says nothing"},
		"a long file":                          {"dag/x.go", long, "split it by topic"},
		"a long generated file":                {"api/v1/zz_generated.deepcopy.go", long, ""},
		"a long function":                      {"dag/x.go", "func f() {" + strings.Repeat("\n", maxFunctionLines) + "}", "f has 61 lines"},
		"a long function in a test":            {"dag/x_test.go", "func f() {" + strings.Repeat("\n", maxFunctionLines) + "}", ""},
		"a fixed wait":                         {"dag/x_test.go", `func f() { time.Sleep(1) }`, "wait for the event"},
		"a wait for processes":                 {"devcluster/x.go", `func f() { time.Sleep(1) }`, ""},
		"a skipped test":                       {"dag/x_test.go", `func f() { t.Skip("no git") }`, "bring about what the test needs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, fstest.MapFS{tc.path: {Data: []byte("// Package x is described.\npackage x\n\n" + tc.text + "\n")}}, tc.want)
		})
	}
}

func TestRulesOnWholePackages(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"no package comment":                {fstest.MapFS{"dag/x.go": {Data: []byte("package dag\n")}}, "dag: no package comment"},
		"a comment in one file is enough":   {fstest.MapFS{"dag/x.go": {Data: []byte("package dag\n")}, "dag/doc.go": {Data: []byte("// Package dag is.\npackage dag\n")}}, ""},
		"a comment in the test only":        {fstest.MapFS{"dag/x.go": {Data: []byte("package dag\n")}, "dag/x_test.go": {Data: []byte("// Package dag is.\npackage dag\n")}}, "no package comment"},
		"the toolkit in go.mod":             {fstest.MapFS{"go.mod": {Data: []byte("module x\nrequire " + toolkit + "/pkg/ssa v1.0.0 // indirect\n")}}, "go.mod:2:"},
		"the toolkit in a module's go.mod":  {fstest.MapFS{"devcluster/go.mod": {Data: []byte("require (\n\t" + toolkit + "/pkg/ssa v1.0.0\n)\n")}}, "devcluster/go.mod:2:"},
		"the toolkit in a comment":          {fstest.MapFS{"go.mod": {Data: []byte("module x // not " + toolkit + "/x\n")}}, ""},
		"what lies in testdata is not ours": {fstest.MapFS{"dag/testdata/x.go": {Data: []byte("nonsense")}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, tc.files, tc.want)
		})
	}
}

// expect wants one breach with the given part, or none.
func expect(t *testing.T, files fstest.MapFS, want string) {
	t.Helper()
	for _, dir := range []string{"tools", "devcluster"} {
		if files[dir+"/go.mod"] == nil {
			files[dir+"/go.mod"] = &fstest.MapFile{Data: []byte("module x\n")}
		}
	}
	found, err := load(files)
	if err != nil {
		t.Fatal(err)
	}
	breaches := judge(found)
	switch {
	case want == "" && len(breaches) > 0:
		t.Errorf("unexpected:\n%s", strings.Join(breaches, "\n"))
	case want != "" && (len(breaches) != 1 || !strings.Contains(breaches[0], want)):
		t.Errorf("got %q, want one with %q", breaches, want)
	}
}

// TestBrokenFileIsNamed: a file that cannot be parsed must not pass unseen.
func TestBrokenFileIsNamed(t *testing.T) {
	t.Parallel()
	_, err := load(fstest.MapFS{"dag/x.go": {Data: []byte("package")}})
	if err == nil || !strings.Contains(err.Error(), "dag/x.go") {
		t.Errorf("got %v, want an error that names dag/x.go", err)
	}
}
