package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/internal/kube"
)

const repo = "GitRepository/apps/repo"

// endOf is the end of a pass over the object with that id.
func endOf(id string, out engine.Outcome) engine.Progress {
	parts := strings.Split(id, "/")
	p := engine.Progress{Kind: parts[0], Name: types.NamespacedName{Namespace: parts[1], Name: parts[2]}, Outcome: out}
	if p.Kind == kustomizev1.KustomizationKind {
		p.Source = repo
	}
	return p
}

func readyAt(revision string) engine.Outcome {
	return engine.Outcome{Next: engine.Done, Reason: meta.SucceededReason, Revision: revision}
}

func stalled() engine.Outcome {
	return engine.Outcome{Next: engine.Stall, Reason: kustomizev1.BuildFailedReason, Message: "no such folder"}
}

func waitsFor(reason string, on ...string) engine.Outcome {
	return engine.Outcome{Next: engine.Wait, Reason: reason, On: on}
}

// unit is the id of a Kustomization.
func unit(name string) string { return "Kustomization/apps/" + name }

func key(group, kind, namespace, name string) kube.Key {
	return kube.Key{ObjMetadata: object.ObjMetadata{GroupKind: schema.GroupKind{Group: group, Kind: kind}, Namespace: namespace, Name: name}}
}

func did(verb string, k kube.Key) engine.Action { return engine.Action{Key: k, Verb: verb} }

func retrying(id string, failures int) engine.Progress {
	p := endOf(id, engine.Outcome{Next: engine.Retry, Reason: kustomizev1.ReconciliationFailedReason})
	p.Attempts = failures
	return p
}

func suspend(id string) engine.Progress {
	p := endOf(id, stalled())
	p.Suspended = true
	return p
}

func madeFrom(revision string, p engine.Progress) engine.Progress {
	p.SourceRevision = revision
	return p
}

