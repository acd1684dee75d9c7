// Package lease keeps, by Leases of the cluster, who works on which shard.
//
// Each engine renews one Lease of its own, however many shards there are; a shard's
// Lease only names who holds it, and is written when that changes, on the condition
// that nobody else did meanwhile. It counts for as long as its holder's own Lease is
// renewed. How long ago that was is measured by the clock of who looks, from when it
// saw the change: clocks need not agree. A further Lease, that of an engine which
// works alone, is kept by all of them together, so that neither such an engine nor
// one with another number of shards works beside them.
package lease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/plumb-gitops/plumb/shard"
)

// How long things take. An engine stops before others can believe that it is dead.
const (
	lasts    = 8 * time.Second // a Lease that was not renewed for this long is nobody's
	renewals = 2 * time.Second // between two renewals
	deadline = 5 * time.Second // without a successful one, the engine has to stop; with a request that hangs, 7 seconds
)

// GroupLabel is on the Leases of one group; its value is the group's name.
const GroupLabel = "engine.plumb.dev/group"

// ErrLost says that this engine may no longer write: its Lease could not be renewed.
var ErrLost = errors.New("the lease could not be renewed in time: others take over")

// Group is one engine's part in a group.
type Group struct {
	Leases coordinationclient.LeaseInterface // those of engines and shards
	// Single leads to the Lease that a single engine would take, and Place says where
	// the others are when that is elsewhere: groups in two places exclude each other.
	Single   coordinationclient.LeaseInterface
	Place    string
	Name     string // of the Lease that a single engine would take; the others' names begin with it
	Identity string // who this engine is; nobody else ever has the same
	Count    int    // shards
	Log      logr.Logger
	// Gained is called when a shard may be worked on.
	Gained func(shard int)
	// Lost is called when a shard is to be left; it returns when nothing of it is under
	// way any more.
	Lost func(shard int)

	mu      sync.Mutex
	own     map[int]*coordinationv1.Lease // the shards that are held, by their Leases
	leaving sync.WaitGroup
	gone    map[int]bool // those that are being left
	idle    map[int]bool // those of which nothing is under way any more, and which we hold by the Lease alone
	mine    *coordinationv1.Lease
	renewed time.Time // when that succeeded last
	seen    map[string]sighting
	known   cache.Indexer
	news    chan struct{}
}

// sighting is when a renewal was seen.
type sighting struct {
	renewal string
	at      time.Time
}

// Run takes part until ctx ends, or until this engine may no longer write: then the
// error is ErrLost, and it must stop at once.
func (g *Group) Run(ctx context.Context) error {
	g.own, g.gone, g.idle, g.seen = map[int]*coordinationv1.Lease{}, map[int]bool{}, map[int]bool{}, map[string]sighting{}
	g.news = make(chan struct{}, 1)
	if _, err := g.Leases.List(ctx, metav1.ListOptions{LabelSelector: GroupLabel + "=" + g.Name, Limit: 1}); err != nil {
		return ignoreEnd(ctx, fmt.Errorf("look for the leases of other engines: %w", err)) // a watch would go on trying
	}
	informer := g.watch()
	g.known = informer.GetIndexer()
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil
	}
	if err := g.enter(ctx); err != nil || ctx.Err() != nil {
		return ignoreEnd(ctx, err)
	}
	// Apart from each other: whatever holds up the one must not hold up the other.
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error { return g.live(both) })
	group.Go(func() error { return g.divide(both) })
	return ignoreEnd(ctx, group.Wait())
}

// live renews this engine's Lease, until that fails for too long.
func (g *Group) live(ctx context.Context) error {
	tick := time.NewTicker(renewals)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := g.renew(ctx); err != nil {
				return err
			}
		}
	}
}

// divide takes and leaves shards as engines come and go. That one has gone is told by
// nobody, so it looks at the known Leases by the clock, too.
func (g *Group) divide(ctx context.Context) error {
	tick := time.NewTicker(renewals)
	defer tick.Stop()
	for {
		if err := g.step(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-g.news:
		case <-tick.C:
		}
	}
}

