// Package archive turns tar archives into files of the store, and trees into tar
// archives.
//
// An entry is one record of an archive: a file, a folder or a link with its path.
// Archives come from strangers, so an entry can only name what is inside the tree,
// and how much is unpacked is bounded (source.Limits).
package archive

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/store"
)

// Extract unpacks a tar archive, plain or gzipped, into a batch. It returns its
// files and links in the order of their paths; folders follow from these. Of
// entries with the same path the last one counts, a hard link is the file that it
// names.
//
// The error is a *source.LimitError where a limit is exceeded and a
// *source.InvalidError where an entry is not for us: a path or a link that leaves
// the tree, a device, a sparse file. It is another one when the archive is damaged.
func Extract(ctx context.Context, b *store.Batch, r io.Reader, l source.Limits) ([]store.File, error) {
	packed := &meter{r: r, most: l.ArchiveBytes, over: func() error { return l.ArchiveTooLarge("the archive") }}
	unpacked, err := decompress(packed, l)
	if err != nil {
		return nil, err
	}
	x := &extraction{batch: b, limits: l, files: map[string]store.File{}}
	if err := x.entries(ctx, tar.NewReader(unpacked)); err != nil {
		return nil, err
	}
	// The checksum of what is compressed comes last.
	if _, err := io.Copy(io.Discard, unpacked); err != nil {
		return nil, damaged(err)
	}
	files := make([]store.File, 0, len(x.files))
	for _, name := range slices.Sorted(maps.Keys(x.files)) {
		files = append(files, x.files[name])
	}
	return files, nil
}

// extraction is one archive on its way into a batch.
type extraction struct {
	batch  *store.Batch
	limits source.Limits
	files  map[string]store.File // by path
	count  int64                 // entries so far
	size   int64                 // bytes of files so far
}

func (x *extraction) entries(ctx context.Context, in *tar.Reader) error {
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damaged(err)
		}
		if x.count++; x.limits.Files > 0 && x.count > x.limits.Files {
			return x.limits.TooManyFiles("the archive")
		}
		name, err := x.place(header)
		if err != nil {
			return err
		}
		if err := x.entry(ctx, name, header, in); err != nil {
			return err
		}
	}
}

// place is where in the tree an entry belongs.
func (x *extraction) place(header *tar.Header) (string, error) {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return ".", nil
	}
	name, err := inside(header.Name)
	if err != nil {
		return "", err
	}
	if deep := int64(strings.Count(name, "/") + 1); x.limits.Depth > 0 && deep > x.limits.Depth {
		return "", x.limits.TooDeep(fmt.Sprintf("%.200s", name))
	}
	return name, nil
}

func (x *extraction) entry(ctx context.Context, name string, header *tar.Header, content io.Reader) error {
	switch header.Typeflag {
	case tar.TypeReg, '\x00', tar.TypeCont: // '\x00' is what came before POSIX for a file
		if isSparse(header) || name == "." {
			return refused(header.Name, "it is a sparse file, or one without a name")
		}
		return x.file(ctx, name, header, content)
	case tar.TypeLink:
		return x.hardLink(name, header)
	case tar.TypeSymlink:
		return x.symlink(name, header)
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	default:
		return refused(header.Name, "it is neither file, folder nor link")
	}
}

func (x *extraction) file(ctx context.Context, name string, header *tar.Header, content io.Reader) error {
	most := int64(-1)
	if x.limits.FileBytes > 0 {
		most = x.limits.FileBytes
	}
	blob, err := x.batch.Put(ctx, content, most)
	switch {
	case errors.Is(err, store.ErrTooLarge):
		return x.limits.FileTooLarge(name)
	case err != nil:
		return damaged(err)
	}
	x.files[name] = store.File{Path: name, Mode: fs.FileMode(header.Mode).Perm(), Blob: blob} //nolint:gosec // only the low bits count
	return x.grown(blob.Size)
}

