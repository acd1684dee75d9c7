package git

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ownersFolder holds a note for each owner and URL: a repository is shared by all who
// name its URL, but only who got in may open it again; and one without an owner can go.
const ownersFolder = "owners"

// ownership is such a note.
type ownership struct {
	Owner      string   `json:"owner"`
	Repository string   `json:"repository"` // the name of its folder
	Revisions  []string `json:"revisions"`  // that were last fetched for the owner, the newest last
}

// mostGranted is how many of them are noted: a status may be behind by some, after a
// crash or while it cannot be written.
const mostGranted = 8

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
	_, err := os.Stat(name)
	moved := errors.Is(err, fs.ErrNotExist)
	had, _ := readOwner(name) // what cannot be read is written anew
	all := append(had.Revisions[max(0, len(had.Revisions)-mostGranted+1):], revision)
	if err := s.writeOwner(name, ownership{spec.Owner, filepath.Base(s.repository(spec.URL).dir), all}); err != nil {
		return &diskError{err}
	}
	if moved { // from another URL, maybe
		s.disown(func(o ownership, file string) bool { return o.Owner == spec.Owner && file != name })
	}
	return nil
}

func (s *Store) writeOwner(name string, o ownership) error {
	content, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, temporary)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(f.Name(), name), syncFolder(filepath.Dir(name)))
}

func readOwner(name string) (o ownership, err error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(content, &o)
}

// granted tells whether a revision is one of those last fetched for an owner.
func (s *Store) granted(spec Spec, revision string) bool {
	o, err := readOwner(s.ownerFile(spec))
	return err == nil && o.Owner == spec.Owner && slices.Contains(o.Revisions, revision)
}

// mayOpen is the error for an owner for whom the revision was not fetched.
func (s *Store) mayOpen(spec Spec, revision string) error {
	if spec.Owner == "" || s.granted(spec, revision) {
		return nil
	}
	return fs.ErrNotExist
}

// Forget drops what is noted of an owner, and of the submodules that were fetched for
// it. The next Collect removes what was fetched for nobody else.
func (s *Store) Forget(owner string) {
	s.disown(func(o ownership, _ string) bool {
		return o.Owner == owner || strings.HasPrefix(o.Owner, owner+submoduleOwner)
	})
}

// submoduleOwner stands between an owner and the path of a submodule of its own.
const submoduleOwner = " "

// disown removes notes. One that stays only keeps a repository that could go.
func (s *Store) disown(goes func(o ownership, file string) bool) {
	for file, o := range s.owners() {
		if goes(o, file) {
			_ = os.Remove(file)
		}
	}
}

// owners are the notes, by file. One that cannot be read speaks of nothing.
func (s *Store) owners() map[string]ownership {
	files, _ := filepath.Glob(filepath.Join(s.dir, ownersFolder, "*"))
	all := make(map[string]ownership, len(files))
	for _, file := range files {
		o, _ := readOwner(file)
		all[file] = o
	}
	return all
}

// Collect removes the repositories that were fetched for nobody who is still there.
// One that is being fetched stays. What a crash leaves goes next time.
func (s *Store) Collect() error {
	used := map[string]bool{ownersFolder: true}
	for _, o := range s.owners() {
		used[o.Repository] = true
	}
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		if e.IsDir() && !used[e.Name()] {
			err = errors.Join(err, s.drop(e.Name()))
		}
	}
	return err
}

// drop removes a repository, unless somebody fetches it.
func (s *Store) drop(folder string) error {
	s.mu.Lock()
	var known *repository
	for _, r := range s.repos {
		if filepath.Base(r.dir) == folder {
			known = r
		}
	}
	s.mu.Unlock()
	if known == nil {
		return os.RemoveAll(filepath.Join(s.dir, folder))
	}
	select {
	case known.fetching <- struct{}{}:
		defer known.unlock()
	default:
		return nil
	}
	// Whoever comes from here on waits for the lock, and then finds nothing.
	if known.busy.Load() > 0 {
		return nil
	}
	known.mu.Lock()
	known.current = nil
	clear(known.opened)
	known.mu.Unlock()
	return os.RemoveAll(known.dir)
}
