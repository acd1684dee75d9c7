package git

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testgit"
)

// A process may be killed between any two steps; what it leaves is laid out here.
func TestStartAfterKill(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(t *testing.T, gen string, next []string){
		"while a pack was written": func(t *testing.T, gen string, next []string) {
			write(t, filepath.Join(gen, "objects", "pack", temporary+"1"), "PACK")
		},
		"while the index was renamed before its pack": func(t *testing.T, gen string, next []string) {
			copyFile(t, next[0], filepath.Join(gen, "objects", "pack"))
		},
		"while the fetch was not yet recorded": func(t *testing.T, gen string, next []string) {
			copyFile(t, next[0], filepath.Join(gen, "objects", "pack"))
			copyFile(t, next[1], filepath.Join(gen, "objects", "pack"))
			write(t, filepath.Join(gen, temporary+"1"), `{"fresh":`)
		},
		"while a fresh generation was made": func(t *testing.T, gen string, next []string) {
			write(t, filepath.Join(filepath.Dir(gen), "making", "objects", "pack", temporary+"1"), "PACK")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLifetime(t)
			gen := l.store.repository(l.spec.URL).newest().dir
			l.Commit(testgit.File("name", "next"))
			other := newStore(t)
			next := mustFetch(t, other, l.spec)
			packs := filepath.Join(other.repository(l.spec.URL).newest().dir, "objects", "pack")
			index, _ := filepath.Glob(filepath.Join(packs, "*.idx"))
			pack, _ := filepath.Glob(filepath.Join(packs, "*.pack"))
			leave(t, gen, []string{index[0], pack[0]})

			l.store = must(New(l.store.dir, Options{}))
			l.wantGoodKept(t)
			if _, err := l.store.Open(l.spec, next.Revision); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a revision that was not recorded opens: %v", err)
			}
			wantFile(t, mustFetch(t, l.store, l.spec).Tree, "name", "next")
			l.wantGoodKept(t)
			wantNoLeftovers(t, l.store)
		})
	}
}

func TestDamagedStoreIsFoundOutAndReplaced(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, gen string){
		"pack cut off":    func(t *testing.T, gen string) { truncate(t, gen, "objects/pack/*.pack", 40) },
		"index cut off":   func(t *testing.T, gen string) { truncate(t, gen, "objects/pack/*.idx", 100) },
		"pack lost":       func(t *testing.T, gen string) { remove(t, gen, "objects/pack/*.pack") },
		"record cut off":  func(t *testing.T, gen string) { truncate(t, gen, stateFile, 5) },
		"record lost":     func(t *testing.T, gen string) { remove(t, gen, stateFile) },
		"everything lost": func(t *testing.T, gen string) { remove(t, filepath.Dir(gen), "*") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLifetime(t)
			damage(t, l.store.repository(l.spec.URL).newest().dir)
			s := must(New(l.store.dir, Options{}))
			if _, err := s.Open(l.spec, l.good.Revision); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open of a damaged store: %v, want not found", err)
			}
			l.Commit(testgit.File("name", "next"))
			snapshot := mustFetch(t, s, l.spec)
			wantFile(t, snapshot.Tree, "name", "next")
			wantFile(t, snapshot.Tree, "dir/file", strings.Repeat("x", 100))
			wantFile(t, mustFetch(t, must(New(l.store.dir, Options{})), l.spec).Tree, "name", "next")
		})
	}
}

func TestBlobThatWasLostIsFetchedAgain(t *testing.T) {
	t.Parallel()
	l := newLifetime(t)
	gen := l.store.repository(l.spec.URL).newest()
	pack, _ := filepath.Glob(filepath.Join(gen.dir, "objects/pack/*.pack"))
	content, err := os.ReadFile(pack[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndexByte(content[:len(content)-20], 0x78) // the last object's zlib header
	content[at], content[at+1] = 0, 0
	write(t, pack[0], string(content))
	s := must(New(l.store.dir, Options{}))
	snapshot, err := s.Open(l.spec, l.good.Revision)
	if err == nil { // the last object is a blob: only reading it tells
		_, one := snapshot.Tree.Read("name")
		_, two := snapshot.Tree.Read("dir/file")
		if one == nil && two == nil {
			t.Fatal("nothing is damaged")
		}
	}
	snapshot = mustFetch(t, s, l.spec)
	wantFile(t, snapshot.Tree, "name", "good")
	wantFile(t, snapshot.Tree, "dir/file", strings.Repeat("x", 100))
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	write(t, filepath.Join(to, filepath.Base(from)), string(must(os.ReadFile(from))))
}

func matches(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found := must(filepath.Glob(filepath.Join(dir, pattern)))
	if len(found) == 0 {
		t.Fatal(fmt.Errorf("%s: nothing matches %s", dir, pattern))
	}
	return found
}

func truncate(t *testing.T, dir, pattern string, size int64) {
	t.Helper()
	for _, name := range matches(t, dir, pattern) {
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, dir, pattern string) {
	t.Helper()
	for _, name := range matches(t, dir, pattern) {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
}
