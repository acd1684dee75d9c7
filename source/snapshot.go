// Package source turns remote content into snapshots.
//
// A Snapshot is an immutable tree of files at a revision. Its files and folders
// have a content hash that is known without reading them, which is what makes
// the read set of a build (package build) cheap to check against a later
// revision. Each kind of remote has a folder of its own below this one.
package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// Snapshot is a tree at a revision. It never changes once it is handed out.
type Snapshot struct {
	// Revision is what status.artifact.revision shows, for Git
	// "main@sha1:0123…", "v1.2.3@sha1:0123…" or, for a bare commit, "sha1:0123…".
	Revision string
	// Digest names the content: two snapshots with equal digests hold the same
	// files. Form "sha256:<hex>".
	Digest string
	// Tree is the content.
	Tree Tree
	// Archive is the content as it came, where that was one archive which others
	// use as it is: a Helm chart, a layer that is copied. Nil otherwise.
	Archive *Archive
	// Metadata goes into status.artifact.metadata: annotations of an OCI manifest.
	Metadata map[string]string
	// Verified says what verification found, in words; "" when none was asked for.
	Verified string
}

// Archive is one file in the content-addressed store (package store).
type Archive struct {
	Hash string // sha256 in hex
	Size int64  // bytes
}

// Tree is a read-only file tree. Paths are slash-separated, relative to the
// root and clean; "." is the root. Every method is safe for concurrent use.
// Errors wrap fs.ErrNotExist where there is nothing at the path, and name it.
type Tree interface {
	// Stat tells what is at path, without reading it. Links are not followed.
	Stat(path string) (Entry, error)
	// List returns the entries of a folder, sorted by name.
	List(path string) ([]Entry, error)
	// Read returns the content of a file, or the target of a symbolic link.
	Read(path string) ([]byte, error)
}

// Entry is one file, folder or link of a Tree.
type Entry struct {
	Name string // the last element of the path
	Mode fs.FileMode
	Size int64 // bytes, where the tree knows it without reading; else 0
	Hash string
}

// IsDir tells whether the entry is a folder.
func (e Entry) IsDir() bool { return e.Mode.IsDir() }

// IsLink tells whether the entry is a symbolic link.
func (e Entry) IsLink() bool { return e.Mode&fs.ModeSymlink != 0 }

// ListingHash names a listing: the names and types in it, not the content
// below. A build that listed a folder has to run again when this changes.
func ListingHash(entries []Entry) string {
	h := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(h, "%s\x00%o\n", e.Name, e.Mode.Type())
	}
	return hex.EncodeToString(h.Sum(nil))
}
