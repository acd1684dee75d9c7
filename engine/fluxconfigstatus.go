package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/fluxconfig"
)

// reportConfig writes the status at the end of a pass. wait is when to look again
// although nothing changes: at the end of the time that reconciliation has.
func (e *Engine) reportConfig(ctx context.Context, p *configPass, failure error) (wait time.Duration, err error) {
	was := readyOf(p.object.Status.Conditions)
	next := configStatus(p, failure, e.now())
	if deadline, ends := configDeadline(p.object, next); ends && next.ProvisioningState != clusterconfigv1.ProvisioningSucceeded {
		wait = max(0, deadline.Sub(e.now()))
	}
	if err := e.saveConfig(ctx, p, next); err != nil {
		return 0, err
	}
	if now := readyOf(next.Conditions); was == nil || was.Status != now.Status || was.Reason != now.Reason || was.Message != now.Message {
		e.events.tell(p.object, clusterconfigv1.GroupVersion.String(), clusterconfigv1.FluxConfigKind, now.Status == metav1.ConditionFalse, now.Reason, now.Message, nil, e.now())
		e.log.Info(now.Message, "kind", clusterconfigv1.FluxConfigKind, "namespace", p.name.Namespace, "name", p.name.Name, "reason", now.Reason)
	}
	return wait, nil
}

// saveConfig writes what differs of a status.
func (e *Engine) saveConfig(ctx context.Context, p *configPass, next clusterconfigv1.FluxConfigStatus) error {
	next.StatusUpdatedAt = p.object.Status.StatusUpdatedAt
	if reflect.DeepEqual(next, p.object.Status) {
		return nil
	}
	now := metav1.NewTime(e.now())
	next.StatusUpdatedAt = &now
	patch, err := statusPatch(p.object, p.object.Status, next)
	if err != nil || patch == nil {
		return err
	}
	object, err := savedStatus(ctx, e.client, p.object, patch)
	if err != nil {
		return err
	}
	p.object = object
	e.configs.keep(object)
	return nil
}

// configStatus is the status after a pass that ended so. It shares no memory with
// what it was given.
func configStatus(p *configPass, failure error, now time.Time) clusterconfigv1.FluxConfigStatus {
	fc := p.object
	s := *fc.Status.DeepCopy()
	if failure != nil {
		return failedConfig(fc, s, failure)
	}
	if s.ObservedGeneration != fc.Generation || s.LastConfigUpdateTime == nil {
		s.LastConfigUpdateTime = &metav1.Time{Time: now}
	}
	s.ObservedGeneration = fc.Generation
	s.RepositoryPublicKey = fluxconfig.PublicKey(fc, p.in)
	s.SourceSyncedCommitID, s.SourceUpdatedAt = p.source.revision, p.source.at.DeepCopy()
	s.ComplianceState, s.Statuses = fluxconfig.Compliance(p.objects, s.Statuses)
	s.ProvisioningState, s.ErrorMessage = provisioned(p, s, now)
	if s.ProvisioningState == clusterconfigv1.ProvisioningSucceeded {
		s.LastSucceededGeneration = fc.Generation
	}
	out := complianceOutcome(s)
	if s.ProvisioningState == clusterconfigv1.ProvisioningFailed {
		out = Outcome{Reason: clusterconfigv1.TimeoutReason, Message: s.ErrorMessage, Next: Retry}
	}
	setConfigConditions(&s, out, fc.Generation)
	return s
}

// provisioned is how far the configuration was put into effect. What once succeeded
// stays so until the spec changes; what became of it later is compliance.
func provisioned(p *configPass, s clusterconfigv1.FluxConfigStatus, now time.Time) (state, message string) {
	spec := p.object.Spec
	if !spec.WaitForReconciliation || s.LastSucceededGeneration == p.object.Generation || fluxconfig.Final(p.objects) {
		return clusterconfigv1.ProvisioningSucceeded, ""
	}
	if deadline, ends := configDeadline(p.object, s); ends && !now.Before(deadline) {
		return clusterconfigv1.ProvisioningFailed, fmt.Sprintf("not reconciled within %s: %s", spec.ReconciliationWaitDuration.Duration, complianceOutcome(s).Message)
	}
	return underWay(s), ""
}

