package lease

import (
	"context"
	"fmt"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/plumb-gitops/plumb/shard"
)

// roleLabel tells a member's Lease from that of a shard.
const roleLabel = "engine.plumb.dev/role"

const (
	roleMember = "member"
	roleShard  = "shard"
)

// OfMember tells by the labels of a group's Lease whether it is that of an engine.
func OfMember(labels map[string]string) bool { return labels[roleLabel] == roleMember }

// watch follows the Leases of the group; each change is news.
func (g *Group) watch() cache.SharedIndexInformer {
	selector := GroupLabel + "=" + g.Name
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return g.Leases.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return g.Leases.Watch(ctx, o)
		},
	}, &coordinationv1.Lease{}, 0, cache.Indexers{})
	tell := func(any) {
		select {
		case g.news <- struct{}{}:
		default: // there is news already
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // fails only for one that has ended
		AddFunc: tell, DeleteFunc: tell, UpdateFunc: func(_, now any) { tell(now) },
	})
	return informer
}

// enter becomes a member, once neither a single engine nor a group with another
// number of shards is at work.
func (g *Group) enter(ctx context.Context) error {
	tick := time.NewTicker(renewals)
	defer tick.Stop()
	told := false
	for {
		free, holder, err := g.keepTogether(ctx)
		if err != nil {
			g.Log.Info("cannot read the lease, trying again: "+err.Error(), "lease", g.Name)
		}
		if free {
			break
		}
		if err == nil && !told {
			told = true
			g.Log.Info("waiting for another engine to end", "lease", g.Name, "holder", holder)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C: // an expired lease tells nobody
		}
	}
	lease := g.lease(g.Name+"-member-"+g.Identity, roleMember)
	made, err := g.Leases.Create(ctx, lease, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("join the engines: %w", err)
	}
	g.mine, g.renewed = made, time.Now()
	return nil
}

// together is how the group as a whole is named as a holder.
func (g *Group) together() string { return Together(g.Count, g.Place) }

// Together is the holder of a single engine's Lease while a group has it, whose Leases
// are in the namespace place; "" when that is the same one.
func Together(count int, place string) string {
	if place == "" {
		return fmt.Sprintf("%d shards", count)
	}
	return fmt.Sprintf("%d shards in %s", count, place)
}

// keepTogether renews the Lease of a single engine in the name of all members, and
// tells whether it is theirs, or else whose.
func (g *Group) keepTogether(ctx context.Context) (ours bool, holder string, err error) {
	ctx, cancel := context.WithTimeout(ctx, renewals)
	defer cancel()
	have, err := g.Single.Get(ctx, g.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease := g.lease(g.Name, "")
		*lease.Spec.HolderIdentity = g.together()
		_, err = g.Single.Create(ctx, lease, metav1.CreateOptions{})
		return err == nil, "", err
	}
	if err != nil {
		return false, "", err
	}
	holder = holderOf(have)
	since := g.saw(have, time.Now())
	if holder == g.together() && since < renewals {
		return true, holder, nil // another member has just done it
	}
	if holder != "" && holder != g.together() && since < length(have) {
		return false, holder, nil
	}
	next := have.DeepCopy()
	renew(next, g.together())
	_, err = g.Single.Update(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return false, holder, nil // by whom will be seen
	}
	return err == nil, holder, err
}

// part gives back the Lease of all members, as the last of them.
func (g *Group) part(ctx context.Context) error {
	have, err := g.Single.Get(ctx, g.Name, metav1.GetOptions{})
	if err != nil || holderOf(have) != g.together() {
		return err
	}
	next := have.DeepCopy()
	next.Spec.HolderIdentity = nil
	if _, err = g.Single.Update(ctx, next, metav1.UpdateOptions{}); apierrors.IsConflict(err) {
		return nil // another member has come
	}
	return err
}

// renew says that this engine lives. ErrLost when that could not be said for too long.
func (g *Group) renew(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, renewals)
	defer cancel()
	asked := time.Now()
	saved, err := g.renewMine(within)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return fmt.Errorf("%w: %w", ErrLost, err) // others believe that it is dead, or somebody took it away
	case err != nil && time.Since(g.renewed) > deadline:
		return fmt.Errorf("%w: %w", ErrLost, err)
	case err != nil:
		return nil //nolint:nilerr // there is time for another attempt
	}
	g.mine, g.renewed = saved, asked
	if ours, holder, err := g.keepTogether(ctx); err == nil && !ours && holder != "" && holder != g.together() {
		return fmt.Errorf("%w: the lease %s is held by %q", ErrLost, g.Name, holder)
	}
	return nil
}

