package engine

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
)

func TestOutcome(t *testing.T) {
	t.Parallel()
	actions := []Action{{Key: configMap("a"), Verb: "created"}}
	waiting := &Failure{Reason: kustomizev1.DependencyNotReadyReason, Next: Wait, Err: errBroken, Deadline: noon, On: []string{"Kustomization/apps/a"}, Health: true}
	tests := []struct {
		name string
		err  error
		want Outcome
	}{
		{"success", nil, Outcome{Next: Done, Reason: kustomizev1.ReconciliationSucceededReason, Message: "Applied revision: " + rev1}},
		{"an error without a reason is tried again", errBroken, Outcome{Next: Retry, Reason: kustomizev1.ReconciliationFailedReason, Message: "broken"}},
		{"a failure in full", waiting, Outcome{Next: Wait, Reason: kustomizev1.DependencyNotReadyReason, Message: "broken", Deadline: noon, On: []string{"Kustomization/apps/a"}, Health: true}},
		{"a failure inside of another error", fmt.Errorf("apply: %w", fail(kustomizev1.BuildFailedReason, Stall, errBroken)), Outcome{Next: Stall, Reason: kustomizev1.BuildFailedReason, Message: "broken"}},
		{"the outer of two failures", fail(kustomizev1.PruneFailedReason, Retry, fail(kustomizev1.BuildFailedReason, Stall, errBroken)), Outcome{Next: Retry, Reason: kustomizev1.PruneFailedReason, Message: "broken"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := &pass{snapshot: snapshotAt(rev1), actions: actions}
			test.want.Revision, test.want.Actions = rev1, actions
			got := outcome(p, test.err)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("outcome is %+v, want %+v", got, test.want)
			}
			if got.Ready() != (test.err == nil) {
				t.Errorf("ready is %v", got.Ready())
			}
		})
	}
}

func TestFailureKeepsItsCause(t *testing.T) {
	t.Parallel()
	if f := fail(kustomizev1.BuildFailedReason, Stall, errBroken); !errors.Is(f, errBroken) || f.Error() != errBroken.Error() {
		t.Errorf("failure is %v, want one because of %v", f, errBroken)
	}
}
