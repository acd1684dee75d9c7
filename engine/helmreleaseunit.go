package engine

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/dag"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// releaseUnits are the HelmReleases that the engine knows.
type releaseUnits struct {
	ctx   context.Context // actions end with it, and note that
	graph *dag.Graph[types.NamespacedName]
	alarm alarm
	under sync.WaitGroup
	// room is for the passes that are at work: more of them at once would only be slower,
	// each of them, and need more memory. One that waits for the cluster gives its room
	// away, and goes on without: it is nearly done then.
	room  *semaphore.Weighted
	names recordNames // of Helm's records
	// corrects puts drift back of releases whose spec says nothing of it.
	corrects bool

	mu       sync.Mutex
	set      map[types.NamespacedName]*releaseUnit
	recorded map[recordsAt]map[*releaseUnit]bool // whose records are where
}

// newReleaseUnits are for so many passes at once.
func newReleaseUnits(ctx context.Context, concurrent int, corrects bool) *releaseUnits {
	return &releaseUnits{
		ctx: ctx, corrects: corrects, graph: dag.New(byName), room: semaphore.NewWeighted(int64(concurrent)),
		set: map[types.NamespacedName]*releaseUnit{}, recorded: map[recordsAt]map[*releaseUnit]bool{},
	}
}

// releaseUnit is what is remembered of one HelmRelease between passes. All of it
// can be found out again.
type releaseUnit struct {
	name     types.NamespacedName
	corrects bool // see releaseUnits

	mu       sync.Mutex
	object   *helmv2.HelmRelease
	inputs   releaseInput // of the last pass that came to an end
	known    map[kube.Key]apply.Written
	whole    bool
	dirty    bool
	out      Outcome
	failures int
	retryAt  time.Time
	verifyAt time.Time

	parked time.Time // since when it waits; zero when it does not
	chart  string    // the HelmChart that was made for it, which the status may not name yet

	working bool // a pass is under way
	acting  bool // and it came to an install or upgrade
	// meanwhile is how the objects that changed during a pass are now, nil for those
	// that are gone. Only its end can tell its own changes from those of others.
	meanwhile map[kube.Key]*live.Record
	records   recordsOf
	again     bool // and something came in meanwhile
	made      releaseInput
	stop      context.CancelFunc
}

// releaseInput is what a release is made from.
type releaseInput struct {
	uid                      types.UID
	generation               int64
	requested, force, reset  string
	chart, values, connected string
	deleting                 bool
}

func releaseInputOf(p *releasePass) releaseInput {
	a := p.object.Annotations
	in := releaseInput{
		uid: p.object.UID, generation: p.object.Generation, requested: a[meta.ReconcileRequestAnnotation],
		force: a[helmv2.ForceRequestAnnotation], reset: a[helmv2.ResetRequestAnnotation],
		chart: p.wish.Chart.String() + p.snapshot.Digest, values: p.wish.ConfigDigest, deleting: p.object.DeletionTimestamp != nil,
	}
	if p.connection != nil {
		in.connected = p.connection.id + " " + p.account
	}
	return in
}

func (s *releaseUnits) get(name types.NamespacedName) *releaseUnit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set[name]
}

func (s *releaseUnits) getOrAdd(name types.NamespacedName) *releaseUnit {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set[name] == nil {
		s.set[name] = &releaseUnit{name: name, corrects: s.corrects}
	}
	return s.set[name]
}

func (s *releaseUnits) remove(name types.NamespacedName) {
	s.graph.Delete(name)
	s.drop(name)
}

func (s *releaseUnits) all() []*releaseUnit {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*releaseUnit, 0, len(s.set))
	for _, u := range s.set {
		out = append(out, u)
	}
	return out
}

// drop forgets what is remembered of a release.
func (s *releaseUnits) drop(name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.set[name]; u != nil {
		s.unrecordLocked(u)
	}
	delete(s.set, name)
}

// begin runs a pass beside the workers, and wakes the release at its end if
// something came in meanwhile. ended is called last.
func (s *releaseUnits) begin(p *releasePass, run func(context.Context), ended func()) {
	ctx, stop := context.WithCancel(s.ctx)
	u := p.unit
	u.mu.Lock()
	u.working, u.again, u.stop, u.made = true, false, stop, releaseInputOf(p)
	u.dirty, u.meanwhile, u.records.news = false, map[kube.Key]*live.Record{}, map[string]string{} // what changes from now on shows
	u.mu.Unlock()
	s.under.Go(func() {
		defer ended()
		defer stop()
		if s.room.Acquire(ctx, 1) == nil {
			p.leave = sync.OnceFunc(func() { s.room.Release(1) })
			run(ctx)
			p.leave()
		}
		u.mu.Lock()
		u.working, u.acting = false, false
		again := u.overtaken() || u.again
		u.mu.Unlock()
		if again {
			s.alarm.wake(u.name)
		}
	})
}

