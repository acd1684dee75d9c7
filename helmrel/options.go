package helmrel

import (
	"time"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

// What the spec says about failures, with what holds when it says nothing.

func (s *State) install() helmv2.InstallRemediation {
	if i := s.Wish.Spec.Install; i != nil && i.Remediation != nil {
		return *i.Remediation
	}
	return helmv2.InstallRemediation{}
}

func (s *State) upgrade() helmv2.UpgradeRemediation {
	if u := s.Wish.Spec.Upgrade; u != nil && u.Remediation != nil {
		return *u.Remediation
	}
	return helmv2.UpgradeRemediation{}
}

func (s *State) installRetries() int { return s.install().Retries }

func (s *State) upgradeRetries() int { return s.upgrade().Retries }

func (s *State) activeRetries() int {
	if s.active() == helmv2.ActionUpgrade {
		return s.upgradeRetries()
	}
	return s.installRetries()
}

// remediatesLast tells whether a failure is undone although there is no retry
// left. After an upgrade it is if there were any.
func (s *State) remediatesLast() bool {
	if s.active() == helmv2.ActionUpgrade {
		if last := s.upgrade().RemediateLastFailure; last != nil {
			return *last
		}
		return s.upgradeRetries() > 0
	}
	last := s.install().RemediateLastFailure
	return last != nil && *last
}

func (s *State) remediatesByUninstall() bool {
	return s.upgrade().Strategy == helmv2.RemediateByUninstall
}

// ignoresTests tells whether failed tests count for nothing.
func (s *State) ignoresTests() bool { return ignoresTests(s.Wish, s.active()) }

func ignoresTests(w Wish, active string) bool {
	s := State{Wish: w}
	ignore := s.install().IgnoreTestFailures
	if active == helmv2.ActionUpgrade {
		ignore = s.upgrade().IgnoreTestFailures
	}
	if ignore != nil {
		return *ignore
	}
	return w.Spec.Test != nil && w.Spec.Test.IgnoreFailures
}

// retries tells whether the active action has the strategy RetryOnFailure.
func (s *State) retries() bool {
	name, _ := s.strategy()
	return name == helmv2.RetryOnFailure
}

func (s *State) retryInterval() time.Duration {
	if _, interval := s.strategy(); interval > 0 {
		return interval
	}
	return defaultRetryInterval
}

func (s *State) strategy() (name string, interval time.Duration) {
	i, u := s.Wish.Spec.Install, s.Wish.Spec.Upgrade
	switch {
	case s.active() == helmv2.ActionUpgrade && u != nil && u.Strategy != nil:
		name = u.Strategy.Name
		if u.Strategy.RetryInterval != nil {
			interval = u.Strategy.RetryInterval.Duration
		}
	case s.active() == helmv2.ActionInstall && i != nil && i.Strategy != nil:
		name = i.Strategy.Name
		if i.Strategy.RetryInterval != nil {
			interval = i.Strategy.RetryInterval.Duration
		}
	}
	return name, interval
}

// CRDs is what becomes of the definitions that a chart has in its folder crds when an
// action is taken.
func (w Wish) CRDs(a Action) string {
	i, u := w.Spec.Install, w.Spec.Upgrade
	switch {
	case a == Upgrade && u != nil && u.CRDs != "":
		return u.CRDs
	case a == Install && i != nil && i.CRDs != "":
		return i.CRDs
	case a == Install && i != nil && i.SkipCRDs:
		return helmv2.CRDsSkip
	}
	return helmv2.CRDsCreate
}
