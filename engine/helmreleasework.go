package engine

import (
	"context"
	"errors"
	"time"

	"helm.sh/helm/v3/pkg/release"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/helmrel/action"
	helmclient "github.com/plumb-gitops/plumb/helmrel/client"
	"github.com/plumb-gitops/plumb/helmrel/postrender"
	"github.com/plumb-gitops/plumb/helmrel/storage"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/prune"
)

// work takes steps until nothing is left to do, then reports. It runs beside the
// workers. When it is ended from outside, the action under way notes that in its
// record, and the next pass goes on from there.
func (e *Engine) work(ctx context.Context, p *releasePass) {
	out, err := e.steps(ctx, p)
	if err != nil {
		out = releaseOutcome(p, err)
	}
	e.keepRecords(p)
	if ctx.Err() != nil { // the next pass, or the next start, goes on
		if err := e.settleUp(ctx, p); err != nil {
			e.log.Error(err, "the status could not be written", "kind", helmv2.HelmReleaseKind, "namespace", p.unit.name.Namespace, "name", p.unit.name.Name)
		}
		return
	}
	result, err := e.reportRelease(ctx, p, out)
	if err == nil && p.object.DeletionTimestamp != nil && out.Ready() {
		err = e.letGo(ctx, p)
	}
	if err != nil {
		e.log.Error(err, "the status could not be written", "kind", helmv2.HelmReleaseKind, "namespace", p.unit.name.Namespace, "name", p.unit.name.Name)
		e.releases.alarm.wakeAfter(time.Second, p.unit.name)
		return
	}
	if result.RequeueAfter > 0 {
		e.releases.alarm.wakeAfter(result.RequeueAfter, p.unit.name)
	}
}

// letGo removes the HelmChart and then the finalizer of a release that is gone.
func (e *Engine) letGo(ctx context.Context, p *releasePass) error {
	if err := e.dropCharts(ctx, p, ""); err != nil {
		return err
	}
	controllerutil.RemoveFinalizer(p.object, meta.Finalizer)
	return ignoreGone(e.saveReleaseFinalizers(ctx, p))
}

// mostSteps bounds a pass: each step leads to another state, so that more of them
// than an upgrade with all its remediation takes are a mistake of ours.
const mostSteps = 20

