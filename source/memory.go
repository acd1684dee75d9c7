package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// MemoryTree is a Tree of files held in memory: path -> content. It serves
// generated content and tests; it holds no links.
type MemoryTree map[string]string

// Stat implements Tree.
func (m MemoryTree) Stat(name string) (Entry, error) {
	if content, ok := m[name]; ok {
		return Entry{Name: path.Base(name), Mode: 0o644, Size: int64(len(content)), Hash: hash(content)}, nil
	}
	if name == "." || len(m.below(name)) > 0 {
		return Entry{Name: path.Base(name), Mode: fs.ModeDir | 0o755, Hash: m.folderHash(name)}, nil
	}
	return Entry{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// List implements Tree.
func (m MemoryTree) List(name string) ([]Entry, error) {
	if _, ok := m[name]; ok {
		return nil, fmt.Errorf("%s: not a folder", name)
	}
	seen := map[string]bool{}
	for _, file := range m.below(name) {
		first, _, _ := strings.Cut(strings.TrimPrefix(file, prefix(name)), "/")
		seen[first] = true
	}
	if len(seen) == 0 && name != "." {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	entries := make([]Entry, 0, len(seen))
	for child := range seen {
		e, err := m.Stat(path.Join(name, child))
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name < entries[j].Name })
	return entries, nil
}

// Read implements Tree.
func (m MemoryTree) Read(name string) ([]byte, error) {
	content, ok := m[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return []byte(content), nil
}

func (m MemoryTree) below(name string) []string {
	var files []string
	for file := range m {
		if strings.HasPrefix(file, prefix(name)) {
			files = append(files, file)
		}
	}
	sort.Strings(files)
	return files
}

func (m MemoryTree) folderHash(name string) string {
	var all strings.Builder
	for _, file := range m.below(name) {
		fmt.Fprintf(&all, "%s\x00%s\n", file, hash(m[file]))
	}
	return hash(all.String())
}

func prefix(name string) string {
	if name == "." {
		return ""
	}
	return name + "/"
}

func hash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
