package chart

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/archive"
	"github.com/plumb-gitops/plumb/source/store"
)

// work is the building of one chart.
type work struct {
	*Builder
	batch *store.Batch
	spec  Spec
}

// fromRepository builds a chart that comes packed.
func (w *work) fromRepository(ctx context.Context) (Chart, error) {
	s := w.spec
	v, err := w.options.Repositories.Resolve(ctx, *s.Repository, s.Chart, s.Version)
	if err != nil {
		return Chart{}, err
	}
	packed, err := w.options.Repositories.Download(ctx, w.batch, *s.Repository, v)
	if err != nil {
		return Chart{}, err
	}
	version := v.Version
	if len(s.ValuesFiles) > 0 {
		if version, err = withMetadata(version, strconv.FormatInt(s.Generation, 10)); err != nil {
			return Chart{}, fmt.Errorf("chart %q: %w", s.Chart, err)
		}
	}
	name := inputs("repository", packed.Hash, s.Chart, version, packed.Verified, s.ValuesFiles, s.IgnoreMissingValuesFiles)
	if known, err := w.load(name); err == nil {
		return known, nil
	}
	found, err := w.fromArchive(ctx, packed.Archive, version)
	if err != nil {
		return Chart{}, fmt.Errorf("chart %q version %s: %w", s.Chart, v.Version, err)
	}
	found.Verified = packed.Verified
	return found, w.save(name, found)
}

// fromSource builds a chart out of the snapshot of another source.
func (w *work) fromSource(ctx context.Context, last string) (Chart, error) {
	s := w.spec
	at := inside(s.Chart)
	found, err := w.locate(at, last)
	if err == nil && found.known == nil {
		found.built, err = w.build(ctx, at, found)
		if err == nil {
			return found.built, w.save(found.note, found.built)
		}
	}
	if err != nil {
		return Chart{}, fmt.Errorf("chart %s at revision %s: %w", at, s.Source.Revision, err)
	}
	return *found.known, nil
}

// location is a chart in a source.
type location struct {
	packed  []byte // where it is an archive
	version string // that the artifact is to have, "" for that of an archive as it is
	note    string
	known   *Chart // what was built of the same
	built   Chart
}

// locate finds out what is at a path, and whether it is known.
func (w *work) locate(at, last string) (l location, err error) {
	s := w.spec
	entry, err := s.Source.Tree.Stat(at)
	if err != nil {
		return l, notFound("there is nothing: %w", err)
	}
	if !entry.IsDir() {
		if l.packed, err = w.bounded(s.Source.Tree, at, entry); err != nil {
			return l, err
		}
	} else if l.version, err = w.version(at); err != nil {
		return l, err
	}
	if l.version != "" && s.Owner != "" && s.ReconcileStrategy != Revision {
		l.note = inputs("version", s.Owner, s.Generation, at, l.version, s.ValuesFiles, s.IgnoreMissingValuesFiles)
		if l.version != last {
			return l, nil // its version went back to one that it had before: the content counts
		}
	} else {
		l.note = inputs("source", s.Source.Digest, s.Source.Revision, at, s.ReconcileStrategy, s.ValuesFiles, s.IgnoreMissingValuesFiles)
	}
	if known, err := w.load(l.note); err == nil {
		l.known = &known
	}
	return l, nil
}

// version is the version that the chart in a folder is to have.
func (w *work) version(at string) (string, error) {
	content, err := w.spec.Source.Tree.Read(path.Join(at, chartFile))
	if err != nil {
		return "", notFound("there is no chart: %w", err)
	}
	meta, err := parseMeta(content)
	if err != nil {
		return "", err
	}
	return w.marked(meta.Version)
}

// marked is a version with what the reconcile strategy adds.
func (w *work) marked(version string) (string, error) {
	if w.spec.ReconcileStrategy != Revision {
		return withMetadata(version, "")
	}
	revision := w.spec.Source.Revision
	revision = revision[strings.LastIndex(revision, ":")+1:]
	return withMetadata(version, revision[:min(12, len(revision))])
}

