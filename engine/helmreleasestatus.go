package engine

import (
	"errors"
	"fmt"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/prune"
)

func readyOf(conditions []metav1.Condition) *metav1.Condition {
	return apimeta.FindStatusCondition(conditions, meta.ReadyCondition)
}

// releaseOutcome turns the error in which a pass ended into words.
func releaseOutcome(p *releasePass, err error) Outcome {
	out := Outcome{Reason: meta.FailedReason, Message: err.Error(), Next: Retry, Revision: p.wish.Chart.Version, Actions: p.actions}
	if f := new(Failure); errors.As(err, &f) {
		out.Reason, out.Next, out.On = f.Reason, f.Next, f.On
	}
	return out
}

// progressing says in the status which action is under way.
func progressing(s *helmv2.HelmReleaseStatus, p *releasePass, step helmrel.Step) {
	message := fmt.Sprintf("Running '%s' action with timeout of %s", step.Action, p.object.GetTimeout())
	set := func(kind string, status metav1.ConditionStatus) {
		apimeta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: kind, Status: status, Reason: meta.ProgressingReason, Message: message, ObservedGeneration: p.object.Generation})
	}
	apimeta.RemoveStatusCondition(&s.Conditions, meta.StalledCondition)
	set(meta.ReconcilingCondition, metav1.ConditionTrue)
	if step.Action == helmrel.Install || step.Action == helmrel.Upgrade {
		set(meta.ReadyCondition, metav1.ConditionUnknown)
	}
}

// last is the condition that says how the release is: what undid it, its tests,
// the release itself.
func last(p *releasePass) metav1.Condition {
	for _, kind := range []string{helmv2.RemediatedCondition, helmv2.TestSuccessCondition, helmv2.ReleasedCondition} {
		if c := apimeta.FindStatusCondition(p.status.Conditions, kind); c != nil {
			return *c
		}
	}
	return metav1.Condition{Reason: meta.SucceededReason, Message: "nothing is released"}
}

// settledRelease is the outcome of a pass that left nothing to do.
func (e *Engine) settledRelease(p *releasePass, f *found) Outcome {
	c := last(p)
	if c.Type == helmv2.TestSuccessCondition && c.Status == metav1.ConditionFalse { // that counts for nothing here
		if released := apimeta.FindStatusCondition(p.status.Conditions, helmv2.ReleasedCondition); released != nil {
			c = *released
		}
	}
	out := Outcome{Reason: c.Reason, Message: c.Message, Revision: p.wish.Chart.Version, Next: Done, Actions: p.actions}
	if len(f.records) == 0 || p.wish.Deleting {
		return out
	}
	keys, err := e.inventoryIn(p, f)
	if err != nil {
		return releaseOutcome(p, fail(meta.FailedReason, Retry, err))
	}
	p.inventory = keys
	return out
}

// unsettled is the outcome of a pass that ended in a failure.
func unsettled(p *releasePass, step helmrel.Step, next Next) Outcome {
	c := last(p)
	out := Outcome{Reason: c.Reason, Message: c.Message, Revision: p.wish.Chart.Version, Next: next, Actions: p.actions}
	switch {
	case next == Stall:
		p.stalled = step.Message
	case step.Reason != "" && step.Action != helmrel.Stall: // a stall that is none here (exhausted) tells what failed
		out.Reason, out.Message = step.Reason, step.Message
	}
	return out
}

// releaseStatus is the status at the end of a pass. It changes nothing that it was
// given.
func releaseStatus(p *releasePass, out Outcome) helmv2.HelmReleaseStatus {
	s := *p.status.DeepCopy()
	if requested := p.object.Annotations[meta.ReconcileRequestAnnotation]; requested != "" {
		s.LastHandledReconcileAt = requested
	}
	if p.wish.Chart.Name != "" {
		helmrel.Acknowledge(&s, p.wish)
	}
	if p.inventory != nil {
		s.Inventory = prune.Store(p.inventory)
	}
	if out.Next != Wait {
		s.ObservedGeneration = p.object.Generation
	}
	noteDrift(&s, p)
	for _, kind := range []string{meta.ReconcilingCondition, meta.StalledCondition} {
		apimeta.RemoveStatusCondition(&s.Conditions, kind)
	}
	for _, c := range conditionsOf(out, false) {
		if c.Type == meta.StalledCondition && p.stalled != "" {
			c.Reason, c.Message = helmv2.RetriesExceededReason, p.stalled
		}
		c.ObservedGeneration = p.object.Generation
		apimeta.SetStatusCondition(&s.Conditions, c)
	}
	return s
}

// noteDrift says in the status what others changed, as of the last look: where drift
// is put back, that is nothing.
func noteDrift(s *helmv2.HelmReleaseStatus, p *releasePass) {
	if !p.looked && detects(p.unit.detection(p.object)) {
		return
	}
	if !p.looked {
		apimeta.RemoveStatusCondition(&s.Conditions, helmv2.DriftedCondition)
		return
	}
	if p.drift == "" {
		apimeta.SetStatusCondition(&s.Conditions, metav1.Condition{
			Type: helmv2.DriftedCondition, Status: metav1.ConditionFalse, Reason: helmv2.NoDriftDetectedReason,
			Message: "the objects are as they were released", ObservedGeneration: p.object.Generation,
		})
		return
	}
	apimeta.SetStatusCondition(&s.Conditions, metav1.Condition{
		Type: helmv2.DriftedCondition, Status: metav1.ConditionTrue, Reason: helmv2.DriftDetectedReason,
		Message: clip(p.drift), ObservedGeneration: p.object.Generation,
	})
}

// newDrift tells whether a look found drift that the status did not tell yet.
func newDrift(was helmv2.HelmReleaseStatus, p *releasePass) bool {
	if p.drift == "" {
		return false
	}
	told := apimeta.FindStatusCondition(was.Conditions, helmv2.DriftedCondition)
	return told == nil || told.Status == metav1.ConditionFalse || told.Message != clip(p.drift)
}
