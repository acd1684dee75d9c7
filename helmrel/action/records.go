package action

import (
	"fmt"

	"helm.sh/helm/v3/pkg/release"

	"github.com/plumb-gitops/plumb/helmrel"
)

// key of a record, as Helm names its Secret.
func key(name string, version int) string {
	return fmt.Sprintf("sh.helm.release.v1.%s.v%d", name, version)
}

// unlock notes that an action did not get through. Helm takes a record that says
// pending for one that somebody is at work on.
func (j Job) unlock(version int) error {
	rel, err := j.Records.Get(key(j.Wish.Name, version))
	if err != nil {
		return err
	}
	rel.SetStatus(release.StatusFailed, fmt.Sprintf("Release %q was %s: %s", rel.Name, helmrel.Interrupted, rel.Info.Status))
	return j.Records.Update(key(rel.Name, version), rel)
}

// interrupted notes the same for an action that was ended from outside, whatever
// the SDK made of it. A record from before the action stays as it is.
func (j Job) interrupted(before int) error {
	records, err := j.Records.Records()
	if err != nil || len(records) == 0 || records[0].Version <= before {
		return err
	}
	if newest := records[0]; newest.Status.IsPending() || newest.Status == release.StatusFailed {
		return j.unlock(newest.Version)
	}
	return nil
}

// newest is the version of the newest record, 0 when there is none to read.
func (j Job) newest() int {
	records, err := j.Records.Records()
	if err != nil || len(records) == 0 {
		return 0
	}
	return records[0].Version
}

// promote notes that a release which failed to become ready in time did so later.
// The one before it is superseded first: a crash in between leaves none that says
// deployed, and the same step is taken again.
func (j Job) promote(version int) error {
	all, err := j.Records.List(func(r *release.Release) bool {
		return r.Version == version || r.Info.Status == release.StatusDeployed
	})
	if err != nil {
		return err
	}
	for _, rel := range all {
		if rel.Version == version {
			continue
		}
		rel.Info.Status = release.StatusSuperseded
		if err := j.Records.Update(key(rel.Name, rel.Version), rel); err != nil {
			return err
		}
	}
	rel, err := j.Records.Get(key(j.Wish.Name, version))
	if err != nil {
		return err
	}
	rel.SetStatus(release.StatusDeployed, "Objects became ready later")
	return j.Records.Update(key(rel.Name, version), rel)
}
