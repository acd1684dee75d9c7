package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/plumb-gitops/plumb/source"
)

// File is one file or symbolic link of a tree.
type File struct {
	Path   string      `json:"path"`
	Mode   fs.FileMode `json:"mode"` // type and permissions; of a regular file only 0644 and 0755 are told apart
	Blob               // of a regular file
	Target string      `json:"target,omitempty"` // of a link
}

// manifest is the files of a tree, sorted by path.
type manifest []File

// newManifest checks and sorts the files of a tree.
func newManifest(files []File) (manifest, error) {
	m := slices.Clone(files)
	slices.SortFunc(m, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	folders := map[string]bool{}
	for i, f := range m {
		if f.Path == "." || !fs.ValidPath(f.Path) {
			return nil, &source.InvalidError{Err: fmt.Errorf("%q leaves the tree", f.Path)}
		}
		if i > 0 && m[i-1].Path == f.Path {
			return nil, &source.InvalidError{Err: fmt.Errorf("%s is there twice", f.Path)}
		}
		for dir := path.Dir(f.Path); dir != "." && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
		m[i].Mode = plain(f.Mode)
	}
	for _, f := range m {
		if folders[f.Path] {
			return nil, &source.InvalidError{Err: fmt.Errorf("%s is both a file and a folder", f.Path)}
		}
	}
	return m, nil
}

// plain is a mode without what does not count.
func plain(mode fs.FileMode) fs.FileMode {
	switch {
	case mode&fs.ModeSymlink != 0:
		return fs.ModeSymlink | 0o777
	case mode&0o100 != 0:
		return 0o755
	default:
		return 0o644
	}
}

func (m manifest) encode() []byte {
	var out bytes.Buffer
	for _, f := range m {
		line, err := json.Marshal(f)
		if err != nil {
			panic(err) // strings and numbers only
		}
		out.Write(append(line, '\n'))
	}
	return out.Bytes()
}

func (m manifest) digest() string {
	sum := sha256.Sum256(m.encode())
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (s *Store) tree(digest string) string {
	name := strings.TrimPrefix(digest, "sha256:")
	if len(name) != hex.EncodedLen(sha256.Size) || strings.ContainsAny(name, "/\\.") {
		name = "none"
	}
	return filepath.Join(s.dir, trees, name)
}

// Files are the files of a tree, sorted by path. The error is source.ErrDamaged
// when the list is lost or is not what the digest says.
func (s *Store) Files(digest string) ([]File, error) {
	content, err := os.ReadFile(s.tree(digest))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = source.ErrDamaged
		}
		return nil, fmt.Errorf("tree %.19s: %w", digest, err)
	}
	if sum := sha256.Sum256(content); "sha256:"+hex.EncodeToString(sum[:]) != digest {
		_ = os.Remove(s.tree(digest))
		return nil, fmt.Errorf("tree %.19s: %w", digest, source.ErrDamaged)
	}
	var files []File
	for line := range bytes.Lines(content) {
		var f File
		if err := json.Unmarshal(line, &f); err != nil {
			return nil, fmt.Errorf("tree %.19s: %w", digest, source.ErrDamaged)
		}
		files = append(files, f)
	}
	return files, nil
}

// Tree opens a tree that was committed. The error is source.ErrDamaged when it,
// or a blob of it, is not there any more.
func (s *Store) Tree(digest string) (source.Tree, error) {
	files, err := s.Files(digest)
	if err != nil {
		return nil, err
	}
	t := &tree{store: s, nodes: map[string]node{}}
	for _, f := range files {
		if f.Mode.IsRegular() && !s.has(f.Hash) {
			return nil, fmt.Errorf("%s: %w", f.Path, source.ErrDamaged)
		}
		t.add(f)
	}
	t.hash(".")
	return t, nil
}
