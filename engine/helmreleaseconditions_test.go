package engine

import (
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// TestConditionsOfARelease: what the status says at the end of a pass, and since when.
func TestConditionsOfARelease(t *testing.T) {
	t.Parallel()
	hr := &helmv2.HelmRelease{}
	hr.Generation, hr.Annotations = 3, map[string]string{meta.ReconcileRequestAnnotation: "now"}
	since := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	hr.Status.Conditions = []metav1.Condition{{Type: meta.ReadyCondition, Status: metav1.ConditionTrue, Reason: "Old", Message: "old", LastTransitionTime: since}}
	p := newReleasePass(&releaseUnit{}, hr, since.Time)
	p.inventory = []kube.Key{configMap("a")}
	next := releaseStatus(p, Outcome{Reason: helmv2.UpgradeSucceededReason, Message: "it is done", Next: Done})
	ready := apimeta.FindStatusCondition(next.Conditions, meta.ReadyCondition)
	want := metav1.Condition{Type: meta.ReadyCondition, Status: metav1.ConditionTrue, Reason: helmv2.UpgradeSucceededReason, Message: "it is done",
		ObservedGeneration: 3, LastTransitionTime: since}
	if ready == nil || *ready != want {
		t.Errorf("Ready: %+v", ready)
	}
	if next.ObservedGeneration != 3 || next.LastHandledReconcileAt != "now" || len(next.Inventory.Entries) != 1 || next.Inventory.Entries[0].Version != "v1" {
		t.Errorf("got %+v", next)
	}
	p = newReleasePass(&releaseUnit{}, hr, since.Time)
	p.stalled = "Failed to upgrade after 1 attempt(s)"
	failed := releaseStatus(p, Outcome{Reason: helmv2.UpgradeFailedReason, Message: "no", Next: Stall})
	ready, stalled := apimeta.FindStatusCondition(failed.Conditions, meta.ReadyCondition), apimeta.FindStatusCondition(failed.Conditions, meta.StalledCondition)
	if ready.Status != metav1.ConditionFalse || ready.LastTransitionTime == since || stalled == nil || stalled.Reason != helmv2.RetriesExceededReason {
		t.Errorf("Ready %+v, Stalled %+v", ready, stalled)
	}
}
