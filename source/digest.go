package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"sync"
)

// Digests names the content of trees. It remembers folders that it has seen, so
// that a tree which differs from an earlier one in a few files costs no more than
// the folders above these. The zero value is ready; it is safe for concurrent use.
type Digests struct {
	mu    sync.Mutex
	known map[string][sha256.Size]byte
}

// mostKnown bounds what is remembered, to a few MiB.
const mostKnown = 1 << 14

// Of returns the digest of a tree, as "sha256:<hex>": two trees have the same if
// and only if they hold the same names, types, executable bits and content.
func (d *Digests) Of(t Tree) (string, error) {
	root, err := t.Stat(".")
	if err != nil {
		return "", err
	}
	sum, err := d.folder(t, ".", root.Hash)
	if err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

func (d *Digests) folder(t Tree, name, hash string) (sum [sha256.Size]byte, err error) {
	key, err := keyOf(t, name, hash)
	if err != nil {
		return sum, err
	}
	if sum, ok := d.get(key); ok {
		return sum, nil
	}
	entries, err := t.List(name)
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	for _, e := range entries {
		content := e.Hash
		if e.IsDir() {
			below, err := d.folder(t, path.Join(name, e.Name), e.Hash)
			if err != nil {
				return sum, err
			}
			content = hex.EncodeToString(below[:])
		}
		fmt.Fprintf(h, "%o %s %s\x00", e.Mode, content, e.Name)
	}
	h.Sum(sum[:0])
	d.put(key, sum)
	return sum, nil
}

// keyOf names what the digest of a folder depends on: its content and, behind
// ignore rules, where it is and the rules from above. Those of its own are content.
func keyOf(t Tree, name, hash string) (string, error) {
	i, ok := t.(*ignoring)
	if !ok {
		return hash, nil
	}
	s, err := i.scope(path.Dir(name))
	if err != nil {
		return "", err
	}
	return s.id + " " + hash + " " + name, nil
}

func (d *Digests) get(key string) ([sha256.Size]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sum, ok := d.known[key]
	return sum, ok
}

func (d *Digests) put(key string, sum [sha256.Size]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= mostKnown {
		d.known = map[string][sha256.Size]byte{}
	}
	d.known[key] = sum
}
