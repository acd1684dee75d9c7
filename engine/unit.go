package engine

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
	"github.com/plumb-gitops/plumb/source"
)

// unit is what the engine remembers of one Kustomization between passes. All of
// it can be found out again: a restart forgets it.
//
// Only the worker that has the unit writes here; wake-ups read, and set dirty.
type unit struct {
	name types.NamespacedName

	mu     sync.Mutex
	object *kustomizev1.Kustomization // the newest state that we know
	at     *connection                // the cluster that it applies to
	out    Outcome                    // of the last pass
	told   Outcome                    // of the last pass that was reported
	inputs inputs                     // of the last pass that planned
	recipe *recipe                    // of the spec and references in made
	made   inputs
	judged int64                      // generation whose health checks the view has
	reads  build.ReadSet              // of the last build
	memory *build.Memory              // of the last build, where the next one has use for it
	failed *Failure                   // of the last pass that came as far as building
	whole  bool                       // the last plan was carried out completely
	dirty  bool                       // something of ours changed on the cluster since
	busy   bool                       // a pass is under way
	stir   []kube.Key                 // what of ours changed in it: by the pass, or by others
	keys   []kube.Key                 // what the last build wants
	known  map[kube.Key]apply.Written // what we know of each object
	kept   bool                       // known is on disk as it is
	going  []kube.Key                 // deleted, but kept by something, or held for those
	sees   bool                       // its account may see what the last build waits for

	attempt   attempt    // the manifests that are not in the history yet
	actions   []Action   // what was done since the last report
	inventory []kube.Key // what it left, nil when nothing was planned since

	parked   time.Time // since when it waits; zero when it does not
	deadline time.Time // when waiting for health turns into failing
	failures int       // in a row
	retryAt  time.Time
	verifyAt time.Time // when everything is looked at anew, as a safety net
}

// user is the unit as the live view knows it.
func (u *unit) user() live.User {
	return live.User{Kind: kustomizev1.KustomizationKind, NamespacedName: u.name}
}

// looked tells whether the account is known to be allowed to see what is waited for;
// not any more after a build.
func (u *unit) looked(built bool) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sees = u.sees && !built
	return u.sees
}

func (u *unit) mayLook() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sees = true
}

// inputs are what a plan was made from, besides the files that were read.
type inputs struct {
	uid        types.UID
	generation int64
	requested  string // the requestedAt annotation
	consent    string
	references string // the hash of what the spec names
	connection string // the id of the cluster
}

func inputsOf(p *pass) inputs {
	return inputs{
		uid:        p.object.UID,
		generation: p.object.Generation,
		requested:  p.object.Annotations[meta.ReconcileRequestAnnotation],
		consent:    p.object.Annotations[meta.ConsentAnnotation],
		references: p.references.hash,
		connection: p.target.id(),
	}
}

// unchanged tells whether the last pass did all there is to do.
func (u *unit) unchanged(p *pass, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.whole && !u.dirty && u.inputs == inputsOf(p) && now.Before(u.verifyAt) && u.reads.Unchanged(p.snapshot.Tree)
}

// affected tells whether a snapshot has something else for the unit than the last
// pass saw: then there is more to do than to note the revision.
func (u *unit) affected(snapshot source.Snapshot) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.whole || snapshot.Tree == nil || !u.reads.Unchanged(snapshot.Tree)
}

// again is the failure of the last pass, when another pass would end the same
// way: the same input stalled it, or it is too early to try once more.
func (u *unit) again(p *pass, now time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	same := u.failed != nil && !u.dirty && u.inputs == inputsOf(p) && u.reads.Unchanged(p.snapshot.Tree)
	if same && (u.failed.Next == Stall || now.Before(u.retryAt)) {
		return u.failed
	}
	return nil
}

// begin starts what unchanged will compare with.
func (u *unit) begin(p *pass, set build.Result) {
	u.mu.Lock()
	defer u.mu.Unlock()
	next := inputsOf(p)
	if u.inputs.uid != next.uid || u.inputs.requested != next.requested || u.inputs.connection != next.connection {
		u.known, u.kept = nil, false // asked to look at everything
	}
	u.inputs, u.reads, u.memory, u.failed = next, set.Reads, set.Memory, nil
	u.whole, u.dirty = false, false
	u.deadline = time.Time{}
}

// ended keeps how a pass ended.
func (u *unit) ended(p *pass, out Outcome, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	goesOn := u.out.Next == Wait && u.out.Reason == out.Reason
	u.out = out
	u.actions = append(u.actions, p.actions...)
	if p.inventory != nil {
		u.inventory = p.inventory
	}
	switch {
	case out.Next == Wait && (u.parked.IsZero() || !goesOn):
		u.parked = now // waiting for something else begins anew
	case out.Next != Wait:
		u.parked = time.Time{}
	}
	switch out.Next {
	case Retry:
		if !p.repeated {
			u.failures++
			u.retryAt = now.Add(backoff(u.failures, p.object.GetRetryInterval()))
		}
	case Done:
		u.failures, u.retryAt = 0, time.Time{}
	case Wait, Stall:
	}
	if p.built && (out.Next == Retry || out.Next == Stall) {
		u.failed = &Failure{Reason: out.Reason, Next: out.Next, Err: p.err}
	}
}

