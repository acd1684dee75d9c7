package helmrel

import helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"

// AppliesServerSide tells whether an action is to apply objects server-side: an
// install does unless the spec says otherwise, others do as the newest record was
// applied, unless the spec says otherwise.
func AppliesServerSide(w Wish, action Action, records []Record) bool {
	mode := ""
	switch i, u, r := w.Spec.Install, w.Spec.Upgrade, w.Spec.Rollback; {
	case action == Install:
		return i == nil || i.ServerSideApply == nil || *i.ServerSideApply
	case action == Upgrade && u != nil:
		mode = u.ServerSideApply
	case action == Rollback && r != nil:
		mode = r.ServerSideApply
	}
	switch mode {
	case helmv2.ServerSideApplyEnabled:
		return true
	case helmv2.ServerSideApplyDisabled:
		return false
	}
	return len(records) > 0 && records[0].ApplyMethod == ServerSide
}
