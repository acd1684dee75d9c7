// Package blob brings snapshots of containers of Azure Blob Storage.
//
// What is the same for all buckets, Azure's or not, is in package objects.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/objects"
	"github.com/plumb-gitops/plumb/source/store"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Options of a Client.
type Options struct{ Limits source.Limits }

// Client fetches containers. It is safe for concurrent use.
type Client struct {
	fetcher  *objects.Fetcher
	sessions objects.Sessions[*session]
}

// New makes a client that keeps what it fetches in a store.
func New(s *store.Store, o Options) *Client { return &Client{fetcher: objects.New(s, o.Limits)} }

// Fetch brings what the container holds now. Blobs that are known by their etags are
// not downloaded again. last is the revision that the caller has; changed tells
// whether this is another.
//
// Errors lead with the address. They are source.AuthError, NotFoundError,
// InvalidError and LimitError where it is one of these. No error touches what was
// fetched before.
func (c *Client) Fetch(ctx context.Context, s Spec, last string) (snapshot source.Snapshot, changed bool, err error) {
	open, err := c.sessions.Get(s.identity(), func() (*session, error) { return newSession(s) })
	if err == nil {
		snapshot, err = c.fetcher.Fetch(ctx, &view{open, s.Prefix}, s.wanted(), last)
	}
	if err != nil {
		c.sessions.End(s.identity())
		return source.Snapshot{}, false, classified(ctx, s, err)
	}
	return snapshot, snapshot.Revision != last, nil
}

// Open brings the snapshot of a revision that was fetched before from the same
// container by the same owner, without the network. The error wraps fs.ErrNotExist
// when it isn't there any more, or is damaged: then it has to be fetched.
func (c *Client) Open(s Spec, revision string) (source.Snapshot, error) {
	found, err := c.fetcher.Open(s.wanted(), revision)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("%s: %w", s.address(), err)
	}
	return found, nil
}

// view is a container, as a session sees it.
type view struct {
	*session
	prefix string
}

// List implements objects.Bucket.
func (v *view) List(ctx context.Context, each func(objects.Object) error) error {
	pages := v.container.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &v.prefix, Include: container.ListBlobsInclude{Metadata: true}})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, item := range page.Segment.BlobItems {
			if o, ok := object(item); ok {
				if err := each(o); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// folderMark is in the metadata of what stands for a folder, in accounts that have
// folders (Azure Data Lake Storage, "hierarchical namespace").
const folderMark = "hdi_isfolder"

// object is an entry of a listing; ok is false for what stands for a folder.
func object(item *container.BlobItem) (o objects.Object, ok bool) {
	if item.Name == nil || item.Properties == nil {
		return o, false
	}
	for name, value := range item.Metadata {
		if strings.EqualFold(name, folderMark) && value != nil && strings.EqualFold(*value, "true") {
			return o, false
		}
	}
	o.Key = *item.Name
	if p := item.Properties; p.ContentLength != nil {
		o.Size, o.ETag = *p.ContentLength, plain(p.ETag)
	}
	return o, true
}

// plain is an etag without its quotes: listings have it so, headers with them.
func plain(etag *azcore.ETag) string {
	if etag == nil {
		return ""
	}
	return strings.Trim(string(*etag), `"`)
}

// Get implements objects.Bucket.
func (v *view) Get(ctx context.Context, key string) (content io.ReadCloser, etag string, err error) {
	answer, err := v.container.NewBlobClient(key).DownloadStream(ctx, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil, "", objects.ErrGone
	}
	return answer.Body, plain(answer.ETag), err
}

// refusals are codes of an answer with another status than that of a refusal.
var refusals = []string{string(bloberror.InvalidAuthenticationInfo), "PublicAccessNotPermitted"}

// classified puts an error into words: what happened where, and the way out. The
// server's own hold identifiers that differ each time.
func classified(ctx context.Context, s Spec, err error) error {
	var answer *azcore.ResponseError
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		err = errors.New("the server speaks plain HTTP: write http:// in spec.endpoint, and allow it with spec.insecure")
	case transport.IsTyped(err) || ctx.Err() != nil || !errors.As(err, &answer):
	case answer.ErrorCode == string(bloberror.ContainerNotFound), answer.ErrorCode == string(bloberror.ResourceNotFound):
		return &source.NotFoundError{Err: fmt.Errorf("%s: container '%s' does not exist, or is not public and needs credentials", s.address(), s.Container)}
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden, slices.Contains(refusals, answer.ErrorCode):
		return &source.AuthError{Err: fmt.Errorf("%s: the server answers with status %d (%s): check the credentials, and that they may list and read the container", s.address(), answer.StatusCode, answer.ErrorCode)}
	default:
		return fmt.Errorf("%s: the server answers with status %d (%s)", s.address(), answer.StatusCode, answer.ErrorCode)
	}
	return transport.Classified(ctx, s.address(), err)
}
