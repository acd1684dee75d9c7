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

// top is the newest record, an empty one when there is none.
func top(records []helmrel.Record) helmrel.Record {
	if len(records) == 0 {
		return helmrel.Record{}
	}
	return records[0]
}

// newest is the version of the newest record, 0 when there is none to read.
func (j Job) newest() int {
	records, err := j.Records.Records()
	if err != nil {
		return 0
	}
	return top(records).Version
}

// promote notes that a release which failed to become ready in time did so later.
// The one before it is superseded first: a crash in between leaves none that says
// deployed, and the same step is taken again.
func (j Job) promote(version int) error {
	if err := j.supersede(j.Wish.Name, version); err != nil {
		return err
	}
	rel, err := j.Records.Get(key(j.Wish.Name, version))
	if err != nil {
		return err
	}
	rel.SetStatus(release.StatusDeployed, "Objects became ready later")
	return j.Records.Update(key(rel.Name, version), rel)
}

// supersede notes of all records that say deployed, but for one, that they are not.
func (j Job) supersede(name string, but int) error {
	deployed, err := j.Records.List(func(r *release.Release) bool { return r.Version != but && r.Info.Status == release.StatusDeployed })
	if err != nil {
		return err
	}
	for _, rel := range deployed {
		rel.Info.Status = release.StatusSuperseded
		if err := j.Records.Update(key(name, rel.Version), rel); err != nil {
			return err
		}
	}
	return nil
}
