package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
	"github.com/plumb-gitops/plumb/prune"
)

// target is where a unit's objects are, and who writes them: one connection
// under one identity.
type target struct {
	*connection
	applier *apply.Applier
	pruner  *prune.Pruner
	account string // who writes, "" for the engine itself
}

// id is that of the connection.
func (t target) id() string {
	if t.connection == nil {
		return ""
	}
	return t.connection.id
}

// seen is the live view of the cluster; nil where there is no way to it.
func (t target) seen() View {
	if t.connection == nil {
		return nil
	}
	return t.connection.view
}

// connection is one cluster with its live view. Units that name the same
// kubeconfig share it; it is closed when the last of them leaves.
type connection struct {
	id      string // of the kubeconfig's content; "" for the cluster that the engine runs against
	cluster *kube.Cluster
	view    View
	stop    context.CancelFunc
	users   map[live.User]bool

	facts apply.Facts

	mu sync.Mutex
	as map[string]*kube.Cluster // by user
}

// connections are those in use.
type connections struct {
	mu   sync.Mutex
	byID map[string]*connection
	open func(id string, cluster *kube.Cluster) *connection
}

// use gives a unit the connection of that id, which connect makes if need be,
// and takes it off any other.
func (c *connections) use(unit live.User, id string, connect func() (*kube.Cluster, error)) (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.byID[id]; at != nil && at.users[unit] {
		return at, nil
	}
	if c.byID[id] == nil {
		cluster, err := connect()
		if err != nil {
			return nil, err
		}
		c.byID[id] = c.open(id, cluster)
	}
	err := c.leaveLocked(unit)
	c.byID[id].users[unit] = true
	return c.byID[id], err
}

// leave takes a unit off its connection.
func (c *connections) leave(unit live.User) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaveLocked(unit)
}

func (c *connections) leaveLocked(unit live.User) error {
	var errs []error
	for id, at := range c.byID {
		if !at.users[unit] {
			continue
		}
		delete(at.users, unit)
		errs = append(errs, at.view.Use(unit, nil), at.view.Follow(unit))
		if id != "" && len(at.users) == 0 {
			at.stop()
			at.cluster.HTTP.CloseIdleConnections()
			delete(c.byID, id)
		}
	}
	return errors.Join(errs...)
}

// identity is the connection for a user, "" for the engine itself.
func (c *connection) identity(user string) (*kube.Cluster, error) {
	if user == "" {
		return c.cluster, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if as, ok := c.as[user]; ok {
		return as, nil
	}
	as, err := c.cluster.As(user)
	if err == nil {
		c.as[user] = as
	}
	return as, err
}

// aim finds the target of a unit.
func (e *Engine) aim(ctx context.Context, p *pass) error {
	if err := e.applier(ctx, p.reader, p.object); err != nil {
		return waitFor(kustomizev1.ReconciliationFailedReason, err)
	}
	id, connect, err := e.kubeconfig(ctx, p)
	if err != nil {
		return waitFor(kustomizev1.ReconciliationFailedReason, fmt.Errorf("spec.kubeConfig: %w", err))
	}
	c, err := e.connections.use(p.unit.user(), id, connect)
	if err != nil {
		return fail(kustomizev1.ReconciliationFailedReason, Retry, fmt.Errorf("spec.kubeConfig: %w", err))
	}
	if err := p.unit.moveTo(c); err != nil {
		return fail(kustomizev1.ReconciliationFailedReason, Retry, err)
	}
	p.target, err = e.targetOn(c, e.account(p.object))
	if err != nil {
		return fail(kustomizev1.ReconciliationFailedReason, Retry, err)
	}
	return nil
}

// targetOn is a connection under an identity.
func (e *Engine) targetOn(c *connection, user string) (target, error) {
	cluster, err := c.identity(user)
	if err != nil {
		return target{}, err
	}
	return target{
		connection: c,
		account:    user,
		applier:    &apply.Applier{Cluster: cluster, View: c.view, Exists: e.known, Admin: c.cluster, Facts: &c.facts},
		pruner:     &prune.Pruner{Cluster: cluster, View: c.view, OwnNamespace: e.OwnNamespace},
	}, nil
}

// account is the user that a unit acts as, "" for the engine itself.
func (e *Engine) account(k *kustomizev1.Kustomization) string {
	name := k.Spec.ServiceAccountName
	if name == "" {
		name = e.DefaultServiceAccount
	}
	if name == "" {
		return ""
	}
	return kube.ServiceAccount(k.Namespace, name)
}

// kubeconfig reads how to reach the cluster of a unit. The id is that of the
// content, so another content is another connection.
func (e *Engine) kubeconfig(ctx context.Context, p *pass) (id string, connect func() (*kube.Cluster, error), err error) {
	ref := p.object.Spec.KubeConfig
	switch {
	case ref == nil:
		return "", nil, nil
	case ref.SecretRef == nil:
		return e.tokenCluster(ctx, p, ref.ConfigMapRef.Name)
	}
	data, err := p.reader.data(ctx, secretKind, p.object.Namespace, ref.SecretRef.Name)
	if err != nil {
		return "", nil, err
	}
	content, err := kubeconfigIn(data, ref.SecretRef.Key)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", coreKey(secretKind, p.object.Namespace, ref.SecretRef.Name), err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), func() (*kube.Cluster, error) {
		config, err := kube.RemoteConfig(content, e.Remote)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", coreKey(secretKind, p.object.Namespace, ref.SecretRef.Name), err)
		}
		return kube.Connect(config)
	}, nil
}

// kubeconfigIn finds the kubeconfig in a Secret: under the key that is asked for,
// else under value or value.yaml.
func kubeconfigIn(data map[string][]byte, key string) ([]byte, error) {
	keys := []string{key}
	if key == "" {
		keys = []string{"value", "value.yaml"}
	}
	for _, k := range keys {
		if len(data[k]) > 0 {
			return data[k], nil
		}
	}
	return nil, fmt.Errorf("it has no key %s", keys[0])
}
