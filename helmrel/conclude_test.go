package helmrel

import (
	"errors"
	"testing"

	"helm.sh/helm/v3/pkg/release"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

func TestConclude(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	tests := func(phase string) func(*Record) {
		return func(r *Record) {
			r.Tests = map[string]helmv2.TestHookStatus{"t": {LastStarted: when(noon), Phase: phase}}
		}
	}
	for name, c := range map[string]struct {
		world     *world
		action    Action
		err       error
		condition string
		reason    string
		message   string
		installs  int64
		history   int
	}{
		"installed": {start(helmv2.HelmReleaseSpec{}).record(release.StatusDeployed), Install, nil, helmv2.ReleasedCondition,
			helmv2.InstallSucceededReason, "Helm install succeeded for release ns/app.v1 with chart web@1", 0, 1},
		"install failed": {start(helmv2.HelmReleaseSpec{}).record(release.StatusFailed), Install, broken, helmv2.ReleasedCondition,
			helmv2.InstallFailedReason, "Helm install failed for release ns/app with chart web@1: broken", 1, 1},
		"install failed before there was a record": {start(helmv2.HelmReleaseSpec{}), Install, broken, helmv2.ReleasedCondition,
			helmv2.InstallFailedReason, "Helm install failed for release ns/app with chart web@1: broken", 1, 0},
		"adopted": {start(helmv2.HelmReleaseSpec{}).record(release.StatusDeployed), Adopt, nil, helmv2.ReleasedCondition,
			helmv2.InstallSucceededReason, "Helm install succeeded for release ns/app.v1 with chart web@1", 0, 1},
		"tested": {start(helmv2.HelmReleaseSpec{}).record(release.StatusDeployed, tests("Succeeded")).known(helmv2.ActionInstall, 0, 0), Test, nil, helmv2.TestSuccessCondition,
			helmv2.TestSucceededReason, "Helm test succeeded for release ns/app.v1 with chart web@1: 1 test hook completed successfully", 0, 1},
		"test failed": {start(helmv2.HelmReleaseSpec{}).record(release.StatusDeployed, tests("Failed")).known(helmv2.ActionInstall, 0, 0), Test, broken, helmv2.TestSuccessCondition,
			helmv2.TestFailedReason, "Helm test failed for release ns/app.v1 with chart web@1: broken", 1, 1},
		"test failed, ignored": {start(helmv2.HelmReleaseSpec{Test: &helmv2.Test{IgnoreFailures: true}}).record(release.StatusDeployed, tests("Failed")).
			known(helmv2.ActionInstall, 0, 0), Test, broken, helmv2.TestSuccessCondition,
			helmv2.TestFailedReason, "Helm test failed for release ns/app.v1 with chart web@1: broken", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status := *c.world.Status.DeepCopy()
			events := Conclude(&status, c.world.Wish, Outcome{
				Step: Step{Action: c.action, Version: 1, Target: c.world.Wish.Target}, Records: c.world.Records, Err: c.err,
			}, noon)
			got := apimeta.FindStatusCondition(status.Conditions, c.condition)
			if got == nil || got.Reason != c.reason || got.Message != c.message {
				t.Fatalf("condition %+v", got)
			}
			if len(events) != 1 || events[0].Message != c.message || events[0].Warning != (c.err != nil) {
				t.Errorf("events %+v", events)
			}
			if status.InstallFailures != c.installs || len(status.History) != c.history {
				t.Errorf("%d failures, %d in the history", status.InstallFailures, len(status.History))
			}
		})
	}
}

// TestInterruptedChangesNothing: it was nobody's failure.
func TestInterruptedChangesNothing(t *testing.T) {
	t.Parallel()
	w := start(helmv2.HelmReleaseSpec{}).record(release.StatusFailed)
	if events := Conclude(&w.Status, w.Wish, Outcome{Step: Step{Action: Install}, Err: errors.New("x"), Interrupted: true}, noon); len(events) > 0 ||
		w.Status.InstallFailures != 0 || len(w.Status.History) != 0 {
		t.Errorf("%+v, %+v", events, w.Status)
	}
}
