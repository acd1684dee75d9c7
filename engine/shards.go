package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/shard"
	"github.com/plumb-gitops/plumb/shard/lease"
)

// Shards is which objects this engine works on; nil for all.
//
// Every engine sees all objects, whoever works on them: a dependency may be somebody
// else's, and a source is fetched by each engine whose units build from it, while its
// owner alone writes its status.
type Shards struct {
	Count int             // shards; 0 when objects are told apart by their labels alone
	Only  labels.Selector // of the labels; nil for all
	// Namespace has the leases of engines and shards; "" for that of the lease that a
	// single engine would take.
	Namespace string
}

// objectName names an object that the engine works on.
type objectName struct {
	Kind string
	types.NamespacedName
}

// share is this engine's part of the objects.
type share struct {
	Shards
	wake func(objectName)
	stop func(objectName) // ends what is under way of an object
	came func()           // what others worked on has become ours

	mu      sync.Mutex
	held    map[int]int             // the shards that are ours, and when they became that, counted
	times   int                     // how often a shard became ours
	read    map[objectName]int      // since when an object is ours, in the same count
	others  map[objectName]bool     // objects that are not ours
	working map[objectName]int      // passes under way
	left    map[int]*sync.WaitGroup // shards that are being left: who waits for their passes
}

func newShare(s *Shards) *share {
	if s == nil {
		return nil
	}
	return &share{
		Shards: *s, held: map[int]int{}, read: map[objectName]int{},
		others: map[objectName]bool{}, working: map[objectName]int{}, left: map[int]*sync.WaitGroup{},
	}
}

// shardOf is the shard of an object. FluxConfigs of one namespace share objects, so
// they are in one shard.
func (s *share) shardOf(name objectName) int {
	if s.Count == 0 {
		return 0
	}
	if name.Kind == clusterconfigv1.FluxConfigKind {
		return shard.Of(s.Count, name.Kind, name.Namespace, "")
	}
	return shard.Of(s.Count, name.Kind, name.Namespace, name.Name)
}

// ours tells whether this engine works on an object now.
func (s *share) ours(name objectName, on map[string]string) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.oursLocked(name, on)
}

func (s *share) oursLocked(name objectName, on map[string]string) bool {
	if s.Only != nil && !s.Only.Matches(labels.Set(on)) {
		return false
	}
	i := s.shardOf(name)
	_, held := s.held[i]
	return (s.Count == 0 || held) && s.left[i] == nil
}

// has tells whether an object was ours when it was last looked at.
func (s *share) has(name objectName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read[name] != 0
}

// enter begins a pass over an object, if that is ours; done has to be called at its
// end. fresh tells that it was not ours until now: what is remembered of it may be
// old, and so may what a cache says.
func (s *share) enter(name objectName, on map[string]string) (done func(), fresh, ours bool) {
	if s == nil {
		return func() {}, false, true
	}
	fresh, moved, ours := s.begin(name, on)
	if !ours {
		return nil, false, false
	}
	if moved {
		s.came()
	}
	return func() { s.leave(name) }, fresh, true
}

// begin notes a pass over an object, if that is ours. moved tells that it was somebody
// else's and is ours by another label; shards that move come in gained.
func (s *share) begin(name objectName, on map[string]string) (fresh, moved, ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.oursLocked(name, on) {
		s.others[name] = true
		delete(s.read, name)
		return false, false, false
	}
	moved = s.Count == 0 && s.others[name]
	delete(s.others, name)
	since := max(s.held[s.shardOf(name)], 1)
	fresh = s.read[name] != since
	s.read[name] = since
	s.working[name]++
	return fresh, moved, true
}

// leave ends a pass.
func (s *share) leave(name objectName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.working[name]--; s.working[name] == 0 {
		delete(s.working, name)
	}
	if waiting := s.left[s.shardOf(name)]; waiting != nil {
		waiting.Done()
	}
}

// unread notes that an object could not be read anew: the next pass has to.
func (s *share) unread(name objectName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.read, name)
}

// forget drops what is known of an object that is no more.
func (s *share) forget(name objectName) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.others, name)
	delete(s.read, name)
}

// gained makes a shard ours and wakes its objects.
func (s *share) gained(i int) {
	s.came()
	s.mu.Lock()
	s.times++
	s.held[i] = s.times
	wake := inShard(s, i, s.others)
	s.mu.Unlock()
	for _, name := range wake {
		s.wake(name)
	}
}

// inShard are those of a set of objects that are in a shard.
func inShard[V any](s *share, i int, set map[objectName]V) (out []objectName) {
	for name := range set {
		if s.shardOf(name) == i {
			out = append(out, name)
		}
	}
	return out
}

