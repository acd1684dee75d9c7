package git

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// temporary begins the name of a file that is being written.
const temporary = "tmp_"

// addPack stores a pack that is whole in itself, with its index. A crash between
// any two lines leaves temporary files, or an index without its pack: nobody
// looks at either, and the next start removes them, or the next fetch replaces them.
func (g *generation) addPack(content io.Reader) (err error) {
	pack, err := g.create(filepath.Join("objects", "pack"))
	if err != nil {
		return err
	}
	defer pack.discard()
	if _, err := io.Copy(pack, content); err != nil {
		return fmt.Errorf("read the pack: %w", err)
	}
	sum, index, err := indexed(pack.File)
	if err != nil {
		return err
	}
	idx, err := g.create(filepath.Join("objects", "pack"))
	if err != nil {
		return err
	}
	defer idx.discard()
	if _, err := idxfile.NewEncoder(idx).Encode(index); err != nil {
		return err
	}
	// The index first: go-git looks for packs, and wants the index of each.
	if err := idx.keep("pack-" + sum.String() + ".idx"); err != nil {
		return err
	}
	if err := pack.keep("pack-" + sum.String() + ".pack"); err != nil {
		return err
	}
	g.refresh()
	return nil
}

// indexed reads a pack and says where its objects are. This finds a pack that
// was cut off, or whose objects are damaged.
func indexed(pack *os.File) (sum plumbing.Hash, index *idxfile.MemoryIndex, err error) {
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return sum, nil, &diskError{err}
	}
	writer := &idxfile.Writer{}
	parser, err := packfile.NewParser(packfile.NewScanner(pack), writer)
	if err != nil {
		return sum, nil, err
	}
	if sum, err = parser.Parse(); err != nil {
		return sum, nil, fmt.Errorf("read the pack: %w", err)
	}
	index, err = writer.Index()
	return sum, index, err
}

// output is a file under a temporary name. Each of its failures is the disk's.
type output struct {
	*os.File
	w io.Writer
}

func (g *generation) create(folder string) (*output, error) {
	f, err := os.CreateTemp(filepath.Join(g.dir, folder), temporary)
	if err != nil {
		return nil, &diskError{err}
	}
	return &output{File: f, w: g.disk(f)}, nil
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		return n, &diskError{err}
	}
	return n, nil
}

// ReadFrom hides that of os.File, which would go around Write.
func (o *output) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{o}, r)
}

// keep gives the file its name once its content is on the disk.
func (o *output) keep(name string) error {
	folder := filepath.Dir(o.Name())
	err := errors.Join(o.Sync(), o.Chmod(0o600), o.Close())
	if err == nil {
		err = errors.Join(os.Rename(o.Name(), filepath.Join(folder, name)), syncFolder(folder))
	}
	if err != nil {
		return &diskError{err}
	}
	return nil
}

// discard removes what was not kept.
func (o *output) discard() {
	_ = o.Close()
	_ = os.Remove(o.Name())
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// state is what a store knows of itself.
type state struct {
	Fresh int64 `json:"fresh"` // bytes on disk after the last fetch that was no difference
	Tips  []tip `json:"tips"`  // the commits fetched, the newest last
}

// tip is a commit that was asked for and came whole.
type tip struct {
	Commit  string `json:"commit"`
	History bool   `json:"history,omitempty"` // its ancestors are there too
	Tag     string `json:"tag,omitempty"`     // the tag object that was asked for with it
	Label   string `json:"label,omitempty"`   // what stood before it in the revision, where there is a tag
}

func (t tip) hash() plumbing.Hash { return plumbing.NewHash(t.Commit) }

const stateFile = "fetched.json"

func (g *generation) writeState(s state) error {
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	file, err := g.create("")
	if err != nil {
		return err
	}
	defer file.discard()
	if _, err := file.Write(append(content, '\n')); err != nil {
		return err
	}
	return file.keep(stateFile)
}

func readState(dir string) (s state, err error) {
	content, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fmt.Errorf("%s: %w", stateFile, err)
	}
	return s, nil
}
