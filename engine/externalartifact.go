package engine

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
)

// externalArtifacts brings what others announce in the status of an
// ExternalArtifact. That status is theirs: how our download went is in the log, in
// an event, and in what users of the artifact say.
type externalArtifacts struct{ *Engine }

// externalTimeout bounds one download; the kind has no field for it.
const externalTimeout = time.Minute

// Reconcile puts an artifact that is announced into use.
func (e externalArtifacts) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	name := sourceName{Kind: sourcev1.ExternalArtifactKind, NamespacedName: r.NamespacedName}
	obj := &sourcev1.ExternalArtifact{}
	err := e.client.Get(ctx, r.NamespacedName, obj)
	switch {
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, e.forgetSource(ctx, name)
	case err != nil:
		return reconcile.Result{}, err
	}
	if obj.Status.Artifact == nil {
		e.waitForOthers(name)
		return reconcile.Result{}, nil
	}
	limited, cancel := context.WithTimeout(ctx, externalTimeout)
	snapshot, err := e.Sources.External.Fetch(limited, *obj.Status.Artifact)
	cancel()
	if ctx.Err() != nil {
		return reconcile.Result{}, nil //nolint:nilerr // we are stopping; the next start fetches again
	}
	out := Outcome{Reason: meta.SucceededReason, Revision: snapshot.Revision}
	if err != nil {
		return e.failedArtifact(name, obj, err), nil
	}
	e.retries.forget(name)
	if e.snapshots.set(name, snapshot) {
		e.wakeUsers(name)
	}
	e.observe(Progress{Kind: name.Kind, Name: name.NamespacedName, Outcome: out})
	return reconcile.Result{}, nil
}

// waitForOthers notes that there is such an object, without an artifact yet.
func (e externalArtifacts) waitForOthers(name sourceName) {
	if !e.snapshots.known(name) {
		e.snapshots.add(name)
		e.wakeUsers(name)
	}
	e.observe(Progress{Kind: name.Kind, Name: name.NamespacedName, Outcome: Outcome{
		Reason: sourcev1.NoSourceArtifactReason, Next: Wait, Message: "nobody has set status.artifact yet",
	}})
}

// failedArtifact tells once that a download failed, and when it is tried again.
func (e externalArtifacts) failedArtifact(name sourceName, obj *sourcev1.ExternalArtifact, err error) reconcile.Result {
	e.snapshots.add(name)
	wait := e.retries.next(name, time.Minute)
	out := Outcome{Reason: fetch.Reason(err, sourcev1.ReadOperationFailedReason), Next: Retry, Message: err.Error()}
	if e.retries.count(name) == 1 && e.share.ours(objectName(name), obj.Labels) {
		e.events.tell(obj, sourcev1.GroupVersion.String(), name.Kind, true, out.Reason, out.Message, nil, e.now())
		e.log.Info(out.Message, "kind", name.Kind, "namespace", name.Namespace, "name", name.Name, "reason", out.Reason)
	}
	e.observe(Progress{Kind: name.Kind, Name: name.NamespacedName, Outcome: out, Attempts: e.retries.count(name)})
	return reconcile.Result{RequeueAfter: wait}
}
