// Package preview builds what a repository would bring to clusters, without one: the
// Kustomizations that it is given, and those that these bring along. With a cluster it
// tells what would come of HelmReleases that are not there yet.
package preview

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/plumb-gitops/plumb/source"
)

// Folder reads a folder of this machine, but for what Git keeps in it. Symbolic
// links are left out.
func Folder(dir string) (source.MemoryTree, error) {
	tree := source.MemoryTree{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		at, err := filepath.Rel(dir, name)
		tree[filepath.ToSlash(at)] = string(content)
		return err
	})
	return tree, err
}

// Revision reads a commit, a branch or a tag of the Git repository in a folder.
// Symbolic links are left out.
func Revision(dir, revision string) (source.MemoryTree, error) {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w: give the folder of a Git repository", dir, err)
	}
	hash, err := repo.ResolveRevision(plumbing.Revision(revision))
	if err != nil {
		return nil, fmt.Errorf("%s: the repository has no revision %s", dir, revision)
	}
	commit, err := repo.CommitObject(*hash)
	if err != nil {
		return nil, fmt.Errorf("%s: revision %s: %w", dir, revision, err)
	}
	root, err := commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("%s: revision %s: %w", dir, revision, err)
	}
	tree := source.MemoryTree{}
	err = root.Files().ForEach(func(f *object.File) error {
		if f.Mode == filemode.Symlink {
			return nil
		}
		content, err := f.Contents()
		tree[f.Name] = content
		return err
	})
	return tree, errors.Join(err)
}
