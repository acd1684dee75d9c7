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
// docs/spec/v1/kustomizations.md, "Secret-less authentication"). Without an address
// Azure is asked where its cluster is.
func (e *Engine) tokenCluster(ctx context.Context, p *pass, name string) (id string, connect func() (*kube.Cluster, error), err error) {
	namespace := p.object.Namespace
	data, err := p.reader.data(ctx, configMapKind, namespace, name)
	if err != nil {
		return "", nil, err
	}
	told, err := addressOf(data)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", coreKey(configMapKind, namespace, name), err)
	}
	account, err := e.serviceAccount(ctx, p.reader, namespace, string(data["serviceAccountName"]))
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", coreKey(configMapKind, namespace, name), err)
	}
	ask, err := tokenSource(ctx, account, data, told)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", coreKey(configMapKind, namespace, name), err)
	}
	t := &tokens{ask: ask, now: e.now}
	id = hashOf(data, map[string]string{"namespace": namespace})
	return id, func() (*kube.Cluster, error) {
		address, ca, err := located(data, told, account)
		if err != nil {
			return nil, err
		}
		return kube.Connect(kube.TokenConfig(address, ca, t.token, e.Remote))
	}, nil
}

// located is where a cluster is, and who signed its certificate.
func located(data map[string][]byte, told string, account *cloud.ServiceAccount) (address string, ca []byte, err error) {
	if told != "" {
		return told, data["ca.crt"], nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), tokenPatience)
	defer cancel()
	return cloud.AzureCluster(ctx, string(data["cluster"]), cloud.Options{ServiceAccount: account})
}

// tokenSource is who gives the tokens.
func tokenSource(ctx context.Context, account *cloud.ServiceAccount, data map[string][]byte, address string) (func(context.Context) (string, error), error) {
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

// addressOf is the address that is given; "" where Azure is to be asked for it.
func addressOf(data map[string][]byte) (string, error) {
	if len(data["provider"]) == 0 {
		return "", errors.New("it has no key provider: want aws, azure, gcp or generic")
	}
	if len(data["address"]) == 0 && (string(data["provider"]) != "azure" || len(data["cluster"]) == 0) {
		return "", errors.New("it has no key address, the URL of the cluster's API server; with the provider azure the key cluster, a resource id, is enough")
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
