package engine

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/live"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/git"
)

// gitRepositories keeps the snapshots of GitRepositories current. Its workers
// are not those of the units: a slow server holds up nobody else.
type gitRepositories struct{ *Engine }

// Reconcile looks at one repository and puts what it finds into use.
func (e gitRepositories) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	name := sourceName{Kind: gitRepositoryKind, NamespacedName: r.NamespacedName}
	obj := &sourcev1.GitRepository{}
	err := e.client.Get(ctx, r.NamespacedName, obj)
	switch {
	case apierrors.IsNotFound(err):
		e.snapshots.forget(name)
		e.retries.forget(name)
		e.observe(Progress{Kind: name.Kind, Name: name.NamespacedName, Gone: true})
		e.wakeUsers(name)
		return reconcile.Result{}, e.home.view.Follow(live.User{Kind: name.Kind, NamespacedName: r.NamespacedName})
	case err != nil:
		return reconcile.Result{}, err
	}
	obj = obj.DeepCopy()
	if obj.DeletionTimestamp != nil {
		return reconcile.Result{}, e.release(ctx, obj)
	}
	e.restore(name, obj)
	if obj.Spec.Suspend {
		e.observe(Progress{Kind: name.Kind, Name: name.NamespacedName, Suspended: true})
		return reconcile.Result{}, nil
	}
	limited, cancel := context.WithTimeout(ctx, obj.Spec.GetTimeout())
	var snapshot source.Snapshot
	if err = supportedSource(obj.Spec); err == nil {
		snapshot, err = e.fetch(limited, name, obj)
	}
	cancel()
	if ctx.Err() != nil {
		return reconcile.Result{}, nil //nolint:nilerr // we are stopping; the next start fetches again
	}
	failpoint.Hit("source.fetched")
	return e.reportSource(ctx, name, obj, snapshot, err)
}

// release lets go of a repository that is being deleted: other controllers of
// this API put a finalizer there, we don't need one.
func (e gitRepositories) release(ctx context.Context, obj *sourcev1.GitRepository) error {
	if !controllerutil.RemoveFinalizer(obj, meta.Finalizer) {
		return nil
	}
	patch := fmt.Appendf(nil, `{"metadata":{"finalizers":%s,"resourceVersion":%q}}`, asJSON(obj.Finalizers), obj.ResourceVersion)
	return ignoreGone(e.client.Patch(ctx, obj, client.RawPatch(mergePatch, patch)))
}

// restore puts the last good snapshot back into use after a restart, from disk
// and without the network.
func (e gitRepositories) restore(name sourceName, obj *sourcev1.GitRepository) {
	if _, ok := e.snapshots.get(name); ok {
		return
	}
	snapshot := source.Snapshot{}
	if artifact := obj.Status.Artifact; artifact != nil && obj.Status.ObservedGeneration == obj.Generation {
		if s, err := e.Git.Open(gitSpec(obj, git.Auth{}), artifact.Revision); err == nil {
			snapshot = s
		}
	}
	if e.snapshots.set(name, snapshot) {
		e.wakeUsers(name)
	}
}

// fetch brings the newest snapshot. A source that became empty is not used
// without consent: everything built from it would be pruned.
func (e gitRepositories) fetch(ctx context.Context, name sourceName, obj *sourcev1.GitRepository) (source.Snapshot, error) {
	auth, err := e.credentials(ctx, obj)
	if err != nil {
		return source.Snapshot{}, &sourceFailure{sourcev1.AuthenticationFailedReason, Wait, err}
	}
	last, _ := e.snapshots.get(name)
	snapshot, _, err := e.Git.Fetch(ctx, gitSpec(obj, auth), last.Revision)
	if err != nil {
		return source.Snapshot{}, err
	}
	entries, err := snapshot.Tree.List(".")
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("read the fetched tree: %w", err)
	}
	if len(entries) == 0 && last.Tree != nil && !consents(obj.Annotations, snapshot.Revision) {
		return source.Snapshot{}, &sourceFailure{sourcev1.EmptySourceReason, Retry, fmt.Errorf(
			"revision %s has no files: revision %s stays in use; if that is meant, set the annotation %s to \"true\" or %q",
			snapshot.Revision, last.Revision, meta.ConsentAnnotation, snapshot.Revision)}
	}
	return snapshot, nil
}

