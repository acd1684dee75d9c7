package transport

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

	"github.com/plumb-gitops/plumb/source"
)

// Classified puts an error of a request into words: what happened where, and the
// way out. It leads with address, which holds no credentials. The errors of package
// source stay what they are; what certificates are about becomes a
// *source.AuthError.
func Classified(ctx context.Context, address string, err error) error {
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case IsTyped(err):
		return leading(address, bare(err))
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within spec.timeout: %w", address, ctx.Err())
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", address, ctx.Err())
	case errors.As(err, &certificate):
		return &source.AuthError{Err: fmt.Errorf("%s: the server's certificate: %w: trust its authority with ca.crt in spec.certSecretRef", address, certificate.Err)}
	case errors.As(err, &op) && op.Op == "remote error":
		return &source.AuthError{Err: fmt.Errorf("%s: the server ends the TLS handshake (%w): it may ask for tls.crt and tls.key in spec.certSecretRef", address, op.Err)}
	}
	if text := Describe(err); text != "" {
		return fmt.Errorf("%s: %s", address, text)
	}
	return leading(address, err)
}

// bare is an error of ours without the request's address, whose query may be secret.
func bare(err error) error {
	if at := (*url.Error)(nil); errors.As(err, &at) && IsTyped(at.Err) {
		return at.Err
	}
	return err
}

// leading puts the address before an error that has it not yet.
func leading(address string, err error) error {
	if strings.HasPrefix(err.Error(), address) {
		return err
	}
	return fmt.Errorf("%s: %w", address, err)
}

// IsTyped tells whether an error says what it is already: it is one of package source.
func IsTyped(err error) bool {
	return errors.As(err, new(*source.AuthError)) || errors.As(err, new(*source.NotFoundError)) || errors.As(err, new(*source.InvalidError)) ||
		errors.As(err, new(*source.VerifyError)) || errors.As(err, new(*source.LimitError))
}

// Describe words an error of the network so that the same trouble gives the same
// words, without ports of our own and without addresses, which may hold secrets;
// "" when it is none.
func Describe(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var at *url.Error
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the server speaks plain HTTP: write http:// in spec.url"
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("host %s not found", dns.Name)
	case errors.As(err, &dns):
		return fmt.Sprintf("host %s cannot be looked up", dns.Name)
	case errors.As(err, &op):
		return fmt.Sprintf("%s: %v", op.Op, op.Err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection broke off"
	case err != nil && strings.Contains(err.Error(), "failed to parse Location header"): // which it quotes
		return "the server redirects to what is no address"
	case errors.As(err, &at): // its address may hold secrets: a server may redirect to one
		first, _, _ := strings.Cut(at.Err.Error(), "\n")
		return first
	}
	return ""
}

// ProxyAnswer looks at how a proxy answers the request for a tunnel. It is an
// OnProxyConnectResponse of http.Transport.
func ProxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusProxyAuthRequired {
		return &source.AuthError{Err: errors.New("the proxy asks for other credentials: check spec.proxySecretRef")}
	}
	return nil
}
