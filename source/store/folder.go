package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/plumb-gitops/plumb/source"
)

// tree is a source.Tree whose listing is in memory and whose content is on disk.
type tree struct {
	store *Store
	nodes map[string]node // by path
}

type node struct {
	source.Entry
	target   string   // of a link
	children []string // of a folder: names, sorted
}

// add puts a file into the folders that its path names.
func (t *tree) add(f File) {
	n := node{Entry: source.Entry{Name: path.Base(f.Path), Mode: f.Mode, Size: f.Size, Hash: f.Hash}, target: f.Target}
	if n.IsLink() {
		sum := sha256.Sum256([]byte(f.Target))
		n.Hash, n.Size = hex.EncodeToString(sum[:]), int64(len(f.Target))
	}
	t.nodes[f.Path] = n
	for name := f.Path; name != "."; name = path.Dir(name) {
		dir := path.Dir(name)
		parent, known := t.nodes[dir]
		if !known {
			parent = node{Entry: source.Entry{Name: path.Base(dir), Mode: fs.ModeDir | 0o755}}
		}
		parent.children = append(parent.children, path.Base(name))
		t.nodes[dir] = parent
		if known {
			return
		}
	}
}

// hash names the folders by what is in them, from the bottom up.
func (t *tree) hash(name string) string {
	n, ok := t.nodes[name]
	if !ok {
		n = node{Entry: source.Entry{Name: ".", Mode: fs.ModeDir | 0o755}} // the root of an empty tree
	}
	if !n.IsDir() {
		return n.Hash
	}
	slices.Sort(n.children)
	h := sha256.New()
	for _, child := range n.children {
		at := path.Join(name, child)
		fmt.Fprintf(h, "%s\x00%o\x00%s\n", child, t.nodes[at].Mode, t.hash(at))
	}
	n.Hash = hex.EncodeToString(h.Sum(nil))
	t.nodes[name] = n
	return n.Hash
}

// Stat implements source.Tree.
func (t *tree) Stat(name string) (source.Entry, error) {
	n, err := t.node(name)
	return n.Entry, err
}

// List implements source.Tree.
func (t *tree) List(name string) ([]source.Entry, error) {
	n, err := t.node(name)
	if err != nil {
		return nil, err
	}
	if !n.IsDir() {
		return nil, fmt.Errorf("%s: not a folder", name)
	}
	entries := make([]source.Entry, len(n.children))
	for i, child := range n.children {
		entries[i] = t.nodes[path.Join(name, child)].Entry
	}
	return entries, nil
}

// Read implements source.Tree.
func (t *tree) Read(name string) ([]byte, error) {
	n, err := t.node(name)
	switch {
	case err != nil:
		return nil, err
	case n.IsDir():
		return nil, fmt.Errorf("%s: is a folder", name)
	case n.IsLink():
		return []byte(n.target), nil
	}
	content, err := t.store.Read(n.Hash)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return content, nil
}

func (t *tree) node(name string) (node, error) {
	n, ok := t.nodes[name]
	if !ok || strings.HasSuffix(name, "/") {
		return node{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return n, nil
}
