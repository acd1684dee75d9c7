package store

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
)

// SaveNote keeps a record by a key of the backend's, which may be any text. An
// earlier one is replaced as a whole.
func (s *Store) SaveNote(key string, value []byte) error { return s.write(s.note(key), value) }

// LoadNote finds a record again. The error wraps fs.ErrNotExist when there is none.
func (s *Store) LoadNote(key string) ([]byte, error) { return os.ReadFile(s.note(key)) }

func (s *Store) note(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(s.dir, notes, hex.EncodeToString(sum[:]))
}
