package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/live"
)

// Everything that wakes a unit or a source other than a change of the object
// itself is in this file. A wake-up is a key in a queue, so any number of them
// before the next pass is one pass.

// alarm puts keys into a controller's queue, once that runs. What comes before
// is not lost: a controller looks at every object when it starts.
type alarm struct {
	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
}

func (a *alarm) source() source.Source {
	return source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.queue = q
		return nil
	})
}

func (a *alarm) wake(names ...types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.queue == nil {
		return
	}
	for _, name := range names {
		a.queue.Add(reconcile.Request{NamespacedName: name})
	}
}

// begins is the priority of units for which something new has come: behind those that
// are at work already, and were woken since. What was begun is ended first, or of a
// thousand new units none would be ready before the last one is begun.
const begins = -1

// wakeAt is wake for what can wait: whoever is woken with a greater priority, even after
// it, comes first. That of wake is 0, that of what nobody waits for handler.LowPriority.
func (a *alarm) wakeAt(priority int, names ...types.NamespacedName) {
	a.mu.Lock()
	queue, orders := a.queue.(priorityqueue.PriorityQueue[reconcile.Request])
	a.mu.Unlock()
	if !orders {
		a.wake(names...)
		return
	}
	requests := make([]reconcile.Request, len(names))
	for i, name := range names {
		requests[i].NamespacedName = name
	}
	queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, requests...)
}

// behind puts what is to be looked at again by the clock behind all that is woken. A queue
// only ever raises a priority, so a key that waits for its time with a greater one would
// have it whoever wakes it: wakeAt would say nothing.
type behind struct{ reconcile.Reconciler }

// Reconcile implements reconcile.Reconciler.
func (b behind) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	result, err := b.Reconciler.Reconcile(ctx, r)
	result.Priority = new(handler.LowPriority)
	return result, err
}

// wakeAfter puts a key into the queue once a time is over.
func (a *alarm) wakeAfter(d time.Duration, name types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	request := reconcile.Request{NamespacedName: name}
	if queue, orders := a.queue.(priorityqueue.PriorityQueue[reconcile.Request]); orders {
		queue.AddWithOpts(priorityqueue.AddOpts{After: d, Priority: new(handler.LowPriority)}, request)
	} else if a.queue != nil {
		a.queue.AddAfter(request, d)
	}
}

func (e *Engine) wakeUnits(names ...types.NamespacedName) { e.unitAlarm.wake(names...) }

// wakeCycles wakes whoever reports a cycle, since an edge has changed.
func (e *Engine) wakeCycles(changed types.NamespacedName) {
	e.wakeUnits(e.graph.Cycle(changed)...)
	e.wakeUnits(e.units.cyclic()...)
}

// wakeJudges wakes the dependants that judge a unit by an expression: whatever
// changes of it may be what they wait for.
func (e *Engine) wakeJudges(name types.NamespacedName) {
	for _, dependant := range e.graph.Dependants(name) {
		u, ok := e.units.get(dependant)
		if !ok {
			continue
		}
		k, out := u.state()
		if k != nil && out.Reason == kustomizev1.DependencyNotReadyReason && slices.ContainsFunc(k.Spec.DependsOn, func(d kustomizev1.DependencyReference) bool { return d.ReadyExpr != "" }) {
			e.wakeUnits(dependant)
		}
	}
}

// wakeSource wakes a source.
func (e *Engine) wakeSource(name sourceName) {
	if a := e.sourceAlarms[name.Kind]; a != nil {
		a.wake(name.NamespacedName)
	}
}

// wakeUsers wakes the units that build from a source, and the sources that are
// made from it. Units for which something changed come first: the others only say
// that they looked, and however many they are, nobody waits for them.
func (e *Engine) wakeUsers(name sourceName) {
	snapshot, _ := e.snapshots.get(name)
	var changed, others []types.NamespacedName
	for _, user := range e.sourceUses.of(name) {
		switch user.Kind {
		case kustomizev1.KustomizationKind:
			if u, ok := e.units.get(user.NamespacedName); ok && !u.affected(snapshot) {
				others = append(others, user.NamespacedName)
				continue
			}
			changed = append(changed, user.NamespacedName)
		case helmv2.HelmReleaseKind:
			e.releases.alarm.wake(user.NamespacedName)
		default:
			e.wakeSource(sourceName(user))
		}
	}
	e.unitAlarm.wakeAt(begins, changed...)
	e.unitAlarm.wakeAt(handler.LowPriority, others...)
}

// changed takes what the live view of a connection saw.
func (e *Engine) changed(at *connection, c live.Change) {
	r := c.Record()
	owners := map[live.User]bool{r.Owner: true}
	if c.Old != nil {
		owners[c.Old.Owner] = true // the label may just have gone
	}
	for owner := range owners {
		e.touchedObject(owner, at, c)
	}
	for _, user := range at.view.Followers(r.Key) {
		if other := e.otherUnits[user.Kind]; other.follows != nil {
			other.follows(user.NamespacedName)
		} else if user.Kind == kustomizev1.KustomizationKind || user.Kind == inputsUser {
			e.wakeUnits(user.NamespacedName)
		} else {
			e.wakeSource(sourceName{Kind: user.Kind, NamespacedName: user.NamespacedName})
		}
	}
}

// touchedObject wakes the owner of an object if the change is one for which it has to
// be looked at.
func (e *Engine) touchedObject(owner live.User, at *connection, c live.Change) {
	if other := e.otherUnits[owner.Kind]; other.changed != nil {
		other.changed(owner.NamespacedName, at, c)
		return
	}
	if u, ok := e.units.get(owner.NamespacedName); ok && u.concerns(at, c) {
		e.wakeUnits(owner.NamespacedName)
	}
}

// otherUnits are what the engine asks a kind of units other than Kustomization.
type otherUnits struct {
	exists  func(types.NamespacedName) bool
	changed func(owner types.NamespacedName, at *connection, c live.Change)
	// follows is told that something changed which such a unit follows by name.
	follows func(owner types.NamespacedName)
}

// definitions takes note that a CRD came, went or changed: what is served has to
// be discovered anew, and whoever failed for want of a kind can try again.
func (e *Engine) definitions() {
	if err := e.Cluster.ResetMapping(); err != nil {
		e.log.Error(err, "cannot forget what the cluster serves")
	}
	for _, u := range e.units.all() {
		if u.lacksKind() {
			e.wakeUnits(u.name)
		}
	}
	for _, u := range e.releases.all() {
		if u.lacksKind() {
			e.releases.alarm.wake(u.name)
		}
	}
}

// units are the units that the engine knows.
type units struct {
	mu     sync.RWMutex
	set    map[types.NamespacedName]*unit
	cycles map[types.NamespacedName]bool // those that report a cycle
}

// inCycle notes a unit that reports a cycle, or does not any more.
func (s *units) inCycle(name types.NamespacedName, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if is {
		s.cycles[name] = true
	} else {
		delete(s.cycles, name)
	}
}

// cyclic are the units that report a cycle.
func (s *units) cyclic() []types.NamespacedName {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.cycles))
}

func (s *units) get(name types.NamespacedName) (*unit, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, ok := s.set[name]
	return u, ok
}

func (s *units) getOrAdd(name types.NamespacedName) *unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.set[name]
	if !ok {
		u = &unit{name: name}
		s.set[name] = u
	}
	return u
}

func (s *units) remove(name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, name)
	delete(s.cycles, name)
}

func (s *units) all() []*unit {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*unit, 0, len(s.set))
	for _, u := range s.set {
		out = append(out, u)
	}
	return out
}