// renewMine writes this engine's Lease. Others only ever delete it, so one that is ours
// still, and not as we know it, was written by a request of ours of which we got no
// answer in time.
func (g *Group) renewMine(ctx context.Context) (*coordinationv1.Lease, error) {
	write := func() (*coordinationv1.Lease, error) {
		next := g.mine.DeepCopy()
		renew(next, g.Identity)
		return g.Leases.Update(ctx, next, metav1.UpdateOptions{})
	}
	saved, err := write()
	if !apierrors.IsConflict(err) {
		return saved, err
	}
	have, unread := g.Leases.Get(ctx, g.mine.Name, metav1.GetOptions{})
	if unread != nil {
		return nil, unread
	}
	if have.UID != g.mine.UID || holderOf(have) != g.Identity {
		return nil, err
	}
	g.mine = have
	return write()
}

// hold makes us the holder of a shard's Lease as it was when that was decided, nil for
// one that is not there yet: if it has changed since, the write fails.
func (g *Group) hold(ctx context.Context, name string, have *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	if have == nil {
		return g.Leases.Create(ctx, g.lease(name, roleShard), metav1.CreateOptions{})
	}
	next := have.DeepCopy()
	renew(next, g.Identity)
	return g.Leases.Update(ctx, next, metav1.UpdateOptions{})
}

// view is what is known of members and holders at one moment.
type view struct {
	shard.State
	leases map[string]*coordinationv1.Lease // by name
	dead   []*coordinationv1.Lease          // of members that died and hold nothing any more
	stolen []int                            // shards that we hold and somebody else does
	idle   []int                            // shards that we have left, which is not written yet
}

func (g *Group) look(now time.Time) view {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := view{
		State:  shard.State{Me: g.Identity, Members: []string{g.Identity}, Holders: make([]string, g.Count)},
		leases: map[string]*coordinationv1.Lease{},
	}
	var expired []*coordinationv1.Lease
	for _, known := range g.known.List() {
		lease, ok := known.(*coordinationv1.Lease)
		if !ok {
			continue
		}
		s.leases[lease.Name] = lease
		switch {
		case lease.Labels[roleLabel] != roleMember || holderOf(lease) == g.Identity:
		case g.sawLocked(lease, now) < length(lease):
			s.Members = append(s.Members, holderOf(lease))
		default:
			expired = append(expired, lease)
		}
	}
	for i := range s.Holders {
		g.lookAt(&s, i)
	}
	for _, lease := range expired {
		if !slices.Contains(s.Holders, holderOf(lease)) {
			s.dead = append(s.dead, lease)
		}
	}
	return s
}

// lookAt finds who holds a shard. The caller has the lock.
func (g *Group) lookAt(s *view, i int) {
	known, own := s.leases[g.shardName(i)], g.own[i]
	if holder := holderOf(known); holder != g.Identity {
		s.Holders[i] = holder // what names us and is not ours has been left, and the watch is behind
	}
	taken := own != nil && s.Holders[i] != "" && newer(known, own)
	switch {
	case own == nil:
	case !g.idle[i]:
		if taken {
			s.stolen = append(s.stolen, i)
		}
		s.Holders[i] = g.Identity
	case g.gone[i]: // to be left in a moment
		s.Holders[i] = g.Identity
	case taken: // it is left, and the answer to that did not get here
		g.forget(i)
	default: // free for whose turn it is, which may be ours again
		s.Holders[i], s.idle = "", append(s.idle, i)
	}
}

// newer tells whether a Lease was written after another state of it.
func newer(a, b *coordinationv1.Lease) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order > 0
}

// saw is how long ago a Lease was renewed, as far as we can tell.
func (g *Group) saw(lease *coordinationv1.Lease, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sawLocked(lease, now)
}

func (g *Group) sawLocked(lease *coordinationv1.Lease, now time.Time) time.Duration {
	renewal := lease.ResourceVersion
	if last, ok := g.seen[lease.Name]; ok && last.renewal == renewal {
		return now.Sub(last.at)
	}
	g.seen[lease.Name] = sighting{renewal, now}
	return 0
}

func (g *Group) lease(name, role string) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if role != "" {
		lease.Labels = map[string]string{GroupLabel: g.Name, roleLabel: role}
	}
	renew(lease, g.Identity)
	return lease
}

func renew(lease *coordinationv1.Lease, holder string) {
	now, seconds := metav1.NowMicro(), int32(lasts/time.Second)
	if have := lease.Spec.HolderIdentity; have == nil || *have != holder {
		lease.Spec.AcquireTime = &now
	}
	lease.Spec.HolderIdentity, lease.Spec.RenewTime, lease.Spec.LeaseDurationSeconds = &holder, &now, &seconds
}

func holderOf(lease *coordinationv1.Lease) string {
	if lease == nil || lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// length is how long a Lease lasts by its own word.
func length(lease *coordinationv1.Lease) time.Duration {
	if lease.Spec.LeaseDurationSeconds == nil {
		return lasts
	}
	return time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
}
