package engine

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/fluxconfig"
)

func fields(t *testing.T, text string) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestHas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, have, want string
		same             bool
	}{
		{"the same", "{a: 1, b: {c: [x]}}", "{a: 1, b: {c: [x]}}", true},
		{"more than wanted", "{a: x, b: y, c: {d: e, f: g}}", "{a: x, c: {d: e}}", true},
		{"false left out", "{}", "{a: false, b: ''}", true},
		{"another value", "{a: x}", "{a: y}", false},
		{"nothing", "{}", "{a: y}", false},
		{"no map", "{a: x}", "{a: {b: c}}", false},
		{"a list with more", "{a: [x, y]}", "{a: [x]}", false},
		{"a list with other entries", "{a: [{n: x}]}", "{a: [{n: y}]}", false},
		{"a list whose entries have more", "{a: [{n: x, o: p}]}", "{a: [{n: x}]}", true},
	} {
		if got := has(fields(t, c.have), fields(t, c.want)); got != c.same {
			t.Errorf("%s: %t, want %t", c.name, got, c.same)
		}
	}
}

func TestStamped(t *testing.T) {
	t.Parallel()
	of := func(generation, request string) *unstructured.Unstructured {
		obj := &unstructured.Unstructured{Object: map[string]any{}}
		annotations := map[string]string{}
		for name, value := range map[string]string{clusterconfigv1.GenerationAnnotation: generation, meta.ReconcileRequestAnnotation: request} {
			if value != "" {
				annotations[name] = value
			}
		}
		obj.SetAnnotations(annotations)
		return obj
	}
	for _, c := range []struct {
		name string
		have *unstructured.Unstructured
		want *unstructured.Unstructured
		at   string
	}{
		{"something new", nil, of("1", ""), ""},
		{"another generation", of("1", ""), of("2", ""), "now"},
		{"another generation, asked for before", of("1", "then"), of("2", ""), "now"},
		{"the same generation keeps the request", of("2", "then"), of("2", ""), "then"},
		{"the same generation", of("2", ""), of("2", ""), ""},
		{"what configurations share", of("", ""), of("", ""), ""},
	} {
		if got := stamped(c.want, c.have, "now").GetAnnotations()[meta.ReconcileRequestAnnotation]; got != c.at {
			t.Errorf("%s: asked at %q, want %q", c.name, got, c.at)
		}
	}
}

func TestConfigStatus(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	object := func(ready metav1.ConditionStatus) fluxconfig.Object {
		return fluxconfig.Object{Kind: "GitRepository", Namespace: "team", Name: "fleet", Generation: 1, ObservedGeneration: 1,
			Conditions: []metav1.Condition{{Type: meta.ReadyCondition, Status: ready}}}
	}
	waits := clusterconfigv1.FluxConfigSpec{WaitForReconciliation: true, ReconciliationWaitDuration: &metav1.Duration{Duration: time.Minute}}
	before := clusterconfigv1.FluxConfigStatus{ObservedGeneration: 2, LastConfigUpdateTime: &metav1.Time{Time: begun}}
	succeeded := before
	succeeded.LastSucceededGeneration = 2
	earlier := before
	earlier.LastSucceededGeneration = 1
	for _, c := range []struct {
		name       string
		spec       clusterconfigv1.FluxConfigSpec
		was        clusterconfigv1.FluxConfigStatus
		of         fluxconfig.Object
		failure    error
		after      time.Duration
		state      string
		compliance clusterconfigv1.Compliance
		ready      metav1.ConditionStatus
		reason     string
		message    string
	}{
		{"compliant", clusterconfigv1.FluxConfigSpec{}, before, object("True"), nil, 0, "Succeeded", "Compliant", "True", "Succeeded", ""},
		{"nobody waits for what is under way", clusterconfigv1.FluxConfigSpec{}, before, object("Unknown"), nil, 0, "Succeeded", "Pending", "Unknown", "Progressing", ""},
		{"not compliant", clusterconfigv1.FluxConfigSpec{}, before, object("False"), nil, 0, "Succeeded", "Non-Compliant", "False", "Failed", ""},
		{"waiting at first", waits, before, object("Unknown"), nil, 0, "Creating", "Pending", "Unknown", "Progressing", ""},
		{"waiting after a change", waits, earlier, object("False"), nil, 59 * time.Second, "Updating", "Non-Compliant", "False", "Failed", ""},
		{"waited too long", waits, before, object("False"), nil, time.Minute, "Failed", "Non-Compliant", "False", "ReconciliationTimeout", "not reconciled within 1m0s: Non-Compliant: GitRepository/team/fleet"},
		{"late, but there", waits, before, object("True"), nil, time.Hour, "Succeeded", "Compliant", "True", "Succeeded", ""},
		{"waited for once", waits, succeeded, object("False"), nil, time.Hour, "Succeeded", "Non-Compliant", "False", "Failed", ""},
		{"suspended", clusterconfigv1.FluxConfigSpec{}, before, fluxconfig.Object{Suspended: true}, nil, 0, "Succeeded", "Suspended", "Unknown", "Suspended", ""},
		{"invalid", waits, before, object("True"), fail(clusterconfigv1.InvalidReason, Stall, errors.New("wrong")), 0, "Failed", "Unknown", "False", "InvalidConfiguration", "wrong"},
		{"something is missing", waits, before, object("True"), fail(clusterconfigv1.InvalidReason, Wait, errors.New("absent")), 0, "Creating", "Unknown", "False", "InvalidConfiguration", "absent"},
		{"the cluster's fault", waits, earlier, object("True"), errors.New("down"), 0, "Updating", "Unknown", "False", "Failed", "down"},
	} {
		fc := &clusterconfigv1.FluxConfig{Spec: c.spec, Status: c.was}
		fc.Generation = 2
		s := configStatus(&configPass{object: fc, objects: []fluxconfig.Object{c.of}}, c.failure, begun.Add(c.after))
		ready := readyOf(s.Conditions)
		if s.ProvisioningState != c.state || s.ComplianceState != c.compliance || ready.Status != c.ready || ready.Reason != c.reason || s.ErrorMessage != c.message {
			t.Errorf("%s: %s, %s, Ready is %s for %s, message %q", c.name, s.ProvisioningState, s.ComplianceState, ready.Status, ready.Reason, s.ErrorMessage)
		}
	}
}
