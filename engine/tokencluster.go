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
)

// tokenCluster reads a ConfigMap that says how to reach a cluster with tokens of
// a service account of this one: the keys are those of the toolkit's provider
// "generic" (kustomize-controller, docs/spec/v1/kustomizations.md, "Secret-less
// authentication").
func (e *Engine) tokenCluster(ctx context.Context, p *pass, name string) (id string, connect func() (*kube.Cluster, error), err error) {
	namespace := p.object.Namespace
	data, err := p.reader.data(ctx, configMapKind, namespace, name)
	if err != nil {
		return "", nil, err
	}
	address, account, err := settingsOf(data)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", coreKey(configMapKind, namespace, name), err)
	}
	audience, _, _ := strings.Cut(strings.TrimSpace(string(data["audiences"])), "\n")
	audience = cmp.Or(strings.Trim(audience, "-[]\", "), address)
	t := &tokens{ask: func(ctx context.Context) (string, error) { return e.Cluster.Token(ctx, namespace, account, audience) }, now: e.now}
	id = hashOf(data, map[string]string{"namespace": namespace})
	return id, func() (*kube.Cluster, error) {
		return kube.Connect(kube.TokenConfig(address, data["ca.crt"], t.token, e.Remote))
	}, nil
}

func settingsOf(data map[string][]byte) (address, account string, err error) {
	address, account = string(data["address"]), string(data["serviceAccountName"])
	switch provider := string(data["provider"]); {
	case provider != "generic":
		err = fmt.Errorf("provider %q is not supported yet: generic is; name the cluster's address there, or use a Secret with a kubeconfig", provider)
	case address == "":
		err = errors.New("it has no key address, the URL of the cluster's API server")
	case account == "":
		err = errors.New("it has no key serviceAccountName, whose tokens the cluster trusts")
	}
	return address, account, err
}

// tokens keeps a token until it is about to run out.
type tokens struct {
	ask func(context.Context) (string, error)
	now func() time.Time

	mu    sync.Mutex
	last  string
	until time.Time
}

// tokenLife is how long a token is used; the server gives it for an hour.
const tokenLife = 45 * time.Minute

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
