// Package live knows what the cluster says now, without asking.
//
// For each kind that some unit uses there is one watch for each kind of unit,
// selected by its owner labels. Each object is reduced at once to a Record of a few hundred bytes,
// whatever its size. Objects that a unit waits for without owning them are
// watched by name, for as long as it waits.
package live

import (
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Record is what is kept of one object.
type Record struct {
	Key             kube.Key
	Owner           User // the unit that its labels name; zero without labels
	UID             types.UID
	ResourceVersion string
	Content         drift.Hash // all but status and bookkeeping
	Owned           drift.Hash // the fields that our field manager holds
	Health          health.Verdict
	Deleting        bool // marked for deletion, kept by a finalizer or a grace period
	Keep            bool // its own annotations or labels forbid to prune it
	Frozen          bool // its own annotations or labels forbid to reconcile it
	Alone           bool // nobody but the unit's field manager holds fields of it, status aside
}

// Reduce makes the record of obj as a kind of unit sees it: by the labels and the
// field manager of that kind.
func Reduce(kind string, obj *unstructured.Unstructured) Record {
	o := ownerships[kind]
	frozen := o.frozen != "" && says(obj, o.frozen, kustomizev1.DisabledValue)
	return Record{
		Key:             kube.KeyOf(obj),
		Owner:           Owner(kind, obj),
		UID:             obj.GetUID(),
		ResourceVersion: obj.GetResourceVersion(),
		Content:         drift.Content(obj),
		Owned:           o.owned(obj),
		Health:          health.Of(obj),
		Deleting:        obj.GetDeletionTimestamp() != nil,
		Keep:            frozen || o.keep != "" && says(obj, o.keep, o.keepValue),
		Frozen:          frozen,
		Alone:           o.alone(obj),
	}
}

// Older tells whether resource version a came before b. Both are decimal
// numbers (Kubernetes API concepts, "Resource versions"); anything else is as
// good as new.
func Older(a, b string) bool {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	return errX == nil && errY == nil && x < y
}

// alike tells whether nothing happened between two records of one object that
// anyone would want to be woken for.
func alike(a, b Record) bool {
	return a.UID == b.UID && a.Owner == b.Owner && a.Owned == b.Owned && a.Deleting == b.Deleting && a.Keep == b.Keep && a.Frozen == b.Frozen && a.Health == b.Health
}
