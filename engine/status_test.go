package engine

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/internal/kube"
)

const (
	rev1 = "main@sha1:1111111111111111111111111111111111111111"
	rev2 = "main@sha1:2222222222222222222222222222222222222222"
)

var (
	errBroken = errors.New("broken")
	noon      = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

// conditions are conditions as "status reason", by type.
func conditions(list []metav1.Condition) map[string]string {
	out := map[string]string{}
	for _, c := range list {
		out[c.Type] = string(c.Status) + " " + c.Reason
	}
	return out
}

func configMap(name string) kube.Key {
	return kube.Key{ObjMetadata: object.ObjMetadata{GroupKind: schema.GroupKind{Kind: "ConfigMap"}, Namespace: "apps", Name: name}, Version: "v1"}
}

func TestConditionsOf(t *testing.T) {
	t.Parallel()
	const build, dependency, artifact = kustomizev1.BuildFailedReason, kustomizev1.DependencyNotReadyReason, kustomizev1.ArtifactFailedReason
	const succeeded, unhealthy = kustomizev1.ReconciliationSucceededReason, kustomizev1.HealthCheckFailedReason
	tests := []struct {
		name   string
		out    Outcome
		checks bool
		want   map[string]string
	}{
		{"done", Outcome{Next: Done, Reason: succeeded}, false, map[string]string{"Ready": "True " + succeeded}},
		{"done with health checks", Outcome{Next: Done, Reason: succeeded}, true, map[string]string{"Ready": "True " + succeeded, "Healthy": "True Succeeded"}},
		{"tried again later", Outcome{Next: Retry, Reason: build}, false, map[string]string{"Ready": "False " + build, "Reconciling": "True ProgressingWithRetry"}},
		{"health checks that failed", Outcome{Next: Retry, Reason: unhealthy}, true, map[string]string{"Ready": "False " + unhealthy, "Reconciling": "True ProgressingWithRetry", "Healthy": "False " + unhealthy}},
		{"a failure before the health checks says nothing of health", Outcome{Next: Retry, Reason: build}, true, map[string]string{"Ready": "False " + build, "Reconciling": "True ProgressingWithRetry"}},
		{"stalled", Outcome{Next: Stall, Reason: build}, false, map[string]string{"Ready": "False " + build, "Stalled": "True " + build}},
		{"stalled health checks", Outcome{Next: Stall, Reason: unhealthy}, true, map[string]string{"Ready": "False " + unhealthy, "Stalled": "True " + unhealthy, "Healthy": "False " + unhealthy}},
		{"waiting for a dependency", Outcome{Next: Wait, Reason: dependency}, false, map[string]string{"Ready": "False " + dependency, "Reconciling": "True Progressing"}},
		{"waiting for an artifact", Outcome{Next: Wait, Reason: artifact}, true, map[string]string{"Ready": "False " + artifact, "Reconciling": "True Progressing"}},
		{"waiting for health", Outcome{Next: Wait, Reason: meta.ProgressingReason, Health: true}, true, map[string]string{"Ready": "Unknown Progressing", "Reconciling": "True Progressing", "Healthy": "Unknown Progressing"}},
		{"waiting for something that is being deleted", Outcome{Next: Wait, Reason: meta.ProgressingReason}, false, map[string]string{"Ready": "Unknown Progressing", "Reconciling": "True Progressing"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.out.Message = "why"
			got := conditionsOf(test.out, test.checks)
			if !maps.Equal(conditions(got), test.want) {
				t.Errorf("conditions are %v, want %v", conditions(got), test.want)
			}
			for _, c := range got {
				if want := "why"; c.Message != want && (c.Type != kustomizev1.HealthyCondition || test.out.Next != Done) {
					t.Errorf("message of %s is %q, want %q", c.Type, c.Message, want)
				}
			}
		})
	}
}

func TestMessagesFitIntoACondition(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 32768)
	for _, c := range conditionsOf(Outcome{Next: Stall, Reason: kustomizev1.HealthCheckFailedReason, Message: long}, true) {
		if len(c.Message) > 32768 || !strings.HasSuffix(c.Message, "...") || !utf8.ValidString(c.Message) {
			t.Errorf("message of %s has %d bytes, ends in %q", c.Type, len(c.Message), c.Message[len(c.Message)-5:])
		}
	}
	exact := strings.Repeat("x", 32768)
	if clip(exact) != exact || clip("") != "" {
		t.Error("a message that fits was cut")
	}
}

