// Package objects makes trees of what buckets hold.
//
// A bucket is a flat list of objects. Each has a key, which is taken for a path,
// and an etag, which names its content as long as nobody asks how. What a bucket
// holds now is therefore known from its listing alone: the revision is a digest of
// the keys and etags that the ignore rules leave, and only objects whose etag
// differs from that of the last fetch are downloaded.
//
// Which protocol a bucket speaks, and how it lets us in, is up to the packages
// that use this one.
package objects

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/store"
)

// Object is one entry of a bucket's listing.
type Object struct {
	Key  string
	ETag string // without quotes; "" when the server tells none, then it is always downloaded
	Size int64  // bytes
}

// Bucket is a bucket as a server shows it to one identity.
type Bucket interface {
	// List gives all objects to each, in any order, until that fails.
	List(ctx context.Context, each func(Object) error) error
	// Get opens the content of an object and tells its etag, as in the listing. The
	// error is ErrGone when there is no such object any more.
	Get(ctx context.Context, key string) (content io.ReadCloser, etag string, err error)
}

// ErrGone says that an object is not there any more.
var ErrGone = errors.New("the object is gone")

// errChanged says that the bucket is not as it was listed any more.
var errChanged = errors.New("it changed while it was being fetched")

// Spec says what a bucket is fetched for.
type Spec struct {
	// Location names server and bucket, the prefix included. Owner names who fetches.
	// What is remembered is remembered for both: who can list a bucket but not read it
	// must not see what others could.
	Location, Owner string
	Ignore          *string // spec.ignore, nil when it is not set
}

// Fetcher fetches buckets. It is safe for concurrent use.
type Fetcher struct {
	store   *store.Store
	limits  source.Limits
	digests source.Digests
}

// New makes a fetcher that keeps what it fetches in a store.
func New(s *store.Store, limits source.Limits) *Fetcher { return &Fetcher{store: s, limits: limits} }

// rounds is how often a bucket that changes meanwhile is listed in one fetch.
const rounds = 3

// Fetch brings what a bucket holds now. last is the revision that the caller has
// in use; with none, what the store has is read and checked before it is used again.
//
// Errors are source.LimitError where a limit is exceeded, those of the bucket, or
// name a key that cannot be part of a tree.
func (f *Fetcher) Fetch(ctx context.Context, b Bucket, s Spec, last string) (found source.Snapshot, err error) {
	for range rounds {
		if found, err = f.fetch(ctx, b, s, last); !errors.Is(err, errChanged) {
			break
		}
	}
	return found, err
}

func (f *Fetcher) fetch(ctx context.Context, b Bucket, s Spec, last string) (source.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return source.Snapshot{}, err
	}
	listed, err := list(ctx, b, f.limits)
	if err != nil {
		return source.Snapshot{}, err
	}
	w := f.begin(b, s, last == "")
	defer w.batch.Close()
	found, err := f.bring(ctx, w, s, listed)
	// What was downloaded is remembered also when this fetch fails half way, so that
	// the next one goes on from there. It names blobs that are there already.
	if left := w.remember(); left != nil {
		return source.Snapshot{}, errors.Join(err, left)
	}
	return found, err
}

// bring makes the snapshot of a listing. A crash in here leaves blobs that nothing
// names, which cost another download at most.
func (f *Fetcher) bring(ctx context.Context, w *work, s Spec, listed []Object) (source.Snapshot, error) {
	visible, err := w.rules(ctx, listed, s.Ignore)
	if err != nil {
		return source.Snapshot{}, err
	}
	chosen, err := choose(listed, visible, f.limits)
	if err != nil {
		return source.Snapshot{}, err
	}
	files, err := w.files(ctx, chosen)
	if err != nil {
		return source.Snapshot{}, err
	}
	w.forgetOthers(chosen)
	at := revision(chosen, files)
	if found, err := f.Open(s, at); err == nil {
		return found, nil // nothing is written when nothing is new
	}
	tree, err := w.batch.Commit(files)
	if err != nil {
		return source.Snapshot{}, err
	}
	if err := f.store.SaveNote(treeKey(s, at), []byte(tree)); err != nil {
		return source.Snapshot{}, err
	}
	return f.Open(s, at)
}

// Open brings the snapshot of a revision that was fetched before, without the
// network; s.Ignore does not matter. The error wraps fs.ErrNotExist when it isn't
// there any more, or is damaged: then it has to be fetched.
func (f *Fetcher) Open(s Spec, revision string) (source.Snapshot, error) {
	digest, err := f.store.LoadNote(treeKey(s, revision))
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("revision %s is not stored: %w", revision, fs.ErrNotExist)
	}
	tree, err := f.store.Tree(string(digest))
	if err != nil {
		return source.Snapshot{}, err
	}
	// As for the other sources: what a tree holds, not how the store lists it.
	content, err := f.digests.Of(tree)
	return source.Snapshot{Revision: revision, Digest: content, Tree: tree}, err
}

// revision names what the keys and etags say, as the toolkit does: the digest of
// lines "key etag", sorted by key. Where there is no etag it is the content's own.
func revision(chosen []Object, files []store.File) string {
	h := sha256.New()
	for i, o := range chosen {
		etag := o.ETag
		if etag == "" {
			etag = "sha256:" + files[i].Hash
		}
		fmt.Fprintf(h, "%s %s\n", o.Key, etag)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// key names a note of this package.
func key(parts ...string) string { return "objects\x00" + strings.Join(parts, "\x00") }

// treeKey names the note that leads from a revision to its tree.
func treeKey(s Spec, revision string) string { return key("tree", s.Owner, s.Location, revision) }

// stateKey names the note of what was downloaded.
func stateKey(s Spec) string { return key("state", s.Owner, s.Location) }
