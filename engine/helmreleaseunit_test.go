package engine

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/dag"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// TestReleaseSeesWhatHappensDuringItsPass: events that come while it works are its own
// doing, or somebody else's behind it. The latter must not be lost.
func TestReleaseSeesWhatHappensDuringItsPass(t *testing.T) {
	t.Parallel()
	key := configMap("a")
	before, written, drifted := &live.Record{Key: key, Owned: drift.Hash{1}}, &live.Record{Key: key, Owned: drift.Hash{2}}, &live.Record{Key: key, Owned: drift.Hash{3}}
	for name, c := range map[string]struct {
		mode  string
		comes []live.Change
		again bool
	}{
		"nothing":                          {helmv2.DriftDetectionEnabled, nil, false},
		"its own write":                    {helmv2.DriftDetectionEnabled, []live.Change{{Old: before, New: written}}, false},
		"drift that it puts back":          {helmv2.DriftDetectionEnabled, []live.Change{{New: drifted}, {New: written}}, false},
		"a change behind its write":        {helmv2.DriftDetectionEnabled, []live.Change{{New: written}, {New: drifted}}, true},
		"a deletion behind its write":      {helmv2.DriftDetectionEnabled, []live.Change{{New: written}, {Old: written}}, true},
		"the same where drift is told":     {helmv2.DriftDetectionWarn, []live.Change{{Old: written}}, true},
		"the same where nobody looks":      {helmv2.DriftDetectionDisabled, []live.Change{{Old: written}}, false},
		"an object that is not of the set": {helmv2.DriftDetectionEnabled, []live.Change{{Old: &live.Record{Key: configMap("hook")}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hr := &helmv2.HelmRelease{}
			hr.Spec.DriftDetection = &helmv2.DriftDetection{Mode: c.mode}
			units := &releaseUnits{ctx: t.Context(), graph: dag.New(byName), set: map[types.NamespacedName]*releaseUnit{}}
			u := units.getOrAdd(web)
			u.object = hr
			units.begin(&releasePass{unit: u, object: hr}, func(context.Context) {
				for _, change := range c.comes {
					if u.touched(change) {
						t.Error("it was to be woken by what may be its own doing")
					}
				}
				u.learn(map[kube.Key]apply.Written{key: {Owned: written.Owned}})
			}, func() {})
			units.under.Wait()
			if u.dirty != c.again {
				t.Errorf("looked at again: %t, want %t", u.dirty, c.again)
			}
		})
	}
}
