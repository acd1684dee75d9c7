package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/dag"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/prune"
	"github.com/plumb-gitops/plumb/source"
)

// Each function here is one paragraph of stages (pipeline.go): it calls the
// package of the stage and turns what comes back into a Failure.

func (e *Engine) blocked(p *pass) error {
	if err := e.ownNamespaceOnly(p.object); err != nil {
		return err
	}
	// It is noted before the look that counts: whoever opens the cycle after that look
	// finds the note, and wakes the unit. Whoever closes it wakes all in it.
	cycle := e.graph.Cycle(p.unit.name)
	e.units.inCycle(p.unit.name, cycle != nil)
	if cycle != nil {
		cycle = e.graph.Cycle(p.unit.name)
	}
	if cycle != nil {
		return fail(kustomizev1.DependencyNotReadyReason, Stall, fmt.Errorf("dependency cycle: %s", dag.Format(cycle)))
	}
	expressions, err := readiness(p.object)
	if err != nil {
		return fail(kustomizev1.DependencyNotReadyReason, Stall, err)
	}
	waiting := e.graph.Blocked(p.unit.name, func(name types.NamespacedName) bool {
		if expression := expressions[name]; expression != nil {
			ready, err := e.readyBy(expression, p.object, name)
			return ready && err == nil
		}
		return e.ready(name)
	})
	if len(waiting) == 0 {
		return nil
	}
	texts, on := make([]string, len(waiting)), make([]string, len(waiting))
	for i, name := range waiting {
		on[i] = kustomizev1.KustomizationKind + "/" + name.String()
		texts[i] = e.notReady(expressions[name], p.object, name)
	}
	return &Failure{Reason: kustomizev1.DependencyNotReadyReason, Next: Wait, On: on, Err: errors.New(strings.Join(texts, ", "))}
}

// notReady says why a dependency does not count as ready.
func (e *Engine) notReady(expression *health.Readiness, self *kustomizev1.Kustomization, name types.NamespacedName) string {
	if !e.exists(name) {
		return fmt.Sprintf("dependency '%s' not found", name)
	}
	if expression == nil {
		return fmt.Sprintf("dependency '%s' is not ready", name)
	}
	if _, err := e.readyBy(expression, self, name); err != nil {
		return fmt.Sprintf("dependency '%s' is not ready: %v", name, err)
	}
	return fmt.Sprintf("dependency '%s' is not ready: its readyExpr is false", name)
}

// readyBy judges a dependency by an expression, which takes the place of the rule
// below. With AdditiveCELDependencyCheck both have to agree.
func (e *Engine) readyBy(expression *health.Readiness, self *kustomizev1.Kustomization, name types.NamespacedName) (bool, error) {
	u, ok := e.units.get(name)
	if !ok {
		return false, nil
	}
	k, _ := u.state()
	if k == nil || e.AdditiveReadyExpr && !e.ready(name) {
		return false, nil
	}
	return expression.Ready(asMap(self), asMap(k))
}

// ready tells whether a unit is Ready at its current generation and revision.
func (e *Engine) ready(name types.NamespacedName) bool {
	u, ok := e.units.get(name)
	if !ok {
		return false
	}
	k, _ := u.state()
	if k == nil || k.Status.ObservedGeneration != k.Generation || !apimeta.IsStatusConditionTrue(k.Status.Conditions, meta.ReadyCondition) {
		return false
	}
	if k.Spec.Suspend {
		return true // it stays at its revision
	}
	return e.atRevision(k)
}

func (e *Engine) snapshot(p *pass) (source.Snapshot, error) {
	name := sourceOf(p.object)
	if snapshot, ok := e.snapshots.get(name); ok {
		return snapshot, nil
	}
	text := fmt.Errorf("source '%s' not found", name)
	if e.snapshots.known(name) {
		text = fmt.Errorf("source '%s' has no artifact yet", name)
		e.lacking(name)
	}
	return source.Snapshot{}, &Failure{Reason: kustomizev1.ArtifactFailedReason, Next: Wait, On: []string{name.String()}, Err: text}
}

func (e *Engine) build(ctx context.Context, p *pass) error {
	p.built = true
	if err := p.unit.again(p, e.now()); err != nil {
		p.repeated = true
		return err
	}
	set, kept, err := e.made(ctx, p)
	broken := new(build.Error)
	switch {
	case errors.As(err, &broken):
		err = fail(kustomizev1.BuildFailedReason, Stall, err)
	case err != nil: // not the content's fault: the tree could not be read
		err = fail(kustomizev1.BuildFailedReason, Retry, err)
	}
	p.set, p.kept = set, kept
	e.recall(p)
	p.unit.begin(p, set)
	if err == nil {
		p.unit.attempts(attempt{set.Digest, p.begun})
	}
	return err
}

