package oci

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/transport"
)

// session is a way to reach one repository as one identity. It is kept, so that a
// poll does not have to log in first.
type session struct {
	puller    *remote.Puller
	transport *http.Transport
}

// mostSessions bounds how many are kept.
const mostSessions = 512

// repository opens what a spec names. Nothing is asked of the registry yet.
func (c *Client) repository(s Spec) (*repository, error) {
	repo, err := s.repository()
	if err != nil {
		return nil, err
	}
	key := s.identity(repo)
	if s.Login != nil && s.Login.As == "" {
		alone, err := newSession(s, repo) // nobody may share it
		return &repository{repo, alone, key + rand.Text()}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.sessions[key]
	if !ok {
		if known, err = newSession(s, repo); err != nil {
			return nil, err
		}
		if len(c.sessions) >= mostSessions {
			for key := range c.sessions {
				c.drop(key)
			}
		}
		c.sessions[key] = known
	}
	return &repository{repo, known, key}, nil
}

// failed ends the session that an error came from: what it knows of the registry
// and of its own credentials may be the reason.
func (c *Client) failed(r *repository, err error) error {
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drop(r.key)
	}
	return err
}

// drop forgets a session; c.mu is held.
func (c *Client) drop(key string) {
	if s, ok := c.sessions[key]; ok {
		s.transport.CloseIdleConnections()
		delete(c.sessions, key)
	}
}

// identity names the session that a spec needs, by a hash of its secrets.
func (s Spec) identity(repo name.Repository) string {
	login := ""
	if s.Login != nil {
		login = s.Login.As
	}
	all, err := json.Marshal([]any{repo.String(), s.Insecure, s.Transport, s.Auth, s.Login != nil, login})
	if err != nil {
		panic(err) // strings, bytes and booleans only
	}
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])
}

func newSession(s Spec, repo name.Repository) (*session, error) {
	t, err := transport.New(s.Transport)
	if err != nil {
		return nil, err
	}
	credentials, err := s.credentials(repo)
	if err != nil {
		return nil, err
	}
	guard := &careful{inner: t, insecure: s.Insecure}
	if len(t.TLSClientConfig.Certificates) == 0 {
		t.TLSClientConfig.GetClientCertificate = guard.noCertificate
	}
	puller, err := remote.NewPuller(
		remote.WithTransport(guard),
		remote.WithUserAgent("plumb"),
		remote.WithAuthFromKeychain(credentials),
		// Who calls tries again, at a time of its choice.
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes(),
	)
	return &session{puller, t}, err
}

// careful is a transport that keeps to what the spec allows. The library tries
// plain HTTP by itself for private addresses, and would send credentials there.
type careful struct {
	inner    http.RoundTripper
	insecure bool
	asked    atomic.Bool // for a client certificate, when we have none
}

// RoundTrip implements http.RoundTripper.
func (c *careful) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && !c.insecure {
		return nil, errPlainHTTP
	}
	response, err := c.inner.RoundTrip(r)
	if err == nil && isDocument(r.URL.Path) {
		response.Body = &bounded{response.Body, manifestBytes}
	}
	if err == nil {
		c.asked.Store(false) // it did without
	}
	// The refusal of a client without certificate comes after the handshake, and
	// gets lost when we were faster in writing.
	if op := (*net.OpError)(nil); err != nil && c.asked.Load() && r.Context().Err() == nil && (!errors.As(err, &op) || op.Op != "dial") {
		err = &source.AuthError{Err: errors.New("the registry asks for a client certificate: set tls.crt and tls.key in spec.certSecretRef")}
	}
	return response, err
}

func (c *careful) noCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.asked.Store(true)
	return &tls.Certificate{}, nil
}

// isDocument tells whether a request is for what goes into memory.
func isDocument(path string) bool {
	if strings.Contains(path, "/blobs/sha256:") {
		return false
	}
	return strings.Contains(path, "/manifests/") || strings.HasSuffix(path, "/tags/list") || strings.Contains(path, "/referrers/")
}

// bounded fails when there is more to read than is left.
type bounded struct {
	io.ReadCloser
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, fmt.Errorf("the registry's answer has more than %d bytes", manifestBytes)
	}
	return n, err
}
