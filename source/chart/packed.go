package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"path"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
)

// Helm unpacks the charts that are packed in a chart, and those in these, in memory,
// each with a bound of its own. A small archive can hold any number of them.

// nested accounts for the charts that are packed in a chart, all of them together.
func (b *budget) nested(files []*loader.BufferedFile) error {
	for _, f := range files {
		if !isPacked(f.Name) {
			continue
		}
		if err := b.archive(f.Name, bytes.NewReader(f.Data)); err != nil {
			return err
		}
	}
	return nil
}

// archive accounts for the files of an archive, as far as it can be read: what is
// wrong with the rest is for Helm to say, which comes no further.
func (b *budget) archive(name string, r io.Reader) error {
	unzipped, broken := gzip.NewReader(r)
	if broken == nil {
		return b.contents(name, tar.NewReader(unzipped))
	}
	return nil
}

func (b *budget) contents(name string, in *tar.Reader) error {
	for header, end := in.Next(); end == nil; header, end = in.Next() {
		at := path.Join(name, strings.ReplaceAll(header.Name, `\`, "/")) // to Helm, both divide paths
		if err := b.take(at, header.Size); err != nil {
			return err
		}
		if !isPacked(at) {
			continue
		}
		if err := b.archive(at, in); err != nil {
			return err
		}
	}
	return nil
}

// isPacked tells whether Helm may take a file for a packed chart.
func isPacked(name string) bool {
	return path.Ext(name) == ".tgz" && path.Base(path.Dir(name)) == "charts"
}
