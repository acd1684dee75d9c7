package action

import (
	"errors"

	helmaction "helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/helmrel"
)

func (j Job) upgrade(before []helmrel.Record) error {
	spec := helmv2.Upgrade{}
	if j.Wish.Spec.Upgrade != nil {
		spec = *j.Wish.Spec.Upgrade
	}
	timeout := j.timeout(spec.Timeout)
	if err := j.ready(helmrel.Upgrade, timeout, before); err != nil {
		return err
	}
	a := helmaction.NewUpgrade(j.configuration())
	a.Namespace, a.MaxHistory, a.Timeout = j.Wish.Namespace, j.MaxHistory, timeout
	a.SkipCRDs = true
	a.DisableHooks = spec.DisableHooks
	a.DisableOpenAPIValidation, a.SkipSchemaValidation = spec.DisableOpenAPIValidation, spec.DisableSchemaValidation
	a.TakeOwnership = !spec.DisableTakeOwnership
	a.Wait, a.WaitForJobs = !spec.DisableWait, !spec.DisableWaitForJobs
	a.Force = spec.Force && !j.ServerSide
	a.CleanupOnFail = spec.CleanupOnFail
	a.ReuseValues, a.ResetValues = spec.PreserveValues, !spec.PreserveValues
	a.PostRenderer = j.postRenderer(true)
	_, err := a.Run(j.Wish.Name, j.Chart, cloned(j.Values)) // the SDK adds former values to what it gets
	return err
}

// cloned is a copy of values down to what is no table.
func cloned(values map[string]any) map[string]any {
	out := make(map[string]any, len(values))
	for name, value := range values {
		if table, ok := value.(map[string]any); ok {
			value = cloned(table)
		}
		out[name] = value
	}
	return out
}

func (j Job) test(before []helmrel.Record) error {
	a := helmaction.NewReleaseTesting(j.configuration())
	a.Namespace = j.Wish.Namespace
	a.Timeout = j.Timeout
	if spec := j.Wish.Spec.Test; spec != nil {
		a.Timeout = j.timeout(spec.Timeout)
		for _, f := range spec.Filters {
			name := helmaction.IncludeNameFilter
			if f.Exclude {
				name = helmaction.ExcludeNameFilter
			}
			a.Filters[name] = append(a.Filters[name], f.Name)
		}
	}
	if err := j.clear(a.Timeout, before); err != nil {
		return err
	}
	_, err := a.Run(j.Wish.Name)
	return err
}

// rollback goes back to a version.
func (j Job) rollback(version int, before []helmrel.Record) error {
	spec := helmv2.Rollback{}
	if j.Wish.Spec.Rollback != nil {
		spec = *j.Wish.Spec.Rollback
	}
	a := helmaction.NewRollback(j.configuration())
	a.Version, a.MaxHistory, a.Timeout = version, j.MaxHistory, j.timeout(spec.Timeout)
	a.Wait, a.WaitForJobs = !spec.DisableWait, !spec.DisableWaitForJobs
	a.DisableHooks, a.CleanupOnFail = spec.DisableHooks, spec.CleanupOnFail
	a.Force = spec.Force && !j.ServerSide
	if err := j.clear(a.Timeout, before); err != nil {
		return err
	}
	err := a.Run(j.Wish.Name)
	if err == nil {
		return nil
	}
	return errors.Join(err, j.rolledBack(before, err))
}

// rolledBack sets right what the SDK leaves behind a rollback that failed: a record that
// says pending when hooks failed, and one that says superseded though it had failed, so
// that the next rollback would take it for a good one. A crash before this leaves the
// former, which the next Decide unlocks, or the latter, of which the status knows better.
func (j Job) rolledBack(before []helmrel.Record, why error) error {
	failed := map[int]string{}
	for _, r := range before {
		if r.Status == release.StatusFailed {
			failed[r.Version] = r.Description
		}
	}
	changed, err := j.Records.List(func(r *release.Release) bool {
		_, was := failed[r.Version]
		return r.Info.Status == release.StatusPendingRollback || was && r.Info.Status == release.StatusSuperseded
	})
	for _, rel := range changed {
		description, was := failed[rel.Version]
		if !was {
			description = why.Error()
		}
		rel.SetStatus(release.StatusFailed, description)
		err = errors.Join(err, j.Records.Update(key(rel.Name, rel.Version), rel))
	}
	return err
}
