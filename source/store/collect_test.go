package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/store"
)

// age makes all that a store holds older.
func age(t *testing.T, dir string, by time.Duration) {
	t.Helper()
	then := time.Now().Add(-by)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chtimes(path, then, then)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func reads(t *testing.T, s *store.Store, digest, name, want string) {
	t.Helper()
	tree, err := s.Tree(digest)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if got, err := tree.Read(name); err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := store.Open(dir, store.Options{Retention: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	used := commit(t, s, map[string]string{"a": "used", "b": "shared"})
	unused := commit(t, s, map[string]string{"a": "unused", "b": "shared"})
	noted := commit(t, s, map[string]string{"a": "noted"})
	layer := strings.Repeat("ab", 32)
	for key, value := range map[string]string{"of what is used": `{"layer":"sha256:` + layer + `","tree":"` + noted + `"}`, "of what is not": unused} {
		if err := s.SaveNote(key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	// A snapshot may be known by the digest of its layer; a note leads to its tree.
	s.Keep(func() []string { return []string{used, "sha256:" + layer} })
	age(t, dir, 2*time.Hour)
	fresh := commit(t, s, map[string]string{"a": "fresh"})

	held := s.Begin()
	defer held.Close()
	kept, err := held.Put(t.Context(), strings.NewReader("held"), -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Collect(); err != nil {
		t.Fatal(err)
	}
	reads(t, s, used, "a", "used")
	reads(t, s, used, "b", "shared")
	reads(t, s, noted, "a", "noted")
	reads(t, s, fresh, "a", "fresh")
	if _, err := s.Read(kept.Hash); err != nil {
		t.Errorf("a blob that a fetch under way holds: %v", err)
	}
	if _, err := s.Tree(unused); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what nobody uses is still there: %v", err)
	}
	if _, err := s.LoadNote("of what is used"); err != nil {
		t.Error(err)
	}
	if _, err := s.LoadNote("of what is not"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a note about what nobody uses: %v", err)
	}
}

func TestMaxBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bounded := store.Options{MaxBytes: 100, Retention: time.Hour}
	s, err := store.Open(dir, bounded)
	if err != nil {
		t.Fatal(err)
	}
	old := commit(t, s, map[string]string{"a": strings.Repeat("1", 80)})
	next := commit(t, s, map[string]string{"a": strings.Repeat("2", 80)}) // makes room by itself
	reads(t, s, next, "a", strings.Repeat("2", 80))
	if _, err := s.Tree(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what nobody uses stays though there is no room: %v", err)
	}
	if s, err = store.Open(dir, bounded); err != nil { // it remembers how full it is
		t.Fatal(err)
	}
	s.Keep(func() []string { return []string{next} })
	b := s.Begin()
	defer b.Close()
	var limit *source.LimitError
	if _, err := b.Put(t.Context(), strings.NewReader(strings.Repeat("3", 80)), -1); !errors.As(err, &limit) || limit.Flag != "--storage-max-bytes" {
		t.Errorf("more than there is room for: %v", err)
	}
	reads(t, s, next, "a", strings.Repeat("2", 80))
	if _, err := b.Put(t.Context(), strings.NewReader("small"), -1); err != nil {
		t.Errorf("what there is room for: %v", err)
	}
}

// TestCollectWhileFetching: nothing of a tree that a fetch has just committed out of
// old blobs goes, whatever a collection thought before.
func TestCollectWhileFetching(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	current := ""
	s.Keep(func() []string {
		mu.Lock()
		defer mu.Unlock()
		return []string{current}
	})
	done := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
				if err := s.Collect(); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	for i := range 200 {
		b := s.Begin()
		blob, err := b.Put(t.Context(), strings.NewReader(strings.Repeat("x", i%3)), -1)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := b.Commit([]store.File{{Path: "a", Mode: 0o644, Blob: blob}})
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		current = digest // in use before it is let go
		mu.Unlock()
		b.Close()
		reads(t, s, digest, "a", strings.Repeat("x", i%3))
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
