package store

import (
	"context"
	"io"
	"strings"
	"sync"
)

// Batch is what one fetch adds. What it put or reused is not collected while it
// is open, so nothing goes away between a download and the tree that names it.
type Batch struct {
	store *Store

	mu   sync.Mutex
	held []string
}

// Begin opens a batch. The caller closes it.
func (s *Store) Begin() *Batch { return &Batch{store: s} }

// Close lets go of what the batch held.
func (b *Batch) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	for _, hash := range b.held {
		if b.store.held[hash]--; b.store.held[hash] == 0 {
			delete(b.store.held, hash)
		}
	}
	b.held = nil
}

// Put keeps what r has, up to most bytes (negative: any number), and names it.
// The error is ErrTooLarge when r has more, or that of reading or of the disk.
// Nothing of it is kept then.
func (b *Batch) Put(ctx context.Context, r io.Reader, most int64) (Blob, error) {
	return b.store.put(ctx, r, most, b.hold)
}

// Reuse tells whether a blob is there, and holds it if so.
func (b *Batch) Reuse(hash string) bool {
	b.hold(hash) // before looking: what is held is not collected
	return b.store.has(hash)
}

// Commit keeps a tree of files whose blobs the batch put or reused. The folders
// follow from the paths, which are slash-separated, relative and clean. The digest,
// "sha256:<hex>", names the tree: equal files have equal digests.
func (b *Batch) Commit(files []File) (digest string, err error) {
	m, err := newManifest(files)
	if err != nil {
		return "", err
	}
	digest = m.digest()
	b.hold(digest)
	return digest, b.store.write(b.store.tree(digest), m.encode())
}

func (b *Batch) hold(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.store.held[name]++
	if b.store.wanted != nil {
		b.store.wanted[strings.TrimPrefix(name, "sha256:")] = true
	}
	b.held = append(b.held, name)
}
