package engine

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

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

// TestRecordsOfAReleaseAreKept until anybody else writes one of them.
func TestRecordsOfAReleaseAreKept(t *testing.T) {
	t.Parallel()
	at := recordsAt{"apps", "web"}
	for name, c := range map[string]struct {
		change func(*releaseUnit)
		kept   bool
	}{
		"nothing comes":           {func(*releaseUnit) {}, true},
		"its own write":           {func(u *releaseUnit) { u.recorded("v1", "5") }, true},
		"somebody writes":         {func(u *releaseUnit) { u.recorded("v1", "6") }, false},
		"somebody adds one":       {func(u *releaseUnit) { u.recorded("v2", "6") }, false},
		"it was gone for a while": {func(u *releaseUnit) { u.lost("", map[string]bool{}) }, false},
		"somebody writes in a pass": {func(u *releaseUnit) {
			u.working, u.records.news = true, map[string]string{}
			u.recorded("v1", "6")
			u.records.overtaken()
		}, false},
		"the pass wrote more": {func(u *releaseUnit) { u.noteRecords(at, map[string]string{"v1": "7"}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := &releaseUnit{}
			u.noteRecords(at, map[string]string{"v1": "5"})
			u.keepRecords(at, map[string]string{"v1": "5"}, []*corev1.Secret{{}}, time.Time{})
			c.change(u)
			if kept, _ := u.keptRecords(at); (kept != nil) != c.kept {
				t.Errorf("kept: %t, want %t", kept != nil, c.kept)
			}
			if kept, _ := u.keptRecords(recordsAt{"apps", "db"}); kept != nil {
				t.Error("those of another release are kept")
			}
		})
	}
}

// TestRecordNames: that there is no record is known only once all have been seen.
func TestRecordNames(t *testing.T) {
	t.Parallel()
	at := recordsAt{"apps", "web"}
	for _, namespace := range []string{"", "apps"} {
		n := &recordNames{}
		if n.none(at) {
			t.Error("before anything was seen")
		}
		n.begin(namespace)
		n.note(at, "v1", true)
		if n.synced(namespace); n.none(at) || !n.none(recordsAt{"apps", "db"}) {
			t.Error("one is there, of one release")
		}
		if namespace != "" && n.none(recordsAt{"other", "web"}) {
			t.Error("in a namespace where nobody looks")
		}
		n.note(at, "v2", true)
		if n.note(at, "v1", false); n.none(at) {
			t.Error("another one is there")
		}
		if n.note(at, "v2", false); !n.none(at) {
			t.Error("all are gone")
		}
		n.note(at, "v3", true)
		if n.begin(namespace); n.none(at) {
			t.Error("while all are looked at anew")
		}
		if n.synced(namespace); !n.none(at) {
			t.Error("it went while nobody watched")
		}
	}
}
