package bucket

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/oauth2"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/cloud"
	"github.com/plumb-gitops/plumb/source/objects"
	"github.com/plumb-gitops/plumb/source/transport"
)

// credentials are those of a spec, and the transport that uses them. Nothing is
// asked of anybody yet.
func (s Spec) credentials(t *http.Transport) (http.RoundTripper, *credentials.Credentials, error) {
	var through http.RoundTripper = t
	public := credentials.NewStatic("", "", "", credentials.SignatureAnonymous)
	who, err := s.login()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case s.Keys.Access != "":
		return through, credentials.NewStaticV4(s.Keys.Access, s.Keys.Secret, s.Keys.Session), nil
	case s.STS != nil && s.STS.Provider == STSLDAP:
		service, err := s.STS.ldap()
		return through, service, err
	case s.Provider == GCP:
		at := url.URL{Host: s.Endpoint}
		return &bearer{inner: t, host: at.Hostname(), key: s.Keys.Google, who: who}, public, nil
	case s.Provider == AWS:
		if s.STS != nil {
			who.AWSEndpoint = s.STS.Endpoint
		}
		return through, credentials.New(&amazon{who: who}), nil
	}
	return through, public, nil
}

// login is whom a cloud's provider is asked about, and how.
func (s Spec) login() (who cloud.Options, err error) {
	who = s.Identity
	who.Region = cmp.Or(who.Region, s.Region)
	if who.HTTP == nil {
		who.HTTP, err = objects.Login(s.Transport.Proxy)
	}
	return who, err
}

// ldap trades a name and a password for credentials.
func (s *STS) ldap() (*credentials.Credentials, error) {
	t, err := transport.New(s.Transport)
	if err != nil {
		return nil, err
	}
	return credentials.New(&directory{
		LDAPIdentity: credentials.LDAPIdentity{Client: &http.Client{Transport: t}, STSEndpoint: s.Endpoint, LDAPUsername: s.Username, LDAPPassword: s.Password},
	}), nil
}

// directory is the library's provider with errors of ours.
type directory struct{ credentials.LDAPIdentity }

// RetrieveWithCredContext implements credentials.Provider.
func (d *directory) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	value, err := d.LDAPIdentity.RetrieveWithCredContext(cc)
	d.Client.CloseIdleConnections() // it is not asked again soon
	if err == nil {
		return value, nil
	}
	address := "spec.sts: " + transport.Redacted(d.STSEndpoint)
	if _, refused := errors.AsType[credentials.ErrorResponse](err); refused {
		return value, &source.AuthError{Err: errors.New(address + ": the service gives no credentials: check the user in spec.sts.secretRef")}
	}
	return value, transport.Classified(contextOf(cc), address, err)
}

// contextOf is the context of the request that needs credentials.
func contextOf(cc *credentials.CredContext) context.Context {
	if cc == nil || cc.Context == nil {
		return context.Background()
	}
	return cc.Context
}

// amazon gets credentials from AWS.
type amazon struct {
	credentials.Expiry
	who cloud.Options
}

// fixed is how long credentials without an end are used before they are asked for
// again.
const fixed = time.Hour

// RetrieveWithCredContext implements credentials.Provider.
func (a *amazon) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	ctx := contextOf(cc)
	provider, err := cloud.AWSCredentials(ctx, a.who)
	if err != nil {
		return credentials.Value{}, &source.AuthError{Err: err}
	}
	got, err := provider.Retrieve(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return credentials.Value{}, ctx.Err()
		}
		return credentials.Value{}, &source.AuthError{Err: errors.New("Amazon gives no credentials: set spec.secretRef, or check spec.serviceAccountName and the role that it may take")}
	}
	a.SetExpiration(time.Now().Add(fixed), 0)
	if got.CanExpire {
		a.SetExpiration(got.Expires, credentials.DefaultExpiryWindow)
	}
	return credentials.Value{AccessKeyID: got.AccessKeyID, SecretAccessKey: got.SecretAccessKey, SessionToken: got.SessionToken, SignerType: credentials.SignatureV4}, nil
}

// Retrieve implements credentials.Provider.
func (a *amazon) Retrieve() (credentials.Value, error) { return a.RetrieveWithCredContext(nil) }

// bearer adds a token of Google Cloud to requests for the endpoint.
type bearer struct {
	inner http.RoundTripper
	host  string
	key   []byte
	who   cloud.Options

	mu    sync.Mutex
	token *oauth2.Token
}

// errClear says that a token would be sent in the clear.
var errClear = &source.InvalidError{Err: errors.New("a token is not sent over plain HTTP: do without spec.insecure")}

// RoundTrip implements http.RoundTripper.
func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, errClear
	}
	// In the style of virtual hosts the bucket's name stands before the endpoint.
	if host := r.URL.Hostname(); host != b.host && !strings.HasSuffix(host, "."+b.host) {
		return b.inner.RoundTrip(r)
	}
	token, err := b.get(r.Context())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return b.inner.RoundTrip(r)
}

// get is a token that still holds.
func (b *bearer) get(ctx context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.token.Valid() {
		return b.token.AccessToken, nil
	}
	tokens, err := cloud.GoogleStorageToken(ctx, b.key, b.who)
	if err == nil {
		b.token, err = tokens.Token()
	}
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &source.AuthError{Err: errors.New("Google Cloud gives no token: set spec.secretRef, or check spec.serviceAccountName and its annotations")}
	}
	return b.token.AccessToken, nil
}
