package helmrel

import (
	"errors"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

// TestAttempt: what an upgrade leaves in the status before it is begun and once it is
// done.
func TestAttempt(t *testing.T) {
	t.Parallel()
	w := start(helmv2.HelmReleaseSpec{}).record(release.StatusDeployed).known(helmv2.ActionInstall, 3, 0).Wish
	status := helmv2.HelmReleaseStatus{InstallFailures: 3, Failures: 4}
	w.Generation, w.StorageNamespace = 7, "records"
	w.Chart.Digest, w.ConfigDigest, w.PostRenderersDigest, w.CommonMetadataDigest = "sha256:c", "sha256:v", "sha256:p", "sha256:m"
	w.ResetAt, w.ForceAt = "reset", "force"
	Begin(&status, w, Step{Action: Upgrade})
	want := helmv2.HelmReleaseStatus{
		LastAttemptedGeneration: 7, LastAttemptedRevision: w.Chart.Version, LastAttemptedRevisionDigest: "sha256:c", LastAttemptedConfigDigest: "sha256:v",
		LastAttemptedReleaseAction: helmv2.ActionUpgrade, StorageNamespace: "records", LastHandledResetAt: "reset",
	}
	if got := status; got.LastAttemptedGeneration != want.LastAttemptedGeneration || got.LastAttemptedRevision != want.LastAttemptedRevision ||
		got.LastAttemptedRevisionDigest != want.LastAttemptedRevisionDigest || got.LastAttemptedConfigDigest != want.LastAttemptedConfigDigest ||
		got.LastAttemptedReleaseAction != want.LastAttemptedReleaseAction || got.StorageNamespace != want.StorageNamespace ||
		got.LastHandledResetAt != want.LastHandledResetAt || got.Failures+got.InstallFailures+got.UpgradeFailures != 0 {
		t.Errorf("before: %+v", got)
	}
	Conclude(&status, w, Outcome{Step: Step{Action: Upgrade, Target: w.Target}, Duration: 1234567 * time.Microsecond}, noon)
	if d := status.LastAttemptedReleaseActionDuration; d == nil || *d != (metav1.Duration{Duration: 1235 * time.Millisecond}) {
		t.Errorf("duration %v", d)
	}
	if status.ObservedPostRenderersDigest != "sha256:p" || status.ObservedCommonMetadataDigest != "sha256:m" || status.LastHandledForceAt != "force" {
		t.Errorf("after: %+v", status)
	}
}

// TestAttemptThatNobodyNoted: of an action that ended with its process the record tells
// what was tried, and in which generation.
func TestAttemptThatNobodyNoted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		made       func(*Record)
		generation int64
		fails      string
		fresh      bool
	}{
		"an upgrade":             {func(r *Record) { r.FirstDeployed = noon.Add(-time.Hour) }, 2, helmv2.ActionUpgrade, false},
		"an install anew":        {func(r *Record) { r.FirstDeployed = r.LastDeployed }, 2, helmv2.ActionInstall, false},
		"of an earlier spec":     {func(r *Record) { r.FirstDeployed = noon.Add(-time.Hour) }, 1, helmv2.ActionUpgrade, true},
		"before records told it": {func(r *Record) { r.FirstDeployed = noon.Add(-time.Hour) }, 0, helmv2.ActionUpgrade, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(helmv2.HelmReleaseSpec{}).record(release.StatusDeployed).known(helmv2.ActionInstall, 0, 2)
			w.Wish.Generation, w.Wish.Chart.Version = 2, "2"
			w.record(release.StatusFailed, c.made, func(r *Record) { r.Generation = c.generation })
			step := Decide(w.State)
			if step.Action != Adopt {
				t.Fatalf("first it is to %s", step.Action)
			}
			Conclude(&w.Status, w.Wish, Outcome{Step: step, Records: w.Records, Err: errors.New("broken")}, noon)
			installs, upgrades := w.Status.InstallFailures, w.Status.UpgradeFailures
			if w.Status.LastAttemptedReleaseAction != c.fails || w.Status.History[0].Action != c.fails || installs+upgrades != 1 || (upgrades == 1) != (c.fails == helmv2.ActionUpgrade) {
				t.Errorf("%d installs and %d upgrades failed: %+v", installs, upgrades, w.Status)
			}
			if w.fresh() != c.fresh {
				t.Errorf("to be tried anew: %t", w.fresh())
			}
		})
	}
}

// TestTheKindThatWasLackedCame: what failed for want of it is tried again, whatever was
// tried before.
func TestTheKindThatWasLackedCame(t *testing.T) {
	t.Parallel()
	w := start(helmv2.HelmReleaseSpec{}).known(helmv2.ActionInstall, 1, 0)
	w.Records, w.Status.History = nil, nil
	if got := Decide(w.State); got.Action != Stall {
		t.Errorf("before it came: %+v", got)
	}
	w.Wish.Anew = true
	if got := Decide(w.State); got.Action != Install || got.Retry {
		t.Errorf("when it has come: %+v", got)
	}
	if Begin(&w.Status, w.Wish, Step{Action: Install}); w.Status.InstallFailures != 0 {
		t.Errorf("%d failures are left", w.Status.InstallFailures)
	}
}

// TestBegun: a release is known before its first record is, and goes when another is
// wished for before the history told of it.
func TestBegun(t *testing.T) {
	t.Parallel()
	begin := func() *world {
		w := start(helmv2.HelmReleaseSpec{})
		Begin(&w.Status, w.Wish, Decide(w.State))
		return w
	}
	former := begin().Wish.Target
	ours := by("another wish")
	for name, c := range map[string]struct {
		world *world
		want  Action
	}{
		"killed before the record":           {begin(), Forget},
		"killed in the install":              {begin().record(release.StatusPendingInstall, ours), Uninstall},
		"killed behind it":                   {begin().record(release.StatusDeployed, ours), Uninstall},
		"another's record, not taken over":   {begin().record(release.StatusDeployed, by("")), Forget},
		"not killed, and it did not come up": {begin().record(release.StatusFailed, ours), Uninstall},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := c.world
			w.Wish.Name = "other"
			if got := Reads(w.Wish, w.Status); got != former {
				t.Fatalf("the records of %+v are looked at, want %+v", got, former)
			}
			step := Decide(w.State)
			if step.Action != c.want || step.Target != former {
				t.Fatalf("it is to %s %+v, want to %s %+v", step.Action, step.Target, c.want, former)
			}
			Conclude(&w.Status, w.Wish, Outcome{Step: step}, noon)
			if got := Reads(w.Wish, w.Status); got != w.Wish.Target {
				t.Errorf("then the records of %+v are looked at", got)
			}
		})
	}
	t.Run("the history tells of it", func(t *testing.T) {
		t.Parallel()
		w := begin().record(release.StatusDeployed)
		Conclude(&w.Status, w.Wish, Outcome{Step: Step{Action: Install, Target: w.Wish.Target}, Records: w.Records}, noon)
		if w.Status.Begun != nil || len(w.Status.History) != 1 {
			t.Errorf("status is %+v", w.Status)
		}
	})
}
