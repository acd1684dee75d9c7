package oci

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

	registry "github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/plumb-gitops/plumb/source"
)

// errPlainHTTP says that somebody would have us talk in the clear.
var errPlainHTTP = errors.New("the connection would be plain HTTP: allow it with spec.insecure")

// classified puts an error into words: what happened where, and the way out.
func classified(ctx context.Context, address string, err error) error {
	var status *registry.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case isTyped(err):
		return fmt.Errorf("%s: %w", address, err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within spec.timeout: %w", address, ctx.Err())
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", address, ctx.Err())
	case errors.As(err, &status):
		return answered(address, status)
	case errors.As(err, &certificate):
		return &source.AuthError{Err: fmt.Errorf("%s: the registry's certificate: %w: trust its authority with ca.crt in spec.certSecretRef", address, certificate.Err)}
	}
	if text := describe(err); text != "" {
		return fmt.Errorf("%s: %s", address, text)
	}
	return fmt.Errorf("%s: %w", address, err)
}

// isTyped tells whether an error says what it is already.
func isTyped(err error) bool {
	return errors.As(err, new(*source.AuthError)) || errors.As(err, new(*source.NotFoundError)) || errors.As(err, new(*source.InvalidError)) ||
		errors.As(err, new(*source.VerifyError)) || errors.As(err, new(*source.LimitError))
}

// answered is the error for an answer of the registry, in words of ours: its own
// may hold identifiers that differ each time.
func answered(address string, e *registry.Error) error {
	text := fmt.Sprintf("%s: the registry answers with status %d", address, e.StatusCode)
	if len(e.Errors) > 0 {
		text += fmt.Sprintf(" (%s)", e.Errors[0].Code)
	}
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return &source.AuthError{Err: errors.New(text + ": check the credentials, and that they may pull from this repository")}
	case http.StatusNotFound:
		return &source.NotFoundError{Err: errors.New(text)}
	default:
		return errors.New(text)
	}
}

// describe words an error of the network so that the same trouble gives the same
// words; "" when it is none.
func describe(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var at *url.Error
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the registry speaks plain HTTP: allow it with spec.insecure"
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("host %s not found", dns.Name)
	case errors.As(err, &dns):
		return fmt.Sprintf("host %s cannot be looked up", dns.Name)
	case errors.As(err, &op):
		return fmt.Sprintf("%s: %v", op.Op, op.Err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection broke off"
	case errors.As(err, &at): // its address may hold secrets: a registry may redirect to one
		first, _, _ := strings.Cut(at.Err.Error(), "\n")
		return first
	}
	return ""
}
