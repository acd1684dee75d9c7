package lease

import (
	"testing"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
)

// TestLeftMeanwhile: a shard may be given up between the decision to leave it and that.
func TestLeftMeanwhile(t *testing.T) {
	t.Parallel()
	g := &Group{Log: logr.Discard(), own: map[int]*coordinationv1.Lease{}, gone: map[int]bool{}, Lost: func(shard int) {
		t.Errorf("shard %d is left a second time", shard)
	}}
	g.leave(t.Context(), 3)
	g.leaving.Wait()
}
