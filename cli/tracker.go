package cli

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/engine"
)

// attempts is how often something may fail before a one-shot run takes it as
// the answer.
const attempts = 3

// tracker knows how far a one-shot run has come. It is pure: it is told what
// happened and says whether that was all.
type tracker struct {
	objects    map[string]*tracked
	namespaces []string // work is done in these only; everywhere when empty
	// planned are the objects that a dry run told, by their names: others are made from
	// them.
	planned map[string]*unstructured.Unstructured
}

// tracked is what is known of one source, Kustomization or HelmRelease.
type tracked struct {
	id      string
	seen    bool // a pass over it has ended
	last    engine.Progress
	actions []engine.Action // of all passes
}

func newTracker(namespaces []string) *tracker {
	return &tracker{objects: map[string]*tracked{}, namespaces: namespaces, planned: map[string]*unstructured.Unstructured{}}
}

// expect adds an object that has to come to an end too.
func (t *tracker) expect(id string) *tracked {
	if t.objects[id] == nil {
		t.objects[id] = &tracked{id: id}
	}
	return t.objects[id]
}

// note takes the end of a pass.
func (t *tracker) note(p engine.Progress) {
	if p.Gone {
		delete(t.objects, p.ID())
		return
	}
	o := t.expect(p.ID())
	o.seen, o.last = true, p
	o.actions = append(o.actions, p.Outcome.Actions...)
	for _, a := range p.Outcome.Actions {
		if a.Object != nil {
			t.planned[a.Key.String()] = a.Object
		}
		if t.brings(a) {
			t.expect(a.Key.String())
		}
	}
}

// brings tells whether an action made another object of our own kinds, in a
// namespace that is worked on.
func (t *tracker) brings(a engine.Action) bool {
	if a.Object != nil {
		return false // a dry run only tells how it would be
	}
	return t.worksIn(a.Key.Namespace) && a.Verb == string(apply.Created) && slices.ContainsFunc(ownKinds, func(k schema.GroupVersionKind) bool { return k.GroupKind() == a.Key.GroupKind })
}

// worksIn tells whether work is done in a namespace.
func (t *tracker) worksIn(namespace string) bool {
	return len(t.namespaces) == 0 || slices.Contains(t.namespaces, namespace)
}

// state is where one object stands.
type state string

const (
	working   state = "Working"   // something will happen by itself
	ready     state = "Ready"     // as its source says
	suspended state = "Suspended" // left alone
	failed    state = "Failed"    // it won't become ready by itself
	held      state = "Held"      // something that it waits for won't either
	planned   state = "Planned"   // a dry run would bring it, and has not looked further
)

// state judges one object.
func (t *tracker) state(id string) state { return t.follow(id, map[string]state{}) }

// follow judges an object and what it waits for. known are the objects judged
// already; one that is being judged counts as held, since it waits for itself.
func (t *tracker) follow(id string, known map[string]state) state {
	if s, ok := known[id]; ok {
		return s
	}
	known[id] = held
	known[id] = t.judge(t.objects[id], known)
	return known[id]
}

func (t *tracker) judge(o *tracked, known map[string]state) state {
	switch {
	case o == nil:
		return held // nobody will bring it
	case !o.seen:
		return working
	case o.last.Suspended:
		return suspended
	}
	switch out := o.last.Outcome; out.Next {
	case engine.Done:
		return t.upToDate(o)
	case engine.Stall:
		return failed
	case engine.Retry:
		if o.last.Attempts >= attempts {
			return failed
		}
		return working
	default:
		return t.waiting(out, known)
	}
}

// upToDate: a unit that is ready at an older revision than its source's has a
// pass to come.
func (t *tracker) upToDate(o *tracked) state {
	source := t.objects[o.last.Source]
	if source == nil || !source.seen || !source.last.Outcome.Ready() || source.last.Outcome.Revision == "" {
		return ready
	}
	if cmp.Or(o.last.SourceRevision, o.last.Outcome.Revision) != source.last.Outcome.Revision {
		return working
	}
	return ready
}

func (t *tracker) waiting(out engine.Outcome, known map[string]state) state {
	switch out.Reason {
	case meta.ProgressingReason:
		return working
	case kustomizev1.DependencyNotReadyReason, kustomizev1.ArtifactFailedReason, sourcev1.NoSourceArtifactReason, sourcev1.IncludeUnavailableReason:
		for _, id := range out.On {
			if s := t.follow(id, known); s == failed || s == held {
				return held
			}
		}
		return working
	default:
		return failed
	}
}

// done tells whether every object has come to an end.
func (t *tracker) done() bool {
	return t.counts()[working] == 0
}

// counts is how many objects are in each state.
func (t *tracker) counts() map[state]int {
	out, known := map[state]int{}, map[string]state{}
	for id := range t.objects {
		out[t.follow(id, known)]++
	}
	return out
}

func (t *tracker) sorted() []*tracked {
	ids := slices.Sorted(maps.Keys(t.objects))
	out := make([]*tracked, 0, len(ids))
	for _, id := range ids {
		out = append(out, t.objects[id])
	}
	return out
}
