// Package client is what the Helm SDK's actions talk to: its kube.Interface on our
// own connection, apply code and live view.
//
// A Client belongs to one action on one release, and ends with the context of that
// action, since the SDK's interface has none. It holds no OpenAPI documents: kinds
// are found in the mapping that all share, and the server itself validates, in a
// dry run before the first write. Objects of a stage are written in parallel.
// Whoever waits is woken by the live view; nothing is polled.
//
// What it costs (client_cluster_test.go counts): an install of n objects 2n
// requests, of which n write; an upgrade two for each object that changed and one
// for each that did not, or none when it is known to be as it was left; an
// uninstall n.
package client

import (
	"context"
	"errors"
	"slices"
	"sync"

	helmkube "helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// View is what a client needs of the live view.
type View interface {
	apply.View
	Judge(unit live.User, checks *health.Checks)
	Follow(user live.User, keys ...kube.Key) error
	Object(ctx context.Context, key kube.Key) (*unstructured.Unstructured, error)
	Listen(keys []kube.Key, hear func(live.Change)) (stop func())
}

// Options are what one action needs.
type Options struct {
	Cluster *kube.Cluster // as the account that the release acts as
	View    View
	Owner   live.User // the HelmRelease
	Exists  func(live.User) bool
	// Release and Namespace are those of the Helm release.
	Release, Namespace string
	// ServerSide has objects applied server-side; else by a three-way merge.
	ServerSide bool
	// Force has objects recreated of which a field cannot be changed in place, as the
	// SDK's own switch asks for; here, so that validation knows.
	Force bool
	// CreatesNamespace tells that the release's namespace may not be there yet when
	// the manifest is validated.
	CreatesNamespace bool
	// Manifests are shared by the clients of one pass; nil for none.
	Manifests *Manifests
	// Former are manifests of earlier records. What they name is the release's, if it
	// says so itself, and goes with the next action whose manifest does not name it.
	Former []string
	// Known is what is known of the objects from earlier actions (Client.Written).
	Known map[kube.Key]apply.Written
	// Checks are spec.healthCheckExprs.
	Checks *health.Checks
	// Waits, when set, is called when the action has to wait for the cluster.
	Waits func()
	// Legacy waits as Helm 3 did: for the kinds that it knew alone, and on after a
	// failure until the timeout.
	Legacy bool
}

// Client is the SDK's way to the cluster, for one action.
type Client struct {
	Options
	ctx     context.Context
	applier *apply.Applier

	mu      sync.Mutex
	have    []kube.Key           // the objects that the manifests of the action name
	strict  bool                 // of one of them is to be checked that its kind has its fields
	planned map[kube.Key]planned // what was validated, by object
	plan    apply.Plan           // of those
	absent  map[kube.Key]bool    // objects that were not there when it was planned
	gone    map[kube.Key]bool    // objects whose deletion was confirmed
	written map[kube.Key]apply.Written
	changes []apply.Change
	refused []error                      // of deletions
	former  []*unstructured.Unstructured // what the objects are merged with, client-side; nil before that is known
}

type planned = drift.Hash

var (
	_ helmkube.Interface                    = (*Client)(nil)
	_ helmkube.InterfaceExt                 = (*Client)(nil)
	_ helmkube.InterfaceThreeWayMerge       = (*Client)(nil)
	_ helmkube.InterfaceDeletionPropagation = (*Client)(nil)
)

// New makes the client of one action, which ends with ctx. Whoever makes it calls
// Close in the end.
func New(ctx context.Context, o Options) *Client {
	if o.Exists == nil {
		o.Exists = func(live.User) bool { return false }
	}
	o.View.Judge(o.Owner, o.Checks)
	return &Client{
		Options: o, ctx: ctx,
		applier: &apply.Applier{Cluster: o.Cluster, View: o.View, Exists: o.Exists},
		absent:  map[kube.Key]bool{}, gone: map[kube.Key]bool{}, written: map[kube.Key]apply.Written{},
	}
}

// hooks is who follows what an action waits for by name.
func (c *Client) hooks() live.User {
	return live.User{Kind: c.Owner.Kind + " hooks", NamespacedName: c.Owner.NamespacedName}
}

// Close ends following what the action waited for.
func (c *Client) Close() error { return c.View.Follow(c.hooks()) }

// Written is what is known now of the release's objects, for the next action.
func (c *Client) Written() map[kube.Key]apply.Written {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written
}

// Changes are what was done to the release's objects, hooks aside, in order.
func (c *Client) Changes() []apply.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.changes)
}

// IsReachable implements kube.Interface. Whether the cluster answers is for the
// first request to find out that is needed anyway.
func (c *Client) IsReachable() error { return context.Cause(c.ctx) }

// request is the wish for objects of the release.
func (c *Client) request(objects []*unstructured.Unstructured, force bool) apply.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	req := apply.Request{Unit: c.Owner, Objects: objects, Force: force, Written: c.Known, Inventory: slices.Clone(c.have)}
	if c.CreatesNamespace {
		req.Creates = c.Namespace
	}
	return req
}

// keep notes what a write did.
func (c *Client) keep(result apply.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, w := range result.Written {
		c.written[key] = w
	}
	for _, change := range result.Changes {
		delete(c.absent, change.Key)
	}
	c.changes = append(c.changes, result.Changes...)
}

// ErrDeleted says that an object which was waited for was deleted by somebody.
var ErrDeleted = errors.New("it was deleted while it was waited for")
