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
	p := newReleasePass(u, u.latest(cached).DeepCopy(), e.now())
	e.sourceUses.installsFrom(p.object)
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
	e.sourceUses.keep(objectName{helmv2.HelmReleaseKind, name})
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

// releaseTimeout bounds what is done between the actions of a pass.
const releaseTimeout = time.Minute