// lost gives a shard up: no pass over an object of it begins any more, those that can
// be ended are, and the others are waited for.
func (s *share) lost(i int) {
	s.mu.Lock()
	waiting := &sync.WaitGroup{}
	s.left[i] = waiting
	stop := inShard(s, i, s.working)
	for _, name := range stop {
		waiting.Add(s.working[name])
	}
	s.mu.Unlock()
	for _, name := range stop {
		s.stop(name)
	}
	waiting.Wait()
	s.mu.Lock()
	delete(s.held, i)
	delete(s.left, i)
	wake := inShard(s, i, s.read)
	s.mu.Unlock()
	for _, name := range wake {
		s.wake(name) // to be seen as somebody else's from now on
	}
}

// hold goes on with a pass that has begun, beside it; done has to be called for it, too.
func (s *share) hold(name objectName) (done func()) {
	if s == nil {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.working[name]++
	if waiting := s.left[s.shardOf(name)]; waiting != nil {
		waiting.Add(1) // the pass that goes on here is waited for already
	}
	return func() { s.leave(name) }
}

// enter reads an object and begins a pass over it; done has to be called at its end.
// It is nil when the object is somebody else's. What has just become ours is read from
// the API server: who had it before may have written what a cache does not show yet.
func (e *Engine) enter(ctx context.Context, name objectName, empty func() client.Object) (obj client.Object, done func(), err error) {
	obj = empty()
	if err := e.client.Get(ctx, name.NamespacedName, obj); err != nil {
		if apierrors.IsNotFound(err) {
			e.share.forget(name)
		}
		return nil, nil, err
	}
	done, fresh, ours := e.share.enter(name, obj.GetLabels())
	if !ours || !fresh {
		return obj, done, nil
	}
	obj = empty()
	if err := e.direct.Get(ctx, name.NamespacedName, obj); err != nil {
		e.share.unread(name)
		done()
		return nil, nil, err
	}
	e.unlearn(name)
	return obj, done, nil
}

// unlearn forgets what is remembered of an object that others worked on since.
func (e *Engine) unlearn(name objectName) {
	switch name.Kind {
	case kustomizev1.KustomizationKind:
		e.units.remove(name.NamespacedName)
	case helmv2.HelmReleaseKind:
		e.releases.drop(name.NamespacedName)
	case clusterconfigv1.FluxConfigKind:
		e.configs.forget(name.NamespacedName)
	}
}

// stopWork ends what is under way of an object and can be ended at any time: the
// actions of releases, which note how far they came.
func (e *Engine) stopWork(name objectName) {
	if u := e.releases.get(name.NamespacedName); name.Kind == helmv2.HelmReleaseKind && u != nil {
		u.end()
	}
}

// wakeObject wakes whoever looks after an object.
func (e *Engine) wakeObject(name objectName) {
	switch name.Kind {
	case kustomizev1.KustomizationKind:
		e.wakeUnits(name.NamespacedName)
	case helmv2.HelmReleaseKind:
		e.releases.alarm.wake(name.NamespacedName)
	case clusterconfigv1.FluxConfigKind:
		e.configs.alarm.wake(name.NamespacedName)
	default:
		e.wakeSource(sourceName(name))
	}
}

// news are the changes of an object that wake who looks after it: those of its spec,
// annotations and labels; of one that is not ours, those of its status, too.
func (e *Engine) news(kind string) predicate.Predicate {
	if e.share == nil {
		return touched
	}
	return predicate.Or(touched, predicate.NewPredicateFuncs(func(obj client.Object) bool {
		return !e.share.ours(objectName{kind, client.ObjectKeyFromObject(obj)}, obj.GetLabels())
	}))
}

// together runs the engine as one of those that share the shards; alone where there
// are none. The leases are kept until nothing is under way any more.
func (e *Engine) together(ctx context.Context, run func(context.Context) error) error {
	if e.Shards == nil || e.Shards.Count == 0 {
		return run(ctx)
	}
	group, err := e.group()
	if err != nil {
		return err
	}
	working, lose := context.WithCancel(ctx)
	defer lose()
	member, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		ended <- group.Run(member)
		lose() // this engine may no longer write
	}()
	err = run(working)
	end()
	if lost := <-ended; lost != nil {
		err = errors.Join(err, lost)
		if errors.Is(lost, lease.ErrLost) {
			return err // nothing is left to give back
		}
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	return errors.Join(err, group.Close(closing))
}

// leaveWithin is how long giving back the shards may take.
const leaveWithin = 5 * time.Second

func (e *Engine) group() (*lease.Group, error) {
	client, err := coordinationclient.NewForConfigAndClient(e.Cluster.Config, e.Cluster.HTTP)
	if err != nil {
		return nil, fmt.Errorf("prepare the leases: %w", err)
	}
	place := e.Shards.Namespace
	if place == e.LeaderElection.Namespace {
		place = ""
	}
	return &lease.Group{
		Leases: client.Leases(cmp.Or(place, e.LeaderElection.Namespace)), Single: client.Leases(e.LeaderElection.Namespace), Place: place, Name: e.LeaderElection.Name, Identity: strings.ToLower(rand.Text()),
		Count: e.Shards.Count, Log: e.log, Gained: e.share.gained, Lost: e.share.lost,
	}, nil
}