// steps asks what to do and does it, until there is nothing more.
func (e *Engine) steps(ctx context.Context, p *releasePass) (Outcome, error) {
	for range mostSteps {
		step, found, err := e.next(ctx, p)
		if err != nil {
			return Outcome{}, err
		}
		if e.DryRun && step.Action != helmrel.None {
			return e.foreseeRelease(ctx, p, step, found)
		}
		switch {
		case step.Action == helmrel.None:
			return e.settledRelease(p, found), nil
		case step.Action == helmrel.Stall:
			return unsettled(p, step, exhausted(p)), nil
		case step.Action == helmrel.Wait:
			p.after = step.After
			return unsettled(p, step, Retry), nil
		case step.Retry && p.tried != nil, p.failedAt(step):
			return unsettled(p, step, Retry), nil
		}
		if err := e.take(ctx, p, step, found); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{}, fail(meta.FailedReason, Retry, errors.New("the release does not come to rest"))
}

// failedAt tells whether a step was taken just before, and failed: it is left for later.
func (p *releasePass) failedAt(step helmrel.Step) bool {
	return p.tried != nil && p.tried.Err != nil && p.tried.Step.Action == step.Action && p.tried.Step.Version == step.Version && p.tried.Step.Target == step.Target
}

// found is what a look at a release gives.
type found struct {
	records []helmrel.Record
	driver  *storage.Driver
	drift   *helmclient.Drift
	client  *helmclient.Client
}

// next looks at what is true and decides.
func (e *Engine) next(ctx context.Context, p *releasePass) (helmrel.Step, *found, error) {
	p.wish.Anew = kindCame(p)
	f, err := e.recordsNow(ctx, p, helmrel.Reads(p.wish, p.status))
	if err != nil {
		return helmrel.Step{}, nil, fail(meta.FailedReason, Retry, err)
	}
	state := helmrel.State{Wish: p.wish, Records: f.records, Status: p.status, Now: e.now()}
	if len(f.records) > 0 && f.records[0].Status == release.StatusFailed {
		state.Healthy = e.releaseHealthy(p)
	}
	step := helmrel.Decide(state)
	if step.Action != helmrel.None || p.wish.Deleting || !detects(p.unit.detection(p.object)) || len(f.records) == 0 {
		return step, f, nil
	}
	if err := e.look(ctx, p, f); err != nil {
		return step, nil, err
	}
	for _, c := range f.drift.Changes() {
		state.Drift = append(state.Drift, c.Key.String())
	}
	return helmrel.Decide(state), f, nil
}

// detection is what becomes of drift: what the spec says, else what the engine does
// by default.
func (u *releaseUnit) detection(hr *helmv2.HelmRelease) *helmv2.DriftDetection {
	if d := hr.Spec.DriftDetection; d != nil || !u.corrects {
		return d
	}
	return &helmv2.DriftDetection{Mode: helmv2.DriftDetectionEnabled}
}

func detects(d *helmv2.DriftDetection) bool {
	return d != nil && (d.Mode == helmv2.DriftDetectionEnabled || d.Mode == helmv2.DriftDetectionWarn)
}

// look compares the objects of the newest record with the cluster.
func (e *Engine) look(ctx context.Context, p *releasePass, f *found) error {
	detection := p.unit.detection(p.object)
	ignore, err := drift.CompileIgnores(ignoreRules(detection.Ignore))
	if err != nil {
		return fail(meta.FailedReason, Stall, prefixed("spec.driftDetection.", err))
	}
	f.client = e.releaseClient(ctx, p, helmrel.CorrectDrift, f.records)
	if f.drift, err = f.client.Drift(f.records[0].Manifest, ignore); err != nil {
		return fail(helmv2.DriftDetectedReason, Retry, errors.Join(err, f.client.Close()))
	}
	p.unit.learn(f.drift.Known())
	p.looked, p.drift = true, f.drift.String()
	if detection.Mode == helmv2.DriftDetectionWarn {
		e.logDrift(p, f.drift, false)
	}
	return nil
}

// logDrift keeps what others changed for those who ask, and whether it was put back.
func (e *Engine) logDrift(p *releasePass, found *helmclient.Drift, corrected bool) {
	now := e.now()
	for _, c := range found.Changes() {
		e.Drift.Add(drift.Report{Kind: helmv2.HelmReleaseKind, Unit: p.unit.name.String(), Object: c.Key.String(), Time: now, Corrected: corrected, Fields: c.Fields})
	}
}

func (e *Engine) releaseClient(ctx context.Context, p *releasePass, a helmrel.Action, records []helmrel.Record) *helmclient.Client {
	spec := p.object.Spec
	return helmclient.New(ctx, helmclient.Options{
		Cluster: p.cluster, View: p.connection.view, Owner: releaseUser(p.unit.name), Exists: e.known,
		Release: p.recordsOf.Name, Namespace: p.recordsOf.Namespace, // of the former one, while that is uninstalled
		ServerSide:       helmrel.AppliesServerSide(p.wish, a, records),
		Force:            a == helmrel.Upgrade && spec.Upgrade != nil && spec.Upgrade.Force || a == helmrel.Rollback && spec.Rollback != nil && spec.Rollback.Force,
		CreatesNamespace: spec.Install != nil && spec.Install.CreateNamespace,
		Manifests:        &p.manifests,
		Former:           helmrel.Remaining(records).Manifests,
		Known:            p.unit.written(), Checks: p.checks,
		Waits:  p.leave,
		Legacy: spec.WaitStrategy != nil && spec.WaitStrategy.Name == "legacy",
	})
}

// take takes one step, after what the steps before came to is stored: it goes by that.
func (e *Engine) take(ctx context.Context, p *releasePass, step helmrel.Step, f *found) error {
	if err := e.settleUp(ctx, p); err != nil {
		return err
	}
	failpoint.Hit("release." + string(step.Action))
	helmrel.Begin(&p.status, p.wish, step)
	// A crash behind this leaves the name of a release that perhaps has no record: then it
	// is forgotten when another one is wished for (helmrel.Forget).
	if err := e.begun(ctx, p); err != nil {
		return err
	}
	if step.Action == helmrel.Install || step.Action == helmrel.Upgrade {
		p.unit.act()
	}
	end := e.progress(ctx, p, step)
	o, err := e.act(ctx, p, step, f)
	end()
	if err != nil {
		return err
	}
	if step.Tries() {
		p.tried = &o
	}
	failpoint.Hit("release.acted")
	p.told = append(p.told, helmrel.Conclude(&p.status, p.wish, o, e.now())...)
	p.owed = true
	if o.Err != nil {
		p.records = nil
	}
	if o.Interrupted {
		return errors.Join(fail(meta.ProgressingReason, Retry, o.Err), e.settleUp(ctx, p))
	}
	return nil
}

// begun stores the name of a release before its first record is, once.
func (e *Engine) begun(ctx context.Context, p *releasePass) error {
	was, now := p.object.Status.Begun, p.status.Begun
	if now == nil || was != nil && *was == *now {
		return nil
	}
	if err := e.saveRelease(ctx, p, p.status); err != nil {
		return fail(meta.FailedReason, Retry, err)
	}
	return nil
}

// act runs an action of Helm.
func (e *Engine) act(ctx context.Context, p *releasePass, step helmrel.Step, f *found) (helmrel.Outcome, error) {
	if step.Action == helmrel.CorrectDrift {
		err := f.drift.Correct()
		e.logDrift(p, f.drift, err == nil)
		e.keepChanges(p, f.client)
		return helmrel.Outcome{Step: step, Records: f.records, Err: errors.Join(err, f.client.Close())}, nil
	}
	c := e.releaseClient(ctx, p, step.Action, f.records)
	job, leave, err := e.releaseJob(ctx, p, step, f, c)
	if err != nil {
		return helmrel.Outcome{}, err
	}
	defer leave()
	o := action.Run(ctx, step, job)
	e.releases.noteRecords(p.unit, step.Target, f.driver.Versions())
	e.keepChanges(p, c)
	if err := c.Close(); err != nil {
		e.log.Error(err, "an action's watches could not be ended", "name", p.unit.name.String())
	}
	return o, nil
}

// releaseJob is what a step is taken with. leave is to be called when it is done: until
// then its rendering has a share of the memory.
func (e *Engine) releaseJob(ctx context.Context, p *releasePass, step helmrel.Step, f *found, c *helmclient.Client) (job action.Job, leave func(), err error) {
	capabilities, err := helmclient.Capabilities(p.cluster)
	if err != nil {
		return job, nil, fail(meta.FailedReason, Retry, err)
	}
	job = action.Job{
		Wish: p.wish, Values: p.values, Client: c, Getter: helmclient.Getter{Cluster: p.cluster, Namespace: p.recordsOf.Namespace},
		Capabilities: capabilities, Records: f.driver, Definitions: c.Definitions,
		Timeout: p.object.GetTimeout(), MaxHistory: p.object.GetMaxHistory(), ServerSide: c.ServerSide,
	}
	if p.chart == nil || step.Action != helmrel.Install && step.Action != helmrel.Upgrade {
		return job, func() {}, nil
	}
	if leave, err = e.Heavy.Admit(ctx, p.chart.Estimate(len(asJSON(p.values)))); err != nil {
		return job, nil, fail(meta.ProgressingReason, Retry, err)
	}
	job.Chart, job.PostRenderer = p.copyOfChart(), postrender.New(ctx, p.object)
	return job, leave, nil
}

// keepChanges notes what an action did to the objects.
func (e *Engine) keepChanges(p *releasePass, c *helmclient.Client) {
	p.note(c.Changes(), e.now())
	p.unit.learn(c.Written())
}

// releaseHealthy tells whether all objects of the inventory are healthy.
func (e *Engine) releaseHealthy(p *releasePass) bool {
	inventory, err := prune.Load(p.status.Inventory)
	if err != nil || len(inventory) == 0 {
		return false
	}
	for _, key := range inventory {
		r, ok := p.connection.view.Get(helmv2.HelmReleaseKind, key)
		if !ok && key.GVK() == definitionsKind.GroupVersionKind() {
			continue // of the folder crds: the release does not own it
		}
		if !ok || r.Deleting || r.Health.Status != health.Current {
			return false
		}
	}
	return true
}
