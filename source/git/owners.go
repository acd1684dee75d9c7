package git

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ownersFolder holds, for each owner and URL, the revision that was last fetched for
// it: a repository is shared by all who name its URL, but only who got in may open it
// again.
const ownersFolder = "owners"

func (s *Store) ownerFile(spec Spec) string {
	sum := sha256.Sum256([]byte(spec.Owner + "\x00" + spec.URL))
	return filepath.Join(s.dir, ownersFolder, hex.EncodeToString(sum[:16]))
}

// grant notes what was fetched for an owner. A crash before its end leaves the last
// note, so a restart fetches again.
func (s *Store) grant(spec Spec, revision string) error {
	if spec.Owner == "" || s.granted(spec, revision) {
		return nil
	}
	name := s.ownerFile(spec)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return &diskError{err}
	}
	f, err := os.CreateTemp(s.dir, temporary)
	if err != nil {
		return &diskError{err}
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(revision)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = errors.Join(os.Rename(f.Name(), name), syncFolder(filepath.Dir(name)))
	}
	if err != nil {
		return &diskError{err}
	}
	return nil
}

// granted tells whether a revision is what was last fetched for an owner.
func (s *Store) granted(spec Spec, revision string) bool {
	content, err := os.ReadFile(s.ownerFile(spec))
	return err == nil && string(content) == revision
}

// mayOpen is the error for an owner for whom the revision was not fetched.
func (s *Store) mayOpen(spec Spec, revision string) error {
	if spec.Owner == "" || s.granted(spec, revision) {
		return nil
	}
	return fs.ErrNotExist
}
