package cli

import (
	"strings"
	"testing"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

func TestConfigWaitEnds(t *testing.T) {
	t.Parallel()
	object := func(state clusterconfigv1.Compliance, conditions ...string) clusterconfigv1.ObjectStatus {
		o := clusterconfigv1.ObjectStatus{Kind: "Kustomization", Namespace: "ns", Name: "fleet-apps", ComplianceState: state}
		for _, c := range conditions {
			o.StatusConditions = append(o.StatusConditions, clusterconfigv1.ObjectStatusCondition{Type: c, Status: "True", Message: "no such folder"})
		}
		return o
	}
	status := func(generation int64, provisioning string, compliance clusterconfigv1.Compliance, objects ...clusterconfigv1.ObjectStatus) *clusterconfigv1.FluxConfig {
		return &clusterconfigv1.FluxConfig{Status: clusterconfigv1.FluxConfigStatus{
			ObservedGeneration: generation, ProvisioningState: provisioning, ComplianceState: compliance, ErrorMessage: "two ways in", Statuses: objects,
		}}
	}
	tests := []struct {
		name      string
		compliant bool // --wait
		fc        *clusterconfigv1.FluxConfig
		over      bool
		failure   string
	}{
		{name: "nobody has looked at it", fc: status(0, "", "")},
		{name: "an older generation", fc: status(1, "Succeeded", "Compliant")},
		{name: "under way", fc: status(2, "Updating", "Pending")},
		{name: "generated", fc: status(2, "Succeeded", "Pending"), over: true},
		{name: "refused", fc: status(2, "Failed", "Unknown"), over: true, failure: "two ways in"},
		{name: "deleted", over: true, failure: "deleted meanwhile"},
		{name: "generated, and not compliant yet", compliant: true, fc: status(2, "Succeeded", "Pending", object("Pending"))},
		{name: "not compliant, and tried again", compliant: true, fc: status(2, "Succeeded", "Non-Compliant", object("Non-Compliant", "Reconciling"))},
		{name: "given up", compliant: true, fc: status(2, "Succeeded", "Non-Compliant", object("Non-Compliant", "Stalled")), over: true, failure: "Kustomization/ns/fleet-apps: no such folder"},
		{name: "compliant", compliant: true, fc: status(2, "Succeeded", "Compliant", object("Compliant")), over: true},
		{name: "suspended", compliant: true, fc: status(2, "Succeeded", "Suspended", object("Suspended")), over: true},
		{name: "refused, with --wait", compliant: true, fc: status(2, "Failed", "Unknown"), over: true, failure: "two ways in"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := configWait{compliant: test.compliant}
			over, err := w.settled(2)(test.fc)
			if over != test.over || (err == nil) != (test.failure == "") || err != nil && !strings.Contains(err.Error(), test.failure) {
				t.Errorf("over is %t, %v", over, err)
			}
		})
	}
}
