package helmrel

import (
	"slices"
	"testing"

	"helm.sh/helm/v3/pkg/release"
)

func TestRemaining(t *testing.T) {
	t.Parallel()
	record := func(status release.Status, manifest string, hooks ...string) Record {
		return Record{Status: status, Manifest: manifest, OpenHooks: hooks}
	}
	const deployed, failed, superseded = release.StatusDeployed, release.StatusFailed, release.StatusSuperseded
	for name, c := range map[string]struct {
		records          []Record
		manifests, hooks []string
	}{
		"none":                          {},
		"deployed":                      {[]Record{record(deployed, "a"), record(superseded, "b")}, []string{"a"}, nil},
		"failed twice on a good one":    {[]Record{record(failed, "c", "h"), record(failed, "b"), record(deployed, "a"), record(superseded, "z")}, []string{"c", "b", "a"}, []string{"h"}},
		"failed behind a superseded":    {[]Record{record(release.StatusPendingUpgrade, "b"), record(superseded, "a"), record(superseded, "z")}, []string{"b", "a"}, nil},
		"failed from the start":         {[]Record{record(failed, "b"), record(failed, "a", "g", "h")}, []string{"b", "a"}, []string{"g", "h"}},
		"uninstalled before":            {[]Record{record(failed, "b"), record(release.StatusUninstalled, "a", "h")}, []string{"b"}, nil},
		"left in the middle of the end": {[]Record{record(release.StatusUninstalling, "b"), record(deployed, "a")}, []string{"b", "a"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Remaining(c.records)
			if !slices.Equal(got.Manifests, c.manifests) || !slices.Equal(got.Hooks, c.hooks) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestOpenHooks(t *testing.T) {
	t.Parallel()
	const before, good, bad = release.HookBeforeHookCreation, release.HookSucceeded, release.HookFailed
	for name, c := range map[string]struct {
		phase    release.HookPhase
		policies []release.HookDeletePolicy
		kind     string
		done     bool
		open     bool
	}{
		"did not run":                         {"", []release.HookDeletePolicy{good}, "Job", false, false},
		"runs":                                {release.HookPhaseRunning, []release.HookDeletePolicy{before, good}, "Job", false, true},
		"runs, as far as a good record knows": {release.HookPhaseRunning, []release.HookDeletePolicy{bad}, "Job", true, true},
		"runs, and would stay":                {release.HookPhaseRunning, []release.HookDeletePolicy{before}, "Job", false, false},
		"succeeded, others were to run":       {release.HookPhaseSucceeded, []release.HookDeletePolicy{good}, "Job", false, true},
		"succeeded, all done":                 {release.HookPhaseSucceeded, []release.HookDeletePolicy{good}, "Job", true, false},
		"succeeded, goes when it fails":       {release.HookPhaseSucceeded, []release.HookDeletePolicy{bad}, "Job", false, false},
		"failed":                              {release.HookPhaseFailed, []release.HookDeletePolicy{bad}, "Job", false, true},
		"a definition":                        {release.HookPhaseRunning, []release.HookDeletePolicy{good}, "CustomResourceDefinition", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rel := &release.Release{Hooks: []*release.Hook{{Kind: c.kind, Manifest: "m", DeletePolicies: c.policies, LastRun: release.HookExecution{Phase: c.phase}}}}
			if got := openHooks(rel, c.done); (len(got) == 1) != c.open {
				t.Errorf("got %v", got)
			}
		})
	}
}
