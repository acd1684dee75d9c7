package helmrel

import (
	"fmt"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/release"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/api/meta"
)

// Action is what to do next with a release.
type Action string

// The actions. Those of the second group change Helm's records alone, and those
// of the last one nothing.
const (
	Install            Action = "install"
	Upgrade            Action = "upgrade"
	Test               Action = "test"
	Rollback           Action = "rollback"
	Uninstall          Action = "uninstall"        // it is not wanted any more, or has to be made anew
	RemediateUninstall Action = "uninstall failed" // after a failure
	CorrectDrift       Action = "correct drift"
	Unlock             Action = "unlock"  // a record says pending, and nobody is at work: note that
	Promote            Action = "promote" // what failed to become ready in time did so later: note that
	Adopt              Action = "adopt"   // a record is ours that the status does not know: remember it
	Tidy               Action = "tidy"    // older records say deployed, and are not: note that
	Forget             Action = "forget"  // what was begun came to nothing: forget it
	None               Action = ""        // all is as it should be; for one that is deleted: all is gone
	Wait               Action = "wait"    // come back after Step.After, or when something changes
	Stall              Action = "stall"   // only another input helps
)

// Step is what to do next.
type Step struct {
	Action  Action
	Target  Target        // the release that it is about
	Version int           // of the record: to roll back to, to unlock, to promote, to test, to adopt
	Retry   bool          // the same was tried before and failed: leave time in between
	Done    bool          // it is done already, by a process that ended before it wrote the status
	After   time.Duration // how long a Wait takes
	Reason  string        // for conditions and events, where the step itself tells one
	Message string        // why, for people
}

// Tries tells whether the step does more than to note what is true.
func (s Step) Tries() bool {
	switch s.Action {
	case Unlock, Promote, Adopt, Tidy, Forget:
		return false
	}
	return !s.Done
}

// rule is one reason to do something. It returns false when it does not apply.
type rule func(s *State) (Step, bool)

// rules in the order in which they go: what stands in the way of everything else
// comes first, what is nice to have last.
var rules = []rule{untidy, deleted, moved, locked, absent, renamed, failed, foreign, outdated, untested, drifted}

// Decide tells what to do next. It is to be asked again after each step, with
// the status and the records as they are then, until it says None, Wait or Stall.
func Decide(s State) Step {
	for _, rule := range rules {
		if step, applies := rule(&s); applies {
			if step.Target == (Target{}) {
				step.Target = s.Wish.Target
			}
			return step
		}
	}
	return Step{Action: None, Target: s.Wish.Target}
}

// untidy: the newest record says what is true, and older ones say that they are
// deployed, too: a write failed or a process ended between the two.
func untidy(s *State) (Step, bool) {
	newest := s.newest()
	if newest == nil || newest.Status != release.StatusDeployed && newest.Status != release.StatusUninstalled {
		return Step{}, false
	}
	for _, r := range s.Records[1:] {
		if r.Status == release.StatusDeployed {
			return Step{Action: Tidy, Target: Reads(s.Wish, s.Status), Version: newest.Version,
				Message: fmt.Sprintf("%s says deployed, and %s is %s", r, newest, newest.Status)}, true
		}
	}
	return Step{}, false
}

// deleted: the HelmRelease is to go, and what it released goes first. A release
// that others made and that was never taken over stays.
func deleted(s *State) (Step, bool) {
	if !s.Wish.Deleting {
		return Step{}, false
	}
	newest := s.newest()
	switch {
	case newest == nil, s.current() == nil && newest.Token == "":
		return Step{Action: None, Message: "nothing is installed"}, true
	case newest.Status == release.StatusUninstalled && s.keepsHistory():
		return Step{Action: None, Message: "it is uninstalled"}, true
	}
	return s.uninstall(Reads(s.Wish, s.Status), "the HelmRelease is deleted"), true
}

