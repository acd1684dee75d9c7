package git

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/plumb-gitops/plumb/source"
)

// objectCache is how many bytes of parsed objects one store keeps. Trees are
// read again for each build; blobs mostly once.
const objectCache = 1 * cache.MiByte

// generation is one bare object store on disk. It only ever gains objects; when
// it would have to lose some, the next generation takes its place.
type generation struct {
	dir   string
	fresh int64 // bytes on disk after its first fetch

	mu      sync.Mutex // guards storage and reading through it
	storage *filesystem.Storage
}

// storageOf opens the object store in dir; most bounds what may be written.
func storageOf(dir string, most int64) *filesystem.Storage {
	return filesystem.NewStorage(newDisk(osfs.New(dir, osfs.WithBoundOS()), most), cache.NewObjectLRU(objectCache))
}

// unbounded is no bound on what may be written.
const unbounded = int64(1) << 62

// openGeneration opens a store that is there. It fails if it is not a whole one.
func openGeneration(dir string) (*generation, error) {
	storage := storageOf(dir, unbounded)
	if _, err := gogit.Open(storage, nil); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(dir), err)
	}
	size, err := sizeOf(dir)
	if err != nil {
		return nil, err
	}
	return &generation{dir: dir, storage: storage, fresh: size}, nil
}

// createGeneration makes an empty store.
func createGeneration(dir string) (*generation, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	storage := storageOf(dir, unbounded)
	if _, err := gogit.Init(storage, nil); err != nil {
		return nil, fmt.Errorf("prepare the store: %w", err)
	}
	return &generation{dir: dir, storage: storage}, nil
}

// snapshot is the tree at a commit, with the ignore rules applied. The error
// wraps fs.ErrNotExist if the store does not have it whole.
func (g *generation) snapshot(commit plumbing.Hash, revision string, ignore *string) (source.Snapshot, error) {
	root, err := g.rootOf(commit)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("revision %s: %w: %w", revision, fs.ErrNotExist, err)
	}
	visible, err := source.Ignored(tree{g, root}, ignore)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("revision %s: %w", revision, err)
	}
	return source.Snapshot{Revision: revision, Digest: source.IgnoredDigest(root.String(), ignore), Tree: visible}, nil
}

// rootOf is the tree of a commit. A store that has both has all below, since
// packs arrive whole or not at all.
func (g *generation) rootOf(commit plumbing.Hash) (plumbing.Hash, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, err := object.GetCommit(g.storage, commit)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	_, err = object.GetTree(g.storage, c.TreeHash)
	return c.TreeHash, err
}

// has tells whether the commit is there.
func (g *generation) has(commit plumbing.Hash) bool {
	_, err := g.rootOf(commit)
	return err == nil
}

// refresh makes newly written packs visible to readers.
func (g *generation) refresh() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.storage = storageOf(g.dir, unbounded)
}

// sizeOf adds up the files below dir.
func sizeOf(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreMissing(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		total += info.Size()
		return nil
	})
	return total, err
}

// ignoreMissing: a temporary file may go while the folder is walked.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
