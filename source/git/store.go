// Package git brings snapshots of Git repositories.
//
// There is one bare object store per URL on disk, shared by all who name the
// URL, and files are read straight out of it: nothing is checked out. The first
// fetch is shallow, later ones bring the difference. A store that would grow
// too much, or that is damaged, is replaced by a fresh one beside it: a
// generation. What is in use keeps its generation until nobody reads it any more.
package git

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/plumb-gitops/plumb/source"
)

// Options of a Store.
type Options struct {
	// AllowFile allows file:// URLs. They read this machine's disk.
	AllowFile bool
}

// Spec is what to fetch.
type Spec struct {
	URL    string
	Ref    Ref
	Auth   Auth
	Ignore *string // spec.ignore; nil for the default rules
}

// Store keeps fetched repositories below one folder. It is safe for concurrent
// use by one process.
type Store struct {
	dir     string
	options Options

	mu    sync.Mutex
	repos map[string]*repository // by URL
}

// repository is all that is kept of one URL.
type repository struct {
	dir string

	mu      sync.Mutex // one fetch at a time; guards current
	current *generation
}

// New opens the store in dir and makes the folder if need be.
func New(dir string, options Options) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder for Git repositories: %w", err)
	}
	return &Store{dir: dir, options: options, repos: map[string]*repository{}}, nil
}

// Fetch looks at the server and brings the snapshot that spec means now. Nothing
// is downloaded when the store has its commit. changed tells whether the revision
// is another than last. Errors are AuthError, RefNotFound and InvalidURL where
// it is one of these; no error touches what was fetched before.
func (s *Store) Fetch(ctx context.Context, spec Spec, last string) (snapshot source.Snapshot, changed bool, err error) {
	u, err := url.Parse(spec.URL)
	if err != nil {
		return source.Snapshot{}, false, &InvalidURL{redacted(spec.URL), "not a URL"}
	}
	auth, err := s.method(u, spec.Auth)
	if err != nil {
		return source.Snapshot{}, false, err
	}
	t, err := resolve(ctx, spec, auth)
	if err != nil {
		return source.Snapshot{}, false, err
	}
	r := s.repository(spec.URL)
	r.mu.Lock()
	defer r.mu.Unlock()
	gen, err := r.provide(ctx, download{spec.URL, auth, t, spec.Ref})
	if err != nil {
		return source.Snapshot{}, false, err
	}
	snapshot, err = gen.snapshot(t.commit, t.revision(), spec.Ignore)
	return snapshot, snapshot.Revision != last, err
}

// resolve asks the server for its references and finds the one that is meant.
func resolve(ctx context.Context, spec Spec, auth transport.AuthMethod) (target, error) {
	remote := gogit.NewRemote(memory.NewStorage(), &config.RemoteConfig{Name: "origin", URLs: []string{spec.URL}})
	refs, err := remote.ListContext(ctx, &gogit.ListOptions{Auth: auth, PeelingOption: gogit.AppendPeeled})
	if err != nil {
		return target{}, classified(ctx, spec.URL, err)
	}
	return newAdvertised(redacted(spec.URL), refs).resolve(spec.Ref)
}

// Open brings the snapshot of a revision that was fetched before, without the
// network. The error wraps fs.ErrNotExist when it isn't there any more, or is
// damaged: then it has to be fetched.
func (s *Store) Open(spec Spec, revision string) (source.Snapshot, error) {
	r := s.repository(spec.URL)
	r.mu.Lock()
	defer r.mu.Unlock()
	commit := commitOf(revision)
	for _, dir := range r.generations() {
		gen := r.current
		if gen == nil || gen.dir != dir {
			var err error
			if gen, err = openGeneration(dir); err != nil {
				continue
			}
		}
		if gen.has(commit) {
			return gen.snapshot(commit, revision, spec.Ignore)
		}
	}
	return source.Snapshot{}, fmt.Errorf("%s: revision %s: %w", redacted(spec.URL), revision, fs.ErrNotExist)
}

// repository is what is kept of a URL; its folder is named by the URL's hash,
// since the URL itself may hold anything.
func (s *Store) repository(address string) *repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.repos[address]
	if !ok {
		sum := sha256.Sum256([]byte(address))
		r = &repository{dir: filepath.Join(s.dir, hex.EncodeToString(sum[:16]))}
		s.repos[address] = r
	}
	return r
}

// generations are the folders of the stores of a repository, the newest first.
// A folder that is being made has another name.
func (r *repository) generations() []string {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "gen-")); err == nil && strings.HasPrefix(e.Name(), "gen-") {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	dirs := make([]string, len(numbers))
	for i, n := range numbers {
		dirs[i] = r.generation(n)
	}
	return dirs
}

func (r *repository) generation(n int) string { return filepath.Join(r.dir, fmt.Sprintf("gen-%d", n)) }

// open makes the newest usable generation the current one, if there is any.
func (r *repository) open() *generation {
	if r.current != nil {
		return r.current
	}
	for _, dir := range r.generations() {
		if gen, err := openGeneration(dir); err == nil {
			r.current = gen
			return gen
		}
	}
	return nil
}

// replace makes a fresh generation current. It is filled under another name and
// renamed when it is whole, so a crash leaves the old one in place. The old one
// goes from the disk when nobody reads it any more.
func (r *repository) replace(fill func(*generation) error) (*generation, error) {
	number := 1
	if dirs := r.generations(); len(dirs) > 0 {
		n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dirs[0]), "gen-"))
		if err != nil {
			return nil, err
		}
		number = n + 1
	}
	making := filepath.Join(r.dir, "making")
	gen, err := createGeneration(making)
	if err != nil {
		return nil, err
	}
	if err := fill(gen); err != nil {
		return nil, errors.Join(err, os.RemoveAll(making))
	}
	final := r.generation(number)
	if err := errors.Join(os.Rename(making, final), syncFolder(r.dir)); err != nil {
		return nil, fmt.Errorf("put the fetched repository into place: %w", err)
	}
	next, err := openGeneration(final)
	if err != nil {
		return nil, err
	}
	if old := r.current; old != nil {
		runtime.AddCleanup(old, func(dir string) { _ = os.RemoveAll(dir) }, old.dir)
	}
	r.current = next
	return next, nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
