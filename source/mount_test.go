package source_test

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumb-gitops/plumb/source"
)

// contents is all files of a tree: path -> content. It checks on the way that Stat
// and List agree.
func contents(t *testing.T, tree source.Tree) map[string]string {
	t.Helper()
	out := map[string]string{}
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := tree.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			at := path.Join(dir, e.Name)
			if got, err := tree.Stat(at); err != nil || got != e {
				t.Errorf("%s: listed as %+v, is %+v, %v", at, e, got, err)
			}
			if e.IsDir() {
				walk(at)
				continue
			}
			content, err := tree.Read(at)
			if err != nil {
				t.Fatal(err)
			}
			out[at] = string(content)
		}
	}
	walk(".")
	return out
}

func TestMounted(t *testing.T) {
	t.Parallel()
	base := source.MemoryTree{"a/x": "1", "a/y": "2", "b": "3"}
	other := source.MemoryTree{"n": "4", "deep/m": "5"}
	for name, c := range map[string]struct {
		mounts map[string]source.Tree
		want   map[string]string
	}{
		"nothing":            {nil, map[string]string{"a/x": "1", "a/y": "2", "b": "3"}},
		"beside":             {map[string]source.Tree{"c": other}, map[string]string{"a/x": "1", "a/y": "2", "b": "3", "c/n": "4", "c/deep/m": "5"}},
		"deep, where nobody": {map[string]source.Tree{"c/d": other}, map[string]string{"a/x": "1", "a/y": "2", "b": "3", "c/d/n": "4", "c/d/deep/m": "5"}},
		"in place":           {map[string]source.Tree{"a": other}, map[string]string{"b": "3", "a/n": "4", "a/deep/m": "5"}},
		"within":             {map[string]source.Tree{"a/x": other}, map[string]string{"a/y": "2", "b": "3", "a/x/n": "4", "a/x/deep/m": "5"}},
		"over a file's path": {map[string]source.Tree{"b/c": other}, map[string]string{"a/x": "1", "a/y": "2", "b/c/n": "4", "b/c/deep/m": "5"}},
		"one in another":     {map[string]source.Tree{"a/n/z": source.MemoryTree{"q": "6"}, "a": other}, map[string]string{"b": "3", "a/n/z/q": "6", "a/deep/m": "5"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree, err := source.Mounted(base, c.mounts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, contents(t, tree)); diff != "" {
				t.Error(diff)
			}
			digest, err := new(source.Digests).Of(tree)
			want, _ := new(source.Digests).Of(source.MemoryTree(c.want))
			if err != nil || digest != want {
				t.Errorf("the digest is %s, %v, that of the same files %s", digest, err, want)
			}
		})
	}
	for _, bad := range []string{".", "..", "/a", "a/../b", ""} {
		if _, err := source.Mounted(base, map[string]source.Tree{bad: other}); !errors.As(err, new(*source.InvalidError)) {
			t.Errorf("mounted at %q: %v", bad, err)
		}
	}
}

// TestMountedFoldersAreNamedByWhatIsBelow: a build that read only the folder sees
// that something below was exchanged.
func TestMountedFoldersAreNamedByWhatIsBelow(t *testing.T) {
	t.Parallel()
	base := source.MemoryTree{"a/x": "1"}
	hash := func(content string) string {
		tree, err := source.Mounted(base, map[string]source.Tree{"a/b/c": source.MemoryTree{"n": content}})
		if err != nil {
			t.Fatal(err)
		}
		e, err := tree.Stat("a")
		if err != nil {
			t.Fatal(err)
		}
		return e.Hash
	}
	if hash("1") == hash("2") || hash("1") != hash("1") {
		t.Error("the folder above a mount is not named by its content")
	}
}

func TestBelow(t *testing.T) {
	t.Parallel()
	base := source.MemoryTree{"a/b/x": "1", "a/y": "2"}
	tree, err := source.Below(base, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"x": "1"}, contents(t, tree)); diff != "" {
		t.Error(diff)
	}
	if _, err := source.Below(base, "a/c"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("below what is not there: %v", err)
	}
	if _, err := source.Below(base, "a/y"); err == nil {
		t.Error("a file is no tree")
	}
}

func TestOnly(t *testing.T) {
	t.Parallel()
	base := source.MemoryTree{"a/b/x": "1", "a/y": "2", "c/z": "3", "top": "4"}
	for name, c := range map[string]struct {
		folders []string
		want    map[string]string
	}{
		"one":    {[]string{"a/b"}, map[string]string{"a/b/x": "1"}},
		"two":    {[]string{"a/b", "c"}, map[string]string{"a/b/x": "1", "c/z": "3"}},
		"nested": {[]string{"a", "a/b"}, map[string]string{"a/b/x": "1", "a/y": "2"}},
		"all":    {[]string{"."}, map[string]string(base)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree, err := source.Only(base, c.folders)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, contents(t, tree)); diff != "" {
				t.Error(diff)
			}
			if _, ok := c.want["top"]; !ok {
				if _, err := tree.Read("top"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a file outside: %v", err)
				}
			}
		})
	}
	if _, err := source.Only(base, []string{"a", "none"}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Errorf("a folder that is not there: %v", err)
	}
}
