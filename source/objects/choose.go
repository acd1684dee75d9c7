package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/plumb-gitops/plumb/source"
)

// list reads the listing of a bucket, sorted by key, without the markers that
// stand for folders. It stops where there is more than the limits allow.
func list(ctx context.Context, b Bucket, limits source.Limits) ([]Object, error) {
	var listed []Object
	err := b.List(ctx, func(o Object) error {
		if isMarker(o.Key) {
			return nil
		}
		if listed = append(listed, o); limits.Files > 0 && int64(len(listed)) > limits.Files {
			return limits.TooManyFiles("the listing of the bucket, with what is ignored in it,")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(listed, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
	// A server that lists a key twice changed between two pages; whoever downloads it
	// finds out.
	return slices.CompactFunc(listed, func(a, b Object) bool { return a.Key == b.Key }), nil
}

// isMarker tells whether a key stands for a folder: consoles make such objects so
// that a folder can be seen before anything is in it. They say nothing.
func isMarker(key string) bool { return strings.HasSuffix(key, "/") }

// choose selects the objects that become files. A key is a path as it is; one that
// cannot be is an error, unless the ignore rules leave it out. Keys that differ by
// case only are different files, as they are in Git.
func choose(listed []Object, visible func(file string) (bool, error), limits source.Limits) ([]Object, error) {
	var chosen []Object
	var total int64
	for _, o := range listed {
		seen, err := visible(judged(o.Key))
		if err != nil {
			return nil, err
		}
		if !seen {
			continue
		}
		if err := fits(o, limits); err != nil {
			return nil, err
		}
		if total += o.Size; limits.TreeBytes > 0 && total > limits.TreeBytes {
			return nil, limits.TreeTooLarge("all objects of the bucket together")
		}
		chosen = append(chosen, o)
	}
	return chosen, apart(chosen)
}

// fits tells what is wrong with one object.
func fits(o Object, limits source.Limits) error {
	if why := flaw(o.Key); why != "" {
		return refused(o.Key, why)
	}
	if limits.Depth > 0 && int64(strings.Count(o.Key, "/")+1) > limits.Depth {
		return limits.TooDeep("object " + quoted(o.Key))
	}
	if limits.FileBytes > 0 && o.Size > limits.FileBytes {
		return limits.FileTooLarge("object " + quoted(o.Key))
	}
	if o.Size < 0 {
		return refused(o.Key, "its size is negative")
	}
	return nil
}

// apart fails if a key is also the folder of another.
func apart(chosen []Object) error {
	files := make(map[string]bool, len(chosen))
	for _, o := range chosen {
		files[o.Key] = true
	}
	for _, o := range chosen {
		for dir := path.Dir(o.Key); dir != "."; dir = path.Dir(dir) {
			if files[dir] {
				return refused(dir, "it would be a file and also the folder of object "+quoted(o.Key))
			}
		}
	}
	return nil
}

// flaw says why a key cannot be a path, "" if it can.
func flaw(key string) string {
	switch {
	case strings.HasPrefix(key, "/"):
		return "it begins with a slash"
	case strings.ContainsRune(key, 0):
		return "it holds a NUL"
	case slices.Contains(strings.Split(key, "/"), ""):
		return "it has an empty name between slashes"
	case slices.Contains(strings.Split(key, "/"), ".."):
		return "it leaves the tree"
	case key == "." || !fs.ValidPath(key):
		return "it has the name . in it, or is no UTF-8"
	}
	return ""
}

// judged is the path by which the ignore rules judge a key. Names that cannot be in
// a path are replaced by one that no key has, so that rules for the folders around
// it still hold.
func judged(key string) string {
	if flaw(key) == "" {
		return key
	}
	names := strings.Split(key, "/")
	for i, name := range names {
		if name == "" || name == "." || name == ".." {
			names[i] = "\x00"
		}
	}
	return strings.Join(names, "/")
}

func refused(key, why string) error {
	return errors.New("object " + quoted(key) + " cannot be part of a tree: " + why + ": rename it, or leave it out with spec.ignore or spec.prefix")
}

// quoted is a key in an error, no longer than one can read.
func quoted(key string) string { return fmt.Sprintf("%.200q", key) }
