package git

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/plumb-gitops/plumb/source"
)

// tree is a source.Tree read straight out of the object store. It keeps its
// generation of the store alive, and with it the files on disk.
type tree struct {
	gen  *generation
	root plumbing.Hash
}

// Stat implements source.Tree.
func (t tree) Stat(name string) (source.Entry, error) {
	if name == "." {
		return source.Entry{Name: ".", Mode: fs.ModeDir | 0o755, Hash: t.root.String()}, nil
	}
	dir, err := t.folder(path.Dir(name))
	if err != nil {
		return source.Entry{}, err
	}
	for _, e := range dir.Entries {
		if e.Name == path.Base(name) {
			return entry(e), nil
		}
	}
	return source.Entry{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// List implements source.Tree. Submodules are empty folders.
func (t tree) List(name string) ([]source.Entry, error) {
	e, err := t.Stat(name)
	if err != nil {
		return nil, err
	}
	if !e.IsDir() {
		return nil, fmt.Errorf("%s: not a folder", name)
	}
	dir, err := t.gen.tree(plumbing.NewHash(e.Hash))
	if err != nil {
		if name != "." && t.submodule(name) {
			return nil, nil
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	entries := make([]source.Entry, len(dir.Entries))
	for i, e := range dir.Entries {
		entries[i] = entry(e)
	}
	source.SortEntries(entries)
	return entries, nil
}

// Read implements source.Tree.
func (t tree) Read(name string) ([]byte, error) {
	e, err := t.Stat(name)
	if err != nil {
		return nil, err
	}
	if e.IsDir() {
		return nil, fmt.Errorf("%s: is a folder", name)
	}
	content, err := t.gen.blob(plumbing.NewHash(e.Hash))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return content, nil
}

func (t tree) folder(name string) (*object.Tree, error) {
	dir, err := t.gen.tree(t.root)
	if err != nil || name == "." {
		return dir, err
	}
	for _, part := range strings.Split(name, "/") {
		e, ok := find(dir, part)
		if !ok || e.Mode != filemode.Dir {
			return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		if dir, err = t.gen.tree(e.Hash); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return dir, nil
}

func (t tree) submodule(name string) bool {
	dir, err := t.folder(path.Dir(name))
	if err != nil {
		return false
	}
	e, ok := find(dir, path.Base(name))
	return ok && e.Mode == filemode.Submodule
}

func find(dir *object.Tree, name string) (object.TreeEntry, bool) {
	for _, e := range dir.Entries {
		if e.Name == name {
			return e, true
		}
	}
	return object.TreeEntry{}, false
}

// entry translates Git's modes (gitformat-index: regular, executable, symbolic
// link, tree, commit) to Go's.
func entry(e object.TreeEntry) source.Entry {
	out := source.Entry{Name: e.Name, Hash: e.Hash.String(), Mode: 0o644}
	switch e.Mode {
	case filemode.Dir, filemode.Submodule:
		out.Mode = fs.ModeDir | 0o755
	case filemode.Executable:
		out.Mode = 0o755
	case filemode.Symlink:
		out.Mode = fs.ModeSymlink | 0o777
	default:
	}
	return out
}

// tree reads one folder. go-git's readers of one storage are not safe for
// concurrent use, hence the lock; a read takes microseconds.
func (g *generation) tree(hash plumbing.Hash) (*object.Tree, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return object.GetTree(g.storage, hash)
}

func (g *generation) blob(hash plumbing.Hash) (content []byte, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	blob, err := object.GetBlob(g.storage, hash)
	if err != nil {
		return nil, err
	}
	r, err := blob.Reader()
	if err != nil {
		return nil, err
	}
	content, err = io.ReadAll(r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return content, err
}
