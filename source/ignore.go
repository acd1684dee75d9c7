package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// IgnoreFile is the file with patterns, in the format of .gitignore, for its
// folder and those below.
const IgnoreFile = ".sourceignore"

// What is left out of every snapshot, and what is left out as well when neither
// spec.ignore nor a .sourceignore in the root says anything (the toolkit's
// documentation of GitRepository, "Excluding files").
const (
	ignoredAlways    = ".git/\n.gitignore\n.gitmodules\n.gitattributes\n"
	ignoredByDefault = "*.jpg\n*.jpeg\n*.gif\n*.png\n*.wmv\n*.flv\n*.tar.gz\n*.zip\n" +
		".github/\n.circleci/\n.travis.yml\n.gitlab-ci.yml\nappveyor.yml\n.drone.yml\ncloudbuild.yaml\ncodeship-services.yml\ncodeship-steps.yml\n" +
		"**/.goreleaser.yml\n**/.goreleaser.brew.yml\n**/.sops.yaml\n**/.flux.yaml\n"
)

// Ignored is the tree without what its ignore rules exclude. spec is
// spec.ignore, nil when it is not set; its patterns come last and so may bring
// back what a file excludes. The tree is looked at as it is read, not before.
func Ignored(t Tree, spec *string) (Tree, error) {
	root, err := t.Read(IgnoreFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	i := &ignoring{Tree: t, folders: map[string][]gitignore.Pattern{}}
	i.first = patterns(ignoredAlways, nil)
	if spec == nil && root == nil {
		i.first = append(i.first, patterns(ignoredByDefault, nil)...)
	}
	if spec != nil {
		i.last = patterns(*spec, nil)
	}
	return i, nil
}

// IgnoredDigest names the content of a tree with ignore rules: the tree, by its
// own hash, holds the .sourceignore files.
func IgnoredDigest(treeHash string, spec *string) string {
	h := sha256.New()
	fmt.Fprintf(h, "tree %s\n", treeHash)
	if spec != nil {
		fmt.Fprintf(h, "ignore %s", *spec)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// SortEntries sorts a listing by name.
func SortEntries(entries []Entry) {
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
}

// ignoring is a tree behind ignore rules.
type ignoring struct {
	Tree
	first, last []gitignore.Pattern

	mu      sync.Mutex
	folders map[string][]gitignore.Pattern // of the .sourceignore in a folder
}

// Stat implements Tree.
func (i *ignoring) Stat(name string) (Entry, error) {
	e, err := i.Tree.Stat(name)
	if err != nil || name == "." {
		return e, err
	}
	if i.excluded(name, e.IsDir()) {
		return Entry{}, fmt.Errorf("%s is excluded by the source's ignore rules: %w", name, fs.ErrNotExist)
	}
	return e, nil
}

// List implements Tree.
func (i *ignoring) List(name string) ([]Entry, error) {
	if _, err := i.Stat(name); err != nil {
		return nil, err
	}
	entries, err := i.Tree.List(name)
	if err != nil {
		return nil, err
	}
	matcher := gitignore.NewMatcher(i.rules(name))
	return slices.DeleteFunc(entries, func(e Entry) bool {
		return matcher.Match(strings.Split(path.Join(name, e.Name), "/"), e.IsDir())
	}), nil
}

// Read implements Tree.
func (i *ignoring) Read(name string) ([]byte, error) {
	if _, err := i.Stat(name); err != nil {
		return nil, err
	}
	return i.Tree.Read(name)
}

// excluded tells whether the rules exclude a path, or a folder above it: what is
// in an excluded folder cannot be brought back (gitignore(5)).
func (i *ignoring) excluded(name string, isDir bool) bool {
	parts := strings.Split(name, "/")
	for n := 1; n <= len(parts); n++ {
		matcher := gitignore.NewMatcher(i.rules(path.Join(append([]string{"."}, parts[:n-1]...)...)))
		if matcher.Match(parts[:n], isDir || n < len(parts)) {
			return true
		}
	}
	return false
}

// rules are the patterns that hold in a folder, the strongest last.
func (i *ignoring) rules(folder string) []gitignore.Pattern {
	all := slices.Clone(i.first)
	all = append(all, i.folder(".")...)
	if folder != "." {
		parts := strings.Split(folder, "/")
		for n := range parts {
			all = append(all, i.folder(path.Join(parts[:n+1]...))...)
		}
	}
	return append(all, i.last...)
}

func (i *ignoring) folder(name string) []gitignore.Pattern {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p, ok := i.folders[name]; ok {
		return p
	}
	content, err := i.Tree.Read(path.Join(name, IgnoreFile))
	if err != nil {
		content = nil // none here; what can't be read shows when it is read for real
	}
	var domain []string
	if name != "." {
		domain = strings.Split(name, "/")
	}
	i.folders[name] = patterns(string(content), domain)
	return i.folders[name]
}

// patterns parses the lines of an ignore file that stands in the folder domain.
func patterns(text string, domain []string) []gitignore.Pattern {
	var out []gitignore.Pattern
	for line := range bytes.Lines([]byte(text)) {
		line := strings.TrimRight(string(line), "\r\n")
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		out = append(out, gitignore.ParsePattern(line, domain))
	}
	return out
}
