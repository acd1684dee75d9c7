package engine

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/live"
)

// kustomizations reconciles units. Its queue never gives one unit to two
// workers.
type kustomizations struct{ *Engine }

// Reconcile runs one pass for one unit.
func (e kustomizations) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	name := objectName{kustomizev1.KustomizationKind, r.NamespacedName}
	found, done, err := e.enter(ctx, name, func() client.Object { return &kustomizev1.Kustomization{} })
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, e.forget(ctx, r)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	cached, _ := found.(*kustomizev1.Kustomization)
	if done == nil {
		e.attendUnit(cached)
		return reconcile.Result{}, nil
	}
	defer done()
	u := e.units.getOrAdd(r.NamespacedName)
	p := &pass{unit: u, object: u.latest(cached).DeepCopy(), begun: e.now()}
	e.sourceUses.buildsFrom(p.object)
	switch {
	case p.object.DeletionTimestamp != nil:
		return e.remove(ctx, p)
	case p.object.Spec.Suspend:
		e.rest(p)
		return reconcile.Result{}, nil
	case p.object.Status.Inventory != nil && controllerutil.AddFinalizer(p.object, meta.Finalizer):
		// Somebody took it off. A unit that has nothing yet gets it with its first claim.
		if err := e.saveFinalizers(ctx, p); err != nil {
			return reconcile.Result{}, ignoreGone(err)
		}
	}
	e.depend(p)
	e.wakeJudges(p.unit.name) // of labels, say, that changed
	return e.pass(ctx, p)
}

// pass runs the pipeline within the unit's timeout and reports how it ended.
func (e *Engine) pass(ctx context.Context, p *pass) (reconcile.Result, error) {
	limited, cancel := context.WithTimeout(ctx, p.object.GetTimeout())
	p.unit.works()
	p.err = inTime(limited, e.stages(limited, p))
	cancel()
	if p.unit.rested(p.target.seen()) {
		e.wakeUnits(p.unit.name)
	}
	if ctx.Err() != nil {
		return reconcile.Result{}, nil //nolint:nilerr // we are stopping; the next start goes on from here
	}
	if outdated := new(outdatedError); errors.As(p.err, &outdated) {
		return reconcile.Result{}, outdated
	}
	return e.report(ctx, p, outcome(p, p.err))
}

// outdatedError says that a unit was changed while a pass was under way that had written
// nothing yet: it has to be run again.
type outdatedError struct{ err error }

// Error implements error.
func (o *outdatedError) Error() string { return o.err.Error() }

// Unwrap gives the conflict.
func (o *outdatedError) Unwrap() error { return o.err }

// depend keeps the graph as the spec says.
func (e *Engine) depend(p *pass) {
	if e.graph.Set(p.unit.name, p.object.GetDependsOn()...) {
		e.wakeCycles(p.unit.name)
	}
}

// rest leaves a suspended unit as it is. It still counts for its dependants.
func (e *Engine) rest(p *pass) {
	e.depend(p)
	e.observe(Progress{Kind: kustomizev1.KustomizationKind, Name: p.unit.name, Suspended: true})
}

// remove takes a unit that is being deleted down, and its finalizer off.
func (e *Engine) remove(ctx context.Context, p *pass) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(p.object, meta.Finalizer) || e.DryRun {
		return reconcile.Result{}, nil
	}
	limited, cancel := context.WithTimeout(ctx, p.object.GetTimeout())
	err := inTime(limited, e.finalize(limited, p))
	cancel()
	if ctx.Err() != nil {
		return reconcile.Result{}, nil //nolint:nilerr // we are stopping; the next start goes on from here
	}
	if err != nil {
		return e.report(ctx, p, outcome(p, err))
	}
	// The objects are gone, or left on purpose. A crash before the next line
	// repeats the above, which finds nothing to do.
	failpoint.Hit("finalize.done")
	if err := e.dropInventory(ctx, p); err != nil {
		return reconcile.Result{}, ignoreGone(err)
	}
	failpoint.Hit("inventory.dropped")
	e.announce(p, Outcome{Actions: p.actions, Reason: kustomizev1.ReconciliationSucceededReason, Message: "Deleted"})
	controllerutil.RemoveFinalizer(p.object, meta.Finalizer)
	return reconcile.Result{}, ignoreGone(e.saveFinalizers(ctx, p))
}

// forget drops what is known of a unit that is no more.
func (e *Engine) forget(ctx context.Context, r reconcile.Request) (err error) {
	name := r.NamespacedName
	if u, ok := e.units.get(name); ok {
		err = e.forgetInventory(ctx, u)
	}
	err = errors.Join(err, e.forgetKnown(name))
	e.units.remove(name)
	e.sourceUses.keep(objectName{kustomizev1.KustomizationKind, name})
	e.graph.Delete(name)
	e.observe(Progress{Kind: kustomizev1.KustomizationKind, Name: name, Gone: true})
	e.wakeUnits(e.graph.Dependants(name)...)
	e.wakeCycles(name) // one that it was part of is open now
	inputs := live.User{Kind: inputsUser, NamespacedName: name}
	return errors.Join(err, e.connections.leave(live.User{Kind: kustomizev1.KustomizationKind, NamespacedName: name}), e.home.view.Follow(inputs))
}

// saveFinalizers writes the finalizers, see savedFinalizers.
func (e *Engine) saveFinalizers(ctx context.Context, p *pass) error {
	object, err := savedFinalizers(ctx, e.client, p.object)
	if err != nil {
		return err
	}
	p.object = object
	p.unit.wrote(object)
	return nil
}

// saveInventory stores the grown inventory before anything is written.
func (e *Engine) saveInventory(ctx context.Context, p *pass) error {
	return e.saveStatus(ctx, p, *p.object.Status.DeepCopy())
}

// saveStatus writes what differs of a status, and the inventory of the pass, where it
// has one. The UID makes sure that it goes to the object that the pass was about and
// not to a new one of the same name.
func (e *Engine) saveStatus(ctx context.Context, p *pass, next kustomizev1.KustomizationStatus) (err error) {
	if p.inventory != nil {
		if next.Inventory, err = e.storeInventory(ctx, p); err != nil {
			return err
		}
	}
	patch, err := patchOf(p.object, next)
	if err != nil || patch == nil {
		return err
	}
	object, err := savedStatus(ctx, e.client, p.object, patch)
	if err != nil {
		return err
	}
	p.object = object
	p.unit.wrote(object)
	if e.DryRun {
		return nil
	}
	if p.inventory != nil {
		e.inventories.put(object.UID, object.Status.Inventory, p.inventory)
	}
	return e.tidyInventory(ctx, object)
}

// ignoreGone drops the error that means the object was deleted meanwhile; the
// watch says so in a moment. A conflict is no such error: what changed the object
// may be something that wakes nobody, a label for example, so the pass has to be
// run again.
func ignoreGone(err error) error { return client.IgnoreNotFound(err) }

// verifyAt is when everything of a unit is looked at anew.
func (e *Engine) verifyAt() time.Time { return e.now().Add(jittered(e.VerifyInterval)) }
