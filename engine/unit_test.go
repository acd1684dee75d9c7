package engine

import (
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
	"github.com/plumb-gitops/plumb/source"
)

var web = types.NamespacedName{Namespace: "apps", Name: "web"}

// monorepo holds the folder of web and another one.
func monorepo() source.MemoryTree {
	return source.MemoryTree{
		"web/config.yaml":   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: apps}\n",
		"other/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: apps}\n",
	}
}

// begun is a unit that has built the folder web of the monorepo, and the pass
// that did.
func begun(t *testing.T) (*unit, *pass) {
	t.Helper()
	set, err := build.Kustomization(t.Context(), monorepo(), build.Spec{Path: "web"})
	if err != nil {
		t.Fatal(err)
	}
	p := &pass{unit: &unit{name: web}, object: kustomization(), built: true}
	p.snapshot = source.Snapshot{Revision: rev1, Tree: monorepo()}
	p.unit.begin(p, set)
	return p.unit, p
}

// inputChanges are what makes another pass worth while, and what does not.
var inputChanges = []struct {
	name   string
	change func(*unit, *pass)
	same   bool
}{
	{"nothing changed", func(*unit, *pass) {}, true},
	{"another commit that touches other folders", func(_ *unit, p *pass) {
		tree := monorepo()
		tree["other/config.yaml"] = "changed"
		p.snapshot = source.Snapshot{Revision: rev2, Tree: tree}
	}, true},
	{"a label of the object", func(_ *unit, p *pass) { p.object.Labels = map[string]string{"a": "b"} }, true},
	{"a file that the build read", func(_ *unit, p *pass) {
		tree := monorepo()
		tree["web/config.yaml"] += "data: {a: b}\n"
		p.snapshot.Tree = tree
	}, false},
	{"a file more in its folder", func(_ *unit, p *pass) {
		tree := monorepo()
		tree["web/more.yaml"] = tree["other/config.yaml"]
		p.snapshot.Tree = tree
	}, false},
	{"the spec", func(_ *unit, p *pass) { p.object.Generation++ }, false},
	{"a request", func(_ *unit, p *pass) {
		p.object.Annotations = map[string]string{meta.ReconcileRequestAnnotation: "now"}
	}, false},
	{"a consent", func(_ *unit, p *pass) {
		p.object.Annotations = map[string]string{meta.ConsentAnnotation: "true"}
	}, false},
	{"another object of the same name", func(_ *unit, p *pass) { p.object.UID = "another" }, false},
	{"drift", func(u *unit, _ *pass) { u.dirty = true }, false},
}

func TestUnchanged(t *testing.T) {
	t.Parallel()
	for _, test := range inputChanges {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u, p := begun(t)
			u.whole, u.verifyAt = true, noon.Add(time.Hour)
			test.change(u, p)
			if got := u.unchanged(p, noon); got != test.same {
				t.Errorf("unchanged is %v, want %v", got, test.same)
			}
		})
	}
}

func TestUnchangedOnlyAfterAWholePassAndUntilTheNextVerification(t *testing.T) {
	t.Parallel()
	u, p := begun(t)
	u.verifyAt = noon
	if u.unchanged(p, noon.Add(-time.Second)) {
		t.Error("unchanged after half a pass")
	}
	u.whole = true
	if !u.unchanged(p, noon.Add(-time.Nanosecond)) || u.unchanged(p, noon) {
		t.Error("want unchanged until the time of verification, and not from then on")
	}
	fresh := &unit{name: web}
	if fresh.unchanged(&pass{object: kustomization(), snapshot: snapshotAt(rev1)}, noon) {
		t.Error("unchanged without any pass")
	}
}

func TestAgainAfterAStallOnlyWithOtherInput(t *testing.T) {
	t.Parallel()
	for _, test := range inputChanges {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u, p := begun(t)
			u.failed = fail(kustomizev1.BuildFailedReason, Stall, errBroken)
			test.change(u, p)
			err := u.again(p, noon)
			if (err != nil) != test.same || (err != nil && !errors.Is(err, errBroken)) {
				t.Errorf("failure is %v, want the last one: %v", err, test.same)
			}
		})
	}
}

