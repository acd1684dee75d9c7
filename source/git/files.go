package git

import (
	"errors"
	"sync/atomic"

	"github.com/go-git/go-billy/v5"
)

// errTooMuch ends a fetch that brings far more than a delta should have.
var errTooMuch = errors.New("more than a delta")

// disk is a file system whose writes are counted against a bound and are on the
// disk before a file is closed. go-git writes packs and indexes to temporary
// names and renames them when closed, so what has its final name is whole, also
// after a power loss.
type disk struct {
	billy.Filesystem
	left *atomic.Int64 // bytes that may still be written
}

func newDisk(fs billy.Filesystem, most int64) disk {
	d := disk{Filesystem: fs, left: &atomic.Int64{}}
	d.left.Store(most)
	return d
}

// Chroot implements billy.Filesystem.
func (d disk) Chroot(path string) (billy.Filesystem, error) {
	fs, err := d.Filesystem.Chroot(path)
	return disk{fs, d.left}, err
}

// Create implements billy.Filesystem.
func (d disk) Create(name string) (billy.File, error) { return d.wrap(d.Filesystem.Create(name)) }

// TempFile implements billy.Filesystem.
func (d disk) TempFile(dir, prefix string) (billy.File, error) {
	return d.wrap(d.Filesystem.TempFile(dir, prefix))
}

func (d disk) wrap(f billy.File, err error) (billy.File, error) {
	if err != nil {
		return nil, err
	}
	return &file{File: f, left: d.left}, nil
}

// file is one file being written.
type file struct {
	billy.File
	left *atomic.Int64
}

// Write implements io.Writer.
func (f *file) Write(p []byte) (int, error) {
	if f.left.Add(-int64(len(p))) < 0 {
		return 0, errTooMuch
	}
	return f.File.Write(p)
}

// Close implements io.Closer: synced first.
func (f *file) Close() error {
	var err error
	if s, ok := f.File.(interface{ Sync() error }); ok {
		err = s.Sync()
	}
	return errors.Join(err, f.File.Close())
}
