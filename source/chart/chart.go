// Package chart builds Helm charts as artifacts.
//
// A chart is a folder with a Chart.yaml; its archive is that folder as a gzipped tar
// file. It comes packed out of a repository (package helmrepo), or out of the
// snapshot of another source, where it is a folder or an archive. It is packaged,
// which is to say packed by us, where it comes as a folder, or is to have other
// values or another version. Equal files make equal archives.
package chart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/helmrepo"
	"github.com/plumb-gitops/plumb/source/store"
)

// What makes a new artifact out of a chart in another source.
const (
	ChartVersion = "ChartVersion" // another version in its Chart.yaml
	Revision     = "Revision"     // another revision of the source
)

// Spec is what to build.
type Spec struct {
	// Owner names whose chart it is, such as the UID of an object, and Generation the
	// generation of that. Without an owner, ChartVersion is as Revision for the
	// question what is new.
	Owner      string
	Generation int64

	Chart string // its name in Repository, or its path in Source
	// Version is a range of versions in Repository.
	Version string

	// One of these is where it comes from.
	Repository *helmrepo.Spec
	Source     *source.Snapshot

	// ValuesFiles are merged, the later over the earlier, in the place of the chart's
	// values.yaml. Their paths are relative to the chart in Repository, or to Source.
	ValuesFiles              []string
	IgnoreMissingValuesFiles bool
	ReconcileStrategy        string // ChartVersion, also for "", or Revision

	// Dependencies says how to get into the repository at a URL, which a chart in
	// Source depends on. Nil: without credentials.
	Dependencies func(ctx context.Context, url string) (helmrepo.Spec, error)
}

// Chart is a chart that was built. Its revision is its version, its archive the
// packed chart, its tree the same unpacked, with the folder that is in the archive.
type Chart struct {
	source.Snapshot
	Name        string
	ValuesFiles []string // those of the spec that were there
	Packaged    bool     // by us
}

// Options of a Builder.
type Options struct {
	Limits       source.Limits
	Repositories *helmrepo.Client
}

// Builder builds charts. It is safe for concurrent use.
type Builder struct {
	store   *store.Store
	options Options
}

// New makes a builder that keeps what it builds in a store.
func New(s *store.Store, o Options) *Builder { return &Builder{s, o} }

// Fetch builds the chart that s means now. last is the revision that the caller
// has; changed tells whether this is another. What was built before of the same is
// not built again; a chart in a Source is not even read when its version is last
// and s.ReconcileStrategy asks for nothing more.
//
// Errors are source.AuthError, NotFoundError, InvalidError, VerifyError and
// LimitError where it is one of these. No error touches what was built before.
func (b *Builder) Fetch(ctx context.Context, s Spec, last string) (found Chart, changed bool, err error) {
	switch s.ReconcileStrategy {
	case "", ChartVersion, Revision:
	default:
		return Chart{}, false, invalid("reconcileStrategy is %q: it can be %s or %s", s.ReconcileStrategy, ChartVersion, Revision)
	}
	for range mostDamaged {
		if found, err = b.fetch(ctx, s, last); !errors.Is(err, source.ErrDamaged) {
			break // what is damaged goes away once it was seen, and is fetched again
		}
	}
	if err != nil {
		return Chart{}, false, err
	}
	return found, found.Revision != last, nil
}

// mostDamaged is how many damaged files one build may come upon.
const mostDamaged = 3

func (b *Builder) fetch(ctx context.Context, s Spec, last string) (Chart, error) {
	batch := b.store.Begin()
	defer batch.Close()
	w := &work{Builder: b, batch: batch, spec: s}
	switch {
	case s.Repository != nil:
		return w.fromRepository(ctx)
	case s.Source != nil:
		return w.fromSource(ctx, last)
	default:
		return Chart{}, invalid("chart %q has no source", s.Chart)
	}
}

// Open brings a chart that was built before, by its revision and its digest or that
// of its archive, without the network. The error wraps fs.ErrNotExist when it isn't
// there any more, or is damaged: then it has to be built.
func (b *Builder) Open(revision, digest string) (Chart, error) {
	found, err := b.load(key("artifact", revision, digest))
	if err != nil {
		return Chart{}, fmt.Errorf("chart version %s: %w", revision, err)
	}
	return found, nil
}

// record is what a note says of a chart.
type record struct {
	Revision, Digest string
	Archive          source.Archive
	Verified         string `json:",omitempty"`
	Name             string
	ValuesFiles      []string `json:",omitempty"`
	Packaged         bool     `json:",omitempty"`
}

// load brings what a note tells of.
func (b *Builder) load(name string) (Chart, error) {
	note, err := b.store.LoadNote(name)
	if err != nil {
		return Chart{}, err
	}
	var r record
	if err := json.Unmarshal(note, &r); err != nil {
		return Chart{}, source.ErrDamaged
	}
	tree, err := b.store.Tree(r.Digest)
	if err != nil {
		return Chart{}, err
	}
	packed, err := b.store.Open(r.Archive.Hash)
	if err != nil {
		return Chart{}, err
	}
	return Chart{
		Snapshot: source.Snapshot{Revision: r.Revision, Digest: r.Digest, Tree: tree, Archive: &r.Archive, Verified: r.Verified},
		Name:     r.Name, ValuesFiles: r.ValuesFiles, Packaged: r.Packaged,
	}, packed.Close()
}

// save notes a chart that is in the store by then, under what it was built from and
// under what it is.
func (b *Builder) save(name string, c Chart) error {
	note, err := json.Marshal(record{c.Revision, c.Digest, *c.Archive, c.Verified, c.Name, c.ValuesFiles, c.Packaged})
	if err != nil {
		return err
	}
	for _, name := range []string{key("artifact", c.Revision, c.Digest), key("artifact", c.Revision, "sha256:"+c.Archive.Hash), name} {
		if err := b.store.SaveNote(name, note); err != nil {
			return err
		}
	}
	return nil
}

// key names a note of this package.
func key(parts ...string) string { return "chart\x00" + strings.Join(parts, "\x00") }

// inputs names the note of what is built from these.
func inputs(of ...any) string {
	all, err := json.Marshal(of)
	if err != nil {
		panic(err) // strings, numbers and booleans only
	}
	sum := sha256.Sum256(all)
	return key("inputs", hex.EncodeToString(sum[:]))
}

func invalid(format string, args ...any) error {
	return &source.InvalidError{Err: fmt.Errorf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &source.NotFoundError{Err: fmt.Errorf(format, args...)}
}
