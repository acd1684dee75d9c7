package archive

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"path"

	"github.com/plumb-gitops/plumb/source"
)

// WriteTarGz writes a tree as a gzipped tar archive. Equal trees make equal
// archives: entries are in the order of their paths, without times and owners, and
// of permissions only the executable bit is told. An error is that of reading the
// tree, naming the path, or of w.
func WriteTarGz(w io.Writer, t source.Tree) error {
	zipped := gzip.NewWriter(w)
	out := tar.NewWriter(zipped)
	if err := writeFolder(out, t, "."); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

func writeFolder(out *tar.Writer, t source.Tree, dir string) error {
	entries, err := t.List(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := path.Join(dir, e.Name)
		if e.IsDir() {
			err = writeFolder(out, t, at)
		} else {
			err = writeFile(out, t, at, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeFile(out *tar.Writer, t source.Tree, at string, e source.Entry) error {
	content, err := t.Read(at)
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: at, Mode: 0o644, Size: int64(len(content))}
	switch {
	case e.IsLink():
		header.Typeflag, header.Linkname, header.Mode, header.Size = tar.TypeSymlink, string(content), 0o777, 0
		content = nil
	case e.Mode&0o100 != 0:
		header.Mode = 0o755
	}
	if err := out.WriteHeader(header); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	_, err = out.Write(content)
	return err
}
