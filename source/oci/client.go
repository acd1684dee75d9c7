// Package oci brings snapshots of artifacts in OCI registries.
//
// An artifact is a manifest, named by its digest, with layers. Of these a Spec
// selects one: it is extracted, or copied as it is. A repository holds artifacts
// and tags that lead to them; a registry holds repositories. A session is a
// connection to a repository as one identity.
//
// The store keeps the manifest and the content of the layer, so whoever comes
// back asks the registry one thing: where the tag leads now.
package oci

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/store"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Options of a Client.
type Options struct {
	Limits source.Limits
	// TrustRoot gives what keyless signatures are verified with where a spec brings
	// no trust root of its own. Nil is the public Sigstore instance, by TUF.
	TrustRoot func(ctx context.Context) (root.TrustedMaterial, error)
}

// Client fetches artifacts. It is safe for concurrent use.
type Client struct {
	store   *store.Store
	options Options
	digests source.Digests

	mu       sync.Mutex
	sessions map[string]*session // by what makes them differ
	turns    map[string]*turn    // by session and artifact: who downloads it
	public   publicRoot
}

// New makes a client that keeps what it fetches in a store.
func New(s *store.Store, o Options) *Client {
	c := &Client{store: s, options: o, sessions: map[string]*session{}, turns: map[string]*turn{}}
	if c.options.TrustRoot == nil {
		c.options.TrustRoot = c.public.get
	}
	return c
}

// Fetch asks the registry what s means now and brings it. What the store has is
// not downloaded again; the registry is asked in any case, since it decides who
// may see the artifact, but for a digest that the caller has already. last is the
// revision that the caller has; changed tells whether this is another.
//
// Errors lead with the URL. They are source.AuthError, NotFoundError, InvalidError,
// VerifyError and LimitError where it is one of these. No error touches what was
// fetched before.
func (c *Client) Fetch(ctx context.Context, s Spec, last string) (snapshot source.Snapshot, changed bool, err error) {
	snapshot, err = again(ctx, func() (source.Snapshot, error) { return c.fetch(ctx, s, last) })
	if err != nil {
		return source.Snapshot{}, false, classified(ctx, transport.Redacted(s.URL), err)
	}
	return snapshot, snapshot.Revision != last, nil
}

func (c *Client) fetch(ctx context.Context, s Spec, last string) (source.Snapshot, error) {
	if err := s.Layer.valid(); err != nil {
		return source.Snapshot{}, err
	}
	r, err := c.repository(s)
	if err != nil {
		return source.Snapshot{}, err
	}
	v, err := r.resolve(ctx, s.Ref, last)
	if err != nil {
		return source.Snapshot{}, c.failed(r, err)
	}
	done, err := c.wait(ctx, r.key+v.digest.String())
	if err != nil {
		return source.Snapshot{}, err
	}
	defer done()
	if found, err := c.stored(s, r.name.String(), v); err == nil {
		return found, nil
	}
	found, err := c.bring(ctx, r, s, v)
	return found, c.failed(r, err)
}

// bring downloads what is missing of an artifact. A crash in between leaves
// content that nothing names, and the next fetch goes on from there.
func (c *Client) bring(ctx context.Context, r *repository, s Spec, v version) (source.Snapshot, error) {
	if _, err := c.verified(ctx, r, s.Verify, v.digest); err != nil {
		return source.Snapshot{}, err
	}
	image, err := c.image(ctx, r, v.digest)
	if err != nil {
		return source.Snapshot{}, err
	}
	layer, err := s.Layer.choose(image)
	if err != nil {
		return source.Snapshot{}, err
	}
	b := c.store.Begin()
	defer b.Close()
	if err := c.layer(ctx, b, r, layer, s.Layer.copies()); err != nil {
		return source.Snapshot{}, err
	}
	return c.stored(s, r.name.String(), v)
}

// Open brings the snapshot of a revision that was fetched before with the same
// URL, layer selector and verification, without the network; s.Ref and the
// credentials don't matter. The error wraps fs.ErrNotExist when it isn't there
// any more, or is damaged: then it has to be fetched.
func (c *Client) Open(s Spec, revision string) (source.Snapshot, error) {
	repo, err := s.repository()
	if err != nil {
		return source.Snapshot{}, err
	}
	v, err := parseRevision(revision)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("%s: %w", transport.Redacted(s.URL), err)
	}
	found, err := c.stored(s, repo.String(), v)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("%s: %w", transport.Redacted(s.URL), err)
	}
	return found, nil
}

// stored is the snapshot of an artifact as far as the store has it. Nothing
// unverified is given out.
func (c *Client) stored(s Spec, repo string, v version) (source.Snapshot, error) {
	none := source.Snapshot{}
	verified, err := c.verifiedBefore(repo, s.Verify, v.digest)
	if err != nil {
		return none, err
	}
	image, err := c.storedImage(repo, v.digest)
	if err != nil {
		return none, err
	}
	layer, err := s.Layer.choose(image)
	if err != nil {
		return none, err
	}
	found, err := c.storedLayer(repo, layer, s.Layer.copies())
	if err != nil {
		return none, err
	}
	if found.Archive == nil {
		if found.Tree, err = source.Ignored(found.Tree, s.Ignore); err != nil {
			return none, err
		}
		if found.Digest, err = c.digests.Of(found.Tree); err != nil {
			return none, err
		}
	}
	found.Revision, found.Metadata, found.Verified = v.revision(), image.Annotations, verified
	return found, nil
}

// turn is for one at a time.
type turn struct {
	taken chan struct{}
	users int // who has it or waits for it
}

// wait takes the turn at something, so that what several ask for at once is
// downloaded once. Those with other credentials or another proxy don't wait for
// each other: they may never get there.
func (c *Client) wait(ctx context.Context, what string) (done func(), err error) {
	c.mu.Lock()
	t, ok := c.turns[what]
	if !ok {
		t = &turn{taken: make(chan struct{}, 1)}
		c.turns[what] = t
	}
	t.users++
	c.mu.Unlock()
	leave := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(c.turns, what)
		}
	}
	select {
	case t.taken <- struct{}{}:
		return func() { <-t.taken; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// again repeats what ended with a context that is not ours: those who share a
// session log in once for all, and whoever came first may have given up.
func again[T any](ctx context.Context, do func() (T, error)) (out T, err error) {
	for range 3 {
		out, err = do()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	return out, err
}

// key names a note of this package.
func key(parts ...string) string { return "oci\x00" + strings.Join(parts, "\x00") }
