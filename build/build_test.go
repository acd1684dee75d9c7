package build_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/source"
)

var update = flag.Bool("update", false, "write what the builds in testdata make")

// archive is a scenario of testdata: a tree, a spec in the lines before the
// first file, and want.yaml and want.reads as they should come out.
type archive struct {
	*txtar.Archive
	name string
	tree source.MemoryTree
	spec build.Spec
}

func archives(t testing.TB) []archive {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	var all []archive
	for _, file := range files {
		parsed, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, newArchive(file, parsed))
	}
	return all
}

func newArchive(name string, parsed *txtar.Archive) archive {
	a := archive{Archive: parsed, name: name, tree: source.MemoryTree{}}
	for line := range strings.Lines(string(parsed.Comment)) {
		switch field, text, _ := strings.Cut(strings.TrimSpace(line), ": "); field {
		case "path":
			a.spec.Path = text
		case "targetNamespace":
			a.spec.TargetNamespace = text
		}
	}
	for _, f := range parsed.Files {
		if !strings.HasPrefix(f.Name, "want.") {
			a.tree[f.Name] = string(f.Data)
		}
	}
	return a
}

func (a archive) file(name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// write replaces the want files.
func (a archive) write(t *testing.T, objects, reads string) {
	t.Helper()
	out := &txtar.Archive{Comment: a.Comment}
	for _, f := range a.Files {
		if !strings.HasPrefix(f.Name, "want.") {
			out.Files = append(out.Files, f)
		}
	}
	out.Files = append(out.Files, txtar.File{Name: "want.yaml", Data: []byte(objects)}, txtar.File{Name: "want.reads", Data: []byte(reads)})
	if err := os.WriteFile(a.name, txtar.Format(out), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, a := range archives(t) {
		t.Run(strings.TrimSuffix(filepath.Base(a.name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			result, err := build.Kustomization(t.Context(), a.tree, a.spec)
			if err != nil {
				t.Fatal(err)
			}
			objects, reads := text(t, result), strings.Join(result.Reads.Paths(), "\n")+"\n"
			if *update {
				a.write(t, objects, reads)
				return
			}
			if want := a.file("want.yaml"); objects != want {
				t.Errorf("got objects\n%s\nwant\n%s", objects, want)
			}
			if want := a.file("want.reads"); reads != want {
				t.Errorf("read\n%s\nwant\n%s", reads, want)
			}
			if !result.Reads.Unchanged(a.tree) {
				t.Error("the read set is changed in the tree that it was made of")
			}
		})
	}
}

func text(t testing.TB, result build.Result) string {
	t.Helper()
	var all bytes.Buffer
	for i, obj := range result.Objects {
		if i > 0 {
			all.WriteString("---\n")
		}
		content, err := yaml.Marshal(obj.Object)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}
