package build_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/source"
)

// linked is a tree with symbolic links: path -> target. Like Git's, it finds
// nothing below a link.
type linked struct {
	source.MemoryTree
	links map[string]string
}

func (l linked) Stat(name string) (source.Entry, error) {
	if target, ok := l.links[name]; ok {
		return source.Entry{Name: path.Base(name), Mode: fs.ModeSymlink | 0o777, Hash: "to " + target}, nil
	}
	for link := range l.links {
		if strings.HasPrefix(link, name+"/") {
			return source.Entry{Name: path.Base(name), Mode: fs.ModeDir | 0o755}, nil
		}
	}
	return l.MemoryTree.Stat(name)
}

func (l linked) List(name string) ([]source.Entry, error) {
	with := source.MemoryTree{}
	maps.Copy(with, l.MemoryTree)
	for link := range l.links {
		with[link] = ""
	}
	entries, err := with.List(name)
	for i := range entries {
		if entry, err := l.Stat(path.Join(name, entries[i].Name)); err == nil {
			entries[i] = entry
		}
	}
	return entries, err
}

func (l linked) Read(name string) ([]byte, error) {
	if target, ok := l.links[name]; ok {
		return []byte(target), nil
	}
	return l.MemoryTree.Read(name)
}

func TestLinks(t *testing.T) {
	t.Parallel()
	files := source.MemoryTree{
		"real/kustomization.yaml": "resources: [a.yaml, ../shared/b.yaml]",
		"real/a.yaml":             configMap,
		"shared/b.yaml":           deployment,
		"x/kustomization.yaml":    "resources: [link]",
		"y/kustomization.yaml":    "resources: [link.yaml]",
	}
	chain := map[string]string{"start": "l0"}
	for i := range 50 {
		chain[fmt.Sprintf("l%d", i)] = fmt.Sprintf("l%d", i+1)
	}
	for name, tc := range map[string]struct {
		path  string
		links map[string]string
		want  string // the kinds, or the error
	}{
		"the path is a link":             {"app", map[string]string{"app": "real"}, "ConfigMap Deployment"},
		"a link is on the way":           {"to/real", map[string]string{"to": "."}, "ConfigMap Deployment"},
		"a base is a link":               {"x", map[string]string{"x/link": "../real"}, "ConfigMap Deployment"},
		"a file is a link":               {"y", map[string]string{"y/link.yaml": "../real/a.yaml"}, "ConfigMap"},
		"the kustomization is a link":    {"shared", map[string]string{"shared/kustomization.yaml": "k"}, "shared: there"},
		"files of a folder without":      {"plain", map[string]string{"plain/a.yaml": "../real/a.yaml", "plain/dir": "../x"}, "ConfigMap"},
		"a link to nothing":              {"y", map[string]string{"y/link.yaml": "gone"}, "y/kustomization.yaml: resources: link.yaml does not exist in the source"},
		"a link out of the source":       {"y", map[string]string{"y/link.yaml": "../../etc/passwd"}, "y/kustomization.yaml: resources: link.yaml leads out of the source"},
		"an absolute link":               {"y", map[string]string{"y/link.yaml": "/etc/passwd"}, "y/kustomization.yaml: resources: link.yaml leads out of the source"},
		"links in a circle":              {"a", map[string]string{"a": "b", "b": "a"}, "a: a: more than 40 symbolic links on the way"},
		"too many links":                 {"start", chain, "start: start: more than 40 symbolic links on the way"},
		"links out of a folder without":  {"plain", map[string]string{"plain/a.yaml": "../../a.yaml"}, "plain/kustomization.yaml: resources: ./a.yaml leads out of the source"},
		"a path that leaves by its link": {"out/x", map[string]string{"out": ".."}, "out/x: leads out of the source; spec.path is a folder in it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := linked{files, tc.links}
			if name == "the kustomization is a link" {
				tree.links = map[string]string{"shared/kustomization.yaml": "../k.txt"}
				tree.MemoryTree = source.MemoryTree{"k.txt": "resources: [b.yaml]", "shared/b.yaml": deployment}
				tc.want = "Deployment"
			}
			result, err := build.Kustomization(t.Context(), tree, build.Spec{Path: tc.path})
			var kinds []string
			for _, obj := range result.Objects {
				kinds = append(kinds, obj.GetKind())
			}
			got := strings.Join(kinds, " ")
			if err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if !result.Reads.Unchanged(tree) {
				t.Error("the read set is changed in the tree that it was made of")
			}
		})
	}
}

func TestReadSetSeesChangesOfLinks(t *testing.T) {
	t.Parallel()
	files := source.MemoryTree{"one/a.yaml": configMap, "two/a.yaml": configMap}
	tree := linked{files, map[string]string{"app": "one"}}
	result, err := build.Kustomization(t.Context(), tree, build.Spec{Path: "app"})
	if err != nil {
		t.Fatal(err)
	}
	if result.Reads.Unchanged(linked{files, map[string]string{"app": "two"}}) {
		t.Error("unchanged although the link leads elsewhere")
	}
	if result.Reads.Unchanged(linked{source.MemoryTree{"app/a.yaml": configMap, "one/a.yaml": configMap}, nil}) {
		t.Error("unchanged although the link became a folder")
	}
}

