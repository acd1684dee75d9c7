package git

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
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
	n, err := t.node(name)
	return n.Entry, err
}

// List implements source.Tree. Submodules are empty folders.
func (t tree) List(name string) ([]source.Entry, error) {
	n, err := t.node(name)
	if err != nil {
		return nil, err
	}
	content, err := t.folder(name, n)
	if err != nil {
		return nil, err
	}
	entries := make([]source.Entry, len(content))
	for i, c := range content {
		entries[i] = c.Entry
	}
	return entries, nil
}

// Read implements source.Tree.
func (t tree) Read(name string) ([]byte, error) {
	n, err := t.node(name)
	if err != nil {
		return nil, err
	}
	if n.IsDir() {
		return nil, fmt.Errorf("%s: is a folder", name)
	}
	content, err := t.gen.blob(plumbing.NewHash(n.Hash))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return content, nil
}

// node goes down to a path.
func (t tree) node(name string) (node, error) {
	at := node{Entry: source.Entry{Name: ".", Mode: fs.ModeDir | 0o755, Hash: t.root.String()}}
	if name == "." {
		return at, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if !at.IsDir() {
			return node{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		content, err := t.folder(name, at)
		if err != nil {
			return node{}, err
		}
		i, ok := slices.BinarySearchFunc(content, part, func(n node, s string) int { return strings.Compare(n.Name, s) })
		if !ok {
			return node{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		at = content[i]
	}
	return at, nil
}

func (t tree) folder(name string, n node) (folder, error) {
	switch {
	case !n.IsDir():
		return nil, fmt.Errorf("%s: not a folder", name)
	case n.submodule || n.Hash == emptyTree:
		return nil, nil
	}
	content, err := t.gen.folder(plumbing.NewHash(n.Hash))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return content, nil
}

// emptyTree is the hash of a tree without entries, which need not be stored.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// node is an entry of a tree object.
type node struct {
	source.Entry
	submodule bool
}

// folder is a tree object, sorted by name (Git sorts folders as if by name and slash).
type folder []node

// newFolder translates Git's modes (regular, executable, symbolic link, tree,
// commit) to Go's. A name that is no name is an attack on whoever writes files.
func newFolder(t *object.Tree) (folder, error) {
	f := make(folder, len(t.Entries))
	for i, e := range t.Entries {
		if e.Name == "" || e.Name == "." || e.Name == ".." || strings.Contains(e.Name, "/") {
			return nil, fmt.Errorf("the commit holds an entry with the name %q", path.Clean(e.Name))
		}
		f[i] = node{Entry: source.Entry{Name: e.Name, Hash: e.Hash.String(), Mode: 0o644}}
		switch e.Mode {
		case filemode.Dir:
			f[i].Mode = fs.ModeDir | 0o755
		case filemode.Submodule:
			f[i].Mode, f[i].submodule = fs.ModeDir|0o755, true
		case filemode.Executable:
			f[i].Mode = 0o755
		case filemode.Symlink:
			f[i].Mode = fs.ModeSymlink | 0o777
		default:
		}
	}
	slices.SortFunc(f, func(a, b node) int { return strings.Compare(a.Name, b.Name) })
	return f, nil
}

// folderCache keeps parsed folders: finding one file in a big folder would cost
// parsing it each time.
type folderCache struct {
	known map[plumbing.Hash]folder
	nodes int
}

// mostNodes bounds the cache, to about 2 MiB. What is in use comes back at once.
const mostNodes = 1 << 14

func (c *folderCache) put(hash plumbing.Hash, f folder) {
	if c.nodes += len(f); c.known == nil || c.nodes > mostNodes {
		c.known, c.nodes = map[plumbing.Hash]folder{}, len(f)
	}
	c.known[hash] = f
}

// folder reads one tree object. go-git's readers of one storage are not safe for
// concurrent use, hence the lock; a read takes microseconds.
func (g *generation) folder(hash plumbing.Hash) (folder, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f, ok := g.folders.known[hash]; ok {
		return f, nil
	}
	t, err := object.GetTree(g.storage, hash)
	if err != nil {
		return nil, g.damage(err)
	}
	f, err := newFolder(t)
	if err != nil {
		return nil, err
	}
	g.folders.put(hash, f)
	return f, nil
}

func (g *generation) blob(hash plumbing.Hash) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, err := object.GetBlob(g.storage, hash)
	if err != nil {
		return nil, g.damage(err)
	}
	r, err := b.Reader()
	if err != nil {
		return nil, g.damage(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, g.damage(err)
	}
	return content, r.Close()
}
