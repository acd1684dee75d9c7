package fluxconfig

import (
	"cmp"
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
)

// Object is what a toolkit object says of itself.
type Object struct {
	Kind, Namespace, Name string
	AppliedBy             *clusterconfigv1.ObjectReference // nil for what the configuration stands for itself
	Suspended             bool
	Generation            int64 // 0 for an object that is not there
	ObservedGeneration    int64
	Conditions            []metav1.Condition
	// Offered is the revision that the object's source has, Applied the one that the
	// object is at; both are empty for what has no source, or one that is not known.
	Offered, Applied string
	Release          *clusterconfigv1.HelmReleaseProperties // of a HelmRelease
}

// worst has the states, those first that outweigh the others.
var worst = []clusterconfigv1.Compliance{
	clusterconfigv1.NonCompliant, clusterconfigv1.Pending, clusterconfigv1.Suspended, clusterconfigv1.Unknown, clusterconfigv1.Compliant,
}

// State is the compliance of one object, as far as it says itself.
func State(o Object) clusterconfigv1.Compliance {
	ready := apimeta.FindStatusCondition(o.Conditions, meta.ReadyCondition)
	switch {
	case o.Suspended:
		return clusterconfigv1.Suspended
	case ready != nil && ready.Status == metav1.ConditionFalse && !o.queues(ready):
		return clusterconfigv1.NonCompliant
	case len(o.Conditions) == 0 && o.ObservedGeneration <= 0: // -1 is the default of the kinds' definitions
		return clusterconfigv1.Unknown
	case ready == nil || ready.Status != metav1.ConditionTrue || o.stale(ready) || o.Applied != o.Offered:
		return clusterconfigv1.Pending
	default:
		return clusterconfigv1.Compliant
	}
}

// stale tells whether what an object says is about an older spec.
func (o Object) stale(c *metav1.Condition) bool {
	return o.ObservedGeneration != o.Generation || c != nil && c.ObservedGeneration != 0 && c.ObservedGeneration != o.Generation
}

// queues tells whether an object waits for another one to be ready. That one counts
// itself, so a roll-out in order is no failure.
func (o Object) queues(ready *metav1.Condition) bool {
	return ready.Reason == kustomizev1.DependencyNotReadyReason && !apimeta.IsStatusConditionTrue(o.Conditions, meta.StalledCondition)
}

// Compliance is the worst of all objects, Unknown without any, with what each of
// them says, sorted by kind, namespace and name. last is what was said before: a
// failure is not over because another attempt is under way, so an object stays
// Non-Compliant until it is compliant, or until something else is asked of it.
func Compliance(objects []Object, last []clusterconfigv1.ObjectStatus) (clusterconfigv1.Compliance, []clusterconfigv1.ObjectStatus) {
	failed := map[ref]clusterconfigv1.ObjectStatus{}
	for _, s := range last {
		if s.ComplianceState == clusterconfigv1.NonCompliant {
			failed[ref{s.Kind, s.Namespace, s.Name}] = s
		}
	}
	statuses := make([]clusterconfigv1.ObjectStatus, 0, len(objects))
	for _, o := range objects {
		now := statusOf(o)
		was, failed := failed[ref{o.Kind, o.Namespace, o.Name}]
		if failed && now.ComplianceState == clusterconfigv1.Pending && was.Generation == now.Generation && was.Revision == now.Revision {
			now.ComplianceState = clusterconfigv1.NonCompliant
		}
		statuses = append(statuses, now)
	}
	slices.SortFunc(statuses, func(a, b clusterconfigv1.ObjectStatus) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, state := range worst {
		if slices.ContainsFunc(statuses, func(s clusterconfigv1.ObjectStatus) bool { return s.ComplianceState == state }) {
			return state, statuses
		}
	}
	return clusterconfigv1.Unknown, statuses
}

// ref names an object.
type ref struct{ kind, namespace, name string }

func statusOf(o Object) clusterconfigv1.ObjectStatus {
	out := clusterconfigv1.ObjectStatus{
		Name: o.Name, Namespace: o.Namespace, Kind: o.Kind, ComplianceState: State(o), AppliedBy: o.AppliedBy, HelmReleaseProperties: o.Release,
		Generation: o.Generation, Revision: o.Offered,
	}
	for _, c := range o.Conditions {
		out.StatusConditions = append(out.StatusConditions, clusterconfigv1.ObjectStatusCondition{
			Type: c.Type, Status: string(c.Status), Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime.DeepCopy(),
		})
	}
	slices.SortFunc(out.StatusConditions, func(a, b clusterconfigv1.ObjectStatusCondition) int { return cmp.Compare(a.Type, b.Type) })
	return out
}

// GoodNews tells whether objects are all compliant, and a status does not say so
// yet of just them as they are asked to be.
func GoodNews(objects []Object, told clusterconfigv1.FluxConfigStatus) bool {
	whole, now := Compliance(objects, told.Statuses)
	if whole != clusterconfigv1.Compliant {
		return false
	}
	return told.ComplianceState != whole || !slices.EqualFunc(now, told.Statuses, func(a, b clusterconfigv1.ObjectStatus) bool {
		return a.Kind == b.Kind && a.Namespace == b.Namespace && a.Name == b.Name && a.Generation == b.Generation && a.Revision == b.Revision
	})
}

// Final tells whether the compliance stays as it is until somebody changes
// something: everything is compliant or suspended, or an object is stalled.
func Final(objects []Object) bool {
	rests := true
	for _, o := range objects {
		stalled := apimeta.FindStatusCondition(o.Conditions, meta.StalledCondition)
		if !o.Suspended && stalled != nil && stalled.Status == metav1.ConditionTrue && !o.stale(stalled) {
			return true
		}
		state := State(o)
		rests = rests && (state == clusterconfigv1.Compliant || state == clusterconfigv1.Suspended)
	}
	return rests && len(objects) > 0
}