// kustomization has one earlier status, of generation 1, that is ready since noon.
func kustomization() *kustomizev1.Kustomization {
	k := &kustomizev1.Kustomization{}
	k.Namespace, k.Name, k.UID, k.Generation = "apps", "web", "uid", 2
	k.Spec.Interval.Duration = 10 * time.Minute
	k.Status.ObservedGeneration = 1
	k.Status.LastAppliedRevision, k.Status.LastAttemptedRevision = rev1, rev1
	k.Status.Conditions = []metav1.Condition{{
		Type: meta.ReadyCondition, Status: metav1.ConditionTrue, Reason: kustomizev1.ReconciliationSucceededReason,
		Message: "Applied revision: " + rev1, ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(noon),
	}}
	return k
}

func TestStatusOfRevisions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name               string
		out                Outcome
		applied, attempted string
	}{
		{"applied", Outcome{Next: Done, Revision: rev2}, rev2, rev2},
		{"failed", Outcome{Next: Retry, Reason: kustomizev1.BuildFailedReason, Revision: rev2}, rev1, rev2},
		{"waiting for health", Outcome{Next: Wait, Reason: meta.ProgressingReason, Revision: rev2}, rev1, rev2},
		{"waiting for a dependency", Outcome{Next: Wait, Reason: kustomizev1.DependencyNotReadyReason, Revision: rev2}, rev1, rev1},
		{"waiting for its source", Outcome{Next: Wait, Reason: kustomizev1.ArtifactFailedReason, Revision: rev2}, rev1, rev1},
		{"stalled before there was a revision", Outcome{Next: Stall, Reason: kustomizev1.ReconciliationFailedReason}, rev1, rev1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := statusOf(kustomization(), &pass{}, test.out)
			if s.LastAppliedRevision != test.applied || s.LastAttemptedRevision != test.attempted {
				t.Errorf("applied %s, attempted %s; want %s, %s", s.LastAppliedRevision, s.LastAttemptedRevision, test.applied, test.attempted)
			}
			if s.ObservedGeneration != 2 {
				t.Errorf("observed generation is %d, want 2", s.ObservedGeneration)
			}
			for _, c := range s.Conditions {
				if c.ObservedGeneration != 2 {
					t.Errorf("observed generation of %s is %d, want 2", c.Type, c.ObservedGeneration)
				}
			}
		})
	}
}

func TestStatusKeepsTheTimeOfAStatusThatStays(t *testing.T) {
	t.Parallel()
	k := kustomization()
	s := statusOf(k, &pass{}, Outcome{Next: Done, Reason: kustomizev1.ReconciliationSucceededReason, Revision: rev2, Message: "Applied revision: " + rev2})
	ready := apimeta.FindStatusCondition(s.Conditions, meta.ReadyCondition)
	if !ready.LastTransitionTime.Time.Equal(noon) || ready.Message != "Applied revision: "+rev2 {
		t.Errorf("condition is %+v, want the new message and the old time", ready)
	}
	s = statusOf(k, &pass{}, Outcome{Next: Retry, Reason: kustomizev1.BuildFailedReason, Message: "why"})
	if ready = apimeta.FindStatusCondition(s.Conditions, meta.ReadyCondition); ready.LastTransitionTime.Time.Equal(noon) {
		t.Error("the time stayed although the status changed")
	}
}

