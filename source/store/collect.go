package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/plumb-gitops/plumb/source"
)

// Keep says which digests ("sha256:<hex>", or the hex alone) are in use; it is asked
// at each collection. What is in use, and all that it needs, is never collected.
func (s *Store) Keep(inUse func() []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inUse = inUse
}

// Collect removes what nobody uses and what was not written, or used again, within
// the retention. Several calls at once are one. What a crash leaves of a collection
// is collected next time: notes go before the trees that they name, and trees before
// their blobs. An error is that of reading the store; nothing in use is affected.
func (s *Store) Collect() error { return s.collect(time.Now().Add(-s.options.Retention)) }

// collect removes what nobody uses and what is older than cutoff.
func (s *Store) collect(cutoff time.Time) error {
	s.collecting.Lock()
	defer s.collecting.Unlock()
	s.want(map[string]bool{}) // before looking at what is held now
	defer s.want(nil)
	live, err := s.mark(cutoff)
	if err != nil {
		return err
	}
	return errors.Join(
		s.sweep(notes, cutoff, func(name string) bool { return live[notes+name] }),
		s.sweep(trees, cutoff, func(name string) bool { return live[name] }),
		s.sweep(blobs, cutoff, func(name string) bool { return live[name] }),
	)
}

// want begins to note what batches hold, or ends it.
func (s *Store) want(names map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = names
}

// digestPattern finds digests in notes, whose form is their backend's.
var digestPattern = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

// marked is what stays: blobs and trees by their hex, notes with their folder's name
// before theirs.
type marked map[string]bool

// mark finds what stays: what is in use or new, the notes that speak of it, and what
// these speak of in turn.
func (s *Store) mark(cutoff time.Time) (marked, error) {
	live := marked{}
	for _, digest := range s.used() {
		live[strings.TrimPrefix(digest, "sha256:")] = true
	}
	if err := s.markNotes(live, cutoff); err != nil {
		return nil, err
	}
	return live, s.each(trees, func(name string, info fs.FileInfo) error {
		if !live[name] && info.ModTime().Before(cutoff) {
			return nil
		}
		files, err := s.Files("sha256:" + name)
		if err != nil && !source.IsLost(err) {
			return err
		}
		for _, f := range files {
			live[f.Hash] = true
		}
		return nil
	})
}

// used is what is in use now, or held by a fetch under way.
func (s *Store) used() []string {
	s.mu.Lock()
	inUse := s.inUse
	all := make([]string, 0, len(s.held))
	for name := range s.held {
		all = append(all, name)
	}
	s.mu.Unlock()
	if inUse == nil {
		return all
	}
	return append(all, inUse()...)
}

// markNotes marks notes and what they speak of, until there is nothing new.
func (s *Store) markNotes(live marked, cutoff time.Time) error {
	speaks := map[string][]string{} // by note
	fresh := map[string]bool{}
	err := s.each(notes, func(name string, info fs.FileInfo) error {
		content, err := os.ReadFile(filepath.Join(s.dir, notes, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		speaks[name], fresh[name] = digestPattern.FindAllString(string(content), -1), !info.ModTime().Before(cutoff)
		return err
	})
	for again := err == nil; again; {
		again = false
		for name, digests := range speaks {
			if live[notes+name] || !fresh[name] && !anyOf(live, digests) {
				continue
			}
			live[notes+name], again = true, true
			for _, digest := range digests {
				live[digest] = true
			}
		}
	}
	return err
}

func anyOf(live marked, digests []string) bool {
	for _, digest := range digests {
		if live[digest] {
			return true
		}
	}
	return false
}

// each visits the files of one of the store's folders. One that goes meanwhile is
// passed over.
func (s *Store) each(folder string, visit func(name string, info fs.FileInfo) error) error {
	return filepath.WalkDir(filepath.Join(s.dir, folder), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return visit(d.Name(), info)
	})
}

// sweep removes the files of a folder that do not stay. Each is looked at once more
// under the lock that a batch takes to hold it: what a fetch has just found to be
// there is not taken away from it.
func (s *Store) sweep(folder string, cutoff time.Time, stays func(name string) bool) error {
	return s.each(folder, func(name string, _ fs.FileInfo) error {
		if stays(name) {
			return nil
		}
		path := filepath.Join(s.dir, folder, name)
		if folder == blobs {
			path = s.blob(name)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		info, err := os.Stat(path)
		if err != nil || s.wanted[name] || !info.ModTime().Before(cutoff) {
			return nil //nolint:nilerr // it has gone by itself
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		if folder == blobs {
			s.bytes -= info.Size()
		}
		return nil
	})
}

// room makes sure that a blob of some size may be added: where the store would grow
// beyond its bound, all goes that nobody uses, however new. The error names the flag.
func (s *Store) room(size int64) error {
	if s.options.MaxBytes <= 0 || s.total()+size <= s.options.MaxBytes {
		return nil
	}
	if err := s.collect(time.Now()); err != nil {
		return err
	}
	if s.total()+size <= s.options.MaxBytes {
		return nil
	}
	return &source.LimitError{What: "what sources brought and is in use", Limit: s.options.MaxBytes, Unit: "bytes", Flag: "--storage-max-bytes"}
}

// total is how many bytes the blobs have.
func (s *Store) total() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// measure counts what is there when the store is opened.
func (s *Store) measure() error {
	return s.each(blobs, func(_ string, info fs.FileInfo) error {
		s.bytes += info.Size()
		return nil
	})
}