func TestAgainAfterAFailureOnlyWhenItsTimeHasCome(t *testing.T) {
	t.Parallel()
	u, p := begun(t)
	if err := u.again(p, noon); err != nil {
		t.Errorf("failure is %v although none came before", err)
	}
	u.failed, u.retryAt = fail(kustomizev1.BuildFailedReason, Retry, errBroken), noon
	if err := u.again(p, noon.Add(-time.Nanosecond)); !errors.Is(err, errBroken) {
		t.Errorf("failure is %v, want %v", err, errBroken)
	}
	if err := u.again(p, noon); err != nil {
		t.Errorf("failure is %v, want another attempt", err)
	}
}

func TestBeginForgetsWhatWasWrittenOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	for _, test := range inputChanges {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u, p := begun(t)
			u.known = map[kube.Key]apply.Written{configMap("a"): {}}
			u.whole, u.dirty, u.deadline, u.failed = true, true, noon, fail("", Retry, errBroken)
			test.change(u, p)
			u.begin(p, build.Result{Reads: u.reads})
			asked := test.name == "a request" || test.name == "another object of the same name"
			if (u.known == nil) != asked {
				t.Errorf("known objects are %v", u.known)
			}
			if u.whole || u.dirty || u.failed != nil || !u.deadline.IsZero() {
				t.Errorf("whole %v, dirty %v, failed %v, deadline %v: want nothing of the last pass", u.whole, u.dirty, u.failed, u.deadline)
			}
		})
	}
}

func TestEndedCountsFailures(t *testing.T) {
	t.Parallel()
	retry := Outcome{Next: Retry, Reason: kustomizev1.BuildFailedReason}
	u, p := begun(t)
	p.err = errBroken
	for n, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		u.ended(p, retry, noon)
		if u.failures != n+1 || !u.retryAt.Equal(noon.Add(wait)) || !errors.Is(u.failed, errBroken) {
			t.Errorf("after failure %d: %d counted, next attempt at %v, because of %v", n+1, u.failures, u.retryAt, u.failed)
		}
	}
	p.repeated = true
	u.ended(p, retry, noon.Add(time.Hour))
	if u.failures != 3 || !u.retryAt.Equal(noon.Add(4*time.Second)) {
		t.Errorf("a pass that did not try counts: %d failures, next attempt at %v", u.failures, u.retryAt)
	}
	p.repeated = false
	u.ended(p, Outcome{Next: Done}, noon)
	if u.failures != 0 || !u.retryAt.IsZero() {
		t.Errorf("after success: %d failures, next attempt at %v", u.failures, u.retryAt)
	}
}

func TestEndedRemembersOnlyFailuresOfPassesThatBuilt(t *testing.T) {
	t.Parallel()
	for _, next := range []Next{Done, Retry, Wait, Stall} {
		for _, built := range []bool{false, true} {
			u, p := begun(t)
			p.built, p.err = built, errBroken
			u.ended(p, Outcome{Next: next}, noon)
			if got, want := u.failed != nil, built && (next == Retry || next == Stall); got != want {
				t.Errorf("next %d, built %v: failure kept is %v, want %v", next, built, got, want)
			}
		}
	}
}

func TestEndedParksWhileItWaits(t *testing.T) {
	t.Parallel()
	u, p := begun(t)
	u.ended(p, Outcome{Next: Wait}, noon)
	u.ended(p, Outcome{Next: Wait}, noon.Add(time.Hour))
	if !u.parked.Equal(noon) {
		t.Errorf("parked since %v, want the first wait, %v", u.parked, noon)
	}
	u.ended(p, Outcome{Next: Done}, noon.Add(time.Hour))
	if !u.parked.IsZero() {
		t.Errorf("parked since %v after success", u.parked)
	}
}