// configDeadline is when reconciliation has to be over, if it has to.
func configDeadline(fc *clusterconfigv1.FluxConfig, s clusterconfigv1.FluxConfigStatus) (time.Time, bool) {
	if !fc.Spec.WaitForReconciliation || fc.Spec.ReconciliationWaitDuration == nil || s.LastConfigUpdateTime == nil {
		return time.Time{}, false
	}
	return s.LastConfigUpdateTime.Add(fc.Spec.ReconciliationWaitDuration.Duration), true
}

func underWay(s clusterconfigv1.FluxConfigStatus) string {
	if s.LastSucceededGeneration == 0 {
		return clusterconfigv1.ProvisioningCreating
	}
	return clusterconfigv1.ProvisioningUpdating
}

// failedConfig is the status after a pass that could not put the configuration into
// effect. What was true of the objects stays.
func failedConfig(fc *clusterconfigv1.FluxConfig, s clusterconfigv1.FluxConfigStatus, failure error) clusterconfigv1.FluxConfigStatus {
	out := Outcome{Reason: meta.FailedReason, Message: failure.Error(), Next: Retry}
	if f := new(Failure); errors.As(failure, &f) {
		out.Reason, out.Next = f.Reason, f.Next
	}
	s.ProvisioningState, s.ErrorMessage = underWay(s), clip(out.Message)
	if out.Next == Stall {
		s.ProvisioningState, s.ObservedGeneration = clusterconfigv1.ProvisioningFailed, fc.Generation
	}
	s.ComplianceState = cmp.Or(s.ComplianceState, clusterconfigv1.Unknown)
	setConfigConditions(&s, out, fc.Generation)
	return s
}

// deletingStatus is the status while a configuration is taken down.
func deletingStatus(fc *clusterconfigv1.FluxConfig, next []*unstructured.Unstructured) clusterconfigv1.FluxConfigStatus {
	s := *fc.Status.DeepCopy()
	s.ProvisioningState, s.ErrorMessage = clusterconfigv1.ProvisioningDeleting, ""
	setConfigConditions(&s, Outcome{Reason: meta.ProgressingReason, Message: waitsFor(next), Next: Wait}, fc.Generation)
	return s
}

// complianceOutcome puts compliance into the words of conditions.
func complianceOutcome(s clusterconfigv1.FluxConfigStatus) Outcome {
	var which []string
	for _, o := range s.Statuses {
		if o.ComplianceState == s.ComplianceState {
			which = append(which, o.Kind+"/"+o.Namespace+"/"+o.Name)
		}
	}
	out := Outcome{Message: string(s.ComplianceState) + ": " + strings.Join(which, ", ")}
	switch s.ComplianceState {
	case clusterconfigv1.Compliant:
		out.Reason, out.Next = meta.SucceededReason, Done
	case clusterconfigv1.NonCompliant:
		out.Reason, out.Next = meta.FailedReason, Retry
	case clusterconfigv1.Suspended:
		out.Reason, out.Next = string(clusterconfigv1.Suspended), Wait
	case clusterconfigv1.Pending, clusterconfigv1.Unknown:
		out.Reason, out.Next = meta.ProgressingReason, Wait
	}
	return out
}

// setConfigConditions makes the conditions those of an outcome. Of what is
// suspended nothing is under way, and nobody knows whether it would be ready.
func setConfigConditions(s *clusterconfigv1.FluxConfigStatus, out Outcome, generation int64) {
	conditions := conditionsOf(out, false)
	if out.Reason == string(clusterconfigv1.Suspended) {
		conditions = []metav1.Condition{{Type: meta.ReadyCondition, Status: metav1.ConditionUnknown, Reason: out.Reason, Message: clip(out.Message)}}
	}
	for _, c := range conditions {
		c.ObservedGeneration = generation
		apimeta.SetStatusCondition(&s.Conditions, c)
	}
	s.Conditions = slices.DeleteFunc(s.Conditions, func(c metav1.Condition) bool { return apimeta.FindStatusCondition(conditions, c.Type) == nil })
}
