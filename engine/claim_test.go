package engine

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
)

// TestClaimed: a claim counts for the unit that made it, until there is an inventory.
func TestClaimed(t *testing.T) {
	t.Parallel()
	const claim = `{"uid":"one","entries":[{"id":"apps_web_apps_Deployment","v":"v1"},{"id":"_edge__Namespace","v":"v1"}]}`
	for name, c := range map[string]struct {
		claim     string
		inventory *kustomizev1.ResourceInventory
		want      string
		fails     bool
	}{
		"none":                     {},
		"its own":                  {claim: claim, want: "Deployment/apps/web Namespace/edge"},
		"of the one it was copied": {claim: strings.Replace(claim, "one", "two", 1)},
		"older than the inventory": {claim: claim, inventory: &kustomizev1.ResourceInventory{}},
		"cut off":                  {claim: claim[:20], fails: true},
		"of something else":        {claim: strings.Replace(claim, "_web_", "-", 1), fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{UID: "one", Annotations: map[string]string{meta.ClaimAnnotation: c.claim}}}
			k.Status.Inventory = c.inventory
			keys, err := claimed(k)
			var got []string
			for _, key := range keys {
				got = append(got, key.String())
			}
			if strings.Join(got, " ") != c.want || (err != nil) != c.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