// moved: another name or namespace is another release; the one before goes first, if
// it came to be. One that others made, and that was not taken over yet, stays.
func moved(s *State) (Step, bool) {
	former := Reads(s.Wish, s.Status)
	if former == s.Wish.Target {
		return Step{}, false
	}
	if newest := s.newest(); s.current() == nil && (newest == nil || newest.Token == "") {
		return Step{Action: Forget, Target: former, Message: "nothing came of it"}, true
	}
	return s.uninstall(former, fmt.Sprintf(
		"the release is to be %s with its records in %s, and was %s with its records in %s", s.Wish.Namespace+"/"+s.Wish.Name,
		s.Wish.StorageNamespace, former.Namespace+"/"+former.Name, former.StorageNamespace)), true
}

// uninstall takes a release down that is not wanted any more. One that was refused
// is tried again when some time has passed, or something new came in.
func (s *State) uninstall(t Target, why string) Step {
	return Step{Action: Uninstall, Target: t, Retry: s.said(helmv2.ReleasedCondition, helmv2.UninstallFailedReason), Message: why}
}

// abandoned is how old a record has to be that others left unfinished. It is how long
// the helm command line waits for, when it is not told otherwise.
const abandoned = 5 * time.Minute

// locked: a record that says pending was left by a process that is gone. There
// is one engine at a time, and its actions end with their records, so nobody is
// at work on it. Somebody with the helm command line may be, for a while.
func locked(s *State) (Step, bool) {
	newest := s.newest()
	switch {
	case newest == nil:
		return Step{}, false
	case newest.Others && newest.unfinished() && s.Now.Before(newest.begun().Add(abandoned)):
		return Step{Action: Wait, After: newest.begun().Add(abandoned).Sub(s.Now), Reason: meta.ProgressingReason,
			Message: fmt.Sprintf("%s is %s by somebody else; waiting until that is done", newest, newest.Status)}, true
	case newest.Status.IsPending(), newest.Status == release.StatusUnknown:
		return Step{Action: Unlock, Version: newest.Version,
			Message: fmt.Sprintf("%s was left %s; taking it over", newest, newest.Status)}, true
	case newest.Status == release.StatusUninstalling:
		why := fmt.Sprintf("%s was left %s; finishing that", newest, newest.Status)
		if s.failures() > 0 && !s.fresh() {
			return s.undo(why), true
		}
		return s.uninstall(s.Wish.Target, why), true
	}
	return Step{}, false
}

func (r Record) unfinished() bool {
	return r.Status.IsPending() || r.Status == release.StatusUninstalling
}

// begun is when the action that left a record unfinished began.
func (r Record) begun() time.Time {
	if r.Status == release.StatusUninstalling {
		return r.Deleted
	}
	return r.LastDeployed
}

// absent: there is no release, or none any more.
func absent(s *State) (Step, bool) {
	newest := s.newest()
	if newest != nil && newest.Status != release.StatusUninstalled {
		return Step{}, false
	}
	if s.undone() {
		return Step{Action: RemediateUninstall, Done: true, Message: "it was uninstalled after it failed"}, true
	}
	failures := s.Status.InstallFailures
	if !s.fresh() && failures > 0 && !s.retries() && !retriesLeft(s.installRetries(), failures) {
		return exhausted("install", failures), true
	}
	step := Step{Action: Install, Retry: !s.fresh() && failures > 0, Message: "no release is there"}
	if s.current() != nil && !step.Retry {
		step.Message = "the release is gone from the storage"
	}
	return step, true
}

// renamed: a chart of another name is, unless the spec says otherwise, another
// release. What others released under our name is taken over whatever its chart.
func renamed(s *State) (Step, bool) {
	current := s.current()
	if current == nil || current.ChartName == s.Wish.Chart.Name {
		return Step{}, false
	}
	if u := s.Wish.Spec.Upgrade; u != nil && u.ChartNameChangeStrategy == helmv2.ChartNameInPlaceUpdate {
		return Step{}, false
	}
	return s.uninstall(s.Wish.Target, fmt.Sprintf("the chart is %s and was %s", s.Wish.Chart.Name, current.ChartName)), true
}

