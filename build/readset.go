package build

import (
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/plumb-gitops/plumb/source"
)

// ReadSet is what a build saw of a tree. It can be kept for as long as one
// likes: it holds hashes, not content. Its zero value is never Unchanged.
type ReadSet struct {
	seen   map[string]sight
	closed bool // nothing outside seen had a part in the outcome
}

// sight is what was seen at a path.
type sight struct {
	what    kind
	content string // the hash of the content, "" where it was not read
	listing string // the hash of the listing, "" where it was not listed
}

// kind is the part of an entry that looking for it shows.
type kind byte

const (
	absent kind = iota
	file
	folder
	link
)

func kindOf(e source.Entry) kind {
	switch {
	case e.IsDir():
		return folder
	case e.IsLink():
		return link
	default:
		return file
	}
}

// Unchanged tells whether everything that was seen is in tree as it was: files
// by their content, listings by their names, and what was only looked for by
// being there or not. It reads no file. A tree that can't be read is changed.
func (r ReadSet) Unchanged(tree source.Tree) bool {
	if !r.closed {
		return false
	}
	for path, was := range r.seen {
		if !was.still(tree, path) {
			return false
		}
	}
	return true
}

func (was sight) still(tree source.Tree, path string) bool {
	entry, err := tree.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return was.what == absent
	}
	if err != nil || kindOf(entry) != was.what {
		return false
	}
	if was.content != "" && was.content != entry.Hash {
		return false
	}
	if was.listing == "" {
		return true
	}
	entries, err := tree.List(path)
	return err == nil && source.ListingHash(entries) == was.listing
}

// Paths returns every path that was looked at, sorted: for logs and tests.
func (r ReadSet) Paths() []string { return slices.Sorted(maps.Keys(r.seen)) }

// Contains tells whether the build looked at path.
func (r ReadSet) Contains(path string) bool {
	_, ok := r.seen[path]
	return ok
}
