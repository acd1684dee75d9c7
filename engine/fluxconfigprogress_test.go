package engine

import (
	"errors"
	"slices"
	"testing"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

func TestConfigProgress(t *testing.T) {
	t.Parallel()
	object := func(name string, state clusterconfigv1.Compliance) clusterconfigv1.ObjectStatus {
		return clusterconfigv1.ObjectStatus{Kind: "Kustomization", Namespace: "ns", Name: name, ComplianceState: state}
	}
	tests := []struct {
		name    string
		failure error
		state   string // of provisioning
		objects []clusterconfigv1.ObjectStatus
		next    Next
		reason  string
		on      []string
	}{
		{name: "compliant", objects: []clusterconfigv1.ObjectStatus{object("a", "Compliant")}, next: Done, reason: "Succeeded"},
		{name: "something is left alone", objects: []clusterconfigv1.ObjectStatus{object("a", "Compliant"), object("b", "Suspended")}, next: Done, reason: "Suspended"},
		{name: "something is not there yet", objects: []clusterconfigv1.ObjectStatus{object("a", "Compliant"), object("b", "Pending"), object("c", "Unknown")},
			next: Wait, reason: "DependencyNotReady", on: []string{"Kustomization/ns/b", "Kustomization/ns/c"}},
		{name: "something failed", objects: []clusterconfigv1.ObjectStatus{object("a", "Non-Compliant")}, next: Wait, reason: "DependencyNotReady", on: []string{"Kustomization/ns/a"}},
		{name: "it contradicts itself", failure: fail(clusterconfigv1.InvalidReason, Stall, errors.New("two ways in")), next: Stall, reason: clusterconfigv1.InvalidReason},
		{name: "it waits for a Secret", failure: &Failure{Reason: clusterconfigv1.InvalidReason, Next: Wait, On: []string{"Secret/ns/s"}, Err: errors.New("not found")},
			next: Wait, reason: clusterconfigv1.InvalidReason, on: []string{"Secret/ns/s"}},
		{name: "the cluster refuses", failure: errors.New("no quota"), next: Retry, reason: "Failed"},
		{name: "its time is over", state: clusterconfigv1.ProvisioningFailed, next: Stall, reason: clusterconfigv1.TimeoutReason},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fc := &clusterconfigv1.FluxConfig{}
			fc.Status.ProvisioningState, fc.Status.Statuses = test.state, test.objects
			if len(test.objects) > 0 {
				fc.Status.ComplianceState = test.objects[len(test.objects)-1].ComplianceState
			}
			got := (&configPass{object: fc}).progress(test.failure, 1).Outcome
			if got.Next != test.next || got.Reason != test.reason || !slices.Equal(got.On, test.on) {
				t.Errorf("got %v %s %v, want %v %s %v", got.Next, got.Reason, got.On, test.next, test.reason, test.on)
			}
		})
	}
}

// TestConfigAttempts: failures in a row are counted, and a success forgets them.
func TestConfigAttempts(t *testing.T) {
	t.Parallel()
	u, failure := newConfigUnits(), errors.New("no quota")
	name := (&configPass{}).name
	for i, step := range []struct {
		failure error
		want    int
	}{{failure, 1}, {failure, 2}, {nil, 0}, {failure, 1}} {
		if got := u.attempts(name, step.failure); got != step.want {
			t.Errorf("step %d: %d attempts, want %d", i, got, step.want)
		}
	}
}