func TestWhatWasNotReportedIsKept(t *testing.T) {
	t.Parallel()
	u, p := begun(t)
	p.inventory, p.actions = []kube.Key{configMap("a")}, []Action{{Key: configMap("a"), Verb: "created"}}
	u.ended(p, Outcome{Next: Wait}, noon)
	p.inventory, p.actions = nil, []Action{{Key: configMap("a"), Verb: "configured"}}
	u.ended(p, Outcome{Next: Done}, noon)
	inventory, actions, told := u.unreported()
	if len(inventory) != 1 || len(actions) != 2 || told.Reason != "" {
		t.Errorf("inventory %v, actions %v, told %+v: want those of both passes", inventory, actions, told)
	}
	u.reported(Outcome{Next: Done, Reason: "Told", Actions: actions})
	inventory, actions, told = u.unreported()
	if inventory != nil || actions != nil || told.Reason != "Told" || told.Actions != nil {
		t.Errorf("inventory %v, actions %v, told %+v after the report", inventory, actions, told)
	}
}

func TestLatestIsTheNewerOfCacheAndOwnWrite(t *testing.T) {
	t.Parallel()
	at := func(uid, version string) *kustomizev1.Kustomization {
		k := kustomization()
		k.UID, k.ResourceVersion = types.UID(uid), version
		return k
	}
	tests := []struct {
		name       string
		own, cache *kustomizev1.Kustomization
		own1       bool // our own is the one to use
	}{
		{"nothing known yet", nil, at("a", "5"), false},
		{"the cache is behind", at("a", "10"), at("a", "9"), true},
		{"the cache is ahead", at("a", "9"), at("a", "10"), false},
		{"the cache is as new", at("a", "9"), at("a", "9"), false},
		{"another object of the same name", at("a", "10"), at("b", "9"), false},
		{"versions that can't be compared", at("a", "x"), at("a", "9"), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := &unit{name: web}
			if test.own != nil {
				u.wrote(test.own)
			}
			want := test.cache
			if test.own1 {
				want = test.own
			}
			if got := u.latest(test.cache); got != want {
				t.Errorf("latest is %s at %s, want %s at %s", got.UID, got.ResourceVersion, want.UID, want.ResourceVersion)
			}
			if known, _ := u.state(); known != want {
				t.Error("the newest was not kept")
			}
		})
	}
}

func TestConcerns(t *testing.T) {
	t.Parallel()
	record := func(change func(*live.Record)) *live.Record {
		r := &live.Record{Key: configMap("a"), Owner: (&unit{name: web}).user(), Owned: drift.Hash{1}, Health: health.Verdict{Status: health.Current}}
		if change != nil {
			change(r)
		}
		return r
	}
	was := record(nil)
	sick := record(func(r *live.Record) { r.Health.Status = health.InProgress })
	other := record(func(r *live.Record) { r.Key = configMap("other") })
	otherSick := record(func(r *live.Record) { r.Key, r.Health.Status = configMap("other"), health.InProgress })
	tests := []struct {
		name    string
		prepare func(*unit)
		change  live.Change
		wake    bool
		dirty   bool
	}{
		{"a field that is not ours", nil, live.Change{Old: was, New: record(func(r *live.Record) { r.Content = drift.Hash{9} })}, false, false},
		{"a field of ours", nil, live.Change{Old: was, New: record(func(r *live.Record) { r.Owned = drift.Hash{2} })}, true, true},
		{"the owner labels", nil, live.Change{Old: was, New: record(func(r *live.Record) { r.Owner = live.User{} })}, true, true},
		{"deleted", nil, live.Change{Old: was}, true, true},
		{"marked for deletion", nil, live.Change{Old: was, New: record(func(r *live.Record) { r.Deleting = true })}, true, true},
		{"health, when nobody waits for it", nil, live.Change{Old: was, New: sick}, false, false},
		{"health, with wait", func(u *unit) { u.object.Spec.Wait = true }, live.Change{Old: was, New: sick}, true, false},
		{"health, with health checks", func(u *unit) {
			u.object.Spec.HealthChecks = append(u.object.Spec.HealthChecks, kustomizev1.NamespacedObjectKindReference{})
		}, live.Change{Old: was, New: sick}, true, false},
		{"the same health, with wait", func(u *unit) { u.object.Spec.Wait = true }, live.Change{Old: was, New: record(nil)}, false, false},
		{"health, before a plan was carried out", func(u *unit) { u.whole = false }, live.Change{Old: was, New: sick}, true, false},
		{"the first sight of an object as we wrote it", nil, live.Change{New: was}, false, false},
		{"an object that we never wrote", nil, live.Change{Old: other, New: otherSick}, false, false},
		{"an object that it waits for without owning it", func(u *unit) { u.object.Spec.Wait = true }, live.Change{Old: other, New: otherSick}, true, false},
		{"an object that something keeps from going", func(u *unit) { u.going = []kube.Key{configMap("other")} }, live.Change{Old: other}, true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := &unit{name: web, object: kustomization(), whole: true, known: map[kube.Key]apply.Written{configMap("a"): {Owned: drift.Hash{1}}}}
			if test.prepare != nil {
				test.prepare(u)
			}
			if got := u.concerns(nil, test.change); got != test.wake || u.dirty != test.dirty {
				t.Errorf("wakes %v and is dirty %v, want %v and %v", got, u.dirty, test.wake, test.dirty)
			}
		})
	}
}

