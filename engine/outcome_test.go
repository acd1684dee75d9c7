package engine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
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

func TestInTime(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithDeadline(t.Context(), noon)
	t.Cleanup(cancel)
	unanswered := fmt.Errorf("store it: %w", &url.Error{Op: "Patch", URL: "https://10.0.0.1/x", Err: context.DeadlineExceeded})
	const late = "no answer within spec.timeout: the next attempt asks again; set a longer one"
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want Failure
	}{
		"nothing failed":       {over, nil, Failure{}},
		"of a stage":           {over, fail(kustomizev1.BuildFailedReason, Stall, unanswered), Failure{Reason: kustomizev1.BuildFailedReason, Next: Retry, Err: errors.New("store it: " + late)}},
		"of no stage":          {over, unanswered, Failure{Reason: kustomizev1.ReconciliationFailedReason, Next: Retry, Err: errors.New("store it: " + late)}},
		"something else":       {over, fail(kustomizev1.BuildFailedReason, Stall, errors.New("x")), Failure{Reason: kustomizev1.BuildFailedReason, Next: Stall, Err: errors.New("x")}},
		"somebody else's time": {t.Context(), fail(kustomizev1.BuildFailedReason, Retry, context.DeadlineExceeded), Failure{Reason: kustomizev1.BuildFailedReason, Next: Retry, Err: context.DeadlineExceeded}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := inTime(c.ctx, c.err)
			if c.err == nil {
				if err != nil {
					t.Errorf("it is %v", err)
				}
				return
			}
			f, ok := errors.AsType[*Failure](err)
			if !ok || f.Reason != c.want.Reason || f.Next != c.want.Next || f.Error() != c.want.Error() {
				t.Errorf("it is %+v, want %+v", f, c.want)
			}
		})
	}
}
