package fetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/cloud"
	"github.com/plumb-gitops/plumb/source/git"
	"github.com/plumb-gitops/plumb/source/transport"
)

// issuer asks a provider for credentials, and tells until when they hold.
type issuer func(ctx context.Context) (git.Auth, time.Time, error)

// logins keep what providers gave for as long as it holds, by who asked for what.
// They are in memory only.
type logins struct {
	mu    sync.Mutex
	known map[string]held
}

type held struct {
	auth    git.Auth
	expires time.Time
}

func newLogins() *logins { return &logins{known: map[string]held{}} }

// beforeEnd is how long before their end credentials count as expired, so that they
// still hold when the server sees them.
const beforeEnd = 2 * time.Minute

// of is a login that asks again when what is known is about to expire. Two who ask at
// once for the same may both ask the provider, which does no harm.
func (l *logins) of(as string, ask issuer) git.Login {
	return func(ctx context.Context) (git.Auth, error) {
		if auth, ok := l.get(as); ok {
			return auth, nil
		}
		auth, expires, err := ask(ctx)
		if err != nil {
			return auth, err
		}
		l.put(as, held{auth, expires})
		return auth, nil
	}
}

func (l *logins) get(as string) (git.Auth, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.known[as]
	return k.auth, ok && time.Now().Before(k.expires.Add(-beforeEnd))
}

func (l *logins) put(as string, k held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, old := range l.known {
		if time.Now().After(old.expires) {
			delete(l.known, name)
		}
	}
	l.known[as] = k
}

// gitLogin is how the provider of a spec gives credentials, nil for a spec with none.
// data is the Secret of spec.secretRef, nil for none.
func (l *logins) gitLogin(ctx context.Context, c Cluster, repo *sourcev1.GitRepository, data map[string][]byte, over transport.Options) (git.Login, error) {
	switch provider := repo.Spec.Provider; provider {
	case "", sourcev1.ProviderGeneric:
		if len(data["githubAppID"]) > 0 {
			return nil, misconfigured(errors.New("the Secret in spec.secretRef is for a GitHub App: set spec.provider to github"))
		}
		return nil, nil
	case sourcev1.ProviderGitHub:
		return l.github(data, over)
	case sourcev1.ProviderAzure, sourcev1.ProviderAWS:
		return l.cloud(ctx, c, repo, over)
	default:
		return nil, misconfigured(fmt.Errorf("spec.provider %q: want generic, github, azure or aws", provider))
	}
}

func misconfigured(err error) error {
	return failed(sourcev1.InvalidProviderConfigurationReason, &source.InvalidError{Err: err})
}

// refusedLogin says which field is about the failure.
func refusedLogin(provider string, err error) error {
	return &source.AuthError{Err: fmt.Errorf("spec.provider %s: %w", provider, err)}
}

func (l *logins) github(data map[string][]byte, over transport.Options) (git.Login, error) {
	app, err := cloud.GitHubAppFromSecret(data)
	if err != nil {
		return nil, misconfigured(fmt.Errorf("spec.provider github: the Secret in spec.secretRef: %w", err))
	}
	as := fmt.Sprintf("github %s %q %q %q %x", app.BaseURL, app.ID, app.Installation, app.Owner, sha256.Sum256(app.Key))
	return l.of(as, func(ctx context.Context) (git.Auth, time.Time, error) {
		client, done, err := clientOver(over)
		if err != nil {
			return git.Auth{}, time.Time{}, err
		}
		defer done()
		app.HTTP = client
		token, expires, err := app.Token(ctx)
		if err != nil {
			return git.Auth{}, expires, refusedLogin(sourcev1.ProviderGitHub, err)
		}
		return git.Auth{Username: cloud.GitHubUser, Password: token}, expires, nil
	}), nil
}

func (l *logins) cloud(ctx context.Context, c Cluster, repo *sourcev1.GitRepository, over transport.Options) (git.Login, error) {
	options, err := identity(ctx, c, repo.Spec.ServiceAccountName)
	if err != nil {
		return nil, err
	}
	provider, address := repo.Spec.Provider, repo.Spec.URL
	as := provider
	if provider == sourcev1.ProviderAWS {
		as += " " + address // its passwords are for one repository
	}
	if a := options.ServiceAccount; a != nil {
		as += fmt.Sprintf(" %s/%s %q", a.Namespace, a.Name, a.Annotations)
	}
	return l.of(as, func(ctx context.Context) (auth git.Auth, expires time.Time, err error) {
		o := options
		client, done, err := clientOver(over)
		if err != nil {
			return auth, expires, err
		}
		defer done()
		o.HTTP = client
		if provider == sourcev1.ProviderAzure {
			auth.BearerToken, expires, err = cloud.AzureDevOpsToken(ctx, o)
		} else {
			auth.Username, auth.Password, expires, err = cloud.CodeCommitLogin(ctx, address, o)
		}
		if err != nil {
			return git.Auth{}, expires, refusedLogin(provider, err)
		}
		return auth, expires, nil
	}), nil
}

// clientOver reaches a provider the way that the server is reached; nil stands for
// the client that everybody shares. done ends it.
func clientOver(o transport.Options) (client *http.Client, done func(), err error) {
	if o.IsZero() {
		return nil, func() {}, nil
	}
	t, err := transport.New(o)
	if err != nil {
		return nil, nil, err
	}
	return &http.Client{Transport: t}, t.CloseIdleConnections, nil
}
