package helmrel

import (
	"slices"

	"helm.sh/helm/v3/pkg/release"
)

// Remains is what a release may have on the cluster.
type Remains struct {
	// Manifests of all records whose objects are the release's, the newest first. Those
	// that failed or were interrupted made some of theirs, and nobody noted which.
	Manifests []string
	// Hooks are manifests of hooks that were to go when they had run, and of which no
	// record says that they went.
	Hooks []string
}

// Remaining goes back to the last record that got through: an action ends only when
// what others named is gone, so before that one there is nothing.
func Remaining(records []Record) Remains {
	var out Remains
	for _, r := range records {
		if r.Status == release.StatusUninstalled {
			return out
		}
		out.Manifests = append(out.Manifests, r.Manifest)
		out.Hooks = append(out.Hooks, r.OpenHooks...)
		if r.Status == release.StatusDeployed || r.Status == release.StatusSuperseded {
			return out
		}
	}
	return out
}

// openHooks are the manifests of hooks of a release whose deletion is due and was
// perhaps never done. What ran to its end is deleted behind the last hook of its
// moment, so a release that is not done may have left that, too.
func openHooks(rel *release.Release, done bool) []string {
	var out []string
	for _, h := range rel.Hooks {
		if due(h, done) && h.Kind != "CustomResourceDefinition" { // those Helm never deletes
			out = append(out, h.Manifest)
		}
	}
	return out
}

func due(h *release.Hook, done bool) bool {
	goes := func(when release.HookDeletePolicy) bool { return slices.Contains(h.DeletePolicies, when) }
	switch h.LastRun.Phase {
	case release.HookPhaseRunning, release.HookPhaseUnknown:
		return goes(release.HookSucceeded) || goes(release.HookFailed)
	case release.HookPhaseSucceeded:
		return !done && goes(release.HookSucceeded)
	case release.HookPhaseFailed:
		return !done && goes(release.HookFailed)
	}
	return false // it did not run
}
