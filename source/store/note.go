package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// SaveNote keeps a record by a key of the backend's, which may be any text. An
// earlier one is replaced as a whole.
func (s *Store) SaveNote(key string, value []byte) error { return s.write(s.note(key), value) }

// LoadNote finds a record again. The error wraps fs.ErrNotExist when there is none.
func (s *Store) LoadNote(key string) ([]byte, error) { return os.ReadFile(s.note(key)) }

// DropNote removes a record; that there is none is no error.
func (s *Store) DropNote(key string) error {
	if err := os.Remove(s.note(key)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (s *Store) note(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(s.dir, notes, hex.EncodeToString(sum[:]))
}