// Close leaves all shards, of which nothing may be under way any more, and the group:
// the others go on at once. It is called when Run has ended.
func (g *Group) Close(ctx context.Context) error {
	g.leaving.Wait()
	var errs []error
	for _, i := range slices.Sorted(maps.Keys(g.own)) {
		errs = append(errs, g.yield(ctx, i))
	}
	if g.mine == nil {
		return errors.Join(errs...)
	}
	if last := len(g.look(time.Now()).Members) == 1; last {
		errs = append(errs, g.part(ctx))
	}
	return errors.Join(append(errs, g.Leases.Delete(ctx, g.mine.Name, metav1.DeleteOptions{}))...)
}

// step does what there is to do about the shards.
func (g *Group) step(ctx context.Context) error {
	now := g.look(time.Now())
	if len(now.stolen) > 0 {
		return fmt.Errorf("%w: shard %d is held by another one", ErrLost, now.stolen[0])
	}
	take, leave := shard.Next(now.State)
	for _, i := range now.idle {
		if !slices.Contains(take, i) {
			leave = append(leave, i)
		}
	}
	for _, i := range leave {
		g.leave(ctx, i)
	}
	for _, i := range take {
		if err := g.take(ctx, i, now.leases[g.shardName(i)]); err != nil {
			g.Log.V(1).Info("a shard is not ours yet: "+err.Error(), "shard", i)
		}
	}
	for _, lease := range now.dead {
		g.bury(ctx, lease)
	}
	return nil
}

// leave gives a shard to others once nothing of it is under way.
func (g *Group) leave(ctx context.Context, i int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone[i] || g.own[i] == nil { // the latter since that was decided
		return
	}
	g.gone[i] = true
	idle := g.idle[i]
	g.leaving.Go(func() {
		if !idle {
			g.Log.Info("leaving a shard to another engine", "shard", i)
			g.Lost(i)
			g.mu.Lock()
			g.idle[i] = true
			g.mu.Unlock()
		}
		if err := g.yield(ctx, i); err != nil {
			g.Log.Info("cannot leave a shard, it is tried again: "+err.Error(), "shard", i)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.gone, i)
	})
}

// yield writes that nobody holds a shard. An attempt before this one may have come
// through without an answer: then the Lease is another one's by now, or nobody's.
func (g *Group) yield(ctx context.Context, i int) error {
	g.mu.Lock()
	lease := g.own[i].DeepCopy()
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, renewals)
	defer cancel()
	err := g.release(ctx, lease)
	if apierrors.IsConflict(err) {
		if lease, err = g.Leases.Get(ctx, g.shardName(i), metav1.GetOptions{}); err == nil && holderOf(lease) == g.Identity {
			err = g.release(ctx, lease)
		}
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("leave shard %d: %w", i, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(i)
	return nil
}

func (g *Group) release(ctx context.Context, lease *coordinationv1.Lease) error {
	lease.Spec.HolderIdentity = nil
	_, err := g.Leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

// forget drops a shard that is not ours any more. The caller has the lock.
func (g *Group) forget(i int) {
	delete(g.own, i)
	delete(g.idle, i)
}

// take makes a shard ours if nobody was faster; have is its Lease.
func (g *Group) take(ctx context.Context, i int, have *coordinationv1.Lease) error {
	ctx, cancel := context.WithTimeout(ctx, renewals)
	defer cancel()
	lease, err := g.hold(ctx, g.shardName(i), have)
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.own[i] = lease
	delete(g.idle, i)
	g.mu.Unlock()
	g.Log.Info("working on a shard", "shard", i)
	g.Gained(i)
	return nil
}

// bury removes the Lease of an engine that died, unless it came back to life.
func (g *Group) bury(ctx context.Context, lease *coordinationv1.Lease) {
	ctx, cancel := context.WithTimeout(ctx, renewals)
	defer cancel()
	same := metav1.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion}
	if err := g.Leases.Delete(ctx, lease.Name, metav1.DeleteOptions{Preconditions: &same}); err == nil {
		g.Log.Info("an engine is gone", "engine", holderOf(lease))
	}
}

func (g *Group) shardName(i int) string { return ShardName(g.Name, i) }

// ShardName is the name of a shard's Lease in a group.
func ShardName(group string, i int) string { return fmt.Sprintf("%s-shard-%d", group, i) }

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
