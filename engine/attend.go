package engine

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/source"
)

// What another engine works on (shards.go) is only looked at: our units may depend on
// it, or build from it. Nothing is written.

// attendUnit takes note of somebody else's Kustomization.
func (e *Engine) attendUnit(k *kustomizev1.Kustomization) {
	name := client.ObjectKeyFromObject(k)
	e.units.remove(name) // it may have been ours
	e.sourceUses.buildsFrom(e.units.getOrAdd(name).latest(k))
	if e.graph.Set(name, k.GetDependsOn()...) {
		e.wakeCycles(name)
	}
	e.wakeUnits(e.graph.Dependants(name)...)
}

// attendRelease takes note of somebody else's HelmRelease.
func (e *Engine) attendRelease(hr *helmv2.HelmRelease) {
	name := client.ObjectKeyFromObject(hr)
	e.stopWork(objectName{helmv2.HelmReleaseKind, name}) // it may have been ours until its label changed
	e.releases.drop(name)
	e.sourceUses.installsFrom(e.releases.getOrAdd(name).latest(hr))
	e.releases.graph.Set(name, hr.GetDependsOn()...)
	e.releases.alarm.wake(e.releases.graph.Dependants(name)...)
}

// attendSource fetches somebody else's source for our own units, once its owner has
// found something new. That another engine may find a newer revision yet does no harm:
// its status says so in a moment.
func (e sources) attendSource(ctx context.Context, name sourceName, obj fetch.Object) (reconcile.Result, error) {
	published := obj.GetArtifact()
	last, fetched := e.snapshots.get(name)
	if !e.snapshots.known(name) {
		e.snapshots.add(name)
		e.wakeUsers(name)
	}
	current := published == nil || fetched && last.Revision == published.Revision && last.Digest == published.Digest
	if current || obj.GetDeletionTimestamp() != nil || !e.used(name, map[sourceName]bool{}) {
		return reconcile.Result{}, nil
	}
	limited, cancel := context.WithTimeout(ctx, obj.GetTimeout())
	reader := e.sourceReader(name)
	snapshot, err := e.attended(limited, obj, reader, name)
	cancel()
	if ctx.Err() != nil {
		return reconcile.Result{}, nil //nolint:nilerr // we are stopping; the next start fetches again
	}
	if done := reader.done(); done != nil {
		return reconcile.Result{}, done
	}
	if err != nil {
		e.log.Info("cannot fetch the source of another engine: "+err.Error(), "kind", name.Kind, "namespace", name.Namespace, "name", name.Name)
		return reconcile.Result{RequeueAfter: e.retries.next(name, obj.GetInterval())}, nil
	}
	e.retries.forget(name)
	if snapshot.Tree != nil && e.snapshots.set(name, snapshot) {
		e.wakeUsers(name)
		e.tidy(ctx)
	}
	return reconcile.Result{}, nil
}

// attended is the newest snapshot of somebody else's source; of a suspended one, what is
// there.
func (e sources) attended(ctx context.Context, obj fetch.Object, reader *sourceReader, name sourceName) (source.Snapshot, error) {
	if obj.IsSuspended() {
		return e.kind.Open(ctx, reader, obj)
	}
	return e.fetch(ctx, name, obj, reader)
}

// atRevision tells whether a Kustomization is at the revision of its source, as far as we
// have that source, or else as its status says.
func (e *Engine) atRevision(k *kustomizev1.Kustomization) bool {
	name := sourceOf(k)
	if snapshot, ok := e.snapshots.get(name); ok || e.share == nil {
		return ok && k.Status.LastAppliedRevision == snapshot.Revision
	}
	obj := e.sourceObject(name)
	return obj != nil && obj.GetArtifact() != nil && k.Status.LastAppliedRevision == obj.GetArtifact().Revision
}

// sourceObject is a source as the cache has it, nil where there is none.
func (e *Engine) sourceObject(name sourceName) fetch.Object {
	for _, kind := range e.Sources.Kinds {
		if kind.GVK().Kind != name.Kind {
			continue
		}
		obj := kind.New()
		if err := e.client.Get(context.Background(), name.NamespacedName, obj); err == nil { // from memory
			return obj
		}
	}
	return nil
}

// used tells whether one of our units builds from a source, or a source does that one of
// our units builds from.
func (e *Engine) used(name sourceName, seen map[sourceName]bool) bool {
	seen[name] = true
	for _, user := range e.sourceUses.of(name) {
		if source := sourceName(user); !seen[source] && (e.share.has(user) || e.used(source, seen)) {
			return true
		}
	}
	return false
}

// lacking takes note that a snapshot of a source is needed which is not there: one of
// another engine is fetched for that.
func (e *Engine) lacking(name sourceName) {
	if e.share != nil {
		e.wakeSource(name)
	}
}
