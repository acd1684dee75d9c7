package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/store"
)

func commit(t *testing.T, s *store.Store, files map[string]string) string {
	t.Helper()
	b := s.Begin()
	defer b.Close()
	var list []store.File
	for name, content := range files {
		blob, err := b.Put(t.Context(), strings.NewReader(content), -1)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, store.File{Path: name, Mode: 0o644, Blob: blob})
	}
	digest, err := b.Commit(list)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestATreeReadsBackAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	digest := commit(t, open(t, dir), map[string]string{"a.yaml": "a", "deep/er/b.yaml": "b", "deep/c": ""})
	tree, err := open(t, dir).Tree(digest)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := tree.Read("deep/er/b.yaml"); err != nil || string(content) != "b" {
		t.Errorf("read %q, %v", content, err)
	}
	entries, err := tree.List("deep")
	if err != nil || len(entries) != 2 || entries[0].Name != "c" || !entries[1].IsDir() {
		t.Errorf("deep lists %v, %v", entries, err)
	}
	if _, err := tree.Stat("deep/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of nothing: %v", err)
	}
}

func TestEqualFilesHaveEqualDigests(t *testing.T) {
	t.Parallel()
	one := commit(t, open(t, t.TempDir()), map[string]string{"a": "1", "b": "2"})
	two := commit(t, open(t, t.TempDir()), map[string]string{"b": "2", "a": "1"})
	other := commit(t, open(t, t.TempDir()), map[string]string{"b": "2", "a": "2"})
	if one != two || one == other {
		t.Errorf("%s, %s, %s", one, two, other)
	}
}

func TestDamageIsFoundAndHealed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	digest := commit(t, s, map[string]string{"a": "good"})
	files, err := s.Files(digest)
	if err != nil {
		t.Fatal(err)
	}
	hash := files[0].Hash
	if err := os.WriteFile(filepath.Join(dir, "blobs", hash[:2], hash), []byte("evil"), 0o600); err != nil {
		t.Fatal(err)
	}
	tree, err := s.Tree(digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Read("a"); !errors.Is(err, source.ErrDamaged) || !source.IsLost(err) {
		t.Fatalf("damaged content reads as %v", err)
	}
	b := s.Begin()
	defer b.Close()
	if b.Reuse(hash) {
		t.Error("the damaged blob is reused")
	}
	commit(t, s, map[string]string{"a": "good"})
	if content, err := tree.Read("a"); err != nil || string(content) != "good" {
		t.Errorf("after another fetch: %q, %v", content, err)
	}
}

func TestPathsThatAreNoTree(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for name, paths := range map[string][]string{
		"leaves the tree": {"../a"},
		"is absolute":     {"/a"},
		"twice":           {"a", "a"},
		"file and folder": {"a", "a/b"},
	} {
		b := s.Begin()
		blob, err := b.Put(t.Context(), strings.NewReader(name), -1)
		if err != nil {
			t.Fatal(err)
		}
		var files []store.File
		for _, p := range paths {
			files = append(files, store.File{Path: p, Mode: 0o644, Blob: blob})
		}
		if _, err := b.Commit(files); !errors.As(err, new(*source.InvalidError)) {
			t.Errorf("%s: %v", name, err)
		}
		b.Close()
	}
}

func TestPutTakesNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	b := open(t, t.TempDir()).Begin()
	defer b.Close()
	if _, err := b.Put(t.Context(), strings.NewReader("12345"), 4); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("five bytes where four are allowed: %v", err)
	}
	if _, err := b.Put(t.Context(), strings.NewReader("1234"), 4); err != nil {
		t.Error(err)
	}
}
