package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Mounted is a tree with other trees in place of some of its folders: path -> tree.
// Folders on the way to one need not be there. What the base has at such a path, or
// above it where no folder can be, is hidden. Mounts in one another nest: the longer
// path lies over the shorter. The error names a path that is none.
func Mounted(base Tree, mounts map[string]Tree) (Tree, error) {
	for at := range mounts {
		if at == "." || !fs.ValidPath(at) {
			return nil, &InvalidError{Err: fmt.Errorf("%q is no path inside of the tree", at)}
		}
	}
	if len(mounts) == 0 {
		return base, nil
	}
	// From the shortest to the longest, each over what is there by then.
	out := base
	paths := slices.SortedFunc(maps.Keys(mounts), func(a, b string) int {
		return strings.Count(a, "/") - strings.Count(b, "/")
	})
	for _, at := range paths {
		out = &mounted{base: out, at: at, top: mounts[at]}
	}
	return out, nil
}

// mounted is a tree with one other tree in it.
type mounted struct {
	base, top Tree
	at        string
}

// inside is the path below the mount, if there it is.
func (m *mounted) inside(name string) (string, bool) {
	if name == m.at {
		return ".", true
	}
	return strings.CutPrefix(name, m.at+"/")
}

// above tells whether the mount is below a folder.
func (m *mounted) above(name string) bool { return name == "." || strings.HasPrefix(m.at, name+"/") }

// Stat implements Tree.
func (m *mounted) Stat(name string) (Entry, error) {
	if below, ok := m.inside(name); ok {
		e, err := m.top.Stat(below)
		e.Name = path.Base(name)
		return e, err
	}
	if !m.above(name) {
		return m.base.Stat(name)
	}
	hash := ""
	switch e, err := m.base.Stat(name); {
	case err == nil && e.IsDir():
		hash = e.Hash
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return Entry{}, err
	}
	top, err := m.top.Stat(".")
	if err != nil {
		return Entry{}, err
	}
	return Entry{Name: path.Base(name), Mode: fs.ModeDir | 0o755, Hash: hashOf(hash, m.at, top.Hash)}, nil
}

// List implements Tree.
func (m *mounted) List(name string) ([]Entry, error) {
	if below, ok := m.inside(name); ok {
		return m.top.List(below)
	}
	if !m.above(name) {
		return m.base.List(name)
	}
	var entries []Entry
	if e, err := m.base.Stat(name); err == nil && e.IsDir() {
		if entries, err = m.base.List(name); err != nil {
			return nil, err
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	next, _, _ := strings.Cut(strings.TrimPrefix(m.at, prefix(name)), "/")
	e, err := m.Stat(path.Join(name, next))
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Name == next })
	entries = append(entries, e)
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

// Read implements Tree.
func (m *mounted) Read(name string) ([]byte, error) {
	if below, ok := m.inside(name); ok {
		return m.top.Read(below)
	}
	if m.above(name) {
		return nil, fmt.Errorf("%s: is a folder", name)
	}
	return m.base.Read(name)
}

// Below is a folder of a tree as a tree of its own. The error is that of Stat, or
// says that there is no folder.
func Below(t Tree, folder string) (Tree, error) {
	if folder == "." {
		return t, nil
	}
	e, err := t.Stat(folder)
	if err != nil {
		return nil, err
	}
	if !e.IsDir() {
		return nil, fmt.Errorf("%s: not a folder", folder)
	}
	return &below{t, folder}, nil
}

type below struct {
	Tree
	folder string
}

func (b *below) Stat(name string) (Entry, error) {
	e, err := b.Tree.Stat(path.Join(b.folder, name))
	if name == "." {
		e.Name = "."
	}
	return e, err
}
func (b *below) List(name string) ([]Entry, error) { return b.Tree.List(path.Join(b.folder, name)) }
func (b *below) Read(name string) ([]byte, error)  { return b.Tree.Read(path.Join(b.folder, name)) }

// Only is a tree without what is outside of some folders. The error wraps
// fs.ErrNotExist, and names the folder, when one of them is not there.
func Only(t Tree, folders []string) (Tree, error) {
	for _, name := range folders {
		e, err := t.Stat(name)
		if err != nil {
			return nil, err
		}
		if !e.IsDir() {
			return nil, fmt.Errorf("%s: not a folder", name)
		}
	}
	return &only{t, folders}, nil
}

type only struct {
	Tree
	folders []string
}

// whole tells whether all of a path is to be seen.
func (o *only) whole(name string) bool {
	return slices.ContainsFunc(o.folders, func(f string) bool { return f == "." || name == f || strings.HasPrefix(name, f+"/") })
}

// leads tells whether a path is on the way to what is to be seen.
func (o *only) leads(name string) bool {
	return slices.ContainsFunc(o.folders, func(f string) bool { return name == "." || strings.HasPrefix(f, name+"/") })
}

func outside(name string) error {
	return fmt.Errorf("%s is outside of the folders that were asked for: %w", name, fs.ErrNotExist)
}

// Stat implements Tree.
func (o *only) Stat(name string) (Entry, error) {
	switch {
	case o.whole(name):
		return o.Tree.Stat(name)
	case !o.leads(name):
		return Entry{}, outside(name)
	}
	e, err := o.Tree.Stat(name)
	if err == nil {
		e.Hash = hashOf(append([]string{e.Hash}, o.folders...)...)
	}
	return e, err
}

// List implements Tree.
func (o *only) List(name string) ([]Entry, error) {
	if !o.whole(name) && !o.leads(name) {
		return nil, outside(name)
	}
	entries, err := o.Tree.List(name)
	if err != nil || o.whole(name) {
		return entries, err
	}
	var found []Entry
	for _, e := range entries {
		at := path.Join(name, e.Name)
		if !o.whole(at) && !o.leads(at) {
			continue
		}
		if e, err = o.Stat(at); err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, nil
}

// Read implements Tree.
func (o *only) Read(name string) ([]byte, error) {
	if !o.whole(name) {
		return nil, outside(name)
	}
	return o.Tree.Read(name)
}

// hashOf names something by its parts.
func hashOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}
