package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/ignore"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/store"
)

// The files of a chart that mean something here.
const (
	chartFile  = "Chart.yaml"
	valuesFile = "values.yaml"
	ignoreFile = ".helmignore"
)

// Files in memory are those of helm's loader, in order of their names, which are
// relative to the chart.

// budget bounds the files and folders of a chart: by the limits, and by what Helm loads at most.
type budget struct {
	limits      source.Limits
	files, left int64
}

func (b *Builder) budget() *budget {
	left := loader.MaxDecompressedChartSize
	if most := b.options.Limits.TreeBytes; most > 0 {
		left = min(left, most)
	}
	return &budget{limits: b.options.Limits, left: left}
}

// take accounts for a file, or a folder.
func (b *budget) take(name string, size int64) error {
	l := b.limits
	if b.files++; l.Files > 0 && b.files > l.Files {
		return l.TooManyFiles("the chart")
	}
	if l.Depth > 0 && int64(strings.Count(name, "/")) >= l.Depth {
		return l.TooDeep(name)
	}
	if l.FileBytes > 0 && size > l.FileBytes {
		return l.FileTooLarge(name)
	}
	if b.left -= size; b.left >= 0 {
		return nil
	}
	if l.TreeBytes > 0 && l.TreeBytes <= loader.MaxDecompressedChartSize {
		return l.TreeTooLarge("the chart")
	}
	return invalid("the chart has more than %d bytes, which is more than Helm loads", loader.MaxDecompressedChartSize)
}

// bounded reads a file that is an archive.
func (b *Builder) bounded(t source.Tree, name string, e source.Entry) ([]byte, error) {
	if !e.Mode.IsRegular() || !strings.HasSuffix(name, ".tgz") && !strings.HasSuffix(name, ".tar.gz") {
		return nil, invalid("it is neither a folder nor an archive: spec.chart is the path of one of these")
	}
	content, err := t.Read(name)
	if most := b.options.Limits.ArchiveBytes; err == nil && most > 0 && int64(len(content)) > most {
		err = b.options.Limits.ArchiveTooLarge(name)
	}
	return content, err
}

// read brings the files of an archive into memory, without the folder in which they
// all are. Helm has no links in archives.
func (b *Builder) read(unpacked []store.File) ([]*loader.BufferedFile, error) {
	top, budget := "", b.budget()
	var files []*loader.BufferedFile
	for _, f := range unpacked {
		folder, name, ok := strings.Cut(f.Path, "/")
		if !f.Mode.IsRegular() {
			continue
		}
		if !ok || top != "" && folder != top {
			return nil, invalid("the archive is no chart: %s is not in the one folder that a chart is", f.Path)
		}
		top = folder
		if err := budget.take(name, f.Size); err != nil {
			return nil, err
		}
		content, err := b.store.Read(f.Hash)
		if err != nil {
			return nil, err
		}
		files = append(files, &loader.BufferedFile{Name: name, Data: content})
	}
	return sorted(files), nil
}

// folder reads the files of a chart in the source, but for what its .helmignore says.
func (w *work) folder(at string) ([]*loader.BufferedFile, error) {
	t := w.spec.Source.Tree
	rules := ignore.Empty()
	content, err := t.Read(path.Join(at, ignoreFile))
	if err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(content)); err != nil {
			return nil, invalid("%s: %w", path.Join(at, ignoreFile), err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, source.ErrDamaged) {
		return nil, err
	}
	rules.AddDefaults()
	walk := &walker{tree: t, rules: rules, budget: w.budget()}
	if err := walk.folder(at, ".", 0); err != nil {
		return nil, err
	}
	return sorted(walk.files), nil
}

// walker collects the files of a folder.
type walker struct {
	tree   source.Tree
	rules  *ignore.Rules
	budget *budget
	files  []*loader.BufferedFile
}

// mostLinks bounds how many links may lead to a file, which ends those in a circle.
const mostLinks = 16