func TestTracker(t *testing.T) {
	t.Parallel()
	dependency := kustomizev1.DependencyNotReadyReason
	tests := []struct {
		name   string
		expect []string
		notes  []engine.Progress
		want   map[string]state
	}{
		{name: "nothing to do is an end"},
		{
			name:   "an expected object is worked on until its first pass has ended",
			expect: []string{repo, unit("a")},
			notes:  []engine.Progress{endOf(repo, readyAt("main@sha1:1"))},
			want:   map[string]state{repo: ready, unit("a"): working},
		},
		{
			name:  "ready at the revision of its source",
			notes: []engine.Progress{endOf(repo, readyAt("main@sha1:1")), endOf(unit("a"), readyAt("main@sha1:1"))},
			want:  map[string]state{repo: ready, unit("a"): ready},
		},
		{
			name:  "ready at an older revision than its source's has a pass to come",
			notes: []engine.Progress{endOf(unit("a"), readyAt("main@sha1:1")), endOf(repo, readyAt("main@sha1:2"))},
			want:  map[string]state{repo: ready, unit("a"): working},
		},
		{
			name: "caught up with its source",
			notes: []engine.Progress{
				endOf(unit("a"), readyAt("main@sha1:1")), endOf(repo, readyAt("main@sha1:2")), endOf(unit("a"), readyAt("main@sha1:2")),
			},
			want: map[string]state{repo: ready, unit("a"): ready},
		},
		{
			name:  "made from the revision of its source, and says another of itself",
			notes: []engine.Progress{endOf(repo, readyAt("1.0.0@sha256:1")), madeFrom("1.0.0@sha256:1", endOf(unit("a"), readyAt("1.0.0+1")))},
			want:  map[string]state{repo: ready, unit("a"): ready},
		},
		{
			name:  "made from an older revision of its source",
			notes: []engine.Progress{endOf(repo, readyAt("1.0.0@sha256:2")), madeFrom("1.0.0@sha256:1", endOf(unit("a"), readyAt("1.0.0@sha256:2")))},
			want:  map[string]state{repo: ready, unit("a"): working},
		},
		{
			name:   "a source that nothing is known of yet brings no other revision",
			expect: []string{repo},
			notes:  []engine.Progress{endOf(unit("a"), readyAt("main@sha1:1"))},
			want:   map[string]state{repo: working, unit("a"): ready},
		},
		{
			name:  "a source that failed leaves its units as they are",
			notes: []engine.Progress{endOf(unit("a"), readyAt("main@sha1:1")), retrying(repo, attempts)},
			want:  map[string]state{repo: failed, unit("a"): ready},
		},
		{
			name:  "suspended whatever its status says",
			notes: []engine.Progress{suspend(unit("a"))},
			want:  map[string]state{unit("a"): suspended},
		},
		{
			name:  "stalled is failed at once",
			notes: []engine.Progress{endOf(unit("a"), stalled())},
			want:  map[string]state{unit("a"): failed},
		},
		{
			name:  "one failure less than the limit is tried again",
			notes: []engine.Progress{retrying(unit("a"), attempts-1)},
			want:  map[string]state{unit("a"): working},
		},
		{
			name:  "as many failures as the limit are the answer",
			notes: []engine.Progress{retrying(unit("a"), attempts)},
			want:  map[string]state{unit("a"): failed},
		},
		{
			name:  "waiting for health goes on by itself",
			notes: []engine.Progress{endOf(unit("a"), waitsFor(meta.ProgressingReason))},
			want:  map[string]state{unit("a"): working},
		},
		{
			name:  "waiting for a Secret that only a user can bring is failed",
			notes: []engine.Progress{endOf(repo, waitsFor(sourcev1.AuthenticationFailedReason))},
			want:  map[string]state{repo: failed},
		},
		{
			name:   "waiting for a dependency that is worked on",
			expect: []string{unit("a")},
			notes:  []engine.Progress{endOf(unit("b"), waitsFor(dependency, unit("a")))},
			want:   map[string]state{unit("a"): working, unit("b"): working},
		},
		{
			name:  "ready dependency: the pass that it wakes is to come",
			notes: []engine.Progress{endOf(unit("a"), readyAt("")), endOf(unit("b"), waitsFor(dependency, unit("a")))},
			want:  map[string]state{unit("a"): ready, unit("b"): working},
		},
		{
			name:  "a failed dependency holds the whole chain behind it",
			notes: []engine.Progress{endOf(unit("a"), stalled()), endOf(unit("b"), waitsFor(dependency, unit("a"))), endOf(unit("c"), waitsFor(dependency, unit("b"))), endOf(unit("d"), waitsFor(dependency, unit("c")))},
			want:  map[string]state{unit("a"): failed, unit("b"): held, unit("c"): held, unit("d"): held},
		},
		{
			name:   "one of several dependencies failed",
			expect: []string{unit("b")},
			notes:  []engine.Progress{endOf(unit("a"), stalled()), endOf(unit("c"), waitsFor(dependency, unit("b"), unit("a")))},
			want:   map[string]state{unit("a"): failed, unit("b"): working, unit("c"): held},
		},
		{
			name: "two ways to the same working dependency are no cycle",
			notes: []engine.Progress{
				retrying(unit("a"), 1), endOf(unit("b"), waitsFor(dependency, unit("a"))),
				endOf(unit("c"), waitsFor(dependency, unit("a"))), endOf(unit("d"), waitsFor(dependency, unit("b"), unit("c"))),
			},
			want: map[string]state{unit("a"): working, unit("b"): working, unit("c"): working, unit("d"): working},
		},
		{
			name:  "a dependency that nobody brings holds",
			notes: []engine.Progress{endOf(unit("b"), waitsFor(dependency, unit("missing")))},
			want:  map[string]state{unit("b"): held},
		},
		{
			name:  "a source that nobody brings holds",
			notes: []engine.Progress{endOf(unit("b"), waitsFor(kustomizev1.ArtifactFailedReason, repo))},
			want:  map[string]state{unit("b"): held},
		},
		{
			name:  "a source that failed holds the units that have no artifact",
			notes: []engine.Progress{retrying(repo, attempts), endOf(unit("b"), waitsFor(kustomizev1.ArtifactFailedReason, repo))},
			want:  map[string]state{repo: failed, unit("b"): held},
		},
		{
			name:   "a source that is worked on",
			expect: []string{repo},
			notes:  []engine.Progress{endOf(unit("b"), waitsFor(kustomizev1.ArtifactFailedReason, repo))},
			want:   map[string]state{repo: working, unit("b"): working},
		},
		{
			name: "a cycle holds its members and what waits for them",
			notes: []engine.Progress{
				endOf(unit("a"), waitsFor(dependency, unit("b"))), endOf(unit("b"), waitsFor(dependency, unit("a"))), endOf(unit("c"), waitsFor(dependency, unit("a"))),
			},
			want: map[string]state{unit("a"): held, unit("b"): held, unit("c"): held},
		},
		{
			name:  "a unit that waits for itself is held",
			notes: []engine.Progress{endOf(unit("a"), waitsFor(dependency, unit("a")))},
			want:  map[string]state{unit("a"): held},
		},
		{
			name:   "what is gone needs no end",
			expect: []string{unit("a"), unit("b")},
			notes:  []engine.Progress{{Kind: "Kustomization", Name: types.NamespacedName{Namespace: "apps", Name: "a"}, Gone: true}, endOf(unit("b"), readyAt(""))},
			want:   map[string]state{unit("b"): ready},
		},
		{
			name: "a dependency that went away holds",
			notes: []engine.Progress{
				endOf(unit("b"), waitsFor(dependency, unit("a"))),
				{Kind: "Kustomization", Name: types.NamespacedName{Namespace: "apps", Name: "a"}, Gone: true},
			},
			want: map[string]state{unit("b"): held},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tr := newTracker(nil)
			for _, id := range test.expect {
				tr.expect(id)
			}
			for _, p := range test.notes {
				tr.note(p)
			}
			wantStates(t, tr, test.want)
		})
	}
}

