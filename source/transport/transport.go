// Package transport makes HTTP transports as sources ask for them: with a
// certificate authority of their own, a client certificate, a proxy.
package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/plumb-gitops/plumb/source"
)

// Options of a transport. The zero value is what Go does by default: the
// system's authorities, and a proxy where the environment names one.
type Options struct {
	CA        []byte // PEM; replaces the system's authorities
	Cert, Key []byte // PEM; the client's certificate
	Insecure  bool   // trusts any certificate
	Proxy     *Proxy // instead of the environment's
}

// IsZero tells whether nothing is set.
func (o Options) IsZero() bool {
	return len(o.CA) == 0 && len(o.Cert) == 0 && len(o.Key) == 0 && !o.Insecure && o.Proxy == nil
}

// Proxy is where requests go through.
type Proxy struct {
	Address            string // http, https or socks5 URL
	Username, Password string
}

// handshakeTimeout bounds the handshake, beside the timeout of the whole fetch.
const handshakeTimeout = 15 * time.Second

// New makes a transport. The error is a *source.InvalidError that names what
// cannot be used, never its content.
func New(o Options) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSHandshakeTimeout = handshakeTimeout
	t.OnProxyConnectResponse = ProxyAnswer
	config, err := o.TLS()
	if err != nil {
		return nil, err
	}
	t.TLSClientConfig = config
	if o.Proxy != nil {
		address, err := o.Proxy.URL()
		if err != nil {
			return nil, err
		}
		t.Proxy = http.ProxyURL(address)
	}
	return t, nil
}

// TLS is the configuration for connections that are not HTTP's.
func (o Options) TLS() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure} //nolint:gosec // asked for by name in the spec
	if len(o.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, invalid("ca.crt has no certificate in PEM")
		}
	}
	if len(o.Cert) > 0 || len(o.Key) > 0 {
		pair, err := tls.X509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, invalid("tls.crt and tls.key are not a certificate and its key in PEM")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// URL is the proxy's address with its credentials.
func (p Proxy) URL() (*url.URL, error) {
	u, err := url.Parse(p.Address)
	if err != nil || u.Host == "" {
		return nil, invalid("the proxy's address is no URL: write it as http://host:port")
	}
	if p.Username != "" || p.Password != "" {
		u.User = url.UserPassword(p.Username, p.Password)
	}
	return u, nil
}

// TLSFromSecret adds what the data of a Secret say to o: ca.crt, tls.crt and
// tls.key, or caFile, certFile and keyFile, the names that the toolkit used
// before. A Secret with none of them changes nothing.
func TLSFromSecret(data map[string][]byte, o *Options) error {
	first := func(names ...string) []byte {
		for _, name := range names {
			if len(data[name]) > 0 {
				return data[name]
			}
		}
		return nil
	}
	o.CA, o.Cert, o.Key = first("ca.crt", "caFile"), first("tls.crt", "certFile"), first("tls.key", "keyFile")
	if (len(o.Cert) > 0) != (len(o.Key) > 0) {
		return invalid("tls.crt and tls.key are needed together")
	}
	_, err := o.TLS()
	return err
}

// ProxyFromSecret reads a proxy from the data of a Secret: address, and username
// and password where it asks for them.
func ProxyFromSecret(data map[string][]byte) (*Proxy, error) {
	if len(data["address"]) == 0 {
		return nil, invalid("it has no key address, the URL of the proxy")
	}
	p := &Proxy{Address: string(data["address"]), Username: string(data["username"]), Password: string(data["password"])}
	_, err := p.URL()
	return p, err
}

func invalid(text string) error { return &source.InvalidError{Err: errors.New(text)} }

// Redacted is an address without user, password and query, each of which may be
// secret.
func Redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(an address that cannot be parsed)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// Refused is the error for an answer with a status that is none of success: a
// *source.AuthError for 401 and 403, a *source.NotFoundError for 404.
func Refused(address string, status int) error {
	err := fmt.Errorf("%s: the server answers with status %d", Redacted(address), status)
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return &source.AuthError{Err: fmt.Errorf("%w: check the credentials", err)}
	case http.StatusNotFound:
		return &source.NotFoundError{Err: err}
	default:
		return err
	}
}
