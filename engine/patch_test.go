package engine

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
)

func TestStatusPatch(t *testing.T) {
	t.Parallel()
	ready := metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Succeeded", LastTransitionTime: metav1.NewTime(noon)}
	tests := []struct {
		name     string
		old, new kustomizev1.KustomizationStatus
		want     string // "" for no patch
	}{
		{"nothing at all", kustomizev1.KustomizationStatus{}, kustomizev1.KustomizationStatus{}, ""},
		{"the same", kustomizev1.KustomizationStatus{LastAppliedRevision: rev1, Conditions: []metav1.Condition{ready}}, kustomizev1.KustomizationStatus{LastAppliedRevision: rev1, Conditions: []metav1.Condition{ready}}, ""},
		{"a field more", kustomizev1.KustomizationStatus{ObservedGeneration: 1}, kustomizev1.KustomizationStatus{ObservedGeneration: 1, LastAppliedRevision: "r"}, `{"metadata":{"uid":"uid"},"status":{"lastAppliedRevision":"r"}}`},
		{"a field that changed", kustomizev1.KustomizationStatus{ObservedGeneration: 1}, kustomizev1.KustomizationStatus{ObservedGeneration: 2}, `{"metadata":{"uid":"uid"},"status":{"observedGeneration":2}}`},
		{"a field less", kustomizev1.KustomizationStatus{LastAppliedRevision: "r"}, kustomizev1.KustomizationStatus{}, `{"metadata":{"uid":"uid"},"status":{"lastAppliedRevision":null}}`},
		{
			"a list is written whole", kustomizev1.KustomizationStatus{}, kustomizev1.KustomizationStatus{Conditions: []metav1.Condition{ready}},
			`{"metadata":{"uid":"uid"},"status":{"conditions":[{"lastTransitionTime":"` + noon.Format(time.RFC3339) + `","message":"","reason":"Succeeded","status":"True","type":"Ready"}]}}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			patch, err := statusPatch(kustomization(), test.old, test.new)
			if err != nil {
				t.Fatal(err)
			}
			if string(patch) != test.want {
				t.Errorf("patch is %s, want %s", patch, test.want)
			}
		})
	}
}

func TestStatusPatchOfWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	if _, err := statusPatch(kustomization(), nil, func() {}); err == nil {
		t.Error("no error for a new status that can't be encoded")
	}
	if _, err := statusPatch(kustomization(), func() {}, nil); err == nil {
		t.Error("no error for an old status that can't be encoded")
	}
}
