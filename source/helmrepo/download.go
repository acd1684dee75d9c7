package helmrepo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/plumb-gitops/plumb/source/store"
	"github.com/plumb-gitops/plumb/source/transport"
)

// download brings the index into the store unless it is the one that r knows.
// Transport and bound look at it unpacked where the server sends it compressed.
func (c *Client) download(ctx context.Context, b *store.Batch, r *repository) (found state, fresh bool, err error) {
	answer, err := get(ctx, r.http, r.address, r.state)
	if err != nil {
		return state{}, false, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotModified && r.state.Hash != "" {
		return r.state, false, nil
	}
	if answer.StatusCode != http.StatusOK {
		return state{}, false, transport.Refused(r.address, answer.StatusCode)
	}
	blob, err := b.Put(ctx, answer.Body, bound(c.options.Limits.IndexBytes))
	if errors.Is(err, store.ErrTooLarge) {
		return state{}, false, c.options.Limits.IndexTooLarge("index.yaml")
	}
	if err != nil {
		return state{}, false, err
	}
	digest, err := b.Commit([]store.File{{Path: "index.yaml", Mode: 0o644, Blob: blob}})
	if err != nil {
		return state{}, false, err
	}
	found = state{Hash: blob.Hash, ETag: answer.Header.Get("ETag"), LastModified: answer.Header.Get("Last-Modified")}
	return found, true, c.store.SaveNote(treeKey(r.address, revision(blob.Hash)), []byte(digest))
}

// get asks for a file, if it differs from what is known.
func get(ctx context.Context, client *http.Client, address string, known state) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: no address to ask", transport.Redacted(address))
	}
	request.Header.Set("User-Agent", "plumb")
	if known.ETag != "" {
		request.Header.Set("If-None-Match", known.ETag)
	}
	if known.LastModified != "" {
		request.Header.Set("If-Modified-Since", known.LastModified)
	}
	answer, err := client.Do(request)
	if at := (*url.Error)(nil); errors.As(err, &at) {
		err = at.Err // without the address, which may hold a token
	}
	return answer, err
}

// bound is a limit as the store takes it, which has no bound for negative numbers.
func bound(limit int64) int64 {
	if limit <= 0 {
		return -1
	}
	return limit
}
