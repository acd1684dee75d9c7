// Package store keeps what sources brought, on disk and by content.
//
// A blob is the content of one file, named by its SHA-256. A tree is a list of
// files with the names of their blobs, itself named by the digest of that list;
// so trees and sources that share files share blobs. A note is a small record
// that a backend wants to find again after a restart, by a key of its own.
//
// Everything is written under a temporary name, synced and renamed, blobs before
// the tree that names them: a crash, or the loss of power, leaves either all of a
// thing or nothing of it. What is read is checked against its name.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/plumb-gitops/plumb/source"
)

// Options of a Store.
type Options struct {
	MaxBytes  int64         // of all blobs; 0 for no bound
	Retention time.Duration // how long what nobody uses any more stays
}

// Blob is the content of a file.
type Blob struct {
	Hash string // SHA-256, hex
	Size int64  // bytes
}

// Store is safe for concurrent use by one process.
type Store struct {
	dir        string
	options    Options
	collecting sync.Mutex // one collection at a time

	mu    sync.Mutex
	held  map[string]int // how many open batches need a blob or a tree
	bytes int64          // of all blobs
	// wanted is what batches held since the collection under way began, also if they
	// are closed by now: it cannot know what became of that. Nil while there is none.
	wanted map[string]bool
	inUse  func() []string
}

// The folders of a store, and the prefix of what is being written.
const (
	blobs     = "blobs"
	trees     = "trees"
	notes     = "notes"
	temporary = "tmp"
)

// ErrTooLarge says that Put was given more bytes than it may take.
var ErrTooLarge = errors.New("more bytes than allowed")

// Open opens the store in dir and makes the folder if need be.
func Open(dir string, o Options) (*Store, error) {
	for _, folder := range []string{blobs, trees, notes, temporary} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, fmt.Errorf("folder for sources: %w", err)
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, temporary))
	if err != nil {
		return nil, fmt.Errorf("folder for sources: %w", err)
	}
	for _, e := range left {
		_ = os.Remove(filepath.Join(dir, temporary, e.Name())) // what stays does no harm
	}
	s := &Store{dir: dir, options: o, held: map[string]int{}}
	if err := s.measure(); err != nil {
		return nil, fmt.Errorf("folder for sources: %w", err)
	}
	return s, nil
}

// Open gives the content of a blob to read. The content is checked at its end:
// the last Read fails with source.ErrDamaged when it is not what the name says.
func (s *Store) Open(hash string) (io.ReadCloser, error) {
	f, err := os.Open(s.blob(hash))
	if err != nil {
		return nil, lost(hash, err)
	}
	return &checked{file: f, sum: sha256.New(), hash: hash, store: s}, nil
}

// Read is the content of a blob. The error is source.ErrDamaged when it is not
// what its name says, and wraps fs.ErrNotExist when it is not there.
func (s *Store) Read(hash string) ([]byte, error) {
	r, err := s.Open(hash)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// has tells whether a blob is there.
func (s *Store) has(hash string) bool {
	_, err := os.Stat(s.blob(hash))
	return err == nil
}

func (s *Store) blob(hash string) string {
	if len(hash) != hex.EncodedLen(sha256.Size) {
		return filepath.Join(s.dir, blobs, "none")
	}
	return filepath.Join(s.dir, blobs, hash[:2], hash)
}

// put keeps the content of a reader. hold is called before it is there.
func (s *Store) put(ctx context.Context, r io.Reader, most int64, hold func(hash string)) (blob Blob, err error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, temporary), "blob-")
	if err != nil {
		return Blob{}, full(err)
	}
	defer func() {
		f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(sum, &disk{f}), &bounded{ctx: ctx, r: r, left: most})
	if err != nil {
		return Blob{}, err
	}
	blob = Blob{Hash: hex.EncodeToString(sum.Sum(nil)), Size: size}
	hold(blob.Hash)
	if err := s.room(size); err != nil {
		return Blob{}, err
	}
	// One that is there is replaced all the same: it may be damaged.
	known := s.has(blob.Hash)
	if err := s.settle(f, s.blob(blob.Hash)); err != nil {
		return Blob{}, err
	}
	if !known {
		s.mu.Lock()
		s.bytes += size
		s.mu.Unlock()
	}
	return blob, nil
}

// settle gives a written file its name: from then on it is there, also after a
// loss of power. Its time is set to the clock's: that of the file system lags some
// milliseconds behind, and a collection that has just begun would take it for old.
func (s *Store) settle(f *os.File, name string) error {
	folder, now := filepath.Dir(name), time.Now()
	if err := errors.Join(os.Chtimes(f.Name(), now, now), f.Sync(), f.Close(), os.MkdirAll(folder, 0o700), os.Rename(f.Name(), name), syncFolder(folder)); err != nil {
		return full(err)
	}
	return nil
}

// write keeps a small file.
func (s *Store) write(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Join(s.dir, temporary), "file-")
	if err != nil {
		return full(err)
	}
	if _, err = f.Write(content); err == nil {
		err = s.settle(f, name)
	}
	if err != nil {
		f.Close()
		_ = os.Remove(f.Name())
		return full(err)
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// full words a failure of the disk.
func full(err error) error {
	return fmt.Errorf("keep what was fetched: %w: what was fetched before stays in use; make room below --storage-path", err)
}

func lost(hash string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob %.12s: %w", hash, source.ErrDamaged)
	}
	return fmt.Errorf("blob %.12s: %w", hash, err)
}

// Has tells whether a blob is there.
func (s *Store) Has(hash string) bool { return s.has(hash) }

// Content is a blob as a file, for whoever needs to read parts of it. Other than with
// Open its content is not checked: it is for those who know its digest.
func (s *Store) Content(hash string) (io.ReadSeekCloser, error) {
	f, err := os.Open(s.blob(hash))
	if err != nil {
		return nil, lost(hash, err)
	}
	return f, nil
}