// sourceFailure is why a source could not be fetched.
type sourceFailure struct {
	reason string
	next   Next
	err    error
}

func (f *sourceFailure) Error() string { return f.err.Error() }
func (f *sourceFailure) Unwrap() error { return f.err }

// credentials reads the Secret of a repository. It is followed by name, so this
// makes a request only once.
func (e gitRepositories) credentials(ctx context.Context, obj *sourcev1.GitRepository) (git.Auth, error) {
	user := live.User{Kind: gitRepositoryKind, NamespacedName: client.ObjectKeyFromObject(obj)}
	if obj.Spec.SecretRef == nil {
		return git.Auth{}, e.home.view.Follow(user)
	}
	key := coreKey(secretKind, obj.Namespace, obj.Spec.SecretRef.Name)
	if err := e.home.view.Follow(user, key); err != nil {
		return git.Auth{}, err
	}
	found, err := e.home.view.Object(ctx, key)
	if err != nil {
		return git.Auth{}, err
	}
	if found == nil {
		return git.Auth{}, fmt.Errorf("Secret/%s/%s not found", key.Namespace, key.Name)
	}
	data, err := secretData(found)
	if err != nil {
		return git.Auth{}, err
	}
	auth, err := git.AuthFromSecret(data)
	if err != nil {
		return git.Auth{}, fmt.Errorf("Secret/%s/%s: %w", key.Namespace, key.Name, err)
	}
	return auth, nil
}

func gitSpec(obj *sourcev1.GitRepository, auth git.Auth) git.Spec {
	ref := obj.Spec.GetRef()
	return git.Spec{
		URL:    obj.Spec.URL,
		Ref:    git.Ref{Branch: ref.Branch, Tag: ref.Tag, SemVer: ref.SemVer, Name: ref.Name, Commit: ref.Commit},
		Auth:   auth,
		Ignore: obj.Spec.Ignore,
	}
}

// reportSource puts a snapshot into use, writes the status and tells who waits.
func (e gitRepositories) reportSource(ctx context.Context, name sourceName, obj *sourcev1.GitRepository, snapshot source.Snapshot, err error) (reconcile.Result, error) {
	out := sourceOutcome(snapshot, err)
	was := obj.Status
	next := gitStatus(obj, snapshot, out, metav1.Now())
	patch, perr := statusPatch(obj, was, next)
	if perr != nil {
		return reconcile.Result{}, perr
	}
	if patch != nil {
		if err := e.client.Status().Patch(ctx, obj, client.RawPatch(mergePatch, patch)); err != nil {
			return reconcile.Result{}, ignoreGone(err)
		}
	}
	// The status comes first: units may name this revision in theirs.
	if out.Ready() && e.snapshots.set(name, snapshot) {
		e.wakeUsers(name)
	}
	e.announceSource(obj, was, out)
	wait := time.Duration(0)
	if out.Next == Retry || out.Next == Wait {
		wait = e.retries.next(name, obj.Spec.Interval.Duration)
	}
	e.observe(Progress{Kind: name.Kind, Name: name.NamespacedName, Outcome: out, Attempts: e.retries.count(name)})
	if out.Ready() {
		e.retries.forget(name)
		return reconcile.Result{RequeueAfter: jittered(obj.Spec.Interval.Duration)}, nil
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

func (e *Engine) announceSource(obj *sourcev1.GitRepository, was sourcev1.GitRepositoryStatus, out Outcome) {
	before := apimeta.FindStatusCondition(was.Conditions, meta.ReadyCondition)
	fresh := was.Artifact == nil || was.Artifact.Revision != out.Revision
	if out.Ready() && !fresh && before != nil && before.Status == metav1.ConditionTrue {
		return
	}
	if !out.Ready() && before != nil && before.Reason == out.Reason && before.Message == out.Message {
		return
	}
	reason := out.Reason
	annotations := map[string]string{}
	if out.Ready() {
		reason = sourcev1.NewArtifactReason
		annotations["source.toolkit.fluxcd.io/revision"] = out.Revision
	}
	e.events.event(obj, sourcev1.GroupVersion.String(), gitRepositoryKind, !out.Ready(), reason, out.Message, annotations, e.now())
	e.log.Info(out.Message, "kind", gitRepositoryKind, "namespace", obj.Namespace, "name", obj.Name, "reason", reason, "revision", out.Revision)
}
