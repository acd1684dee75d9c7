package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/plumb-gitops/plumb/source"
)

// maxLinks is how many symbolic links one path may lead through, as Linux has it
// (path_resolution(7)).
const maxLinks = 40

// errOutside says that a path leads out of the tree.
var errOutside = errors.New("leads out of the source")

// recorder reads a tree for one build, following links inside it, and notes
// everything it looks at. It asks the tree for each thing once.
type recorder struct {
	ctx     context.Context // of the one build that the recorder is for
	tree    source.Tree
	seen    map[string]sight
	entries map[string]source.Entry
	content map[string][]byte
	// broken is the first failure that is not about the content: kustomize takes
	// a file that can't be read for one that is not there.
	broken error
}

func newRecorder(ctx context.Context, tree source.Tree) *recorder {
	return &recorder{
		ctx:     ctx,
		tree:    tree,
		seen:    map[string]sight{},
		entries: map[string]source.Entry{},
		content: map[string][]byte{},
	}
}

func (r *recorder) readSet(remote bool) ReadSet {
	return ReadSet{seen: r.seen, closed: r.broken == nil && !remote}
}

// fail notes err unless it says only that there is nothing at a path.
func (r *recorder) fail(err error) error {
	if r.broken == nil && !errors.Is(err, fs.ErrNotExist) {
		r.broken = err
	}
	return err
}

// stat looks at a path without following a link at its end.
func (r *recorder) stat(name string) (source.Entry, error) {
	if entry, ok := r.entries[name]; ok {
		return entry, nil
	}
	if was, ok := r.seen[name]; ok && was.what == absent {
		return source.Entry{}, notThere(name)
	}
	if err := r.ctx.Err(); err != nil {
		return source.Entry{}, r.fail(err)
	}
	entry, err := r.tree.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.seen[name] = sight{what: absent}
		return source.Entry{}, notThere(name)
	case err != nil:
		return source.Entry{}, r.fail(fmt.Errorf("%s: %w", name, err))
	}
	r.seen[name] = sight{what: kindOf(entry)}
	r.entries[name] = entry
	return entry, nil
}

func notThere(name string) error { return fmt.Errorf("%s: %w", name, fs.ErrNotExist) }

// resolve looks at a path and follows links; real is where it ends up.
func (r *recorder) resolve(name string) (real string, entry source.Entry, err error) {
	if leaves(name) {
		return "", source.Entry{}, fmt.Errorf("%s %w", name, errOutside)
	}
	entry, err = r.stat(name)
	if err == nil && !entry.IsLink() {
		return name, entry, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", source.Entry{}, err
	}
	// A link is at the end, or there may be one on the way.
	return r.follow(name)
}

// follow goes to name step by step. Each step is noted: a folder on the way that
// becomes a link changes what is at the end.
func (r *recorder) follow(name string) (string, source.Entry, error) {
	at, rest, links := ".", strings.Split(name, "/"), 0
	entry, err := r.stat(at)
	for err == nil && len(rest) > 0 {
		next := path.Join(at, rest[0])
		rest = rest[1:]
		if entry, err = r.stat(next); err != nil || !entry.IsLink() {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", source.Entry{}, fmt.Errorf("%s: more than %d symbolic links on the way", name, maxLinks)
		}
		to, err := r.target(next)
		if err != nil {
			return "", source.Entry{}, err
		}
		at, rest = ".", append(strings.Split(to, "/"), rest...)
	}
	if err != nil {
		return "", source.Entry{}, err
	}
	return at, entry, nil
}

// target returns where the link at name leads.
func (r *recorder) target(name string) (string, error) {
	content, err := r.load(name)
	if err != nil {
		return "", err
	}
	to := path.Join(path.Dir(name), string(content))
	if path.IsAbs(string(content)) || leaves(to) {
		return "", fmt.Errorf("%s: the symbolic link %w", name, errOutside)
	}
	return to, nil
}

// read returns the content of a file, through links.
func (r *recorder) read(name string) ([]byte, error) {
	real, entry, err := r.resolve(name)
	if err != nil {
		return nil, err
	}
	if entry.IsDir() {
		return nil, fmt.Errorf("%s: is a folder, not a file", name)
	}
	return r.load(real)
}

// load returns the content of the file or link at name, which is there.
func (r *recorder) load(name string) ([]byte, error) {
	if content, ok := r.content[name]; ok {
		return content, nil
	}
	if err := r.ctx.Err(); err != nil {
		return nil, r.fail(err)
	}
	content, err := r.tree.Read(name)
	if err != nil {
		// It was there a moment ago: a tree doesn't change, so this one is broken.
		r.broken = fmt.Errorf("%s: %w", name, err)
		return nil, r.broken
	}
	r.depends(name)
	r.content[name] = content
	return content, nil
}

// depends notes that the outcome depends on the content of the file at name, which was
// looked at.
func (r *recorder) depends(name string) {
	was := r.seen[name]
	was.content = r.entries[name].Hash
	r.seen[name] = was
}

// list returns what is in the folder at name, which is no link.
func (r *recorder) list(name string) ([]source.Entry, error) {
	entries, err := r.tree.List(name)
	if err != nil {
		r.broken = fmt.Errorf("%s: %w", name, err)
		return nil, r.broken
	}
	was := r.seen[name]
	was.listing = source.ListingHash(entries)
	r.seen[name] = was
	return entries, nil
}

// leaves tells whether a clean, relative path leads out of where it starts.
func leaves(name string) bool { return name == ".." || strings.HasPrefix(name, "../") }
