package git

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/plumb-gitops/plumb/source"
	sourcetransport "github.com/plumb-gitops/plumb/source/transport"
)

// denied says that the server did not let us in, or could not prove who it is.
func denied(address string, err error) error {
	return &source.AuthError{Err: fmt.Errorf("%s: authentication failed: %w: check the Secret in spec.secretRef", address, err)}
}

// absent says that the repository has no such reference, or none at all.
func absent(address, what string) error {
	return &source.NotFoundError{Err: fmt.Errorf("%s: %s", address, what)}
}

// unusable says that the address cannot be used. Only another one helps.
func unusable(address, reason string) error {
	return &source.InvalidError{Err: fmt.Errorf("%s: %s", address, reason)}
}

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
	var disk *diskError
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	err = bare(err)
	switch {
	case sourcetransport.IsTyped(err):
		return leading(address, err)
	case errors.As(err, &disk):
		return fmt.Errorf("%s: %w: the last revision that was fetched stays in use; make room below --storage-path", address, disk)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within spec.timeout: %w", address, ctx.Err())
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", address, ctx.Err())
	case errors.As(err, &certificate):
		return &source.AuthError{Err: fmt.Errorf("%s: the server's certificate: %w: trust its authority with ca.crt in spec.secretRef", address, certificate.Err)}
	case errors.As(err, &op) && op.Op == "remote error":
		return &source.AuthError{Err: fmt.Errorf("%s: the server ends the TLS handshake (%w): it may ask for tls.crt and tls.key in spec.secretRef", address, op.Err)}
	case statusOf(err) == http.StatusProxyAuthRequired:
		return &source.AuthError{Err: fmt.Errorf("%s: the proxy asks for other credentials: check spec.proxySecretRef", address)}
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return denied(address, transport.ErrAuthenticationRequired)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return denied(address, transport.ErrAuthorizationFailed)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("%s: repository not found, or not visible with these credentials: check spec.url and spec.secretRef", address)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return absent(address, "the repository has no commits: push one")
	default:
		return fmt.Errorf("%s: %s", address, describe(err))
	}
}

// bare takes off what go-git wraps around errors: it does not unwrap.
func bare(err error) error {
	var wrapped *plumbing.UnexpectedError
	if errors.As(err, &wrapped) {
		return bare(wrapped.Err)
	}
	return err
}

// leading puts the address before an error that has it not yet. The address in an
// error of net/http goes: a server may have redirected to one with secrets.
func leading(address string, err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	if strings.HasPrefix(err.Error(), address) {
		return err
	}
	return fmt.Errorf("%s: %w", address, err)
}

// statusOf is the HTTP status that an error tells, 0 for none.
func statusOf(err error) int {
	var status *githttp.Err
	if errors.As(err, &status) {
		return status.StatusCode()
	}
	return 0
}

// describe words an error of the network or of the server so that the same
// trouble gives the same words: no ports of our own, no pages of HTML.
func describe(err error) string {
	err = bare(err)
	var dns *net.DNSError
	var op *net.OpError
	var at *url.Error // a server may redirect to an address with secrets
	switch {
	case errors.As(err, &at):
		return describe(at.Err)
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("host %s not found", dns.Name)
	case errors.As(err, &dns):
		return fmt.Sprintf("host %s cannot be looked up", dns.Name)
	case errors.As(err, &op):
		return fmt.Sprintf("%s: %v", op.Op, op.Err)
	case statusOf(err) != 0:
		return fmt.Sprintf("the server answers with status %d", statusOf(err))
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), strings.HasSuffix(err.Error(), io.ErrUnexpectedEOF.Error()): // go-git does not wrap it
		return "the connection broke off"
	}
	first, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	return first
}
