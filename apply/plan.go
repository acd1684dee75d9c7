// Package apply plans what has to be written to the cluster and writes it.
//
// A Plan is a value: for each object of a unit what has to happen to it, in
// stages. Making it only reads; dry runs on the server tell what a write would
// do. Dry run, diff and drift report are plans that nobody runs.
//
// This is the only package that writes workload objects (package prune deletes
// them).
package apply

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// Action is what happens to an object. The words are used in plans, events,
// logs and on the command line alike.
type Action string

// The actions.
const (
	Created    Action = "created"
	Configured Action = "configured"
	Recreated  Action = "recreated" // deleted first, since a field cannot be changed in place
	Unchanged  Action = "unchanged"
	Skipped    Action = "skipped"
	Deleted    Action = "deleted"
	Failed     Action = "failed"
	Drifted    Action = "drifted" // differs, and is only reported
)

// Change is what happens to one object, and why.
type Change struct {
	Key    kube.Key
	Action Action
	Reason string // why, where the action does not say it all
	// Fields are the fields that somebody changed behind our back.
	Fields []drift.Difference
	// Taken are the fields that other managers own, with other values, and that
	// become ours; without values.
	Taken []drift.Difference
	// Rules names the drift rules by which fields are left to their writers.
	Rules []string

	desired  *unstructured.Unstructured // what is sent: without fields that are left alone
	hash     drift.Hash                 // of what the source wants
	owned    drift.Hash                 // what was ours when that was decided, of one that is not written
	deferred bool                       // cannot be tried before an earlier stage is applied
	migrate  bool                       // kubectl holds fields of it
	merges   bool                       // what kubectl added stays its own
	drifted  bool                       // it was as we want it, and is not any more
	current  *unstructured.Unstructured // what drifted, while that is planned
	force    bool                       // fields are taken from whoever holds them
	uid      types.UID                  // of what has to go first, for Recreated
	untried  bool                       // its write is its try (lead.go)
	foreseen bool                       // it was not tried (relabel.go)
	body     drift.Hash                 // of what the source wants, but for free labels and annotations
	written  bool                       // it is written already
}

// Drifted tells whether the change puts back what somebody else did.
func (c Change) Drifted() bool { return c.drifted }

// Writes tells whether the change needs a request.
func (c Change) Writes() bool {
	return c.Action == Created || c.Action == Configured || c.Action == Recreated
}

// Written is what we know of an object since our own last write of it, or since
// a dry run found nothing to write.
type Written struct {
	Desired drift.Hash // what we wanted
	Owned   drift.Hash // what the server then had of it
	Body    drift.Hash // what we wanted but for free labels and annotations (relabel.go); zero where that is not known
}

// Plan is what has to happen, stage after stage.
type Plan struct {
	Stages [][]Change
	Kept   []kube.Key // what else the unit wants, and is so already
}

// Changes are all changes, in order, and what is kept behind them.
func (p Plan) Changes() []Change {
	all := slices.Concat(p.Stages...)
	for _, key := range p.Kept {
		all = append(all, Change{Key: key, Action: Unchanged})
	}
	return all
}

// Keys are all that the unit wants, in the order of Changes.
func (p Plan) Keys() []kube.Key {
	var all []kube.Key
	for _, stage := range p.Stages {
		for _, c := range stage {
			all = append(all, c.Key)
		}
	}
	return append(all, p.Kept...)
}

// Known is what the plan found out about objects that it does not write.
func (p Plan) Known() map[kube.Key]Written {
	out := map[kube.Key]Written{}
	for _, c := range slices.Concat(p.Stages...) {
		if c.Action == Unchanged {
			out[c.Key] = Written{Desired: c.hash, Owned: c.owned, Body: c.body}
		}
	}
	return out
}

// Object is the object as it is sent: without the fields that are left alone.
func (c Change) Object() *unstructured.Unstructured { return c.desired.DeepCopy() }

// Empty tells whether there is nothing to write.
func (p Plan) Empty() bool {
	return !slices.ContainsFunc(p.Changes(), Change.Writes)
}

// untouched tells whether an object is as we left it: we want the same, and
// what is ours on the cluster is the same.
func untouched(hash drift.Hash, w Written, r live.Record, known bool) bool {
	return known && !r.Deleting && w.Desired == hash && w.Owned == r.Owned && w != (Written{})
}

// judge decides from what is there and from the answer to a dry run.
func (p *planning) judge(c Change, answer *unstructured.Unstructured, r live.Record, known bool) Change {
	c.migrate = slices.ContainsFunc(answer.GetManagedFields(), p.former) && !c.merges
	c.owned = live.Reduce(p.req.Unit.Kind, answer).Owned
	switch {
	case answer.GetResourceVersion() == "":
		c.Action = Created
	case !known:
		c.Action = Configured // it exists without our labels
	case drift.Content(answer) != r.Content, !p.req.ByContent && (c.migrate || c.owned != r.Owned):
		c.Action = Configured
	default:
		c.Action = Unchanged
	}
	return c
}

// taken tells whether another unit took over an object that this one has in its
// inventory. It is not taken back: two units that want the same object would
// never come to rest.
func taken(unit live.User, r live.Record, claimed bool, exists func(live.User) bool) bool {
	return claimed && r.Owner != unit && r.Owner != (live.User{}) && exists(r.Owner)
}

func sortChanges(changes []Change) {
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
}