func TestReadSet(t *testing.T) {
	t.Parallel()
	base := func() source.MemoryTree {
		return source.MemoryTree{
			"apps/web/kustomization.yaml":  "resources: [../../base/web]\nconfigMapGenerator: [{name: c, files: [f.txt]}]",
			"apps/web/f.txt":               "text",
			"apps/web/README.md":           "unread",
			"apps/other/a.yaml":            configMap,
			"base/web/kustomization.yaml":  "resources: [web.yaml]",
			"base/web/web.yaml":            deployment,
			"plain/a.yaml":                 configMap,
			"plain/sub/b.yaml":             deployment,
			"plain/own/kustomization.yaml": "namePrefix: x-",
		}
	}
	for name, tc := range map[string]struct {
		path, file, content string
		unchanged           bool
	}{
		"an unread file of the folder":        {"apps/web", "apps/web/README.md", "new", true},
		"a new file beside":                   {"apps/web", "apps/web/new.yaml", configMap, true},
		"another app":                         {"apps/web", "apps/other/a.yaml", deployment, true},
		"the kustomization":                   {"apps/web", "apps/web/kustomization.yaml", "namePrefix: a", false},
		"a second kustomization":              {"apps/web", "apps/web/Kustomization", "namePrefix: a", false},
		"a file of a generator":               {"apps/web", "apps/web/f.txt", "new", false},
		"a file of a base outside":            {"apps/web", "base/web/web.yaml", configMap, false},
		"a base outside":                      {"apps/web", "base/web/kustomization.yaml", "namePrefix: a", false},
		"a second kustomization in a base":    {"apps/web", "base/web/kustomization.yml", "namePrefix: a", false},
		"a file gone":                         {"apps/web", "base/web/web.yaml", "", false},
		"a folder gone":                       {"apps/web", "apps/web/kustomization.yaml", "", false},
		"plain: a new file":                   {"plain", "plain/c.yaml", configMap, false},
		"plain: a new file below":             {"plain", "plain/sub/c.yaml", configMap, false},
		"plain: a new folder":                 {"plain", "plain/new/c.yaml", configMap, false},
		"plain: a new file that is not YAML":  {"plain", "plain/notes.txt", "x", false},
		"plain: a kustomization appears":      {"plain", "plain/kustomization.yaml", "namePrefix: a", false},
		"plain: one appears below":            {"plain", "plain/sub/kustomization.yaml", "namePrefix: a", false},
		"plain: a new file in one of its own": {"plain", "plain/own/c.yaml", configMap, true},
		"plain: elsewhere":                    {"plain", "apps/new.yaml", configMap, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := build.Kustomization(t.Context(), base(), build.Spec{Path: tc.path})
			if err != nil {
				t.Fatal(err)
			}
			tree := base()
			tree[tc.file] = tc.content
			if tc.content == "" {
				delete(tree, tc.file)
			}
			if got := result.Reads.Unchanged(tree); got != tc.unchanged {
				t.Errorf("unchanged: %v, read %v", got, result.Reads.Paths())
			}
		})
	}
}

func TestZeroReadSetIsChanged(t *testing.T) {
	t.Parallel()
	if (build.ReadSet{}).Unchanged(source.MemoryTree{}) {
		t.Error("nothing was read, so nothing is known to be unchanged")
	}
}

func TestReadSetContains(t *testing.T) {
	t.Parallel()
	result, err := build.Kustomization(t.Context(), source.MemoryTree{"a.yaml": configMap}, build.Spec{})
	if err != nil || !result.Reads.Contains("a.yaml") || result.Reads.Contains("b.yaml") {
		t.Errorf("read %v, error %v", result.Reads.Paths(), err)
	}
}

// broken is a tree that fails at one path.
type broken struct {
	source.MemoryTree
	path string
}

var errDisk = errors.New("the disk is on fire")

func (b broken) Stat(name string) (source.Entry, error) {
	if name == b.path {
		return source.Entry{}, errDisk
	}
	return b.MemoryTree.Stat(name)
}

func (b broken) Read(name string) ([]byte, error) {
	if b.path == "read "+name {
		return nil, errDisk
	}
	return b.MemoryTree.Read(name)
}

func (b broken) List(name string) ([]source.Entry, error) {
	if b.path == "list "+name {
		return nil, errDisk
	}
	return b.MemoryTree.List(name)
}

func TestBrokenTreeIsNotTakenForItsContent(t *testing.T) {
	t.Parallel()
	files := source.MemoryTree{"kustomization.yaml": "resources: [a.yaml, b]", "a.yaml": configMap, "b/kustomization.yml": "namePrefix: x", "plain/a.yaml": configMap}
	for _, tc := range []struct{ at, path string }{
		{"kustomization.yaml", ""}, {"kustomization.yml", ""}, {"a.yaml", ""}, {"read a.yaml", ""},
		{"b/Kustomization", ""}, {"b", ""}, {"list plain", "plain"}, {"plain/a.yaml", "plain"}, {"read kustomization.yaml", ""},
	} {
		t.Run(tc.at, func(t *testing.T) {
			t.Parallel()
			tree := broken{files, tc.at}
			result, err := build.Kustomization(t.Context(), tree, build.Spec{Path: tc.path})
			if !errors.Is(err, errDisk) {
				t.Fatalf("got error %v", err)
			}
			if _, ok := errors.AsType[*build.Error](err); ok {
				t.Errorf("%v is said to be an error in the content", err)
			}
			if result.Reads.Unchanged(files) {
				t.Error("would not be tried again")
			}
		})
	}
}