// failed: the newest release did not get through.
func failed(s *State) (Step, bool) {
	newest := s.newest()
	if newest.Status != release.StatusFailed {
		return Step{}, false
	}
	if newest.interrupted() {
		return resumed(s), true
	}
	if !s.observed() {
		return unknown(s), true
	}
	switch {
	case newest.promotable() && s.Healthy && s.matches():
		return Step{Action: Promote, Version: newest.Version, Message: "its objects became ready"}, true
	case s.fresh(), s.failures() == 0:
		return Step{Action: Upgrade, Message: "there is something new since " + newest.String() + " failed"}, true
	case s.retries():
		return s.retry(newest), true
	}
	return remediate(s), true
}

// resumed goes on with what was interrupted. That was nobody's failure, so it
// does not count as one.
func resumed(s *State) Step {
	current := s.current()
	remediating := current != nil && !s.fresh() && s.failures() > 0 && current.Status == release.StatusFailed.String() &&
		current.Version < s.newest().Version
	switch {
	case remediating && !s.retries():
		return remediate(s)
	case s.deployedBefore():
		return Step{Action: Upgrade, Message: s.newest().String() + " was interrupted"}
	}
	return Step{Action: Install, Message: s.newest().String() + " was interrupted"}
}

// foreign: the newest release is not as we left it.
func foreign(s *State) (Step, bool) {
	if s.observed() {
		return Step{}, false
	}
	return unknown(s), true
}

// unknown is what to do about a record that the status does not know: it is ours
// when it was made for this very wish, by a process that ended before it wrote
// the status; else others made or changed it, and it is taken over.
func unknown(s *State) Step {
	newest, current := s.newest(), s.current()
	later := current == nil || current.Version < newest.Version
	switch {
	case later && newest.Token != "" && newest.Token == s.Wish.Token() && !newest.rolledBack():
		return Step{Action: Adopt, Version: newest.Version, Message: newest.String() + " is what was asked for"}
	case later && newest.Undoes != "" && newest.Undoes == s.Wish.Token() && current != nil && current.Status == release.StatusFailed.String():
		return Step{Action: Rollback, Version: s.lastGood(), Done: true, Message: newest.String() + " undoes the failure"}
	}
	message := newest.String() + " was made by others"
	if current != nil {
		message = newest.String() + " was changed by others"
	}
	return Step{Action: Upgrade, Message: message + "; taking it over"}
}

// rolledBack tells whether a record is a rollback; it has the token of the record
// that it repeats.
func (r Record) rolledBack() bool { return strings.HasPrefix(r.Description, "Rollback to ") }

// outdated: the release is not what is asked for.
func outdated(s *State) (Step, bool) {
	why := s.difference()
	if why == "" {
		return Step{}, false
	}
	failures := s.Status.UpgradeFailures
	if s.fresh() || failures == 0 || s.retries() || retriesLeft(s.upgradeRetries(), failures) {
		return Step{Action: Upgrade, Retry: !s.fresh() && failures > 0, Message: why}, true
	}
	return exhausted("upgrade", failures), true
}

// untested: its tests did not run yet, or they failed.
func untested(s *State) (Step, bool) {
	newest, current := s.newest(), s.current()
	if s.Wish.Spec.Test == nil || !s.Wish.Spec.Test.Enable || len(newest.Tests) == 0 {
		return Step{}, false
	}
	switch {
	case len(current.TestHooks) == 0, testsFailed(current) && s.fresh():
		return Step{Action: Test, Version: newest.Version, Message: "its tests did not run yet"}, true
	case !testsFailed(current) || s.ignoresTests() || s.failures() == 0:
		return Step{}, false
	case s.retries():
		return s.retry(newest), true
	}
	return remediate(s), true
}

// drifted: others changed its objects.
func drifted(s *State) (Step, bool) {
	d := s.Wish.Spec.DriftDetection
	if len(s.Drift) == 0 || d == nil || d.Mode != helmv2.DriftDetectionEnabled {
		return Step{}, false
	}
	return Step{Action: CorrectDrift, Version: s.newest().Version, Reason: helmv2.DriftDetectedReason,
		Message: "others changed " + strings.Join(s.Drift, ", ")}, true
}

// String is "release NAMESPACE/NAME.vVERSION", as messages have it.
func (r Record) String() string {
	return fmt.Sprintf("release %s/%s.v%d", r.Namespace, r.Name, r.Version)
}
