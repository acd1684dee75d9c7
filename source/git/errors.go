package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// AuthError says that the server did not let us in, or could not prove who it
// is. Other credentials help.
type AuthError struct {
	URL string // without credentials
	Err error
}

// Error implements error.
func (e *AuthError) Error() string {
	return fmt.Sprintf("%s: authentication failed: %v: check the Secret in spec.secretRef", e.URL, e.Err)
}

// Unwrap gives the cause.
func (e *AuthError) Unwrap() error { return e.Err }

// RefNotFound says that the repository has no such reference, or none at all.
type RefNotFound struct {
	URL  string // without credentials
	What string
}

// Error implements error.
func (e *RefNotFound) Error() string { return e.URL + ": " + e.What }

// InvalidURL says that the address cannot be used. Only another one helps.
type InvalidURL struct {
	URL    string // without credentials
	Reason string
}

// Error implements error.
func (e *InvalidURL) Error() string { return fmt.Sprintf("%s: %s", e.URL, e.Reason) }

// diskError is a failure to keep what was fetched.
type diskError struct{ err error }

func (e *diskError) Error() string { return fmt.Sprintf("keep what was fetched: %v", e.err) }
func (e *diskError) Unwrap() error { return e.err }

// redacted is the address without user, password and query: each may be secret.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(an address that cannot be parsed)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// classified puts an error into words: what happened where, and the way out. The
// transport is never given an address with credentials, so none are in there.
func classified(ctx context.Context, address string, err error) error {
	var known interface{ classified() }
	var disk *diskError
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &disk):
		return fmt.Errorf("%s: %w: the last revision that was fetched stays in use; make room below --storage-path", address, disk)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within spec.timeout: %w", address, ctx.Err())
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", address, ctx.Err())
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return &AuthError{URL: address, Err: transport.ErrAuthenticationRequired}
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return &AuthError{URL: address, Err: transport.ErrAuthorizationFailed}
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("%s: repository not found, or not visible with these credentials: check spec.url and spec.secretRef", address)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return &RefNotFound{URL: address, What: "the repository has no commits: push one"}
	default:
		return fmt.Errorf("%s: %s", address, describe(err))
	}
}

func (*AuthError) classified()   {}
func (*RefNotFound) classified() {}
func (*InvalidURL) classified()  {}

// describe words an error of the network or of the server so that the same
// trouble gives the same words: no ports of our own, no pages of HTML.
func describe(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var status *githttp.Err
	var wrapped *plumbing.UnexpectedError // it does not unwrap
	var at *url.Error                     // a server may redirect to an address with secrets
	switch {
	case errors.As(err, &wrapped):
		return describe(wrapped.Err)
	case errors.As(err, &at):
		return describe(at.Err)
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("host %s not found", dns.Name)
	case errors.As(err, &dns):
		return fmt.Sprintf("host %s cannot be looked up", dns.Name)
	case errors.As(err, &op):
		return fmt.Sprintf("%s: %v", op.Op, op.Err)
	case errors.As(err, &status):
		return fmt.Sprintf("the server answers with status %d", status.StatusCode())
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection broke off"
	}
	first, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	return first
}
