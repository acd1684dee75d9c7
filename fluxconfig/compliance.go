package fluxconfig

import (
	"cmp"
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
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
	Release               *clusterconfigv1.HelmReleaseProperties // of a HelmRelease
}

// worst has the states, those first that outweigh the others.
var worst = []clusterconfigv1.Compliance{
	clusterconfigv1.NonCompliant, clusterconfigv1.Pending, clusterconfigv1.Suspended, clusterconfigv1.Unknown, clusterconfigv1.Compliant,
}

// State is the compliance of one object.
func State(o Object) clusterconfigv1.Compliance {
	ready := apimeta.FindStatusCondition(o.Conditions, meta.ReadyCondition)
	switch {
	case o.Suspended:
		return clusterconfigv1.Suspended
	case ready != nil && ready.Status == metav1.ConditionFalse:
		return clusterconfigv1.NonCompliant
	case len(o.Conditions) == 0 && o.ObservedGeneration <= 0: // -1 is the default of the kinds' definitions
		return clusterconfigv1.Unknown
	case ready == nil || ready.Status != metav1.ConditionTrue || o.stale(ready):
		return clusterconfigv1.Pending
	default:
		return clusterconfigv1.Compliant
	}
}

// stale tells whether what an object says is about an older spec.
func (o Object) stale(c *metav1.Condition) bool {
	return o.ObservedGeneration != o.Generation || c != nil && c.ObservedGeneration != 0 && c.ObservedGeneration != o.Generation
}

// Compliance is the worst of all objects, Unknown without any, with what each of
// them says, sorted by kind, namespace and name.
func Compliance(objects []Object) (clusterconfigv1.Compliance, []clusterconfigv1.ObjectStatus) {
	statuses := make([]clusterconfigv1.ObjectStatus, 0, len(objects))
	for _, o := range objects {
		statuses = append(statuses, statusOf(o))
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

func statusOf(o Object) clusterconfigv1.ObjectStatus {
	out := clusterconfigv1.ObjectStatus{
		Name: o.Name, Namespace: o.Namespace, Kind: o.Kind, ComplianceState: State(o), AppliedBy: o.AppliedBy, HelmReleaseProperties: o.Release,
	}
	for _, c := range o.Conditions {
		out.StatusConditions = append(out.StatusConditions, clusterconfigv1.ObjectStatusCondition{
			Type: c.Type, Status: string(c.Status), Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime.DeepCopy(),
		})
	}
	slices.SortFunc(out.StatusConditions, func(a, b clusterconfigv1.ObjectStatusCondition) int { return cmp.Compare(a.Type, b.Type) })
	return out
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
