package engine

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

func TestNews(t *testing.T) {
	t.Parallel()
	ready := Outcome{Next: Done, Reason: kustomizev1.ReconciliationSucceededReason, Message: "Applied revision: " + rev1, Revision: rev1}
	moved := Outcome{Next: Done, Reason: kustomizev1.ReconciliationSucceededReason, Message: "Applied revision: " + rev2, Revision: rev2}
	acted := moved
	acted.Actions = []Action{{Key: configMap("a"), Verb: "created"}}
	failed := Outcome{Next: Retry, Reason: kustomizev1.BuildFailedReason, Message: "why", Revision: rev1}
	failedLater, otherwise := failed, failed
	failedLater.Revision, otherwise.Message = rev2, "why else"
	waiting := Outcome{Next: Wait, Reason: kustomizev1.DependencyNotReadyReason, Message: "why"}
	tests := []struct {
		name      string
		last, out Outcome
		want      bool
	}{
		{"ready after a start, with nothing to do", Outcome{}, ready, false},
		{"ready as before", ready, ready, false},
		{"a commit elsewhere moved the revision", ready, moved, false},
		{"something was done", ready, acted, true},
		{"something was done in the first pass", Outcome{}, acted, true},
		{"recovered", failed, ready, true},
		{"no longer waiting", waiting, ready, true},
		{"failed after a start", Outcome{}, failed, true},
		{"failed after it was ready", ready, failed, true},
		{"failed as before", failed, failed, false},
		{"failed as before at another revision", failed, failedLater, false},
		{"failed for another cause", failed, otherwise, true},
		{"waits after it failed", failed, waiting, true},
		{"waits as before", waiting, waiting, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := news(test.last, test.out); got != test.want {
				t.Errorf("news is %v, want %v", got, test.want)
			}
		})
	}
}

func TestQuietUntil(t *testing.T) {
	t.Parallel()
	quiet := noon.Add(patience)
	tests := []struct {
		name string
		out  Outcome
		want time.Time
	}{
		{"waiting for health", Outcome{Next: Wait, Reason: meta.ProgressingReason}, quiet},
		{"waiting for a dependency", Outcome{Next: Wait, Reason: kustomizev1.DependencyNotReadyReason}, quiet},
		{"waiting for its source", Outcome{Next: Wait, Reason: kustomizev1.ArtifactFailedReason}, quiet},
		{"waiting for anything else is told at once", Outcome{Next: Wait, Reason: kustomizev1.PruneFailedReason}, time.Time{}},
		{"a failure is told at once", Outcome{Next: Retry, Reason: kustomizev1.ArtifactFailedReason}, time.Time{}},
		{"a stall is told at once", Outcome{Next: Stall, Reason: kustomizev1.DependencyNotReadyReason}, time.Time{}},
		{"success is told at once", Outcome{Next: Done}, time.Time{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := (&unit{parked: noon}).quietUntil(test.out); !got.Equal(test.want) {
				t.Errorf("quiet until %v, want %v", got, test.want)
			}
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) time.Time { return noon.Add(d) }
	tests := []struct {
		name string
		unit *unit
		want time.Duration
	}{
		{"nothing to come", &unit{}, 0},
		{"a verification", &unit{verifyAt: in(time.Hour)}, time.Hour},
		{"a verification that is late comes at once", &unit{verifyAt: in(-time.Hour)}, time.Millisecond},
		{"another attempt", &unit{out: Outcome{Next: Retry}, retryAt: in(time.Minute), verifyAt: in(time.Hour)}, time.Minute},
		{"an attempt whose time passed while the status was written", &unit{out: Outcome{Next: Retry}, retryAt: in(-time.Second)}, time.Millisecond},
		{"the end of a wait", &unit{out: Outcome{Next: Wait, Health: true}, deadline: in(time.Minute), verifyAt: in(time.Hour)}, time.Minute},
		{"the end of a wait that has passed meanwhile", &unit{out: Outcome{Next: Wait, Health: true}, deadline: in(-time.Second)}, time.Millisecond},
		{"a wait that has failed is woken by events only", &unit{out: Outcome{Next: Wait}, deadline: in(-time.Second), verifyAt: in(-time.Second)}, 0},
		{"a stalled unit is looked at again in time", &unit{out: Outcome{Next: Stall}, verifyAt: in(time.Hour)}, time.Hour},
		{"a stalled unit is not looked at over and over", &unit{out: Outcome{Next: Stall}, verifyAt: in(-time.Hour)}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.unit.due(noon); got != test.want {
				t.Errorf("due in %v, want %v", got, test.want)
			}
		})
	}
}

func TestProgressOfAPass(t *testing.T) {
	t.Parallel()
	k := kustomization()
	k.Spec.SourceRef = kustomizev1.CrossNamespaceSourceReference{Kind: sourcev1.GitRepositoryKind, Name: "fleet", Namespace: "flux-system"}
	p := &pass{object: k, unit: &unit{name: web, failures: 2, keys: []kube.Key{configMap("a"), configMap("b")}}}
	p.actions = []Action{{Key: configMap("a"), Verb: "created"}}
	got := progressOf(p, Outcome{Next: Retry, Actions: []Action{{}, {}, {}}})
	if got.ID() != "Kustomization/apps/web" || got.Source != "GitRepository/flux-system/fleet" || got.Attempts != 2 || got.Objects != 2 {
		t.Errorf("progress is %+v", got)
	}
	if len(got.Outcome.Actions) != 1 {
		t.Errorf("%d actions, want only those of this pass", len(got.Outcome.Actions))
	}
	k.Spec.SourceRef.Namespace = ""
	if got := sourceOf(k); got != (sourceName{sourcev1.GitRepositoryKind, types.NamespacedName{Namespace: "apps", Name: "fleet"}}) {
		t.Errorf("source is %s, want the one in the unit's own namespace", got)
	}
}
