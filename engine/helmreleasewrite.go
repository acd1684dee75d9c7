package engine

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/helmrel"
)

// A pass over a release writes its status once, at its end, as what stands in it can be
// told from Helm's records if that is lost: an action that nobody noted is known again
// by the mark in its record (helmrel.Adopt). It is written before that where another
// action follows, which goes by what the one before counted as, and where an action
// lasts.

// saveReleaseFinalizers writes the finalizers, see savedFinalizers.
func (e *Engine) saveReleaseFinalizers(ctx context.Context, p *releasePass) error {
	object, err := savedFinalizers(ctx, e.client, p.object)
	if err != nil {
		return err
	}
	p.object = object
	p.unit.wrote(object)
	return nil
}

// saveRelease writes what differs of a status.
func (e *Engine) saveRelease(ctx context.Context, p *releasePass, next helmv2.HelmReleaseStatus) error {
	object, err := e.savedRelease(ctx, p.object, next)
	if err != nil {
		return err
	}
	p.stored(object, next)
	return nil
}

// savedRelease is the object with another status, as the API server has it then.
func (e *Engine) savedRelease(ctx context.Context, hr *helmv2.HelmRelease, next helmv2.HelmReleaseStatus) (*helmv2.HelmRelease, error) {
	patch, err := statusPatch(hr, hr.Status, next)
	if err != nil || patch == nil {
		return hr, err
	}
	return savedStatus(ctx, e.client, hr, patch)
}

// stored notes that the status is on the API server now.
func (p *releasePass) stored(object *helmv2.HelmRelease, status helmv2.HelmReleaseStatus) {
	p.object, p.status, p.owed = object, status, false
	p.unit.wrote(object)
}

// settleUp writes what actions came to that the status does not say yet, and tells of
// it. It does so as well for a pass that is stopped: what was done has to be known.
func (e *Engine) settleUp(ctx context.Context, p *releasePass) error {
	if !p.owed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := e.saveRelease(ctx, p, p.status); err != nil {
		return fail(meta.FailedReason, Retry, err)
	}
	e.tell(p)
	return nil
}

// tell sends the events of the actions that the status tells of.
func (e *Engine) tell(p *releasePass) {
	for _, event := range p.told[p.heard:] {
		e.announceRelease(p, event.Warning, event.Reason, event.Message)
	}
	p.heard = len(p.told)
}

// lasting is how long an action is under way before the status says so. Helm's actions
// are a dozen requests one after the other and a wait for the cluster's controllers: on
// a busy cluster seconds, and then each write more makes that longer for all.
const lasting = 3 * time.Second

// progress has the status say which action is under way, once that lasts. end has to be
// called behind the action.
func (e *Engine) progress(ctx context.Context, p *releasePass, step helmrel.Step) (end func()) {
	hr, status := p.object, *p.status.DeepCopy()
	progressing(&status, p, step)
	over, done := make(chan struct{}), make(chan struct{})
	var object *helmv2.HelmRelease
	var err error
	go func() {
		defer close(done)
		lasts := time.NewTimer(lasting)
		defer lasts.Stop()
		select {
		case <-over:
		case <-ctx.Done():
		case <-lasts.C:
			object, err = e.savedRelease(ctx, hr, status)
		}
	}()
	return func() {
		close(over)
		<-done
		switch {
		case err != nil: // perhaps it was written all the same: the next write says all of it
			p.object = p.object.DeepCopy()
			p.object.Status.Conditions = nil
		case object != nil:
			p.stored(object, status)
		}
	}
}

// reportRelease writes the status at the end of a pass and tells who waits.
func (e *Engine) reportRelease(ctx context.Context, p *releasePass, out Outcome) (reconcile.Result, error) {
	now := e.now()
	if quiet := p.unit.quietUntil(out, now); now.Before(quiet) {
		p.unit.ended(p, out, now, e.verifyAt())
		e.observe(releaseProgress(p, out))
		return reconcile.Result{RequeueAfter: quiet.Sub(now)}, nil
	}
	was := p.object.Status
	if err := e.saveRelease(ctx, p, releaseStatus(p, out)); err != nil {
		return reconcile.Result{}, ignoreGone(err)
	}
	e.tell(p)
	if newDrift(was, p) {
		e.announceRelease(p, true, helmv2.DriftDetectedReason, clip(p.drift))
	}
	wait := p.unit.ended(p, out, e.now(), e.verifyAt())
	if ready := readyOf(was.Conditions); !out.Ready() && (ready == nil || ready.Reason != out.Reason || ready.Message != clip(out.Message)) && len(p.told) == 0 {
		e.announceRelease(p, out.Next != Wait, out.Reason, out.Message)
	}
	e.observe(releaseProgress(p, out))
	e.releases.alarm.wake(e.releases.graph.Dependants(p.unit.name)...)
	return reconcile.Result{RequeueAfter: wait}, nil
}

func releaseProgress(p *releasePass, out Outcome) Progress {
	return Progress{
		Kind: helmv2.HelmReleaseKind, Name: p.unit.name, Outcome: out, Attempts: p.unit.attempts(), Objects: p.objects(),
		Source: p.source.String(), SourceRevision: p.snapshot.Revision,
	}
}

// announceRelease sends an event, with what the release is made of.
func (e *Engine) announceRelease(p *releasePass, warning bool, reason, message string) {
	annotations := map[string]string{}
	if p.wish.Chart.Version != "" {
		annotations[helmv2.RevisionEventKey] = p.wish.Chart.Version
		annotations[helmv2.TokenEventKey] = p.wish.ConfigDigest
		annotations[helmv2.AppVersionEventKey] = p.wish.Chart.AppVersion
	}
	if p.wish.Chart.Digest != "" {
		annotations[helmv2.OCIDigestEventKey] = p.wish.Chart.Digest
	}
	e.events.tell(p.object, helmv2.GroupVersion.String(), helmv2.HelmReleaseKind, warning, reason, message, annotations, e.now())
	e.log.Info(message, "kind", helmv2.HelmReleaseKind, "namespace", p.unit.name.Namespace, "name", p.unit.name.Name, "reason", reason)
}
