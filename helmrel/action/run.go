// Package action takes the steps that package helmrel decides on: the Helm SDK's
// actions, on a kube client and a storage that the caller hands in. It decides
// nothing.
//
// An action that is ended from outside, by the end of its client's context, ends
// with its record saying so. One whose process dies leaves a record that says
// pending, which the next Decide unlocks.
package action

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	helmaction "helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/kube"

	"helm.sh/helm/v3/pkg/release"
	helmstorage "helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"

	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/helmrel/postrender"
	"github.com/plumb-gitops/plumb/helmrel/storage"
)

// Job is what a step is taken with.
type Job struct {
	Wish         helmrel.Wish
	Chart        *chart.Chart // the job's own copy; install and upgrade only
	Values       map[string]any
	Client       Client // of this action; it ends with the context of Run
	Getter       helmaction.RESTClientGetter
	Capabilities *chartutil.Capabilities
	Records      *storage.Driver                                                  // of the step's target
	PostRenderer *postrender.Renderer                                             // nil for none
	Definitions  func(files [][]byte, policy string, timeout time.Duration) error // brings the chart's definitions to the cluster
	Timeout      time.Duration                                                    // of each operation, where the action has none of its own
	MaxHistory   int
	ServerSide   bool // as helmrel.AppliesServerSide says, and as Client does it
}

// Client is the way to the cluster.
type Client interface {
	kube.Interface
	kube.InterfaceExt
	// Leave removes what the records before brought and a manifest does not name.
	Leave(manifest string) (kube.ResourceList, error)
	// Refused is why objects could not be deleted.
	Refused() error
}

// Run takes a step. Steps that touch nothing are none of its business.
func Run(ctx context.Context, step helmrel.Step, job Job) helmrel.Outcome {
	begun := time.Now()
	before, err := job.Records.Records()
	if err != nil {
		return helmrel.Outcome{Step: step, Err: err}
	}
	if step.Done {
		return done(step, before)
	}
	outcome := helmrel.Outcome{Step: step, Err: take(step, job, before)}
	outcome.Duration = time.Since(begun)
	if overtaken(outcome.Err) {
		outcome.Interrupted = true
		outcome.Err = fmt.Errorf("somebody else is at work on release %s/%s, too: %w", step.Target.Namespace, step.Target.Name, outcome.Err)
	}
	if outcome.Err != nil && ctx.Err() != nil {
		outcome.Interrupted = true
		outcome.Err = errors.Join(outcome.Err, job.interrupted(top(before).Version))
	}
	outcome.Records, err = job.Records.Records()
	if outcome.Err == nil {
		outcome.Err = err
	}
	return outcome
}

// overtaken tells whether an action ended because somebody else wrote a record that it
// had read, or was to make. That is nobody's failure.
func overtaken(err error) bool {
	return errors.Is(err, driver.ErrReleaseExists) || errors.Is(err, storage.ErrOvertaken)
}

// done is what came of a step that somebody took before.
func done(step helmrel.Step, records []helmrel.Record) helmrel.Outcome {
	outcome := helmrel.Outcome{Step: step, Records: records}
	if newest := top(records); newest.Status == release.StatusFailed {
		outcome.Err = errors.New(newest.Description)
	}
	return outcome
}

func take(step helmrel.Step, job Job, before []helmrel.Record) error {
	job.Records.Method = helmrel.ClientSide
	if job.ServerSide {
		job.Records.Method = helmrel.ServerSide
	}
	job.Records.Finish = job.finish
	switch step.Action {
	case helmrel.Install:
		return job.install(before)
	case helmrel.Upgrade:
		return job.upgrade(before)
	case helmrel.Test:
		return job.test(before)
	case helmrel.Rollback:
		return job.rollback(step.Version, before)
	case helmrel.Uninstall, helmrel.RemediateUninstall:
		return job.uninstall(step.Target, before)
	case helmrel.Unlock:
		return job.unlock(step.Version)
	case helmrel.Promote:
		return job.promote(step.Version)
	case helmrel.Tidy:
		return job.supersede(step.Target.Name, step.Version)
	case helmrel.Adopt, helmrel.Forget:
		return nil // the status does it, see helmrel.Conclude
	}
	return fmt.Errorf("%q is no step of an action", step.Action)
}

// finish marks a new record as made for this wish. A rollback repeats an earlier
// record and keeps the mark of that one, beside the wish that it undoes.
func (j Job) finish(rel *release.Release) error {
	mark := helmrel.TokenLabel
	if rel.Info.Status == release.StatusPendingRollback {
		mark = helmrel.UndoesLabel
	}
	labels := map[string]string{}
	for name, value := range rel.Labels {
		if name != helmrel.UndoesLabel {
			labels[name] = value
		}
	}
	labels[mark] = j.Wish.Token()
	if mark == helmrel.TokenLabel {
		labels[helmrel.GenerationLabel] = strconv.FormatInt(j.Wish.Generation, 10)
	}
	rel.Labels = labels
	return nil
}

func (j Job) configuration() *helmaction.Configuration {
	releases := helmstorage.Init(j.Records)
	releases.MaxHistory = j.MaxHistory
	return &helmaction.Configuration{
		KubeClient: j.Client, RESTClientGetter: j.Getter, Releases: releases, Capabilities: j.Capabilities,
		Log: func(string, ...any) {},
	}
}
