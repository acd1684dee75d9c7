package helmrel

import (
	"fmt"
	"time"

	"helm.sh/helm/v3/pkg/release"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

// defaultRetryInterval of the strategy RetryOnFailure.
const defaultRetryInterval = 5 * time.Minute

// remediate is what to do after a failure that counts: undo it and try again, or
// only undo it, or nothing any more.
func remediate(s *State) Step {
	failures, left := s.failures(), retriesLeft(s.activeRetries(), s.failures())
	if !left && !s.remediatesLast() {
		return exhausted(s.active(), failures)
	}
	message := s.newest().String() + " failed"
	if s.active() == helmv2.ActionInstall || s.remediatesByUninstall() {
		return s.undo(message)
	}
	switch to := s.lastGood(); {
	case to > 0:
		return Step{Action: Rollback, Version: to, Retry: s.said(helmv2.RemediatedCondition, helmv2.RollbackFailedReason), Message: message}
	case left:
		return Step{Action: Upgrade, Retry: true, Message: message + ", and there is none to roll back to"}
	}
	return exhausted(s.active(), failures)
}

// undo takes a release down that failed.
func (s *State) undo(why string) Step {
	return Step{Action: RemediateUninstall, Retry: s.said(helmv2.RemediatedCondition, helmv2.UninstallFailedReason), Message: why}
}

// undone tells whether a release that is gone was taken down after a failure, which
// the status does not say. Whoever did it, that is what was to be done.
func (s *State) undone() bool {
	current := s.current()
	if s.fresh() || s.failures() == 0 || s.retries() || current == nil || current.Status != release.StatusFailed.String() {
		return false
	}
	byUninstall := s.active() == helmv2.ActionInstall || s.remediatesByUninstall()
	return byUninstall && (retriesLeft(s.activeRetries(), s.failures()) || s.remediatesLast())
}

// said tells whether a condition in the status says that it failed for a reason.
func (s *State) said(condition, reason string) bool {
	c := apimeta.FindStatusCondition(s.Status.Conditions, condition)
	return c != nil && c.Status == metav1.ConditionFalse && c.Reason == reason
}

// retry tries again after the interval of the strategy RetryOnFailure.
func (s *State) retry(newest *Record) Step {
	due := newest.LastDeployed.Add(s.retryInterval())
	if d := s.Status.LastAttemptedReleaseActionDuration; d != nil {
		due = due.Add(d.Duration)
	}
	if rest := due.Sub(s.Now); rest > 0 {
		return Step{Action: Wait, After: rest, Message: newest.String() + " failed; trying again at the interval of the strategy"}
	}
	return Step{Action: Upgrade, Retry: true, Message: newest.String() + " failed"}
}

func exhausted(action string, failures int64) Step {
	return Step{Action: Stall, Reason: helmv2.RetriesExceededReason,
		Message: fmt.Sprintf("Failed to %s after %d attempt(s)", action, failures)}
}

// retriesLeft tells whether one more try is allowed after so many failures.
func retriesLeft(retries int, failures int64) bool { return retries < 0 || failures <= int64(retries) }

// active is the action that failures count for.
func (s *State) active() string {
	if s.Status.LastAttemptedReleaseAction == helmv2.ActionUpgrade {
		return helmv2.ActionUpgrade
	}
	return helmv2.ActionInstall
}

// failures of the active action since something new came in.
func (s *State) failures() int64 {
	if s.active() == helmv2.ActionUpgrade {
		return s.Status.UpgradeFailures
	}
	return s.Status.InstallFailures
}

// lastGood is the version to roll back to: the newest before the failed release
// that was deployed and did not fail its tests; 0 when there is none.
func (s *State) lastGood() int {
	bad := map[int]bool{}
	for _, snapshot := range s.Status.History {
		if snapshot != nil && testsFailed(snapshot) && !s.ignoresTests() {
			bad[snapshot.Version] = true
		}
	}
	for i, r := range s.Records {
		good := r.Status == release.StatusDeployed || r.Status == release.StatusSuperseded
		if (i > 0 || r.Status == release.StatusFailed) && good && !bad[r.Version] {
			return r.Version
		}
	}
	return 0
}

// deployedBefore tells whether any release got through since the name was last
// free.
func (s *State) deployedBefore() bool {
	for _, r := range s.Records {
		switch r.Status {
		case release.StatusDeployed, release.StatusSuperseded:
			return true
		case release.StatusUninstalled:
			return false
		}
	}
	return false
}

// difference is what about the release is not as asked for, "" when nothing is.
func (s *State) difference() string {
	newest, w := s.newest(), s.Wish
	switch {
	case forces(s.Status, w):
		return "it was asked for by the annotation " + helmv2.ForceRequestAnnotation
	case newest.Chart.Name != w.Chart.Name || newest.Chart.Version != w.Chart.Version || s.current().OCIDigest != w.Chart.Digest:
		return fmt.Sprintf("the chart is %s and was %s", w.Chart, newest.Chart)
	case s.releasedConfig() != w.ConfigDigest:
		return "the values have changed"
	case s.Status.ObservedPostRenderersDigest != w.PostRenderersDigest:
		return "the post renderers have changed"
	case s.Status.ObservedCommonMetadataDigest != w.CommonMetadataDigest:
		return "the common metadata has changed"
	}
	return ""
}

// matches tells whether the newest record was made of the chart and values that
// are asked for.
func (s *State) matches() bool {
	newest, w := s.newest(), s.Wish
	return newest.Chart.Name == w.Chart.Name && newest.Chart.Version == w.Chart.Version && s.releasedConfig() == w.ConfigDigest &&
		(newest.Token == "" || newest.Token == w.Token())
}

// releasedConfig is the digest of the values that were asked for when the newest
// release was made. With preserveValues the record holds more than those.
func (s *State) releasedConfig() string {
	if u := s.Wish.Spec.Upgrade; u != nil && u.PreserveValues && s.observed() {
		return s.Status.LastAttemptedConfigDigest
	}
	return s.newest().ConfigDigest
}

func testsFailed(s *helmv2.Snapshot) bool {
	for _, t := range s.TestHooks {
		if t.Phase == release.HookPhaseFailed.String() {
			return true
		}
	}
	return false
}

func (s *State) keepsHistory() bool {
	return s.Wish.Spec.Uninstall != nil && s.Wish.Spec.Uninstall.KeepHistory
}