func TestStatusOfTheSameEndIsTheSame(t *testing.T) {
	t.Parallel()
	outs := []Outcome{
		{Next: Done, Reason: kustomizev1.ReconciliationSucceededReason, Revision: rev2},
		{Next: Retry, Reason: kustomizev1.BuildFailedReason, Message: "why", Revision: rev2},
		{Next: Stall, Reason: kustomizev1.BuildFailedReason, Message: "why", Revision: rev2},
		{Next: Wait, Reason: kustomizev1.DependencyNotReadyReason, Message: "why"},
	}
	for _, out := range outs {
		k := kustomization()
		k.Status = statusOf(k, &pass{inventory: []kube.Key{configMap("a")}}, out)
		again := statusOf(k, &pass{inventory: []kube.Key{configMap("a")}}, out)
		if !reflect.DeepEqual(again, k.Status) {
			t.Errorf("%s: status is\n%+v\nafter\n%+v", out.Reason, again, k.Status)
		}
	}
}

func TestStatusDropsConditionsThatNoLongerHold(t *testing.T) {
	t.Parallel()
	k := kustomization()
	k.Spec.Wait = true
	k.Status = statusOf(k, &pass{}, Outcome{Next: Stall, Reason: kustomizev1.HealthCheckFailedReason})
	k.Status.Conditions = append(k.Status.Conditions, metav1.Condition{Type: "Foreign", Status: metav1.ConditionTrue, Reason: "Theirs"})
	k.Spec.Wait = false
	got := conditions(statusOf(k, &pass{}, Outcome{Next: Done, Reason: kustomizev1.ReconciliationSucceededReason, Revision: rev2}).Conditions)
	want := map[string]string{"Ready": "True " + kustomizev1.ReconciliationSucceededReason, "Foreign": "True Theirs"}
	if !maps.Equal(got, want) {
		t.Errorf("conditions are %v, want %v", got, want)
	}
}

// TestStatusLeavesTheInventoryAlone: what becomes of it is the matter of the writes, which
// store its chunks first (inventory.go).
func TestStatusLeavesTheInventoryAlone(t *testing.T) {
	t.Parallel()
	k := kustomization()
	k.Status.Inventory = &kustomizev1.ResourceInventory{Entries: []kustomizev1.ResourceRef{{ID: "apps_old__ConfigMap", Version: "v1"}}}
	for _, keys := range [][]kube.Key{nil, {}, {configMap("b"), configMap("a")}} {
		if got := statusOf(k, &pass{inventory: keys}, Outcome{}).Inventory; len(got.Entries) != 1 || got.Entries[0] != k.Status.Inventory.Entries[0] {
			t.Errorf("with %v: the inventory is %+v", keys, got)
		}
	}
}

func TestStatusAnswersARequest(t *testing.T) {
	t.Parallel()
	k := kustomization()
	k.Status.LastHandledReconcileAt = "yesterday"
	if got := statusOf(k, &pass{}, Outcome{}).LastHandledReconcileAt; got != "yesterday" {
		t.Errorf("handled %q without a request, want it as it was", got)
	}
	k.Annotations = map[string]string{meta.ReconcileRequestAnnotation: "today"}
	if got := statusOf(k, &pass{}, Outcome{Next: Retry}).LastHandledReconcileAt; got != "today" {
		t.Errorf("handled %q, want the request, even after a failure", got)
	}
}

func TestStatusSharesNoMemory(t *testing.T) {
	t.Parallel()
	k := kustomization()
	before := k.DeepCopy()
	s := statusOf(k, &pass{}, Outcome{Next: Retry, Reason: kustomizev1.BuildFailedReason, Revision: rev2})
	s.Conditions[0].Message = "changed"
	if !reflect.DeepEqual(k, before) {
		t.Errorf("the object changed to\n%+v\nfrom\n%+v", k, before)
	}
}
