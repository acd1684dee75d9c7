package objects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/store"
)

// downloads is how many objects are downloaded at once.
const downloads = 16

// rulesBytes bounds the .sourceignore files of a bucket, which go into memory.
const rulesBytes = 8 << 20

// kept is what is remembered of a download.
type kept struct {
	ETag string `json:"etag"`
	store.Blob
}

// work is one fetch.
type work struct {
	fetcher *Fetcher
	bucket  Bucket
	spec    Spec
	batch   *store.Batch
	check   bool // reads what the store has before it is used again

	mu      sync.Mutex
	known   map[string]kept // by key: what was downloaded, now and before
	changed bool            // known is not as the note has it
}

// begin recalls what was downloaded before; without that everything is.
func (f *Fetcher) begin(b Bucket, s Spec, check bool) *work {
	w := &work{fetcher: f, bucket: b, spec: s, batch: f.store.Begin(), check: check}
	note, err := f.store.LoadNote(stateKey(s))
	if err != nil || json.Unmarshal(note, &w.known) != nil || w.known == nil {
		w.known = map[string]kept{}
	}
	return w
}

// remember notes what was downloaded, for the next fetch and the next process.
func (w *work) remember() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.changed {
		return nil
	}
	note, err := json.Marshal(w.known)
	if err != nil {
		return err
	}
	w.changed = false
	return w.fetcher.store.SaveNote(stateKey(w.spec), note)
}

// forgetOthers drops what is not in the bucket any more. Files with ignore rules
// stay, since they may be hidden by those.
func (w *work) forgetOthers(chosen []Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := make(map[string]bool, len(chosen))
	for _, o := range chosen {
		names[o.Key] = true
	}
	before := len(w.known)
	maps.DeleteFunc(w.known, func(key string, _ kept) bool { return !names[key] && path.Base(key) != source.IgnoreFile })
	w.changed = w.changed || len(w.known) != before
}

// rules reads the .sourceignore files of a listing.
func (w *work) rules(ctx context.Context, listed []Object, spec *string) (visible func(file string) (bool, error), err error) {
	var wanted []Object
	var total int64
	for _, o := range listed {
		if path.Base(o.Key) != source.IgnoreFile || flaw(o.Key) != "" {
			continue
		}
		if total += o.Size; total > rulesBytes {
			return nil, fmt.Errorf("the %s files of the bucket have more than %d bytes together", source.IgnoreFile, rulesBytes)
		}
		wanted = append(wanted, o)
	}
	files, err := w.files(ctx, wanted)
	if err != nil {
		return nil, err
	}
	rules := source.MemoryTree{}
	for _, f := range files {
		content, err := w.fetcher.store.Read(f.Hash)
		if err != nil {
			return nil, err
		}
		rules[f.Path] = string(content)
	}
	return source.Judge(rules, spec)
}

// files brings objects into the store, many at a time. The first error ends all.
func (w *work) files(ctx context.Context, objects []Object) ([]store.File, error) {
	files := make([]store.File, len(objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(downloads)
	for i, o := range objects {
		if blob, ok := w.have(o); ok {
			files[i] = store.File{Path: o.Key, Mode: 0o644, Blob: blob}
			continue
		}
		group.Go(func() error {
			blob, err := w.download(ctx, o)
			files[i] = store.File{Path: o.Key, Mode: 0o644, Blob: blob}
			return err
		})
	}
	return files, group.Wait()
}

// have finds an object in the store, by its etag.
func (w *work) have(o Object) (store.Blob, bool) {
	w.mu.Lock()
	before, ok := w.known[o.Key]
	w.mu.Unlock()
	if !ok || o.ETag == "" || before.ETag != o.ETag || before.Size != o.Size {
		return store.Blob{}, false
	}
	return before.Blob, w.batch.Reuse(before.Hash) && (!w.check || w.intact(before.Hash))
}

// intact reads a blob to its end, where damage shows.
func (w *work) intact(hash string) bool {
	content, err := w.fetcher.store.Open(hash)
	if err != nil {
		return false
	}
	defer content.Close()
	_, err = io.Copy(io.Discard, content)
	return err == nil
}

// download brings an object and holds it to the listing.
func (w *work) download(ctx context.Context, o Object) (store.Blob, error) {
	if err := ctx.Err(); err != nil {
		return store.Blob{}, err
	}
	content, etag, err := w.bucket.Get(ctx, o.Key)
	if errors.Is(err, ErrGone) {
		err = errChanged
	}
	if err != nil {
		return store.Blob{}, about(o, err)
	}
	defer content.Close()
	if o.ETag != "" && etag != "" && etag != o.ETag {
		return store.Blob{}, about(o, errChanged)
	}
	blob, err := w.batch.Put(ctx, content, o.Size)
	if errors.Is(err, store.ErrTooLarge) || err == nil && blob.Size != o.Size {
		err = errChanged
	}
	if err != nil {
		return store.Blob{}, about(o, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[o.Key], w.changed = kept{o.ETag, blob}, true
	return blob, nil
}

// about says which object an error is about, where it does not say more already.
func about(o Object, err error) error { return fmt.Errorf("object %s: %w", quoted(o.Key), err) }
