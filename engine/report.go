package engine

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/internal/failpoint"
)

// patience is how long a unit waits before its status says so: what is over in
// a moment is not worth a write.
const patience = time.Second

// report is the only place that writes a unit's status and sends its events.
func (e *Engine) report(ctx context.Context, p *pass, out Outcome) (reconcile.Result, error) {
	now := e.now()
	p.unit.ended(p, out, now)
	if quiet := p.unit.quietUntil(out); now.Before(quiet) {
		e.observe(progressOf(p, out))
		return reconcile.Result{RequeueAfter: quiet.Sub(now)}, nil
	}
	was := p.object.Status
	var last Outcome
	p.inventory, out.Actions, last = p.unit.unreported()
	failpoint.Hit("status.write")
	next := statusOf(p.object, p, out)
	next.History = recorded(next.History, p.unit.attempted(out), p, out, now)
	if err := e.saveStatus(ctx, p, next); err != nil {
		return reconcile.Result{}, ignoreGone(err)
	}
	p.unit.reported(out)
	e.wakeJudges(p.unit.name)
	failpoint.Hit("status.written")
	if news(last, out) {
		e.announce(p, out)
	}
	e.observe(progressOf(p, out))
	if out.Ready() && (!last.Ready() || last.Reason == "" || was.LastAppliedRevision != p.object.Status.LastAppliedRevision || was.ObservedGeneration != p.object.Generation) {
		e.wakeUnits(e.graph.Dependants(p.unit.name)...)
	}
	return reconcile.Result{RequeueAfter: p.unit.due(e.now())}, nil
}

// news tells whether an outcome is worth an event: something was done, or what
// users would be told has changed. That a commit elsewhere moved the revision is
// not.
func news(last, out Outcome) bool {
	if len(out.Actions) > 0 {
		return true
	}
	if out.Ready() {
		return !last.Ready() && last.Reason != ""
	}
	return last.Reason != out.Reason || last.Message != out.Message
}

// quietUntil is until when a waiting unit keeps its status as it is.
func (u *unit) quietUntil(out Outcome) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	brief := out.Reason == meta.ProgressingReason || out.Reason == kustomizev1.DependencyNotReadyReason || out.Reason == kustomizev1.ArtifactFailedReason
	if out.Next != Wait || !brief {
		return time.Time{}
	}
	return u.parked.Add(patience)
}

// due is in how long the unit has to be looked at by the clock; zero for never.
// A moment that has passed meanwhile is due now.
func (u *unit) due(now time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	var next time.Time
	switch {
	case u.out.Next == Retry:
		next = u.retryAt
	case u.out.Health:
		next = u.deadline
	case u.out.Ready() || u.verifyAt.After(now):
		next = u.verifyAt
	}
	if next.IsZero() {
		return 0
	}
	return max(next.Sub(now), time.Millisecond)
}

func progressOf(p *pass, out Outcome) Progress {
	p.unit.mu.Lock()
	defer p.unit.mu.Unlock()
	out.Actions = p.actions
	return Progress{
		Kind: kustomizev1.KustomizationKind, Name: p.unit.name, Source: sourceOf(p.object).String(),
		Outcome: out, Attempts: p.unit.failures, Objects: len(p.unit.keys),
	}
}
