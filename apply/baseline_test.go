package apply

import (
	"testing"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// What is known of an object that was not written is what was decided by. What
// somebody did to it since then is drift, and must not become the baseline.
func TestTheBaselineIsWhatWasDecidedBy(t *testing.T) {
	t.Parallel()
	key := kube.Key{Version: "v1"}
	key.Name, key.GroupKind.Kind = "cm", "ConfigMap"
	p := &planning{Applier: &Applier{}} // it has no view to look at
	written, err := p.write(t.Context(), []Change{{Key: key, Action: Unchanged, hash: drift.Hash{1}, owned: drift.Hash{2}}})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Written{Desired: drift.Hash{1}, Owned: drift.Hash{2}}); written[key] != want {
		t.Errorf("known is %v, want %v", written[key], want)
	}
}