// folder collects a folder of the tree, which is another in the chart.
func (w *walker) folder(at, name string, links int) error {
	entries, err := w.tree.List(at)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := w.entry(path.Join(at, e.Name), path.Join(name, e.Name), e, links); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(at, name string, e source.Entry, links int) error {
	for ; e.IsLink(); links++ {
		target, err := w.tree.Read(at)
		if err != nil {
			return err
		}
		to := path.Join(path.Dir(at), string(target))
		if path.IsAbs(string(target)) || !fs.ValidPath(to) || links >= mostLinks {
			return invalid("%s: the link leads out of the source, or nowhere", at)
		}
		if e, err = w.tree.Stat(to); err != nil {
			return invalid("%s: the link leads to what is not there: %w", at, err)
		}
		at = to
	}
	if w.rules.Ignore(name, info{e, path.Base(name)}) {
		return nil
	}
	if e.IsDir() {
		if err := w.budget.take(name, 0); err != nil { // links in a circle make many
			return err
		}
		return w.folder(at, name, links)
	}
	content, err := w.tree.Read(at)
	if err != nil {
		return err
	}
	w.files = append(w.files, &loader.BufferedFile{Name: name, Data: content})
	return w.budget.take(name, int64(len(content)))
}

// info is an entry as the rules of .helmignore look at it.
type info struct {
	source.Entry
	name string
}

func (i info) Name() string      { return i.name }
func (i info) Size() int64       { return i.Entry.Size }
func (i info) Mode() fs.FileMode { return i.Entry.Mode }
func (info) ModTime() time.Time  { return time.Time{} }
func (info) Sys() any            { return nil }

func sorted(files []*loader.BufferedFile) []*loader.BufferedFile {
	slices.SortFunc(files, func(a, b *loader.BufferedFile) int { return strings.Compare(a.Name, b.Name) })
	return files
}

// replaced are files with one of them replaced, or added.
func replaced(files []*loader.BufferedFile, name string, content []byte) []*loader.BufferedFile {
	others := slices.DeleteFunc(slices.Clone(files), func(f *loader.BufferedFile) bool { return f.Name == name })
	return sorted(append(others, &loader.BufferedFile{Name: name, Data: content}))
}

// find is the content of a file.
func find(files []*loader.BufferedFile, name string) ([]byte, bool) {
	i := slices.IndexFunc(files, func(f *loader.BufferedFile) bool { return f.Name == name })
	if i < 0 {
		return nil, false
	}
	return files[i].Data, true
}

// meta is what is needed of a Chart.yaml before all of the chart is loaded.
type meta struct{ Name, Version string }

func parseMeta(content []byte) (m meta, err error) {
	if err := yaml.Unmarshal(content, &m); err != nil {
		return m, invalid("%s: %w", chartFile, err)
	}
	return m, nil
}

// versioned are files with another version in their Chart.yaml, which otherwise
// keeps what it says, also what Helm does not know.
func versioned(files []*loader.BufferedFile, version string) ([]*loader.BufferedFile, error) {
	content, ok := find(files, chartFile)
	if !ok {
		return nil, notFound("there is no %s", chartFile)
	}
	m, err := parseMeta(content)
	if err != nil || m.Version == version {
		return files, err
	}
	var all map[string]any
	if err := yaml.Unmarshal(content, &all); err != nil {
		return nil, invalid("%s: %w", chartFile, err)
	}
	all["version"] = version
	if content, err = yaml.Marshal(all); err != nil {
		return nil, err
	}
	return replaced(files, chartFile, content), nil
}

// valid loads a chart as Helm does, to see that Helm can. The charts that are packed
// in it are held to the limits first.
func (b *Builder) valid(files []*loader.BufferedFile) (*helm.Metadata, error) {
	if err := b.budget().nested(files); err != nil {
		return nil, err
	}
	c, err := load(files)
	if err != nil {
		return nil, err
	}
	return c.Metadata, nil
}

// load loads a chart. The loader changes the files that it gets.
func load(files []*loader.BufferedFile) (*helm.Chart, error) {
	own := make([]*loader.BufferedFile, len(files))
	for i, f := range files {
		own[i] = &loader.BufferedFile{Name: f.Name, Data: bytes.TrimPrefix(f.Data, []byte("\ufeff"))}
	}
	c, err := loader.LoadFiles(own)
	if err != nil {
		return nil, invalid("Helm refuses the chart: %w", err)
	}
	return c, nil
}

// pack packs files as Helm does, but with nothing of the moment in it.
func pack(name string, files []*loader.BufferedFile) ([]byte, error) {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	packed := tar.NewWriter(zipped)
	for _, f := range files {
		h := &tar.Header{Name: path.Join(name, f.Name), Mode: 0o644, Size: int64(len(f.Data)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if err := packed.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := packed.Write(f.Data); err != nil {
			return nil, err
		}
	}
	err := errors.Join(packed.Close(), zipped.Close())
	return out.Bytes(), err
}

// put keeps content.
func (w *work) put(ctx context.Context, content []byte) (store.Blob, error) {
	return w.batch.Put(ctx, bytes.NewReader(content), -1)
}