// busy tells whether a pass is under way. One for another spec, or for an object
// that is deleted by now, is ended: it notes how far it came.
func (u *releaseUnit) busy(now *helmv2.HelmRelease) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.working {
		return false
	}
	u.again = true
	if now.Generation != u.made.generation || (now.DeletionTimestamp != nil) != u.made.deleting {
		u.stop()
	}
	return true
}

// end ends the action under way, which notes how far it came.
func (u *releaseUnit) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.working {
		u.stop()
	}
}

// latest is the newest of what a cache says and what we wrote ourselves.
func (u *releaseUnit) latest(cached *helmv2.HelmRelease) *helmv2.HelmRelease {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.object == nil || u.object.UID != cached.UID || !live.Older(cached.ResourceVersion, u.object.ResourceVersion) {
		u.object = cached
	}
	return u.object
}

func (u *releaseUnit) wrote(hr *helmv2.HelmRelease) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.object = hr
}

func (u *releaseUnit) state() *helmv2.HelmRelease {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.object
}

// unchanged tells whether the last pass did all there is to do, and in how long
// the release has to be looked at by the clock.
func (u *releaseUnit) unchanged(p *releasePass, now time.Time) (time.Duration, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.dirty || u.inputs != releaseInputOf(p) {
		return 0, false
	}
	switch {
	case u.whole && now.Before(u.verifyAt):
		return u.verifyAt.Sub(now), true
	case !u.whole && u.out.Next == Stall:
		return 0, true
	case !u.whole && now.Before(u.retryAt):
		return u.retryAt.Sub(now), true
	}
	return 0, false
}

// ended keeps how a pass ended and tells in how long to look again.
func (u *releaseUnit) ended(p *releasePass, out Outcome, now, verifyAt time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.inputs, u.out, u.whole, u.verifyAt, u.acting = releaseInputOf(p), out, out.Ready(), verifyAt, false
	if out.Next != Wait {
		u.parked = time.Time{}
	} else if u.parked.IsZero() {
		u.parked = now
	}
	switch {
	case out.Ready():
		u.failures, u.retryAt = 0, time.Time{}
		return verifyAt.Sub(now)
	case out.Next == Retry:
		u.failures++
		wait := p.after
		if wait == 0 {
			wait = backoff(u.failures, longest(p))
		}
		u.retryAt = now.Add(wait)
		return wait
	}
	u.retryAt = time.Time{}
	return 0
}

// quietUntil is until when a release that waits keeps its status as it is, see patience.
func (u *releaseUnit) quietUntil(out Outcome, now time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if out.Next != Wait || out.Reason != helmv2.DependencyNotReadyReason && out.Reason != helmv2.ArtifactFailedReason {
		return time.Time{}
	}
	if u.parked.IsZero() {
		return now.Add(patience)
	}
	return u.parked.Add(patience)
}

// act notes that an action begins. Until the pass is over, the release is not as its
// status says.
func (u *releaseUnit) act() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.acting = true
}

func (u *releaseUnit) acts() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.acting
}

// madeChart keeps the name of the HelmChart that was made for a release, "" for none.
func (u *releaseUnit) madeChart(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.chart = name
}

func (u *releaseUnit) chartMade() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.chart
}

// refusedPause is the longest pause after a refusal for want of a right: no event tells
// when the right is given.
const refusedPause = time.Minute

// longest is the longest pause between two attempts.
func longest(p *releasePass) time.Duration {
	interval := p.object.Spec.Interval.Duration
	if p.tried != nil && anyForbidden(p.tried.Err) {
		return min(interval, refusedPause)
	}
	return interval
}

func (u *releaseUnit) attempts() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failures
}

// learn keeps what an action found out of the objects.
func (u *releaseUnit) learn(written map[kube.Key]apply.Written) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if written != nil {
		u.known = written
	}
}

func (u *releaseUnit) written() map[kube.Key]apply.Written {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known
}

// touched notes that something changed on the cluster and tells whether the
// release has to be looked at for it.
func (u *releaseUnit) touched(c live.Change) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.working {
		u.meanwhile[c.Record().Key] = c.New
		return false // the action itself, or somebody whom its end finds
	}
	if u.object == nil {
		return false
	}
	w, ours := u.known[c.Record().Key]
	detects := detects(u.detection(u.object))
	healthier := !u.whole && (c.Old == nil || c.New == nil || c.Old.Health != c.New.Health)
	changed := detects && ours && (c.New == nil || c.New.Owned != w.Owned || c.New.Deleting)
	gone := detects && c.New == nil
	if !healthier && !changed && !gone {
		return false
	}
	u.dirty = true
	return true
}

// overtaken tells, at the end of a pass, whether somebody changed a record or an object
// behind it: it is not as the pass left it. The caller holds the lock.
func (u *releaseUnit) overtaken() bool {
	defer func() { u.meanwhile = nil }()
	if u.records.overtaken() {
		u.dirty = true
		return true
	}
	if u.object == nil || !detects(u.detection(u.object)) {
		return false
	}
	for key, now := range u.meanwhile {
		if w, ours := u.known[key]; ours && (now == nil || now.Owned != w.Owned || now.Deleting) {
			u.dirty = true
			return true
		}
	}
	return false
}