// wantStates compares the states, and what done and counts make of them.
func wantStates(t *testing.T, tr *tracker, want map[string]state) {
	t.Helper()
	got, number, done := map[string]state{}, map[state]int{}, true
	for id := range tr.objects {
		got[id] = tr.state(id)
	}
	for _, s := range want {
		number[s]++
		done = done && s != working
	}
	if !maps.Equal(got, want) {
		t.Errorf("states are %v, want %v", got, want)
	}
	if tr.done() != done {
		t.Errorf("done is %v, want %v", tr.done(), done)
	}
	if !maps.Equal(tr.counts(), number) {
		t.Errorf("counts are %v, want %v", tr.counts(), number)
	}
}

func TestTrackerStateOfWhatNobodyKnows(t *testing.T) {
	t.Parallel()
	if got := newTracker(nil).state(unit("a")); got != held {
		t.Errorf("state is %s, want %s", got, held)
	}
}

func TestTrackerExpectsWhatItsObjectsBring(t *testing.T) {
	t.Parallel()
	kustomize, source := kustomizev1.GroupVersion.Group, sourcev1.GroupVersion.Group
	tests := []struct {
		name   string
		action engine.Action
		want   []string // beside the unit itself
	}{
		{"a created Kustomization", did("created", key(kustomize, "Kustomization", "apps", "child")), []string{unit("child")}},
		{"a created GitRepository", did("created", key(source, "GitRepository", "apps", "child")), []string{"GitRepository/apps/child"}},
		{"a created Bucket", did("created", key(source, "Bucket", "apps", "child")), []string{"Bucket/apps/child"}},
		{"a configured Kustomization is known already", did("configured", key(kustomize, "Kustomization", "apps", "child")), nil},
		{"a deleted Kustomization", did("deleted", key(kustomize, "Kustomization", "apps", "child")), nil},
		{"a Kustomization that could not be made", did("failed", key(kustomize, "Kustomization", "apps", "child")), nil},
		{"a kind of another group with the same name", did("created", key("kustomize.config.k8s.io", "Kustomization", "apps", "child")), nil},
		{"a workload", did("created", key("apps", "Deployment", "apps", "web")), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tr := newTracker(nil)
			p := endOf(unit("parent"), readyAt(""))
			p.Outcome.Actions = []engine.Action{test.action}
			tr.note(p)
			want := append([]string{unit("parent")}, test.want...)
			slices.Sort(want)
			if got := slices.Sorted(maps.Keys(tr.objects)); !slices.Equal(got, want) {
				t.Errorf("objects are %v, want %v", got, want)
			}
			if done := tr.done(); done != (len(test.want) == 0) {
				t.Errorf("done is %v before the child was looked at", done)
			}
		})
	}
}

