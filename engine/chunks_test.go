package engine

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
)

// TestChunkIndexForgets: what other engines may have removed is not believed to be there,
// and what is made before the next list does no harm.
func TestChunkIndexForgets(t *testing.T) {
	t.Parallel()
	unit := &kustomizev1.Kustomization{}
	unit.Namespace, unit.Name, unit.UID = "apps", "web", "1"
	x := &chunkIndex{have: map[types.UID]map[string]chunkPlace{}}
	x.note(unit, "a")
	if got, err := x.of(t.Context(), unit.UID); err != nil || !got["a"] {
		t.Errorf("it has %v, %v; want a", got, err)
	}
	x.forget()
	x.note(unit, "b")
	if x.have != nil {
		t.Errorf("without a list it is sure of %v", x.have)
	}
}
