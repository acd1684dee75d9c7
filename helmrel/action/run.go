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
	"time"

	helmaction "helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/kube"

	"helm.sh/helm/v3/pkg/release"
	helmstorage "helm.sh/helm/v3/pkg/storage"

	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/helmrel/postrender"
	"github.com/plumb-gitops/plumb/helmrel/storage"
)

// Job is what a step is taken with.
type Job struct {
	Wish         helmrel.Wish
	Chart        *chart.Chart // the job's own copy; install and upgrade only
	Values       map[string]any
	Client       kube.Interface // of this action; it ends with the context of Run
	Getter       helmaction.RESTClientGetter
	Capabilities *chartutil.Capabilities
	Records      *storage.Driver                                                  // of the step's target
	PostRenderer *postrender.Renderer                                             // nil for none
	Definitions  func(files [][]byte, policy string, timeout time.Duration) error // brings the chart's definitions to the cluster
	Timeout      time.Duration                                                    // of each operation, where the action has none of its own
	MaxHistory   int
	ServerSide   bool // as helmrel.AppliesServerSide says, and as Client does it
}

// Run takes a step. Steps that touch nothing are none of its business.
func Run(ctx context.Context, step helmrel.Step, job Job) helmrel.Outcome {
	begun, before := time.Now(), job.newest()
	outcome := helmrel.Outcome{Step: step, Err: take(step, job)}
	outcome.Duration = time.Since(begun)
	outcome.Interrupted = outcome.Err != nil && ctx.Err() != nil
	if outcome.Interrupted {
		outcome.Err = errors.Join(outcome.Err, job.interrupted(before))
	}
	records, err := job.Records.Records()
	outcome.Records = records
	if outcome.Err == nil {
		outcome.Err = err
	}
	return outcome
}

func take(step helmrel.Step, job Job) error {
	job.Records.Method = helmrel.ClientSide
	if job.ServerSide {
		job.Records.Method = helmrel.ServerSide
	}
	job.Records.Finish = job.finish
	switch step.Action {
	case helmrel.Install:
		return job.install()
	case helmrel.Upgrade:
		return job.upgrade()
	case helmrel.Test:
		return job.test()
	case helmrel.Rollback:
		return job.rollback(step.Version)
	case helmrel.Uninstall, helmrel.RemediateUninstall:
		return job.uninstall(step.Target)
	case helmrel.Unlock:
		return job.unlock(step.Version)
	case helmrel.Promote:
		return job.promote(step.Version)
	case helmrel.Adopt:
		return nil // the status remembers it, see helmrel.Conclude
	}
	return fmt.Errorf("%q is no step of an action", step.Action)
}

// finish marks a new record as made for this wish. A rollback repeats an earlier
// record, and keeps the mark of that one.
func (j Job) finish(rel *release.Release) error {
	if rel.Info.Status == release.StatusPendingRollback {
		return nil
	}
	labels := map[string]string{helmrel.TokenLabel: j.Wish.Token()}
	for name, value := range rel.Labels {
		if name != helmrel.TokenLabel {
			labels[name] = value
		}
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