func TestTrackerKeepsTheActionsOfAllPasses(t *testing.T) {
	t.Parallel()
	tr := newTracker(nil)
	for n, verb := range []string{"created", "configured"} {
		p := endOf(unit("a"), readyAt(fmt.Sprint(n)))
		p.Outcome.Actions = []engine.Action{did(verb, key("", "ConfigMap", "apps", "c"))}
		tr.note(p)
	}
	o := tr.objects[unit("a")]
	if len(o.actions) != 2 || o.last.Outcome.Revision != "1" {
		t.Errorf("%d actions at revision %q, want 2 at 1", len(o.actions), o.last.Outcome.Revision)
	}
}

func TestTrackerSortsItsObjects(t *testing.T) {
	t.Parallel()
	tr := newTracker(nil)
	for _, id := range []string{unit("b"), repo, unit("a")} {
		tr.expect(id)
	}
	var got []string
	for _, o := range tr.sorted() {
		got = append(got, o.id)
	}
	if want := []string{repo, unit("a"), unit("b")}; !slices.Equal(got, want) {
		t.Errorf("order is %v, want %v", got, want)
	}
}

func TestManyWaitsAreJudgedOnce(t *testing.T) {
	t.Parallel()
	// Each unit waits for all before it: without memory that is 2^60 steps.
	tr := newTracker(nil)
	id := func(n int) types.NamespacedName {
		return types.NamespacedName{Namespace: "apps", Name: fmt.Sprintf("u%02d", n)}
	}
	var before []string
	for n := range 60 {
		out := engine.Outcome{Next: engine.Wait, Reason: kustomizev1.DependencyNotReadyReason, On: before}
		if n == 0 {
			out = engine.Outcome{Next: engine.Stall}
		}
		tr.note(engine.Progress{Kind: kustomizev1.KustomizationKind, Name: id(n), Outcome: out})
		before = append(slices.Clone(before), "Kustomization/"+id(n).String())
	}
	if got := tr.counts(); got[failed] != 1 || got[held] != 59 {
		t.Errorf("got %v", got)
	}
}

func TestChildrenElsewhereAreNotExpected(t *testing.T) {
	t.Parallel()
	tr := newTracker([]string{"apps"})
	child := func(ns string) engine.Action {
		key := kube.Key{ObjMetadata: object.ObjMetadata{Namespace: ns, Name: "child", GroupKind: kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind).GroupKind()}, Version: "v1"}
		return engine.Action{Key: key, Verb: "created"}
	}
	tr.note(engine.Progress{Kind: kustomizev1.KustomizationKind, Name: types.NamespacedName{Namespace: "apps", Name: "parent"}, Outcome: engine.Outcome{Actions: []engine.Action{child("elsewhere")}}})
	if !tr.done() {
		t.Error("a child in a namespace that nobody works on is waited for")
	}
	tr.note(engine.Progress{Kind: kustomizev1.KustomizationKind, Name: types.NamespacedName{Namespace: "apps", Name: "parent"}, Outcome: engine.Outcome{Actions: []engine.Action{child("apps")}}})
	if tr.done() {
		t.Error("a child is not waited for")
	}
}
