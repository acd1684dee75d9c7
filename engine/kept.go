package engine

import (
	"context"
	"time"

	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// made builds the set of a pass. What the last pass left on the cluster as it was wanted,
// and comes from files that have not changed, is not built: its keys are kept, and that
// is all that the rest of the pass needs of it. Where one of these was touched since, or
// what comes changes what others are to be like, all is built.
func (e *Engine) made(ctx context.Context, p *pass) (build.Result, []kube.Key, error) {
	var memory *build.Memory
	if !e.DryRun {
		memory = p.unit.remembered(p, e.now())
	}
	set, err := build.Again(ctx, p.snapshot.Tree, p.recipe.build, memory)
	if len(set.Kept) > 0 {
		kept, ok := p.target.applier.Keep(p.unit.user(), keysOf(set.Kept), p.unit.written(e.now()))
		if ok && !apply.Steers(set.Objects) {
			return set, kept, nil
		}
		set, err = build.Kustomization(ctx, p.snapshot.Tree, p.recipe.build)
	}
	if apply.Steers(set.Objects) {
		set.Memory = nil // what is sent of other objects depends on these
	}
	return set, nil, err
}

func keysOf(refs []build.Ref) []kube.Key {
	keys := make([]kube.Key, len(refs))
	for i, r := range refs {
		id := object.ObjMetadata{GroupKind: r.GroupKind(), Namespace: r.Namespace, Name: r.Name}
		keys[i] = kube.Key{ObjMetadata: id, Version: r.Version}
	}
	return keys
}

// remembered is the memory of the last build, where that was one of the same inputs and
// all came to be as it said.
func (u *unit) remembered(p *pass, now time.Time) *build.Memory {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.whole || u.dirty || u.inputs != inputsOf(p) || !now.Before(u.verifyAt) {
		return nil
	}
	return u.memory
}
