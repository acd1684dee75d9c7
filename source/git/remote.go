package git

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	gitfile "github.com/go-git/go-git/v5/plumbing/transport/file"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	sourcetransport "github.com/plumb-gitops/plumb/source/transport"
)

// go-git leaves out of what a server can what it does not use itself, and shows the
// rest. We use more of it (see question.request).
func init() { transport.UnsupportedCapabilities = []capability.Capability{capability.ThinPack} }

// session is one conversation with a server by the protocol of git-upload-pack
// (gitprotocol-pack): it shows its references, then may be asked for a pack once.
type session interface {
	AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error)
	UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	Close() error
}

// remote is a repository on a server, with the way in.
type remote struct {
	address string // without credentials, for messages
	dial    func(ctx context.Context) (session, error)
	release func() // ends idle connections that nobody else uses; nil for none

	session session
	shown   *packp.AdvRefs
	asked   bool
}

// remote checks an address and makes ready to speak to it. Nothing is sent yet but
// what a provider of credentials is asked.
func (s *Store) remote(ctx context.Context, spec Spec) (*remote, error) {
	r := &remote{address: redacted(spec.URL)}
	u, err := url.Parse(spec.URL)
	if err != nil {
		return nil, unusable(r.address, "spec.url cannot be parsed: use the form https://host/path or ssh://user@host/path")
	}
	if u.Host == "" && u.Scheme != "file" {
		return nil, unusable(r.address, "spec.url names no host: use the form https://host/path or ssh://user@host/path")
	}
	if spec.Login != nil {
		if spec.Auth, err = spec.Login(ctx); err != nil {
			return nil, err
		}
	}
	switch u.Scheme {
	case "http", "https":
		r.dial, err = r.dialHTTP(u, spec)
	case "ssh":
		r.dial, err = s.dialSSH(r.address, u, spec)
	case "file":
		if !s.options.AllowFile {
			return nil, unusable(r.address, "file URLs are off: they read this machine's disk; --allow-file-urls allows them")
		}
		r.dial, err = dialer(gitfile.DefaultClient, u, nil)
	default:
		return nil, unusable(r.address, fmt.Sprintf("scheme %q is not supported: use https, http or ssh", u.Scheme))
	}
	return r, err
}

// dialHTTP makes ready to speak by http. What needs no connection of its own
// shares those of everybody.
func (r *remote) dialHTTP(u *url.URL, spec Spec) (func(context.Context) (session, error), error) {
	client := githttp.DefaultClient
	if !spec.Transport.IsZero() {
		own, err := sourcetransport.New(spec.Transport)
		if err != nil {
			return nil, err
		}
		client, r.release = githttp.NewClient(&http.Client{Transport: own}), own.CloseIdleConnections
	}
	return dialer(client, u, proof(u, spec.Auth))
}

// dialer opens sessions of a transport of go-git. It gets the address without
// credentials, so that no error can show them.
func dialer(client transport.Transport, u *url.URL, auth transport.AuthMethod) (func(context.Context) (session, error), error) {
	bare := *u
	bare.User = nil
	endpoint, err := transport.NewEndpoint(bare.String())
	if err != nil {
		return nil, unusable(redacted(u.String()), "spec.url cannot be used: "+err.Error())
	}
	return func(context.Context) (session, error) { return client.NewUploadPackSession(endpoint, auth) }, nil
}

// references asks the server what it has, once.
func (r *remote) references(ctx context.Context) (*packp.AdvRefs, error) {
	if r.shown != nil {
		return r.shown, nil
	}
	session, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	r.session = session
	r.shown, err = session.AdvertisedReferencesContext(ctx)
	return r.shown, err
}

// request asks for a pack. A session can be asked once, so a second request
// opens another.
func (r *remote) request(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if r.asked {
		if err := r.again(ctx); err != nil {
			return nil, err
		}
	}
	r.asked = true
	return r.session.UploadPack(ctx, req)
}

func (r *remote) again(ctx context.Context) error {
	r.close()
	session, err := r.dial(ctx)
	if err != nil {
		return err
	}
	r.session = session
	_, err = session.AdvertisedReferencesContext(ctx)
	return err
}

// close ends the conversation. What the server says at the end no longer matters.
func (r *remote) close() {
	if r.session != nil {
		_ = r.session.Close()
		r.session = nil
	}
	if r.release != nil {
		r.release()
	}
}

var errNotAnAnswer = errors.New("the server's answer is not that of a Git server")
