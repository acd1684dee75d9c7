package engine

import (
	"slices"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/live"
)

// concerns tells whether a change on the cluster is one for which the unit has
// to be looked at. It also remembers drift, so that the next pass plans. What changes
// while a pass is under way is most likely what it writes: that is looked at when it
// is over (rested).
func (u *unit) concerns(at *connection, c live.Change) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at != nil && u.at != at {
		return false // the labels came along with a copy
	}
	key := c.Record().Key
	switch w, ours := u.known[key]; {
	case !ours || !drifted(u.user(), w, c.New):
	case u.busy:
		u.stir = append(u.stir, key)
	default:
		u.dirty = true
		return true
	}
	if slices.Contains(u.going, key) {
		u.dirty = true // the inventory has to shrink
		return true
	}
	healthChanged := c.Old == nil || c.New == nil || c.Old.Health != c.New.Health
	return healthChanged && (u.waitsForHealth() || !u.whole)
}

// works says that a pass has begun.
func (u *unit) works() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.busy, u.stir = true, nil
}

// rested ends a pass, and tells whether somebody else has changed something in it that
// the unit has to be looked at for. Without a view, whatever changed counts.
func (u *unit) rested(view View) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	anew := false
	for _, key := range u.stir {
		w, ours := u.known[key]
		if !ours {
			continue
		}
		var now *live.Record
		if view != nil {
			if r, there := view.Get(kustomizev1.KustomizationKind, key); there {
				now = &r
			}
		}
		anew = anew || drifted(u.user(), w, now)
	}
	u.busy, u.stir, u.dirty = false, nil, u.dirty || anew
	return anew
}

func drifted(unit live.User, w apply.Written, now *live.Record) bool {
	return now == nil || now.Owned != w.Owned || now.Owner != unit || now.Deleting
}
