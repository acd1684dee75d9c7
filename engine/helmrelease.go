package engine

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/live"
)

// helmReleases reconciles HelmReleases. A worker only gathers what a release is
// made from; its actions run beside the workers, and wake it at their end.
type helmReleases struct{ *Engine }

// Reconcile begins one pass over one HelmRelease.
func (e helmReleases) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	name := objectName{helmv2.HelmReleaseKind, r.NamespacedName}
	found, done, err := e.enter(ctx, name, func() client.Object { return &helmv2.HelmRelease{} })
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, e.forgetRelease(r.NamespacedName)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	cached, _ := found.(*helmv2.HelmRelease)
	if done == nil {
		e.attendRelease(cached)
		return reconcile.Result{}, nil
	}
	defer done()
	u := e.releases.getOrAdd(r.NamespacedName)
	p := &releasePass{unit: u, object: u.latest(cached).DeepCopy(), begun: e.now()}
	if u.busy(p.object) {
		return reconcile.Result{}, nil // its end wakes us
	}
	switch {
	case p.object.DeletionTimestamp != nil && !controllerutil.ContainsFinalizer(p.object, meta.Finalizer):
		return reconcile.Result{}, nil
	case p.object.DeletionTimestamp != nil && p.object.Spec.Suspend:
		return reconcile.Result{}, e.letGo(ctx, p) // what is suspended is left as it is
	case p.object.DeletionTimestamp == nil && p.object.Spec.Suspend:
		e.observe(Progress{Kind: helmv2.HelmReleaseKind, Name: u.name, Suspended: true})
		return reconcile.Result{}, nil
	case p.object.DeletionTimestamp == nil && controllerutil.AddFinalizer(p.object, meta.Finalizer):
		// Before the first write: from here on a deletion waits for us.
		if err := e.saveReleaseFinalizers(ctx, p); err != nil {
			return reconcile.Result{}, ignoreGone(err)
		}
	}
	e.releases.graph.Set(u.name, p.object.GetDependsOn()...)
	err = e.gatherRelease(ctx, p)
	if absent := new(missing); p.object.DeletionTimestamp != nil && errors.As(err, &absent) {
		return reconcile.Result{}, e.letGo(ctx, p) // no way to its cluster any more: or the deletion would never end
	}
	if err != nil {
		return e.reportRelease(ctx, p, releaseOutcome(p, err))
	}
	if wait, same := u.unchanged(p, e.now()); same {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	ended := e.share.hold(name)
	e.releases.begin(p, func(ctx context.Context) { e.work(ctx, p) }, ended)
	return reconcile.Result{}, nil
}

// forgetRelease drops what is known of a HelmRelease that is no more.
func (e *Engine) forgetRelease(name types.NamespacedName) error {
	e.releases.remove(name)
	e.observe(Progress{Kind: helmv2.HelmReleaseKind, Name: name, Gone: true})
	e.releases.alarm.wake(e.releases.graph.Dependants(name)...)
	if err := e.home.view.Follow(releaseInputs(name)); err != nil {
		return err
	}
	return e.connections.leave(releaseUser(name))
}

func releaseUser(name types.NamespacedName) live.User {
	return live.User{Kind: helmv2.HelmReleaseKind, NamespacedName: name}
}

// releaseInputs follows what a spec names, apart from what its actions follow.
func releaseInputs(name types.NamespacedName) live.User {
	return live.User{Kind: releaseInputsUser, NamespacedName: name}
}

const releaseInputsUser = helmv2.HelmReleaseKind + " inputs"

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

// saveRelease writes what differs of a status, see saveStatus.
func (e *Engine) saveRelease(ctx context.Context, p *releasePass, next helmv2.HelmReleaseStatus) error {
	patch, err := statusPatch(p.object, p.object.Status, next)
	if err != nil || patch == nil {
		return err
	}
	object, err := savedStatus(ctx, e.client, p.object, patch)
	if err != nil {
		return err
	}
	p.object = object
	p.unit.wrote(object)
	return nil
}

// reportRelease writes the status at the end of a pass and tells who waits.
func (e *Engine) reportRelease(ctx context.Context, p *releasePass, out Outcome) (reconcile.Result, error) {
	was := p.object.Status
	next := releaseStatus(p, out)
	if err := e.saveRelease(ctx, p, next); err != nil {
		return reconcile.Result{}, ignoreGone(err)
	}
	if newDrift(was, p) {
		e.announceRelease(p, true, helmv2.DriftDetectedReason, clip(p.drift))
	}
	wait := p.unit.ended(p, out, e.now(), e.verifyAt())
	if ready := readyOf(was.Conditions); !out.Ready() && (ready == nil || ready.Reason != out.Reason || ready.Message != clip(out.Message)) && len(p.told) == 0 {
		e.announceRelease(p, out.Next != Wait, out.Reason, out.Message)
	}
	e.observe(Progress{Kind: helmv2.HelmReleaseKind, Name: p.unit.name, Outcome: out, Attempts: p.unit.attempts(), Objects: p.objects(), Source: p.source.String(), SourceRevision: p.snapshot.Revision})
	e.releases.alarm.wake(e.releases.graph.Dependants(p.unit.name)...)
	return reconcile.Result{RequeueAfter: wait}, nil
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
	e.events.event(p.object, helmv2.GroupVersion.String(), helmv2.HelmReleaseKind, warning, reason, message, annotations, e.now())
	e.log.Info(message, "kind", helmv2.HelmReleaseKind, "namespace", p.unit.name.Namespace, "name", p.unit.name.Name, "reason", reason)
}

// releaseTimeout bounds what is done between the actions of a pass.
const releaseTimeout = time.Minute