// written is what is known of the objects, for the planner: nothing when it is
// time to look at everything anew.
func (u *unit) written(now time.Time) map[kube.Key]apply.Written {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.verifyAt.IsZero() && !now.Before(u.verifyAt) {
		return nil
	}
	return u.known
}

// learn keeps what an apply found out, also when it failed half-way.
func (u *unit) learn(written map[kube.Key]apply.Written, keys []kube.Key) {
	u.mu.Lock()
	defer u.mu.Unlock()
	next := make(map[kube.Key]apply.Written, len(keys))
	for _, key := range keys {
		if w, ok := written[key]; ok {
			next[key] = w
		} else if w, ok := u.known[key]; ok {
			next[key] = w
		}
	}
	u.kept = u.kept && maps.Equal(u.known, next)
	u.known, u.keys = next, keys
}

// settled ends a pass that carried out its whole plan. Whatever changed on the
// cluster while it ran shows now.
func (u *unit) settled(view View, verifyAt time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.whole, u.verifyAt = true, verifyAt
	for key, w := range u.known {
		if r, ok := view.Get(kustomizev1.KustomizationKind, key); !ok || r.Owned != w.Owned || r.Owner != u.user() {
			u.dirty = true
		}
	}
}

func (u *unit) waitsForHealth() bool {
	return u.object != nil && (u.object.Spec.Wait || len(u.object.Spec.HealthChecks) > 0)
}

// latest is the newest of what a cache says and what we wrote ourselves: a
// cache may be behind our own status, and with it behind the inventory.
func (u *unit) latest(cached *kustomizev1.Kustomization) *kustomizev1.Kustomization {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.object == nil || u.object.UID != cached.UID || !live.Older(cached.ResourceVersion, u.object.ResourceVersion) {
		u.object = cached
	}
	return u.object
}

// wrote keeps the answer to a write of our own.
func (u *unit) wrote(k *kustomizev1.Kustomization) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.object = k
}

// state is what others may know of the unit: its object and its last outcome.
func (u *unit) state() (*kustomizev1.Kustomization, Outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.object, u.out
}

// waitUntil starts, goes on with or ends waiting for health and gives the time
// at which it turns into failing.
func (u *unit) waitUntil(waiting bool, deadline time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case !waiting:
		u.deadline = time.Time{}
	case u.deadline.IsZero():
		u.deadline = deadline
	}
	return u.deadline
}

// unreported is what passes did since the last report, and that report: a unit
// that waits only for a moment is reported once, at its end.
func (u *unit) unreported() ([]kube.Key, []Action, Outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.inventory, u.actions, u.told
}

// reported remembers what users have been told.
func (u *unit) reported(out Outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.inventory, u.actions = nil, nil
	u.told = out
	u.told.Actions = nil
}

// moveTo notes on which cluster the unit's objects are. What another cluster than
// ours serves is discovered anew for each attempt after one that failed: nobody
// tells us when a kind arrives there.
func (u *unit) moveTo(c *connection) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.at = c
	if c.id != "" && u.out.Next != Done {
		return c.cluster.ResetMapping()
	}
	return nil
}

// attempts notes manifests that are now on their way.
func (u *unit) attempts(a attempt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.attempt = a
}

// attempted is what was on its way and has come to an end; nothing while it is
// still waited for.
func (u *unit) attempted(out Outcome) attempt {
	u.mu.Lock()
	defer u.mu.Unlock()
	if out.Reason == meta.ProgressingReason {
		return attempt{}
	}
	a := u.attempt
	u.attempt = attempt{}
	return a
}

// recipeFor is the recipe that was made of the same spec and references.
func (u *unit) recipeFor(in inputs) *recipe {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.recipe == nil || u.made.uid != in.uid || u.made.generation != in.generation || u.made.references != in.references {
		return nil
	}
	return u.recipe
}

func (u *unit) keepRecipe(r *recipe, in inputs) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.recipe, u.made = r, in
}

// judgedAnew notes by which generation's checks the view judges, and tells whether
// that is another than before.
func (u *unit) judgedAnew(generation int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	anew := u.judged != 0 && u.judged != generation
	u.judged = generation
	return anew
}

// lacksKind tells whether the unit failed because the cluster does not serve a
// kind. It may be tried again at once.
func (u *unit) lacksKind() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed == nil || !apply.IsUnknownKind(u.failed.Err) {
		return false
	}
	u.failed = nil
	return true
}
