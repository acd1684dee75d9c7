// Package bucket brings snapshots of buckets that speak S3: of Amazon, of Google
// Cloud by its XML API, and of many others.
//
// What is the same for all buckets, S3 or not, is in package objects.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/minio/minio-go/v7"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/objects"
	"github.com/plumb-gitops/plumb/source/store"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Options of a Client.
type Options struct{ Limits source.Limits }

// Client fetches buckets. It is safe for concurrent use.
type Client struct {
	fetcher  *objects.Fetcher
	sessions objects.Sessions[*session]
}

// New makes a client that keeps what it fetches in a store.
func New(s *store.Store, o Options) *Client { return &Client{fetcher: objects.New(s, o.Limits)} }

// Fetch brings what the bucket holds now. Objects that are known by their etags are
// not downloaded again. last is the revision that the caller has; changed tells
// whether this is another.
//
// Errors lead with the address. They are source.AuthError, NotFoundError,
// InvalidError and LimitError where it is one of these. No error touches what was
// fetched before.
func (c *Client) Fetch(ctx context.Context, s Spec, last string) (snapshot source.Snapshot, changed bool, err error) {
	if err := s.valid(); err != nil {
		return source.Snapshot{}, false, err
	}
	open, err := c.sessions.Get(s.identity(), func() (*session, error) { return newSession(s) })
	if err == nil {
		snapshot, err = c.fetcher.Fetch(ctx, &view{open, s}, s.wanted(), last)
	}
	if err != nil {
		c.sessions.End(s.identity())
		return source.Snapshot{}, false, classified(ctx, s, err)
	}
	return snapshot, snapshot.Revision != last, nil
}

// Open brings the snapshot of a revision that was fetched before from the same
// bucket by the same owner, without the network. The error wraps fs.ErrNotExist when
// it isn't there any more, or is damaged: then it has to be fetched.
func (c *Client) Open(s Spec, revision string) (source.Snapshot, error) {
	found, err := c.fetcher.Open(s.wanted(), revision)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("%s: %w", s.address(), err)
	}
	return found, nil
}

// session is a way to reach a server with some credentials.
type session struct {
	client    *minio.Core
	transport *http.Transport
}

// Close ends the connections that nobody uses.
func (s *session) Close() { s.transport.CloseIdleConnections() }

func newSession(s Spec) (*session, error) {
	t, err := transport.New(s.Transport)
	if err != nil {
		return nil, err
	}
	through, keys, err := s.credentials(objects.Tuned(t))
	if err != nil {
		return nil, err
	}
	client, err := minio.NewCore(s.Endpoint, &minio.Options{
		Creds: keys, Secure: !s.Insecure, Transport: through, Region: s.region(),
		MaxRetries: 1, // who calls tries again, at a time of its choice
	})
	if err != nil {
		return nil, invalid("%s: %s", s.address(), minio.ToErrorResponse(err).Message)
	}
	client.SetAppInfo("plumb", "1")
	return &session{client, t}, nil
}

// view is a bucket, as a session sees it.
type view struct {
	*session
	spec Spec
}

// List implements objects.Bucket.
func (v *view) List(ctx context.Context, each func(objects.Object) error) error {
	// The library's Core has a method of that name for single pages.
	for o := range v.client.ListObjectsIter(ctx, v.spec.Bucket, minio.ListObjectsOptions{Prefix: v.spec.Prefix, Recursive: true}) {
		if o.Err != nil {
			return o.Err
		}
		if err := each(objects.Object{Key: o.Key, ETag: o.ETag, Size: o.Size}); err != nil {
			return err
		}
	}
	return ctx.Err() // the library ends quietly then
}

// Get implements objects.Bucket.
func (v *view) Get(ctx context.Context, key string) (content io.ReadCloser, etag string, err error) {
	content, info, _, err := v.client.GetObject(ctx, v.spec.Bucket, key, minio.GetObjectOptions{})
	if code := answerOf(err).Code; code == minio.NoSuchKey {
		return nil, "", objects.ErrGone
	}
	return content, info.ETag, err
}

// answerOf is the server's answer that made an error, the zero value for none.
func answerOf(err error) minio.ErrorResponse {
	answer, _ := errors.AsType[minio.ErrorResponse](err)
	return answer
}

// refusals are codes of an answer with another status than that of a refusal. The
// last is how versitygw says that it knows no such access key.
var refusals = []string{"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidSecurity", "XAdminUserNotFound"}

// elsewhere are codes that mean the bucket is in another region.
var elsewhere = []string{"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException", "InvalidRegion"}

// classified puts an error into words: what happened where, and the way out. The
// server's own hold identifiers that differ each time.
func classified(ctx context.Context, s Spec, err error) error {
	answer := answerOf(err)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		err = errPlainHTTP
	case transport.IsTyped(err) || ctx.Err() != nil || answer.Code == "":
	case answer.Code == minio.NoSuchBucket:
		return &source.NotFoundError{Err: fmt.Errorf("%s: bucket '%s' does not exist", s.address(), s.Bucket)}
	case answer.StatusCode == 0 || answer.Code == minio.InvalidBucketName:
		return invalid("%s: %s", s.address(), answer.Message) // the library's own
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden, slices.Contains(refusals, answer.Code):
		return &source.AuthError{Err: fmt.Errorf("%s: the server answers with status %d (%s): check the credentials, and that they may list the bucket and get its objects", s.address(), answer.StatusCode, answer.Code)}
	case slices.Contains(elsewhere, answer.Code):
		return fmt.Errorf("%s: the server answers with status %d (%s): check spec.region and spec.endpoint", s.address(), answer.StatusCode, answer.Code)
	default:
		return fmt.Errorf("%s: the server answers with status %d (%s)", s.address(), answer.StatusCode, answer.Code)
	}
	return transport.Classified(ctx, s.address(), err)
}