// withMetadata gives a version build metadata, in the place of its own. Without any
// it only checks it.
func withMetadata(version, metadata string) (string, error) {
	v, err := semver.NewVersion(version)
	if err != nil {
		return "", invalid("version %q: %w", version, err)
	}
	if metadata == "" {
		return version, nil
	}
	marked, err := v.SetMetadata(metadata)
	if err != nil {
		return "", invalid("version %q with %q: %w", version, metadata, err)
	}
	return marked.String(), nil
}

// build builds what was located.
func (w *work) build(ctx context.Context, at string, l location) (Chart, error) {
	if l.packed != nil {
		blob, err := w.put(ctx, l.packed)
		if err != nil {
			return Chart{}, err
		}
		return w.fromArchive(ctx, source.Archive{Hash: blob.Hash, Size: blob.Size}, "")
	}
	files, err := w.folder(at)
	if err != nil {
		return Chart{}, err
	}
	if files, err = w.completed(ctx, at, files); err != nil {
		return Chart{}, err
	}
	return w.packaged(ctx, files, l.version)
}

// fromArchive makes an artifact of an archive: of itself, unless it is to have other
// values or, in a source, another version. version "" is that of its Chart.yaml.
func (w *work) fromArchive(ctx context.Context, packed source.Archive, version string) (Chart, error) {
	content, err := w.store.Open(packed.Hash)
	if err != nil {
		return Chart{}, err
	}
	defer content.Close()
	unpacked, err := archive.Extract(ctx, w.batch, content, w.options.Limits)
	if err != nil {
		return Chart{}, err
	}
	files, err := w.read(unpacked)
	if err != nil {
		return Chart{}, err
	}
	meta, err := w.valid(files)
	if err != nil {
		return Chart{}, err
	}
	marked := version
	if version == "" {
		if marked, err = w.marked(meta.Version); err != nil {
			return Chart{}, err
		}
		version = meta.Version
	}
	if len(w.spec.ValuesFiles) > 0 || marked != version {
		return w.packaged(ctx, files, marked)
	}
	return w.artifact(packed, unpacked, Chart{Name: meta.Name, Snapshot: source.Snapshot{Revision: version}})
}

// artifact commits the files of a packed chart.
func (w *work) artifact(packed source.Archive, unpacked []store.File, c Chart) (Chart, error) {
	digest, err := w.batch.Commit(unpacked)
	if err != nil {
		return Chart{}, err
	}
	c.Digest, c.Archive = digest, &packed
	c.Tree, err = w.store.Tree(digest)
	return c, err
}

// packaged packs files as a version, with the values that the spec asks for.
func (w *work) packaged(ctx context.Context, files []*loader.BufferedFile, version string) (Chart, error) {
	values, used, err := w.values(files)
	if err != nil {
		return Chart{}, err
	}
	if len(w.spec.ValuesFiles) > 0 {
		files = replaced(files, valuesFile, values)
	}
	if files, err = versioned(files, version); err != nil {
		return Chart{}, err
	}
	meta, err := w.valid(files)
	if err != nil {
		return Chart{}, err
	}
	packed, err := pack(meta.Name, files)
	if err != nil {
		return Chart{}, err
	}
	blob, err := w.put(ctx, packed)
	if err != nil {
		return Chart{}, err
	}
	unpacked := make([]store.File, len(files))
	for i, f := range files {
		content, err := w.put(ctx, f.Data)
		if err != nil {
			return Chart{}, err
		}
		unpacked[i] = store.File{Path: path.Join(meta.Name, f.Name), Mode: 0o644, Blob: content}
	}
	return w.artifact(source.Archive{Hash: blob.Hash, Size: blob.Size}, unpacked, Chart{
		Name: meta.Name, ValuesFiles: used, Packaged: true, Snapshot: source.Snapshot{Revision: version},
	})
}

// inside is a path below the root, wherever it points to.
func inside(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name != "" {
		return name
	}
	return "."
}
