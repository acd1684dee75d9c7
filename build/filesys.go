package build

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// mount is where kustomize sees the tree. It is not "/", so that a path with
// too many ".." ends up outside, and is refused, instead of at the root.
const mount = "/plumb-source"

// maxReads is how often one build may read one file. Bases that each use two
// others which use the same two, and so on, would otherwise keep the process busy
// for days with a few files.
const maxReads = 1000

// filesystem shows kustomize the tree, with the overlay on it, and nothing else.
// Of the interface only ReadFile and CleanedAbs are used by a build (looked up
// in kustomize/api v0.21.1); what writes is refused.
type filesystem struct {
	*builder
	disk   filesys.FileSystem // clones of remote bases, nil unless they are allowed
	clone  string             // what the path of each clone begins with
	reads  map[string]int     // how often each file was read
	excess *Error             // the first that was read too often
}

func (b *builder) filesystem() *filesystem {
	f := &filesystem{builder: b, reads: map[string]int{}}
	if b.spec.RemoteBases {
		f.disk = filesys.MakeFsOnDisk()
		f.clone = clonePrefix()
	}
	return f
}

// clonePrefix is how kustomize names the folders that it clones into
// (filesys.NewTmpConfirmedDir).
func clonePrefix() string {
	dir := os.TempDir()
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return filepath.Join(dir, "kustomize-")
}

// inClone tells whether a path is in a clone. kustomize itself keeps those who
// are in a clone from leaving it.
func (f *filesystem) inClone(name string) bool {
	return f.disk != nil && strings.HasPrefix(path.Clean(name), f.clone)
}

// inTree turns kustomize's path into one of the tree.
func inTree(name string) (string, error) {
	name = path.Clean(name)
	if name == mount {
		return ".", nil
	}
	rest, ok := strings.CutPrefix(name, mount+"/")
	if !ok {
		return "", fmt.Errorf("%s %w", name, errOutside)
	}
	return rest, nil
}

// ReadFile returns the content of a file.
func (f *filesystem) ReadFile(name string) ([]byte, error) {
	if f.inClone(name) {
		return f.disk.ReadFile(name)
	}
	name, err := inTree(name)
	if err != nil {
		return nil, err
	}
	if err := f.ctx.Err(); err != nil {
		return nil, f.fail(err)
	}
	if f.reads[name]++; f.reads[name] > maxReads && f.excess == nil {
		f.excess = failure(name, "is used more than %d times by one kustomization; see whether its bases use each other", maxReads)
	}
	if f.excess != nil {
		return nil, f.excess // of every file, so that the build ends
	}
	return f.file(name)
}

// CleanedAbs follows links and splits a path into the folder and, when it is no
// folder itself, the file.
func (f *filesystem) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	if f.inClone(name) {
		return f.disk.CleanedAbs(name)
	}
	name, err := inTree(name)
	if err != nil {
		return "", "", err
	}
	real, entry, err := f.resolve(name)
	if err != nil {
		return "", "", err
	}
	if entry.IsDir() {
		return filesys.ConfirmedDir(path.Join(mount, real)), "", nil
	}
	return filesys.ConfirmedDir(path.Join(mount, path.Dir(real))), path.Base(real), nil
}

// IsDir tells whether there is a folder at name.
func (f *filesystem) IsDir(name string) bool {
	_, file, err := f.CleanedAbs(name)
	return err == nil && file == ""
}

// Exists tells whether there is anything at name.
func (f *filesystem) Exists(name string) bool {
	_, _, err := f.CleanedAbs(name)
	return err == nil
}

// RemoveAll removes a clone.
func (f *filesystem) RemoveAll(name string) error {
	if f.inClone(name) {
		return f.disk.RemoveAll(name)
	}
	return errReadOnly
}

var (
	errReadOnly = errors.New("the source is read-only")
	errUnused   = errors.New("a build has no use for this")
)

// Create refuses.
func (*filesystem) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir refuses.
func (*filesystem) Mkdir(string) error { return errReadOnly }

// MkdirAll refuses.
func (*filesystem) MkdirAll(string) error { return errReadOnly }

// WriteFile refuses.
func (*filesystem) WriteFile(string, []byte) error { return errReadOnly }

// Open refuses.
func (*filesystem) Open(string) (filesys.File, error) { return nil, errUnused }

// ReadDir refuses.
func (*filesystem) ReadDir(string) ([]string, error) { return nil, errUnused }

// Glob refuses.
func (*filesystem) Glob(string) ([]string, error) { return nil, errUnused }

// Walk refuses.
func (*filesystem) Walk(string, filepath.WalkFunc) error { return errUnused }
