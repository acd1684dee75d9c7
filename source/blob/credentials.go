package blob

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/cloud"
	"github.com/plumb-gitops/plumb/source/objects"
	"github.com/plumb-gitops/plumb/source/transport"
)

// storageScope is whom tokens are for, in every cloud of Azure's.
const storageScope = "https://storage.azure.com/.default"

// session is a way to reach a container with some credentials.
type session struct {
	container *container.Client
	transport *http.Transport
}

// Close ends the connections that nobody uses.
func (s *session) Close() { s.transport.CloseIdleConnections() }

func newSession(s Spec) (*session, error) {
	at, err := s.container()
	if err != nil {
		return nil, err
	}
	t, err := transport.New(s.Transport)
	if err != nil {
		return nil, err
	}
	options := &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: &http.Client{Transport: objects.Tuned(t)},
		Retry:     policy.RetryOptions{MaxRetries: -1}, // who calls tries again, at a time of its choice
		Telemetry: policy.TelemetryOptions{ApplicationID: "plumb"},
	}}
	var client *container.Client
	switch {
	case s.Auth.Identity == nil && s.Auth.AccountKey != "":
		key, err := container.NewSharedKeyCredential(account(at), s.Auth.AccountKey)
		if err != nil {
			return nil, invalid("%s: accountKey is no key of an account, which is base64", s.address())
		}
		client, err = container.NewClientWithSharedKeyCredential(at.String(), key, options)
		return &session{client, t}, err
	case s.Auth.Identity == nil && (s.Auth.SAS != "" || at.Query().Has("sig")):
	default:
		options.PerRetryPolicies = []policy.Policy{&tokens{spec: s, host: at.Host}}
	}
	client, err = container.NewClientWithNoCredential(at.String(), options)
	return &session{client, t}, err
}

// tokens adds a token of Microsoft Entra ID to requests. The library's own policy
// makes its credential for good, and cannot do without one for public containers.
type tokens struct {
	spec Spec
	host string

	mu         sync.Mutex
	credential azcore.TokenCredential
	public     bool // there is no identity: the container has to be public
}

// errClear says that a token would be sent in the clear.
var errClear = &source.InvalidError{Err: errors.New("a token is not sent over plain HTTP: write https:// in spec.endpoint")}

// Do implements policy.Policy.
func (t *tokens) Do(r *policy.Request) (*http.Response, error) {
	token, err := t.get(r.Raw().Context())
	if err != nil {
		return nil, err
	}
	if token == "" || r.Raw().URL.Host != t.host {
		return r.Next()
	}
	if r.Raw().URL.Scheme != "https" {
		return nil, errClear
	}
	r.Raw().Header.Set("Authorization", "Bearer "+token)
	return r.Next()
}

// get is a token that still holds, "" for none. The credential keeps it.
func (t *tokens) get(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.public {
		return "", nil
	}
	if t.credential == nil {
		var err error
		if t.credential, err = t.spec.credential(ctx); err != nil {
			return "", err
		}
	}
	token, err := t.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{storageScope}})
	if err == nil {
		return token.Token, nil
	}
	if t.spec.Auth.none() && t.spec.Identity.ServiceAccount == nil && ctx.Err() == nil {
		t.public = true
		return "", nil
	}
	return "", cloud.AzureRefusal(ctx, err)
}

// credential is that of the Secret, of the service account, or of the environment and
// the machine.
func (s Spec) credential(ctx context.Context) (azcore.TokenCredential, error) {
	who := s.Identity
	if who.HTTP == nil {
		var err error
		if who.HTTP, err = objects.Login(s.Transport.Proxy); err != nil {
			return nil, err
		}
	}
	if s.Auth.Identity != nil {
		found, err := s.Auth.Identity.Credential(who)
		if err != nil {
			return nil, cloud.AzureRefusal(ctx, err)
		}
		return found, nil
	}
	found, err := cloud.AzureCredential(who)
	if err != nil && s.Identity.ServiceAccount != nil {
		return nil, &source.AuthError{Err: err} // it lacks annotations
	}
	return found, err
}