func (e *Engine) planned(ctx context.Context, p *pass) (err error) {
	if err := e.loadInventory(ctx, p, kustomizev1.ReconciliationFailedReason); err != nil {
		return err
	}
	if len(p.set.Objects)+len(p.kept) == 0 && len(p.inventory) > 0 && !consents(p.object.Annotations, p.snapshot.Revision) {
		return fail(kustomizev1.BuildFailedReason, Stall, fmt.Errorf(
			"the build has no objects any more, while %d are applied: nothing is pruned; if that is meant, set the annotation %s to \"true\" or %q", len(p.inventory), meta.ConsentAnnotation, p.snapshot.Revision))
	}
	p.wish = e.request(p)
	if p.plan, err = p.target.applier.Plan(ctx, p.wish); err != nil {
		return e.refusal(err)
	}
	return nil
}

// refusal is the failure of a plan or an apply.
func (e *Engine) refusal(err error) error {
	notYet := new(apply.NotYet)
	if errors.As(err, &notYet) {
		return fail(meta.ProgressingReason, Wait, err)
	}
	return fail(kustomizev1.ReconciliationFailedReason, Retry, err)
}

// grow stores an inventory that covers all that the plan may write.
func (e *Engine) grow(ctx context.Context, p *pass) error {
	wanted := claims(p.plan, p.inventory)
	missing := prune.Minus(wanted, p.inventory)
	p.before = p.inventory
	p.inventory = prune.Union(p.inventory, wanted)
	bare := !controllerutil.ContainsFinalizer(p.object, meta.Finalizer)
	if len(missing) == 0 && !bare {
		return nil
	}
	failpoint.Hit("inventory.grow")
	err := e.growTo(ctx, p, bare)
	switch {
	case bare && apierrors.IsConflict(err):
		return &outdatedError{err}
	case err != nil:
		return fail(kustomizev1.ReconciliationFailedReason, Retry, fmt.Errorf("store the inventory: %w", err))
	}
	failpoint.Hit("inventory.grown")
	return nil
}

// growTo stores the inventory of the pass, with a finalizer before it where there is none.
func (e *Engine) growTo(ctx context.Context, p *pass, bare bool) error {
	if bare {
		if all, err := e.claim(ctx, p); all || err != nil {
			return err
		}
	}
	return e.saveInventory(ctx, p)
}

// claims is what a unit has, or will have once the plan is carried out. An
// object that is skipped belongs to it only if it did before.
func claims(plan apply.Plan, inventory []kube.Key) []kube.Key {
	had := sync.OnceValue(func() map[object.ObjMetadata]bool {
		ids := make(map[object.ObjMetadata]bool, len(inventory))
		for _, key := range inventory {
			ids[key.ObjMetadata] = true
		}
		return ids
	})
	var out []kube.Key
	for _, stage := range plan.Stages {
		for _, c := range stage {
			if c.Action != apply.Skipped || had()[c.Key.ObjMetadata] {
				out = append(out, c.Key)
			}
		}
	}
	return append(out, plan.Kept...)
}

func (e *Engine) applied(ctx context.Context, p *pass) error {
	begun := e.now()
	result, err := p.target.applier.Run(ctx, p.wish, p.plan)
	if untaken := new(apply.Untaken); errors.As(err, &untaken) {
		p.inventory = append([]kube.Key{}, p.before...) // and not nil: what was claimed is not any more
		return e.refusal(err)
	}
	for _, c := range result.Changes {
		news := c.Action != apply.Unchanged
		if c.Drifted() || c.Action == apply.Drifted {
			news = e.Drift.Add(drift.Report{Kind: kustomizev1.KustomizationKind, Unit: p.unit.name.String(), Object: c.Key.String(), Time: begun, Corrected: c.Writes(), Fields: c.Fields})
		}
		if news { // drift that is only reported is told once
			p.actions = append(p.actions, Action{Key: c.Key, Verb: string(c.Action), Detail: detail(c), Drifted: c.Drifted(), At: begun})
		}
	}
	p.unit.learn(result.Written, p.plan.Keys())
	if err != nil {
		return e.refusal(err)
	}
	return nil
}

func detail(c apply.Change) string {
	if len(c.Fields) == 0 {
		return c.Reason
	}
	fields := make([]string, len(c.Fields))
	for i, f := range c.Fields {
		fields[i] = f.String()
	}
	return strings.Join(fields, ", ")
}

// consents tells whether an object's annotation allows what the guards block.
func consents(annotations map[string]string, revision string) bool {
	value := annotations[meta.ConsentAnnotation]
	return value == "true" || (value != "" && value == revision)
}