func (x *extraction) grown(by int64) error {
	if x.size += by; x.limits.TreeBytes > 0 && x.size > x.limits.TreeBytes {
		return x.limits.TreeTooLarge("the archive unpacked")
	}
	return nil
}

func (x *extraction) hardLink(name string, header *tar.Header) error {
	target, err := inside(header.Linkname)
	if err != nil {
		return refused(header.Name, "it links to "+quoted(header.Linkname)+" outside of the tree")
	}
	file, ok := x.files[target]
	if !ok {
		return refused(header.Name, "it links to "+quoted(header.Linkname)+", which does not come before it")
	}
	file.Path = name
	x.files[name] = file
	return x.grown(file.Size)
}

func (x *extraction) symlink(name string, header *tar.Header) error {
	if !staysInside(path.Dir(name), header.Linkname) {
		return refused(header.Name, "it links to "+quoted(header.Linkname)+" outside of the tree")
	}
	x.files[name] = store.File{Path: name, Mode: fs.ModeSymlink | 0o777, Target: header.Linkname}
	return nil
}

// inside is a path of an archive as one of a tree.
func inside(name string) (string, error) {
	clean := path.Clean(name)
	if name == "" || path.IsAbs(name) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(name, 0) {
		return "", refused(name, "its path leaves the tree")
	}
	return clean, nil
}

// staysInside tells whether a link in a folder leads to a place in the tree,
// whatever other links are on the way. That is sure only where all ".." come
// first: behind a name that is itself a link, they would go up from elsewhere.
func staysInside(dir, target string) bool {
	if target == "" || path.IsAbs(target) || strings.ContainsRune(target, 0) {
		return false
	}
	below := false
	for element := range strings.SplitSeq(target, "/") {
		switch element {
		case "", ".":
		case "..":
			if below {
				return false
			}
		default:
			below = true
		}
	}
	at := path.Join(dir, target)
	return at != ".." && !strings.HasPrefix(at, "../")
}

// isSparse tells whether a file has holes, in GNU's old format or by its
// extended headers: its content would be as long as it likes to say.
func isSparse(header *tar.Header) bool {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return header.Typeflag == tar.TypeGNUSparse
}

func refused(name, why string) error {
	return &source.InvalidError{Err: fmt.Errorf("entry %s of the archive is refused: %s", quoted(name), why)}
}

// quoted is a name in an error, no longer than one can read.
func quoted(name string) string { return fmt.Sprintf("%.200q", name) }

// damaged words an error of reading, unless it says itself what is the matter.
func damaged(err error) error {
	if errors.As(err, new(*source.LimitError)) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("read the archive: %w", err)
}

// decompress gives the tar in an archive, which is gzipped (RFC 1952) or plain.
func decompress(packed *meter, l source.Limits) (io.Reader, error) {
	start := bufio.NewReader(packed)
	head, err := start.Peek(2)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, damaged(err)
	}
	if head[0] != 0x1f || head[1] != 0x8b {
		return start, nil
	}
	unzipped, err := gzip.NewReader(start)
	if err != nil {
		return nil, damaged(err)
	}
	return &ratio{r: unzipped, packed: packed, limits: l}, nil
}

// meter counts what it reads, up to a number of bytes.
type meter struct {
	r    io.Reader
	read int64
	most int64 // 0 for any number
	over func() error
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.read += int64(n); m.most > 0 && m.read > m.most {
		return 0, m.over()
	}
	return n, err
}

// dense is how many bytes may come out of an archive before its ratio counts:
// manifests that resemble each other do compress well.
const dense = 16 << 20

// ratio reads what is unpacked as long as that is not out of all proportion.
type ratio struct {
	r      io.Reader
	packed *meter
	limits source.Limits
	read   int64
}

func (r *ratio) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if r.read += int64(n); r.limits.Ratio > 0 && r.read > dense && r.read/r.limits.Ratio > r.packed.read {
		return 0, r.limits.TooDense("the archive unpacked")
	}
	return n, err
}
