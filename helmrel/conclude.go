package helmrel

import (
	"fmt"
	"time"

	"helm.sh/helm/v3/pkg/release"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

// Outcome is what came of a step.
type Outcome struct {
	Step        Step
	Records     []Record // of the step's release as they are now, the newest first; nil when there are none
	Err         error
	Interrupted bool // the action was ended before it was done, and is nobody's failure
	Duration    time.Duration
}

// Event is to be sent to the user.
type Event struct {
	Reason  string
	Message string
	Warning bool
}

// Begin puts down what is about to be tried: failures are counted against that. It has
// to be stored before the step only if Begun has changed, or the records of a release
// that is called otherwise by the next start would be found by nobody. After a crash in
// the middle of a step the next Decide finds a record that was interrupted, which counts
// for nothing, or one that is done, which tells what was tried (Adopt).
func Begin(status *helmv2.HelmReleaseStatus, w Wish, step Step) {
	if step.Action != Install && step.Action != Upgrade {
		return
	}
	attempt(status, w, step.Action, w.Generation)
	if len(status.History) == 0 {
		status.Begun = &helmv2.ReleaseTarget{Name: w.Name, Namespace: w.Namespace, StorageNamespace: w.StorageNamespace}
	}
	status.LastHandledResetAt = orElse(w.ResetAt, status.LastHandledResetAt)
}

// attempt puts down what was tried, in which generation of the HelmRelease.
func attempt(status *helmv2.HelmReleaseStatus, w Wish, action Action, generation int64) {
	if fresh(*status, w) {
		status.Failures, status.InstallFailures, status.UpgradeFailures = 0, 0, 0
	}
	status.LastAttemptedGeneration = generation
	status.LastAttemptedRevision = w.Chart.Version
	status.LastAttemptedRevisionDigest = w.Chart.Digest
	status.LastAttemptedConfigDigest = w.ConfigDigest
	status.LastAttemptedReleaseAction = string(action)
	status.StorageNamespace = w.StorageNamespace
}

// Acknowledge puts down, at the end of a pass, that what annotations asked for
// was handled, success or not.
func Acknowledge(status *helmv2.HelmReleaseStatus, w Wish) {
	if resets(*status, w) {
		status.Failures, status.InstallFailures, status.UpgradeFailures = 0, 0, 0
		status.LastHandledResetAt = w.ResetAt
	}
	status.LastHandledForceAt = orElse(w.ForceAt, status.LastHandledForceAt)
}

// Conclude puts down what came of a step: the history, the counters of failures
// and the conditions Released, TestSuccess and Remediated. It returns the events
// to send. Ready, Reconciling and Stalled are for the engine to set. now is the
// time of the conditions.
func Conclude(status *helmv2.HelmReleaseStatus, w Wish, o Outcome, now time.Time) []Event {
	if o.Interrupted {
		return nil
	}
	c := conclusion{status: status, wish: w, outcome: o, now: metav1.NewTime(now)}
	before := status.History
	if o.Step.Action == Adopt && len(o.Records) > 0 { // it has the mark of this very wish
		attempt(status, w, o.Records[0].made(), o.Records[0].Generation)
	}
	c.history()
	if len(status.History) > 0 || o.Step.Action == Forget {
		status.Begun = nil
	}
	switch o.Step.Action {
	case Install, Upgrade:
		c.released(o.Err == nil, string(o.Step.Action))
	case Adopt:
		c.adopted()
	case Promote:
		c.released(o.Err == nil, c.active())
	case Test:
		c.tested()
	case Rollback:
		c.remediated(helmv2.RollbackSucceededReason, helmv2.RollbackFailedReason, fmt.Sprintf("rollback to version %d", o.Step.Version), before)
	case RemediateUninstall:
		c.remediated(helmv2.UninstallSucceededReason, helmv2.UninstallFailedReason, "uninstall", before)
	case Uninstall:
		c.uninstalled(before)
	case CorrectDrift:
		c.corrected()
	}
	return c.events
}

// conclusion is one Conclude under way.
type conclusion struct {
	status  *helmv2.HelmReleaseStatus
	wish    Wish
	outcome Outcome
	now     metav1.Time
	events  []Event
}

func (c *conclusion) active() string {
	s := State{Status: *c.status}
	return s.active()
}

// released puts down how an install or upgrade ended.
func (c *conclusion) released(ok bool, action string) {
	s := c.status
	if forces(*s, c.wish) {
		s.LastHandledForceAt = c.wish.ForceAt
	}
	if c.outcome.Duration > 0 {
		s.LastAttemptedReleaseActionDuration = &metav1.Duration{Duration: c.outcome.Duration.Round(time.Millisecond)}
	}
	apimeta.RemoveStatusCondition(&s.Conditions, helmv2.TestSuccessCondition)
	apimeta.RemoveStatusCondition(&s.Conditions, helmv2.RemediatedCondition)
	reason, bad := helmv2.InstallSucceededReason, helmv2.InstallFailedReason
	if action == helmv2.ActionUpgrade {
		reason, bad = helmv2.UpgradeSucceededReason, helmv2.UpgradeFailedReason
	}
	if ok {
		s.Failures = 0
		s.ObservedPostRenderersDigest = c.wish.PostRenderersDigest
		s.ObservedCommonMetadataDigest = c.wish.CommonMetadataDigest
		c.say(helmv2.ReleasedCondition, true, reason, fmt.Sprintf("Helm %s succeeded for %s", action, c.newest(c.wish)))
		return
	}
	c.count(action)
	c.say(helmv2.ReleasedCondition, false, bad, fmt.Sprintf("Helm %s failed for release %s/%s with chart %s: %s",
		action, c.wish.Namespace, c.wish.Name, c.wish.Chart, c.trouble()))
}

// adopted puts down a release that was made before the status knew.
func (c *conclusion) adopted() {
	if len(c.outcome.Records) == 0 {
		return
	}
	c.released(c.outcome.Records[0].Status == release.StatusDeployed, c.active())
}

// tested puts down how the tests ended.
func (c *conclusion) tested() {
	if c.outcome.Err != nil {
		if !ignoresTests(c.wish, c.active()) {
			c.count(c.active())
		}
		c.say(helmv2.TestSuccessCondition, false, helmv2.TestFailedReason,
			fmt.Sprintf("Helm test failed for %s: %s", c.newest(c.wish), c.trouble()))
		return
	}
	count := 0
	if len(c.outcome.Records) > 0 {
		for _, t := range c.outcome.Records[0].Tests {
			if t.Phase == release.HookPhaseSucceeded.String() {
				count++
			}
		}
	}
	text := fmt.Sprintf("%d test hooks completed successfully", count)
	if count == 1 {
		text = "1 test hook completed successfully"
	}
	c.say(helmv2.TestSuccessCondition, true, helmv2.TestSucceededReason,
		fmt.Sprintf("Helm test succeeded for %s: %s", c.newest(c.wish), text))
}

// remediated puts down how a failed release was undone.
func (c *conclusion) remediated(good, bad, what string, before []*helmv2.Snapshot) {
	about := fmt.Sprintf("release %s/%s", c.outcome.Step.Target.Namespace, c.outcome.Step.Target.Name)
	if len(before) > 0 && before[0] != nil {
		about += fmt.Sprintf(".v%d with chart %s@%s", before[0].Version, before[0].ChartName, before[0].ChartVersion)
	}
	if c.outcome.Err != nil {
		c.status.Failures++
		c.say(helmv2.RemediatedCondition, false, bad, fmt.Sprintf("Helm %s failed for %s: %s", what, about, c.trouble()))
		return
	}
	c.say(helmv2.RemediatedCondition, true, good, fmt.Sprintf("Helm %s succeeded for %s", what, about))
}

// uninstalled puts down that a release is gone that is not wanted any more.
func (c *conclusion) uninstalled(before []*helmv2.Snapshot) {
	about := fmt.Sprintf("release %s/%s", c.outcome.Step.Target.Namespace, c.outcome.Step.Target.Name)
	if len(before) > 0 && before[0] != nil {
		about += fmt.Sprintf(".v%d with chart %s@%s", before[0].Version, before[0].ChartName, before[0].ChartVersion)
	}
	if c.outcome.Err != nil {
		c.status.Failures++
		c.say(helmv2.ReleasedCondition, false, helmv2.UninstallFailedReason, fmt.Sprintf("Helm uninstall failed for %s: %s", about, c.trouble()))
		return
	}
	c.status.History, c.status.StorageNamespace, c.status.Inventory, c.status.Begun = nil, c.wish.StorageNamespace, nil, nil
	for _, t := range []string{helmv2.TestSuccessCondition, helmv2.RemediatedCondition} {
		apimeta.RemoveStatusCondition(&c.status.Conditions, t)
	}
	c.say(helmv2.ReleasedCondition, false, helmv2.UninstallSucceededReason, "Helm uninstall succeeded for "+about)
}

// corrected sends an event about drift that was put back. No condition of ours
// tells of it.
func (c *conclusion) corrected() {
	if c.outcome.Err != nil {
		c.status.Failures++
		c.events = append(c.events, Event{Reason: helmv2.DriftDetectedReason, Warning: true,
			Message: fmt.Sprintf("drift of %s could not be corrected: %s", c.newest(c.wish), c.trouble())})
		return
	}
	c.events = append(c.events, Event{Reason: helmv2.DriftCorrectedReason,
		Message: fmt.Sprintf("drift of %s corrected: %s", c.newest(c.wish), c.outcome.Step.Message)})
}

func (c *conclusion) count(action string) {
	c.status.Failures++
	if action == helmv2.ActionUpgrade {
		c.status.UpgradeFailures++
		return
	}
	c.status.InstallFailures++
}

// say sets a condition and sends the same as an event.
func (c *conclusion) say(condition string, good bool, reason, message string) {
	status := metav1.ConditionTrue
	if !good {
		status = metav1.ConditionFalse
	}
	apimeta.SetStatusCondition(&c.status.Conditions, metav1.Condition{
		Type: condition, Status: status, Reason: reason, Message: message, ObservedGeneration: c.wish.Generation, LastTransitionTime: c.now,
	})
	c.events = append(c.events, Event{Reason: reason, Message: message, Warning: c.outcome.Err != nil || !good && reason != helmv2.UninstallSucceededReason})
}

// newest names the newest release with its chart.
func (c *conclusion) newest(w Wish) string {
	if len(c.outcome.Records) == 0 {
		return fmt.Sprintf("release %s/%s with chart %s", w.Namespace, w.Name, w.Chart)
	}
	return fmt.Sprintf("%s with chart %s", c.outcome.Records[0], c.outcome.Records[0].Chart)
}

// trouble is the text of the error, or of the record where another process met
// with it.
func (c *conclusion) trouble() string {
	if c.outcome.Err != nil {
		return c.outcome.Err.Error()
	}
	if len(c.outcome.Records) > 0 {
		return c.outcome.Records[0].Description
	}
	return ""
}

func orElse(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