func TestLearnKeepsWhatIsStillWanted(t *testing.T) {
	t.Parallel()
	a, b, c := configMap("a"), configMap("b"), configMap("c")
	u := &unit{known: map[kube.Key]apply.Written{a: {Desired: drift.Hash{1}}, b: {Desired: drift.Hash{1}}}}
	u.learn(map[kube.Key]apply.Written{a: {Desired: drift.Hash{2}}}, []kube.Key{a, c})
	if len(u.known) != 1 || u.known[a].Desired != (drift.Hash{2}) || len(u.keys) != 2 {
		t.Errorf("known is %v of %v: want a anew, b forgotten, c not known", u.known, u.keys)
	}
	u.learn(nil, []kube.Key{a, c})
	if u.known[a].Desired != (drift.Hash{2}) {
		t.Error("an apply that did not come to a forgot it")
	}
}

func TestWrittenIsForgottenWhenItIsTimeToVerify(t *testing.T) {
	t.Parallel()
	u := &unit{known: map[kube.Key]apply.Written{configMap("a"): {}}}
	if len(u.written(noon)) != 1 {
		t.Error("an object that was written was forgotten before any plan was carried out")
	}
	u.verifyAt = noon
	if len(u.written(noon.Add(-time.Nanosecond))) != 1 || u.written(noon) != nil {
		t.Error("want what is known until the time of verification, and nothing from then on")
	}
}

func TestWaitUntilKeepsTheFirstDeadline(t *testing.T) {
	t.Parallel()
	u := &unit{}
	if got := u.waitUntil(true, noon); !got.Equal(noon) {
		t.Errorf("deadline is %v, want %v", got, noon)
	}
	if got := u.waitUntil(true, noon.Add(time.Hour)); !got.Equal(noon) {
		t.Errorf("deadline is %v, want the first, %v", got, noon)
	}
	if got := u.waitUntil(false, noon); !got.IsZero() {
		t.Errorf("deadline is %v after the wait", got)
	}
}

// TestPatienceBeginsAnew: a unit that waited for its source is as patient with the health
// of its objects as one that did not.
func TestPatienceBeginsAnew(t *testing.T) {
	t.Parallel()
	u, p, begun := &unit{}, &pass{object: &kustomizev1.Kustomization{}}, time.Now()
	for _, c := range []struct {
		reason string
		after  time.Duration
		until  time.Duration
	}{
		{kustomizev1.ArtifactFailedReason, 0, patience},
		{kustomizev1.ArtifactFailedReason, 2 * patience, patience},
		{meta.ProgressingReason, 3 * patience, 4 * patience},
		{meta.ProgressingReason, 5 * patience, 4 * patience},
	} {
		out := Outcome{Reason: c.reason, Next: Wait}
		u.ended(p, out, begun.Add(c.after))
		if got := u.quietUntil(out).Sub(begun); got != c.until {
			t.Errorf("%s after %s: quiet until %s, want %s", c.reason, c.after, got, c.until)
		}
	}
}
