package helmrel

import (
	"slices"

	"helm.sh/helm/v3/pkg/release"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

// history brings the history up to date with the records after a step: the
// newest record first, then those that the status knew, back to the last one that
// was good. What has no record any more is dropped.
func (c *conclusion) history() {
	if c.outcome.Step.Target != c.wish.Target && c.outcome.Step.Target != Reads(c.wish, *c.status) {
		return // of a release that the status does not tell of
	}
	known := map[int]*helmv2.Snapshot{}
	for _, snapshot := range c.status.History {
		if snapshot != nil {
			known[snapshot.Version] = snapshot
		}
	}
	var out []*helmv2.Snapshot
	for i, r := range c.outcome.Records {
		before, ok := known[r.Version]
		if !ok && (i > 0 || !c.owns()) {
			continue
		}
		out = append(out, c.snapshot(r, before))
	}
	c.status.History = back(out)
}

// owns tells whether a newest record that the status does not know is from the
// step. Notes in the records, such as an Unlock, make nobody's release ours.
func (c *conclusion) owns() bool {
	return slices.Contains([]Action{Install, Upgrade, Rollback, Adopt}, c.outcome.Step.Action)
}

func (c *conclusion) snapshot(r Record, before *helmv2.Snapshot) *helmv2.Snapshot {
	s := Snapshot(r, "", "")
	switch {
	case before != nil:
		s.Action, s.OCIDigest, s.TestHooks = before.Action, before.OCIDigest, before.TestHooks
	case c.outcome.Step.Action == Rollback:
		s.OCIDigest = c.ociDigestOf(c.outcome.Step.Version)
	default:
		s.OCIDigest, s.Action = c.wish.Chart.Digest, c.status.LastAttemptedReleaseAction
	}
	if c.outcome.Step.Action == Test && r.Version == c.outcome.Step.Version && ran(r.Tests, c.outcome.Err) {
		s.TestHooks = r.Tests
	}
	return s
}

// ran tells whether tests got to run: an error before the first one says nothing
// about them.
func ran(tests map[string]helmv2.TestHookStatus, err error) bool {
	if err == nil {
		return true
	}
	for _, t := range tests {
		if t.LastStarted != nil {
			return true
		}
	}
	return false
}

func (c *conclusion) ociDigestOf(version int) string {
	for _, s := range c.status.History {
		if s != nil && s.Version == version {
			return s.OCIDigest
		}
	}
	return ""
}

// back cuts a history behind the last release that was good, the newest aside.
func back(history []*helmv2.Snapshot) []*helmv2.Snapshot {
	for i, s := range history {
		good := s.Status == release.StatusDeployed.String() || s.Status == release.StatusSuperseded.String()
		if i > 0 && good && !testsFailed(s) {
			return history[:i+1]
		}
	}
	return history
}
