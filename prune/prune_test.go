package prune

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestRightsAreDeletedLast(t *testing.T) {
	t.Parallel()
	order := []schema.GroupKind{
		{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"},
		{Group: "apps", Kind: "Deployment"},
		{Kind: "ConfigMap"},
		{Kind: "Namespace"},
		{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"},
	}
	var got []int
	for _, gk := range order {
		got = append(got, stage(gk))
	}
	if !slices.IsSorted(got) || len(slices.Compact(got)) != len(order) {
		t.Errorf("got %v", got)
	}
	for _, gk := range []schema.GroupKind{{Kind: "ServiceAccount"}, {Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}} {
		if stage(gk) != stages-1 {
			t.Errorf("%s is deleted in stage %d", gk, stage(gk))
		}
	}
}
