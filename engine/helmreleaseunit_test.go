package engine

import (
	"context"
	"testing"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/helmrel"
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
			units := newReleaseUnits(t.Context(), 1, false)
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

// TestReleaseSeesWhatOthersRecord: it is looked at for what others write into Helm's
// records, and not for what its own pass did.
func TestReleaseSeesWhatOthersRecord(t *testing.T) {
	t.Parallel()
	at := helmrel.Target{Name: "web", StorageNamespace: "apps"}
	type news struct{ secret, version string }
	for name, c := range map[string]struct {
		namespace, release string
		comes              news
		want               bool
	}{
		"its own write":               {"apps", "web", news{"v1", "5"}, false},
		"an older state":              {"apps", "web", news{"v1", "4"}, false},
		"a change":                    {"apps", "web", news{"v1", "6"}, true},
		"a new record":                {"apps", "web", news{"v2", "6"}, true},
		"a record is gone":            {"apps", "web", news{"v1", ""}, true},
		"one is gone that it purged":  {"apps", "web", news{"v0", ""}, false},
		"of another release":          {"apps", "db", news{"v1", "6"}, false},
		"of its name, somewhere else": {"other", "web", news{"v1", "6"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resting, busy := newReleaseUnits(t.Context(), 1, false), newReleaseUnits(t.Context(), 1, false)
			between, within := &releaseUnit{}, &releaseUnit{working: true}
			within.records.news = map[string]string{}
			wakes := func(s *releaseUnits) (woken bool) {
				for _, u := range s.recordedAt(recordsAt{c.namespace, c.release}) {
					woken = u.recorded(c.comes.secret, c.comes.version) || woken
				}
				return woken
			}
			if wakes(busy) {
				t.Error("a pass was to be woken by what it may have written itself")
			}
			resting.noteRecords(between, at, map[string]string{"v1": "5"})
			if got := wakes(resting); got != c.want || between.dirty != c.want {
				t.Errorf("between passes: %t, want %t", got, c.want)
			}
			busy.noteRecords(within, at, map[string]string{"v1": "3"})
			if wakes(busy) {
				t.Error("a pass was to be woken by what it may have written itself")
			}
			busy.noteRecords(within, at, map[string]string{"v1": "5"}) // the last look
			if got := within.records.overtaken(); got != c.want {
				t.Errorf("at the end of a pass: %t, want %t", got, c.want)
			}
		})
	}
	gone := &releaseUnit{}
	gone.noteRecords(recordsAt{at.StorageNamespace, at.Name}, map[string]string{"v1": "5"})
	if gone.lost("", map[string]bool{"apps/v1": true}) || gone.lost("other", nil) || !gone.lost("apps", nil) || !gone.dirty {
		t.Error("a record that went while nobody watched was not missed")
	}
}
