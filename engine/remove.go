package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
	"github.com/plumb-gitops/plumb/prune"
)

// reach finds the target of a unit that is being deleted. left is true when there
// is no way to it any more because its kubeconfig is gone: then its objects are
// left where they are, or the deletion would never end.
func (e *Engine) reach(ctx context.Context, p *pass) (left bool, err error) {
	p.reader = e.reader(live.User{Kind: inputsUser, NamespacedName: p.unit.name})
	err = e.aim(ctx, p)
	absent := new(missing)
	if !errors.As(err, &absent) {
		return false, err
	}
	for _, key := range p.inventory {
		p.actions = append(p.actions, Action{Key: key, Verb: string(apply.Skipped), Detail: fmt.Sprintf("not deleted: %s", absent), At: e.now()})
	}
	return true, nil
}

// delete deletes objects as the unit's account. A unit that is being deleted may
// have had that account, or its rights, among its own objects, or they went
// before it: what is refused then is deleted as the engine itself. The objects
// still have to carry the unit's labels, which only somebody with rights to them
// could set.
func (e *Engine) delete(ctx context.Context, p *pass, r prune.Request) ([]prune.Outcome, error) {
	outcomes, err := p.target.pruner.Run(ctx, r)
	if !r.Leave || p.target.account == "" || !anyForbidden(err) {
		return outcomes, err
	}
	own, ownErr := e.targetOn(p.target.connection, "")
	if ownErr != nil {
		return outcomes, errors.Join(err, ownErr)
	}
	r.Objects = undecided(r.Objects, outcomes)
	rest, err := own.pruner.Run(ctx, r)
	return slices.Concat(outcomes, rest), err
}

// undecided are the objects that have no outcome.
func undecided(objects []kube.Key, outcomes []prune.Outcome) []kube.Key {
	done := make([]kube.Key, len(outcomes))
	for i, o := range outcomes {
		done[i] = o.Key
	}
	return prune.Minus(objects, done)
}

// anyForbidden tells whether one of joined errors is a refused right.
func anyForbidden(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(all.Unwrap(), anyForbidden)
	}
	if one := errors.Unwrap(err); one != nil && !apierrors.IsForbidden(err) {
		return anyForbidden(one)
	}
	return apierrors.IsForbidden(err)
}

// pruned deletes what is in the inventory and not in the plan; for a unit that
// is being deleted that is everything.
func (e *Engine) pruned(ctx context.Context, p *pass) error {
	deleting := p.object.DeletionTimestamp != nil
	stale := prune.Minus(p.inventory, claims(p.plan, p.inventory))
	if !deleting && !p.object.Spec.Prune {
		p.inventory = prune.Minus(p.inventory, stale)
		return nil
	}
	outcomes, err := e.delete(ctx, p, prune.Request{
		Unit:    p.unit.user(),
		Objects: stale,
		Consent: consents(p.object.Annotations, p.snapshot.Revision),
		Leave:   deleting,
		Returns: !deleting || p.object.GetDeletionPolicy() == kustomizev1.DeletionPolicyWaitForTermination,
	})
	blocked := p.keepAccount(outcomes, e.now())
	if err != nil {
		return fail(kustomizev1.PruneFailedReason, Retry, err)
	}
	if len(blocked) > 0 {
		return fail(kustomizev1.PruneFailedReason, Retry, fmt.Errorf(
			"not pruned: %s; if that is meant, set the annotation %s to \"true\" or %q", strings.Join(blocked, ", "), meta.ConsentAnnotation, p.snapshot.Revision))
	}
	return nil
}

// keepAccount notes what pruning did, shrinks the inventory by what is gone and
// returns what a guard blocked.
func (p *pass) keepAccount(outcomes []prune.Outcome, now time.Time) (blocked []string) {
	var leave, going []kube.Key
	for _, o := range outcomes {
		switch o.Verdict {
		case prune.Gone:
			leave = append(leave, o.Key)
		case prune.Forget:
			leave = append(leave, o.Key)
			p.actions = append(p.actions, Action{Key: o.Key, Verb: string(apply.Skipped), Detail: "not deleted: " + o.Reason, At: now})
		case prune.Wait:
			going = append(going, o.Key)
		case prune.Block, prune.Delete:
			blocked = append(blocked, fmt.Sprintf("%s (%s)", o.Key, o.Reason))
		}
		if o.Deleted {
			p.actions = append(p.actions, Action{Key: o.Key, Verb: string(apply.Deleted), At: now})
		}
	}
	p.inventory = prune.Minus(p.inventory, leave)
	p.unit.mu.Lock()
	p.unit.going = going
	p.unit.mu.Unlock()
	slices.Sort(blocked)
	return blocked
}

// deletesObjects tells whether a unit that is being deleted takes its objects
// along.
func deletesObjects(k *kustomizev1.Kustomization) bool {
	switch k.GetDeletionPolicy() {
	case kustomizev1.DeletionPolicyOrphan:
		return false
	case kustomizev1.DeletionPolicyMirrorPrune:
		return k.Spec.Prune && !k.Spec.Suspend
	default:
		return !k.Spec.Suspend
	}
}

// terminated waits, where the deletion policy says so, until everything is gone,
// but not longer than the timeout.
func (e *Engine) terminated(p *pass) error {
	if p.object.GetDeletionPolicy() != kustomizev1.DeletionPolicyWaitForTermination || len(p.unit.going) == 0 {
		return nil
	}
	deadline := p.unit.waitUntil(true, p.object.DeletionTimestamp.Add(p.object.GetTimeout()))
	if !e.now().Before(deadline) {
		for _, key := range p.unit.going {
			p.actions = append(p.actions, Action{Key: key, Verb: string(apply.Skipped), Detail: "not waited for any longer: the timeout is over", At: e.now()})
		}
		return nil
	}
	return &Failure{
		Reason: meta.ProgressingReason, Next: Wait, Deadline: deadline, Health: true,
		Err: fmt.Errorf("waiting for %s to be gone", names(p.unit.going)),
	}
}
func names(keys []kube.Key) string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = key.String()
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}
