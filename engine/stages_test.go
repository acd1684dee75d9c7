package engine

import (
	"slices"
	"testing"

	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// TestClaims: a unit claims what it writes, finds or keeps, and of what it leaves out
// only what it has.
func TestClaims(t *testing.T) {
	t.Parallel()
	plan := apply.Plan{
		Stages: [][]apply.Change{
			{{Key: configMap("a"), Action: apply.Unchanged}, {Key: configMap("b"), Action: apply.Skipped}},
			{{Key: configMap("c"), Action: apply.Skipped}, {Key: configMap("d"), Action: apply.Created}},
		},
		Kept: []kube.Key{configMap("e")},
	}
	had := configMap("c")
	had.Version = "v1beta1" // an entry of an older version is of the same object
	if got := claims(plan, []kube.Key{had}); !slices.Equal(got, []kube.Key{configMap("a"), configMap("c"), configMap("d"), configMap("e")}) {
		t.Errorf("it claims %v", got)
	}
	var all []kube.Key
	for _, c := range plan.Changes() {
		all = append(all, c.Key)
	}
	if got := plan.Keys(); !slices.Equal(got, all) || len(got) != 5 {
		t.Errorf("the keys are %v, of the changes %v", got, all)
	}
}
