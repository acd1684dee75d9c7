package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/plumb-gitops/plumb/source"
)

// repository is all that is kept of one URL: its generations, of which one is
// current. Older ones stay on the disk as long as a snapshot is read out of them,
// so that nothing which is in use goes away; a snapshot holds its generation, and
// the collector tells when nobody does any more. What a process leaves behind at
// its end is there for Open after a restart, and goes with the next change of
// generation.
type repository struct {
	dir      string
	disk     func(io.Writer) io.Writer
	digests  source.Digests
	fetching chan struct{} // holds one token while somebody fetches
	busy     atomic.Int32  // who fetches, or is about to

	mu      sync.Mutex
	current *generation
	opened  map[string]weak.Pointer[generation] // by folder
	retired map[string]bool                     // folders that go when nobody uses them
}

// lock waits until nobody else fetches from this URL.
func (r *repository) lock(ctx context.Context) error {
	select {
	case r.fetching <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for another fetch of the same URL: %w", ctx.Err())
	}
}

func (r *repository) unlock() { <-r.fetching }

// provide returns a generation that has the commit: the current one as it is, or
// with the difference added, or a fresh one. The caller holds the lock.
func (r *repository) provide(ctx context.Context, f fetch) (*generation, error) {
	gen := r.newest()
	if gen != nil && gen.offers(f.target) {
		return gen, nil
	}
	removeFolder(r.making()) // what a crash left may be all the room there is
	if gen != nil && gen.roomy() {
		err := f.into(ctx, gen)
		if err == nil || !gen.broken.Load() && !errors.Is(err, errTooMuch) {
			return gen, err
		}
	}
	return r.replace(func(fresh *generation) error { return f.into(ctx, fresh) })
}

// find returns the newest generation that has the commit of a revision.
func (r *repository) find(revision string) (*generation, error) {
	r.newest() // stays open, so that damage found while reading is not forgotten
	for _, dir := range r.folders() {
		gen, err := r.open(dir)
		if err == nil && gen.has(commitOf(revision)) {
			return gen, nil
		}
	}
	return nil, fmt.Errorf("revision %s: %w", revision, fs.ErrNotExist)
}

// newest makes the newest usable generation the current one, if there is any.
func (r *repository) newest() *generation {
	r.mu.Lock()
	current := r.current
	r.mu.Unlock()
	if current != nil {
		return current
	}
	for _, dir := range r.folders() {
		if gen, err := r.open(dir); err == nil {
			return r.makeCurrent(gen)
		}
	}
	return nil
}

// makeCurrent makes a generation current, unless there is one: a fetch may have
// been quicker.
func (r *repository) makeCurrent(gen *generation) *generation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil {
		r.current = gen
	}
	return r.current
}

// open opens the generation in a folder, once for all who use it.
func (r *repository) open(dir string) (*generation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gen := r.opened[dir].Value(); gen != nil {
		return gen, nil
	}
	if r.retired[dir] {
		return nil, fmt.Errorf("%s: %w", filepath.Base(dir), fs.ErrNotExist)
	}
	gen, err := r.openGeneration(dir)
	if err != nil {
		return nil, err
	}
	r.opened[dir] = weak.Make(gen)
	return gen, nil
}

// generationFolder begins the name of a generation's folder; its number follows.
const generationFolder = "gen-"

// folders are those of the generations, the newest first. A generation that is
// being made has another name.
func (r *repository) folders() []string {
	entries, _ := os.ReadDir(r.dir)
	numbers := []int{}
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), generationFolder)
		if n, err := strconv.Atoi(digits); ok && err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	dirs := make([]string, len(numbers))
	for i, n := range numbers {
		dirs[i] = r.folder(n)
	}
	return dirs
}

func (r *repository) folder(n int) string {
	return filepath.Join(r.dir, generationFolder+strconv.Itoa(n))
}

// replace makes a fresh generation current. It is filled under another name and
// renamed when it is whole, so a crash, or a failure, leaves the old one in place.
func (r *repository) replace(fill func(*generation) error) (*generation, error) {
	making := r.making()
	fresh, err := r.createGeneration(making)
	if err != nil {
		return nil, err
	}
	if err := fill(fresh); err != nil {
		removeFolder(making)
		return nil, err
	}
	final := r.folder(r.nextNumber())
	if err := errors.Join(os.Rename(making, final), syncFolder(r.dir)); err != nil {
		return nil, &diskError{err}
	}
	next, err := r.open(final)
	if err != nil {
		return nil, &diskError{err}
	}
	r.mu.Lock()
	r.current = next
	r.mu.Unlock()
	r.retire(final)
	return next, nil
}

// making is where a generation is made.
func (r *repository) making() string { return filepath.Join(r.dir, "making") }

// nextNumber is higher than any in use: a folder's name is never used twice, so
// that the end of an old generation cannot hit a new one.
func (r *repository) nextNumber() int {
	dirs := r.folders()
	if len(dirs) == 0 {
		return 1
	}
	n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dirs[0]), generationFolder))
	if err != nil {
		return 1 // folders gives numbers only
	}
	return n + 1
}

// retire removes all generations but one from the disk, those in use as soon as
// they no longer are.
func (r *repository) retire(current string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, dir := range r.folders() {
		if dir == current || r.retired[dir] {
			continue
		}
		r.retired[dir] = true
		if gen := r.opened[dir].Value(); gen != nil {
			runtime.AddCleanup(gen, removeFolder, dir)
		} else {
			removeFolder(dir)
		}
	}
}

// removeFolder removes what it can. What it cannot, the next fetch, or the first
// change of generation after the next start, tries again.
func removeFolder(dir string) { _ = os.RemoveAll(dir) }
