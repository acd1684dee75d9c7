package engine

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/prune"
)

// foresee is the end of a pass that writes nothing: what the plan says, and what
// pruning would delete, counts as done.
func (e *Engine) foresee(ctx context.Context, p *pass) error {
	now := e.now()
	var keys []kube.Key
	parts := ingredients(p.wish.Objects)
	for _, c := range p.plan.Changes() {
		if c.Action != apply.Unchanged {
			p.actions = append(p.actions, Action{Key: c.Key, Verb: string(c.Action), Detail: detail(c), Drifted: c.Drifted(), Fields: c.Fields, At: now, Object: parts[c.Key]})
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

// ingredients are those of objects that others are made from, by their names.
func ingredients(objs []*unstructured.Unstructured) map[kube.Key]*unstructured.Unstructured {
	out := map[kube.Key]*unstructured.Unstructured{}
	for _, obj := range objs {
		switch gvk := obj.GroupVersionKind(); {
		case gvk.Group == sourcev1.GroupVersion.Group, gvk.Group == kustomizev1.GroupVersion.Group, gvk.Group == helmv2.GroupVersion.Group,
			gvk.Group == "" && (gvk.Kind == secretKind || gvk.Kind == configMapKind):
			out[kube.KeyOf(obj)] = obj
		}
	}
	return out
}
