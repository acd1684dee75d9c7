// Package helmrepo brings charts out of Helm repositories.
//
// A repository is a folder of charts that a server offers. Its index lists the
// versions of each chart: an entry says where the archive of a version is and what
// its digest is. A repository in an OCI registry has no index; there, the tags of
// a chart's own repository are its versions.
//
// An index may have tens of megabytes, of which hardly anything is needed. It goes
// into the store as it comes and is read as a stream; in memory stay the versions
// of the charts that somebody asked for since the index before.
package helmrepo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/store"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Options of a Client.
type Options struct {
	Limits source.Limits
	OCI    *oci.Client // for repositories in registries
}

// Client fetches indexes and charts. It is safe for concurrent use.
type Client struct {
	store   *store.Store
	options Options

	mu           sync.Mutex
	repositories map[string]*repository // by what makes them differ
	turns        turns                  // at downloads of charts
}

// New makes a client that keeps what it fetches in a store.
func New(s *store.Store, o Options) *Client {
	return &Client{store: s, options: o, repositories: map[string]*repository{}}
}

// Fetch brings the index of a repository, if it changed. The snapshot's revision
// is "sha256:<hex of the index>", its tree the one file index.yaml. last is the
// revision that the caller has; changed tells whether this is another.
//
// Errors lead with the URL. They are source.AuthError, NotFoundError, InvalidError
// and LimitError where it is one of these. No error touches what was fetched before.
func (c *Client) Fetch(ctx context.Context, s Spec, last string) (snapshot source.Snapshot, changed bool, err error) {
	if s.inRegistry() {
		return source.Snapshot{}, false, invalid("%s: a repository in an OCI registry has no index", transport.Redacted(s.URL))
	}
	snapshot, err = c.fetch(ctx, s)
	if err != nil {
		return source.Snapshot{}, false, transport.Classified(ctx, transport.Redacted(s.URL), err)
	}
	return snapshot, snapshot.Revision != last, nil
}

func (c *Client) fetch(ctx context.Context, s Spec) (source.Snapshot, error) {
	r, err := c.repository(s)
	if err != nil {
		return source.Snapshot{}, err
	}
	done, err := r.wait(ctx)
	if err != nil {
		return source.Snapshot{}, err
	}
	defer done()
	if err := c.refresh(ctx, r); err != nil {
		return source.Snapshot{}, err
	}
	return c.stored(r.address, revision(r.state.Hash))
}

// Open brings the snapshot of a revision that was fetched before from the same
// URL, without the network. The error wraps fs.ErrNotExist when it isn't there any
// more, or is damaged: then it has to be fetched.
func (c *Client) Open(s Spec, revision string) (source.Snapshot, error) {
	at, err := s.index()
	if err != nil {
		return source.Snapshot{}, err
	}
	found, err := c.stored(at.String(), revision)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("%s: %w", transport.Redacted(s.URL), err)
	}
	return found, nil
}

// stored is the snapshot of an index as far as the store has it.
func (c *Client) stored(address, revision string) (source.Snapshot, error) {
	digest, err := c.store.LoadNote(treeKey(address, revision))
	if err != nil {
		return source.Snapshot{}, err
	}
	tree, err := c.store.Tree(string(digest))
	if err != nil {
		return source.Snapshot{}, err
	}
	return source.Snapshot{Revision: revision, Digest: string(digest), Tree: tree}, nil
}

// state is what is remembered of the last fetch, also after a restart.
type state struct {
	Hash         string `json:"hash"` // of the index
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

// refresh asks the server for an index that differs from the one known; r's turn
// is taken. The index is in the store before the state names it, so a crash in
// between costs a download at most.
func (c *Client) refresh(ctx context.Context, r *repository) error {
	c.recall(r)
	b := c.store.Begin()
	defer b.Close()
	found, fresh, err := c.download(ctx, b, r)
	if err != nil || !fresh {
		return err
	}
	if found.Hash != r.state.Hash {
		charts, err := c.read(found.Hash, r.wanted())
		if err != nil {
			return err
		}
		r.replace(charts)
	}
	r.state = found
	note, err := json.Marshal(found)
	if err != nil {
		return err
	}
	return c.store.SaveNote(key("state", r.key), note)
}

// recall makes r know its last fetch, unless it does. Where the store has not all
// of it any more, r knows nothing and the server is asked for all.
func (c *Client) recall(r *repository) {
	if r.state.Hash == "" {
		note, err := c.store.LoadNote(key("state", r.key))
		if err != nil || json.Unmarshal(note, &r.state) != nil {
			r.forget()
			return
		}
		charts, err := c.read(r.state.Hash, r.wanted()) // to its end, where damage shows
		if err != nil {
			r.forget()
			return
		}
		r.replace(charts)
	}
	if _, err := c.stored(r.address, revision(r.state.Hash)); err != nil {
		r.forget()
	}
}

// read takes the versions of charts out of an index in the store.
func (c *Client) read(hash string, charts map[string]bool) (map[string][]version, error) {
	content, err := c.store.Open(hash)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	found := map[string][]version{}
	for name := range charts {
		found[name] = nil // it is known not to be there
	}
	err = scan(content, charts, func(chart string, v version) { found[chart] = append(found[chart], v) })
	if err != nil && !errors.Is(err, source.ErrDamaged) {
		return nil, fmt.Errorf("index.yaml: %w", err)
	}
	return found, err
}

// revision is how the toolkit writes it.
func revision(hash string) string { return "sha256:" + hash }

// key names a note of this package.
func key(parts ...string) string { return "helmrepo\x00" + strings.Join(parts, "\x00") }

// treeKey names the note that leads from a revision to its tree.
func treeKey(address, revision string) string { return key("tree", address, revision) }
