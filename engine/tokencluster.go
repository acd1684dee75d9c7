package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/source/cloud"
)

// tokenCluster reads a ConfigMap that says how to reach a cluster with tokens: of
// a service account of this one, or of a cloud provider that trusts that account.
// The keys are those of the toolkit (kustomize-controller,
// docs/spec/v1/kustomizations.md, "Secret-less authentication"); address is needed
// here, since no provider is asked where a cluster is.
func (e *Engine) tokenCluster(ctx context.Context, p *pass, name string) (id string, connect func() (*kube.Cluster, error), err error) {
	namespace := p.object.Namespace
	data, err := p.reader.data(ctx, configMapKind, namespace, name)
	if err != nil {
		return "", nil, err
	}
	address, err := addressOf(data)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", coreKey(configMapKind, namespace, name), err)
	}
	ask, err := e.tokenSource(ctx, p, data, address)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", coreKey(configMapKind, namespace, name), err)
	}
	t := &tokens{ask: ask, now: e.now}
	id = hashOf(data, map[string]string{"namespace": namespace})
	return id, func() (*kube.Cluster, error) {
		return kube.Connect(kube.TokenConfig(address, data["ca.crt"], t.token, e.Remote))
	}, nil
}

// tokenSource is who gives the tokens.
func (e *Engine) tokenSource(ctx context.Context, p *pass, data map[string][]byte, address string) (func(context.Context) (string, error), error) {
	account, err := e.serviceAccount(ctx, p.reader, p.object.Namespace, string(data["serviceAccountName"]))
	if err != nil {
		return nil, err
	}
	if provider := string(data["provider"]); provider != "generic" {
		return cloud.ClusterToken(context.WithoutCancel(ctx), provider, string(data["cluster"]), cloud.Options{ServiceAccount: account})
	}
	if account == nil {
		return nil, errors.New("it has no key serviceAccountName, whose tokens the cluster trusts")
	}
	audience, _, _ := strings.Cut(strings.TrimSpace(string(data["audiences"])), "\n")
	audience = cmp.Or(strings.Trim(audience, "-[]\", "), address)
	return func(ctx context.Context) (string, error) { return account.Token(ctx, audience) }, nil
}

// serviceAccount is an account of this cluster that providers may trust, nil for
// no name.
func (e *Engine) serviceAccount(ctx context.Context, r *reader, namespace, name string) (*cloud.ServiceAccount, error) {
	if name == "" {
		return nil, nil
	}
	key := coreKey(serviceAccountKind, namespace, name)
	found, err := r.object(ctx, key)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, &missing{key}
	}
	return &cloud.ServiceAccount{
		Namespace: namespace, Name: name, Annotations: found.GetAnnotations(),
		Token: func(ctx context.Context, audience string) (string, error) {
			return e.Cluster.Token(ctx, namespace, name, audience)
		},
	}, nil
}

func addressOf(data map[string][]byte) (string, error) {
	if len(data["provider"]) == 0 {
		return "", errors.New("it has no key provider: want aws, azure, gcp or generic")
	}
	if len(data["address"]) == 0 {
		return "", errors.New("it has no key address, the URL of the cluster's API server")
	}
	return string(data["address"]), nil
}

// tokens keeps a token until it is about to run out.
type tokens struct {
	ask func(context.Context) (string, error)
	now func() time.Time

	mu    sync.Mutex
	last  string
	until time.Time
}

// tokenLife is how long a token is used: EKS takes one for no longer than a
// quarter of an hour.
const tokenLife = 10 * time.Minute

// tokenPatience bounds asking for one.
const tokenPatience = 30 * time.Second

func (t *tokens) token() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now().Before(t.until) {
		return t.last, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), tokenPatience)
	defer cancel()
	fresh, err := t.ask(ctx)
	if err != nil {
		return "", err
	}
	t.last, t.until = fresh, t.now().Add(tokenLife)
	return fresh, nil
}
