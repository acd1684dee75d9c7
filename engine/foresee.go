package engine

import (
	"context"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/prune"
)

// foresee is the end of a pass that writes nothing: what the plan says, and what
// pruning would delete, counts as done.
func (e *Engine) foresee(ctx context.Context, p *pass) error {
	now := e.now()
	var keys []kube.Key
	for _, c := range p.plan.Changes() {
		if c.Action != apply.Unchanged {
			p.actions = append(p.actions, Action{Key: c.Key, Verb: string(c.Action), Detail: detail(c), Drifted: c.Drifted(), Fields: c.Fields, At: now})
		}
		keys = append(keys, c.Key)
	}
	p.unit.learn(nil, keys)
	if !p.object.Spec.Prune {
		return nil
	}
	outcomes, err := p.target.pruner.Foresee(ctx, prune.Request{
		Unit:    p.unit.user(),
		Objects: prune.Minus(p.inventory, claims(p.plan, p.inventory)),
		Consent: consents(p.object.Annotations, p.snapshot.Revision),
	})
	if err != nil {
		return fail(kustomizev1.PruneFailedReason, Retry, err)
	}
	for _, o := range outcomes {
		switch o.Verdict {
		case prune.Delete:
			p.actions = append(p.actions, Action{Key: o.Key, Verb: string(apply.Deleted), At: now})
		case prune.Block, prune.Forget:
			p.actions = append(p.actions, Action{Key: o.Key, Verb: string(apply.Skipped), Detail: "not deleted: " + o.Reason, At: now})
		case prune.Gone, prune.Wait:
		}
	}
	return nil
}
