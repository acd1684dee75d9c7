package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/source"
)

// sources keeps the snapshots of one kind of source current. Its workers are not
// those of the units: a slow server holds up nobody else.
type sources struct {
	*Engine
	kind fetch.Kind
}

// Reconcile looks at one source and puts what it finds into use.
func (e sources) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	name := sourceName{Kind: e.kind.GVK().Kind, NamespacedName: r.NamespacedName}
	cached, done, err := e.enter(ctx, objectName(name), func() client.Object { return e.kind.New() })
	switch {
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, e.forgetSource(ctx, name)
	case err != nil:
		return reconcile.Result{}, err
	}
	obj, _ := cached.DeepCopyObject().(fetch.Object)
	if done == nil {
		return e.attendSource(ctx, name, obj)
	}
	defer done()
	if obj.GetDeletionTimestamp() != nil {
		return reconcile.Result{}, e.release(ctx, obj)
	}
	e.restore(ctx, name, obj)
	if obj.IsSuspended() {
		e.observe(Progress{Kind: name.Kind, Name: name.NamespacedName, Suspended: true})
		return reconcile.Result{}, nil
	}
	was, _ := obj.DeepCopyObject().(fetch.Object) // a fetch notes in the status what it found
	limited, cancel := context.WithTimeout(ctx, obj.GetTimeout())
	reader := e.sourceReader(name)
	snapshot, err := e.fetch(limited, name, obj, reader)
	cancel()
	if ctx.Err() != nil {
		return reconcile.Result{}, nil //nolint:nilerr // we are stopping; the next start fetches again
	}
	failpoint.Hit("source.fetched")
	if err := reader.done(); err != nil {
		return reconcile.Result{}, err
	}
	return e.reportSource(ctx, name, was, obj, snapshot, err)
}

// forgetSource drops what is known of a source that is no more.
func (e *Engine) forgetSource(ctx context.Context, name sourceName) error {
	e.snapshots.forget(name)
	e.retries.forget(name)
	e.observe(Progress{Kind: name.Kind, Name: name.NamespacedName, Gone: true})
	e.wakeUsers(name)
	e.Sources.Forget(name.Kind, name.NamespacedName)
	if e.Artifacts != nil {
		e.Artifacts.Withdraw(artifactFolder(name))
	}
	e.tidy(ctx)
	return e.sourceReader(name).done()
}

// release lets go of a source that is being deleted: other controllers of this
// API put a finalizer there, we don't need one.
func (e *Engine) release(ctx context.Context, obj fetch.Object) error {
	if !controllerutil.RemoveFinalizer(obj, meta.Finalizer) {
		return nil
	}
	_, err := savedFinalizers(ctx, e.client, obj)
	return ignoreGone(err)
}

// restore puts the last good snapshot back into use after a restart, from disk
// and without the network. What a changed spec means has to be fetched, unless nobody
// is to look.
func (e sources) restore(ctx context.Context, name sourceName, obj fetch.Object) {
	if _, ok := e.snapshots.get(name); ok {
		return
	}
	snapshot := source.Snapshot{}
	if obj.GetArtifact() != nil && (obj.GetObservedGeneration() == obj.GetGeneration() || obj.IsSuspended()) {
		if s, err := e.kind.Open(ctx, e.sourceReader(name), obj); err == nil {
			snapshot = s
		}
	}
	e.offer(ctx, name, snapshot)
	changed := e.snapshots.set(name, snapshot)
	e.snapshots.fetched(name, fetchedFor(obj))
	if changed {
		e.wakeUsers(name)
	}
}

// fetch brings the newest snapshot. A source that became empty is not used
// without consent: everything built from it would be pruned.
func (e sources) fetch(ctx context.Context, name sourceName, obj fetch.Object, reader *sourceReader) (source.Snapshot, error) {
	last, _ := e.snapshots.get(name)
	snapshot, err := e.kind.Fetch(ctx, reader, obj, last)
	if err != nil || snapshot.Tree == nil {
		return snapshot, err
	}
	entries, err := snapshot.Tree.List(".")
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("read the fetched tree: %w", err)
	}
	if len(entries) == 0 && last.Tree != nil && !consents(obj.GetAnnotations(), snapshot.Revision) {
		return source.Snapshot{}, &fetch.Error{Reason: sourcev1.EmptySourceReason, Err: fmt.Errorf(
			"revision %s has no files: revision %s stays in use; if that is meant, set the annotation %s to \"true\" or %q",
			snapshot.Revision, last.Revision, meta.ConsentAnnotation, snapshot.Revision)}
	}
	return snapshot, nil
}

// reportSource puts a snapshot into use, writes the status and tells who waits.
// was is the object as it was before.
func (e sources) reportSource(ctx context.Context, name sourceName, was, obj fetch.Object, snapshot source.Snapshot, err error) (reconcile.Result, error) {
	if err == nil {
		err = e.store(ctx, name, obj, snapshot)
	}
	out := sourceOutcome(e.kind, obj, snapshot, err)
	describe(obj, out, snapshot.Verified, err)
	if err := e.saveSource(ctx, was, obj); err != nil {
		return reconcile.Result{}, ignoreGone(err)
	}
	// The status comes first: units may name this revision in theirs.
	if out.Ready() {
		changed := e.snapshots.set(name, snapshot)
		e.snapshots.fetched(name, obj.GetGeneration()) // behind it: nobody may take the former one for this
		if changed || fetchedFor(was) != obj.GetGeneration() {
			e.wakeUsers(name)
			e.tidy(ctx)
		}
	}
	e.announceSource(name, was, obj, out)
	wait := time.Duration(0)
	if out.Next == Retry || out.Next == Wait {
		wait = e.retries.next(name, obj.GetInterval())
	}
	e.observe(Progress{Kind: name.Kind, Name: name.NamespacedName, Outcome: out, Attempts: e.retries.count(name)})
	if out.Ready() {
		e.retries.forget(name)
		return reconcile.Result{RequeueAfter: jittered(obj.GetInterval())}, nil
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

// saveSource writes what differs of a status.
func (e *Engine) saveSource(ctx context.Context, was, obj fetch.Object) error {
	old, err := statusIn(was)
	if err != nil {
		return err
	}
	next, err := statusIn(obj)
	if err != nil {
		return err
	}
	patch, err := statusPatch(was, old, next)
	if err != nil || patch == nil {
		return err
	}
	_, err = savedStatus(ctx, e.client, was, patch)
	return err
}

// sourceOutcome turns the end of a fetch into words.
func sourceOutcome(kind fetch.Kind, obj fetch.Object, snapshot source.Snapshot, err error) Outcome {
	if err == nil {
		reason, message := kind.Succeeded(obj, snapshot)
		return Outcome{Reason: reason, Revision: snapshot.Revision, Message: message}
	}
	out := Outcome{Reason: fetch.Reason(err, kind.Failure()), Message: err.Error(), Next: Retry}
	var absent *missing
	var later *fetch.Error
	switch {
	case errors.As(err, &absent):
		out.Next, out.On = Wait, []string{absent.key.String()}
	case errors.As(err, &later) && later.On != "":
		out.Next, out.On = Wait, []string{later.On}
	case fetch.Final(err):
		out.Next = Stall
	}
	return out
}
