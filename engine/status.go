package engine

import (
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
)

// statusOf is the status of a Kustomization after a pass that ended so, but for the
// inventory (inventory.go). It changes nothing: what it returns shares no memory with what it was given.
func statusOf(k *kustomizev1.Kustomization, p *pass, out Outcome) kustomizev1.KustomizationStatus {
	s := *k.Status.DeepCopy()
	s.ObservedGeneration = k.Generation
	if requested := k.Annotations[meta.ReconcileRequestAnnotation]; requested != "" {
		s.LastHandledReconcileAt = requested
	}
	if p.attempted(out) {
		s.LastAttemptedRevision = out.Revision
	}
	if out.Next == Done {
		s.LastAppliedRevision = out.Revision
		s.LastAppliedOriginRevision = p.snapshot.Metadata[originRevisionKey]
	}
	conditions := conditionsOf(out, k.Spec.Wait || len(k.Spec.HealthChecks) > 0)
	for _, c := range conditions {
		c.ObservedGeneration = k.Generation
		apimeta.SetStatusCondition(&s.Conditions, c)
	}
	for _, name := range []string{meta.ReadyCondition, meta.ReconcilingCondition, meta.StalledCondition, kustomizev1.HealthyCondition} {
		if apimeta.FindStatusCondition(conditions, name) == nil {
			apimeta.RemoveStatusCondition(&s.Conditions, name)
		}
	}
	return s
}

// attempted tells whether the pass came as far as trying its revision.
func (p *pass) attempted(out Outcome) bool {
	return out.Revision != "" && out.Reason != kustomizev1.DependencyNotReadyReason && out.Reason != kustomizev1.ArtifactFailedReason
}

// conditionsOf puts an outcome into conditions, in kstatus' sense: Reconciling
// while something may still happen by itself, Stalled when it won't.
func conditionsOf(out Outcome, checks bool) []metav1.Condition {
	ready := metav1.Condition{Type: meta.ReadyCondition, Status: metav1.ConditionFalse, Reason: out.Reason, Message: clip(out.Message)}
	also := ready
	switch out.Next {
	case Done:
		ready.Status = metav1.ConditionTrue
		if !checks {
			return []metav1.Condition{ready}
		}
		return []metav1.Condition{ready, {Type: kustomizev1.HealthyCondition, Status: metav1.ConditionTrue, Reason: meta.SucceededReason, Message: "Health check passed"}}
	case Stall:
		also.Type, also.Status = meta.StalledCondition, metav1.ConditionTrue
	case Wait:
		if out.Reason == meta.ProgressingReason {
			ready.Status = metav1.ConditionUnknown
		}
		also.Type, also.Status, also.Reason = meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingReason
	case Retry:
		also.Type, also.Status, also.Reason = meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingWithRetryReason
	}
	conditions := []metav1.Condition{ready, also}
	if out.Reason == kustomizev1.HealthCheckFailedReason || out.Health {
		conditions = append(conditions, metav1.Condition{Type: kustomizev1.HealthyCondition, Status: ready.Status, Reason: out.Reason, Message: ready.Message})
	}
	return conditions
}

// clip cuts what does not fit into a condition (32768 bytes).
func clip(message string) string {
	const most = 32768
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most-3], "") + "..." // half a character would come back as another
}
