package git

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/plumb-gitops/plumb/source"
)

// The bounds of a store, beyond which a fresh one takes its place.
const (
	growth   = 3        // times its fresh size
	slack    = 32 << 20 // bytes that any store may grow by
	mostTips = 256      // fetches, each of which adds a pack to look through
)

// mostHaves is how many of the newest commits are told to a server.
const mostHaves = 16

// objectCache is how many bytes of objects one store keeps in memory: enough for
// the bases of deltas. Blobs are mostly read once.
const objectCache = 1 * cache.MiByte

// generation is one object store on disk. It only ever gains objects; when it
// would have to lose some, the next generation takes its place. No file of it is
// held open between reads.
type generation struct {
	dir     string
	disk    func(io.Writer) io.Writer // what writes pass through
	digests *source.Digests
	broken  atomic.Bool // something that was fetched cannot be read any more

	mu      sync.Mutex // guards all below and reading through it
	storage *filesystem.Storage
	folders folderCache
	state   state
}

func storageOf(dir string) *filesystem.Storage {
	return filesystem.NewStorage(osfs.New(dir, osfs.WithBoundOS()), cache.NewObjectLRU(objectCache))
}

// openGeneration opens a store that is there. What a crash left half written goes.
func (r *repository) openGeneration(dir string) (*generation, error) {
	s, err := readState(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(dir), err)
	}
	removeLeftovers(dir, temporary)
	removeLeftovers(filepath.Join(dir, "objects", "pack"), temporary)
	return &generation{dir: dir, disk: r.disk, digests: &r.digests, storage: storageOf(dir), state: s}, nil
}

// removeLeftovers removes the files of a folder whose names begin with a prefix;
// what it cannot remove does no harm.
func removeLeftovers(dir, prefix string) {
	left, _ := filepath.Glob(filepath.Join(dir, prefix+"*"))
	for _, name := range left {
		_ = os.Remove(name)
	}
}

// createGeneration makes an empty store.
func (r *repository) createGeneration(dir string) (*generation, error) {
	err := errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Join(dir, "objects", "pack"), 0o700))
	if err != nil {
		return nil, &diskError{err}
	}
	return &generation{dir: dir, disk: r.disk, digests: &r.digests, storage: storageOf(dir)}, nil
}

// rootOf is the tree of a commit.
func (g *generation) rootOf(commit plumbing.Hash) (plumbing.Hash, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, err := object.GetCommit(g.storage, commit)
	if err != nil {
		return plumbing.ZeroHash, g.damage(err)
	}
	return c.TreeHash, nil
}

// stores tells whether an object is there. It need not have been fetched whole.
func (g *generation) stores(hash plumbing.Hash) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.storage.HasEncodedObject(hash)
	if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) {
		_ = g.damage(err)
	}
	return err == nil
}

// has tells whether a commit was fetched, and is whole as far as is known.
func (g *generation) has(commit plumbing.Hash) bool {
	return !g.broken.Load() && slices.ContainsFunc(g.all(), func(t tip) bool { return t.hash() == commit })
}

func (g *generation) all() []tip {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state.Tips
}

// offers tells whether all of a target was fetched: its commit whole and, where one
// is asked for, its tag.
func (g *generation) offers(t target) bool {
	return g.has(t.commit) && (t.tag.IsZero() || g.stores(t.tag))
}

// tagAt is the tag object with which a target was last fetched, the zero hash when
// it was never fetched with one.
func (g *generation) tagAt(t target) plumbing.Hash {
	for _, tip := range slices.Backward(g.all()) {
		if tip.hash() == t.commit && tip.Label == t.label && tip.Tag != "" {
			return plumbing.NewHash(tip.Tag)
		}
	}
	return plumbing.ZeroHash
}

// tips are the newest commits fetched, to be told to a server.
func (g *generation) tips() []tip {
	all := g.all()
	return all[max(0, len(all)-mostHaves):]
}

// record notes that a commit came whole. Before this the store holds its objects,
// but nobody trusts them.
func (g *generation) record(t tip, fresh bool) error {
	s := state{Fresh: g.state.Fresh, Tips: slices.Concat(g.all(), []tip{t})}
	if fresh {
		s.Fresh = g.size()
	}
	if err := g.writeState(s); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = s
	return nil
}

// refresh makes newly written packs visible to readers.
func (g *generation) refresh() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.storage = storageOf(g.dir)
}

// roomy tells whether a store may still grow.
func (g *generation) roomy() bool {
	return !g.broken.Load() && len(g.all()) < mostTips && g.size() < growth*g.state.Fresh+slack
}

// damage notes that the store lost something, unless the error is of the moment,
// such as too many open files. It returns the error.
func (g *generation) damage(err error) error {
	var file *fs.PathError
	if !errors.As(err, &file) || errors.Is(err, fs.ErrNotExist) {
		g.broken.Store(true)
	}
	return err
}

// size is how many bytes the packs and their indexes have. What cannot be read
// does not count.
func (g *generation) size() (total int64) {
	entries, _ := os.ReadDir(filepath.Join(g.dir, "objects", "pack"))
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !strings.HasPrefix(e.Name(), temporary) {
			total += info.Size()
		}
	}
	return total
}
