// Package engine runs units. Read this file first: it is the whole program in
// one function, and each paragraph of that function is a call into the package
// of the same name.
//
//	dag -> source -> build -> plan -> [inventory grows] -> apply -> prune -> [inventory shrinks] -> health
//
// A unit is a Kustomization. Three rules hold the line together:
//
//  1. Nothing is written to the cluster before the plan is made. Every stage up
//     to it only reads, so a pass that fails there has changed nothing.
//  2. The inventory grows before the first write and shrinks only after a
//     confirmed delete. A crash on any line can leave an entry too many, which
//     the next pass removes, but never one too few, which nobody would.
//  3. A stage returns an error. It sets no status and sends no event: report
//     (report.go) does, in one place, so what the user sees has one author.
//
// No stage waits. A pass that can't go on returns what it waits for, gives its
// worker back and is woken by the event (wake.go).
package engine

import (
	"context"
	"time"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/source"
)

// pass is what one run of the pipeline learns on its way; it is reported even
// when the run fails.
type pass struct {
	unit       *unit
	reader     *reader
	references references
	target     target
	recipe     *recipe
	object     *kustomizev1.Kustomization // as it is when the pass starts; inventory writes update it
	snapshot   source.Snapshot
	set        build.Result
	kept       []kube.Key // of the set, what is on the cluster as it is wanted
	wish       apply.Request
	plan       apply.Plan
	inventory  []kube.Key
	before     []kube.Key // the inventory before it grew
	actions    []Action
	begun      time.Time
	built      bool // it came as far as building
	repeated   bool // it failed as before, without trying
	err        error
}

// stages brings the cluster to what a unit asks for, once.
func (e *Engine) stages(ctx context.Context, p *pass) (err error) {
	// dag, source: all that the pass is made from. Nothing is read twice for it.
	if err := e.gather(ctx, p); err != nil {
		return err
	}

	// unchanged: the same files read, the same spec, nothing of ours touched on
	// the cluster. There is nothing to build, to ask or to write.
	if p.unit.unchanged(p, e.now()) {
		return e.healthy(ctx, p)
	}

	// build: the manifests, in memory. What this pass knows from now on is new.
	if err := e.build(ctx, p); err != nil {
		return err
	}
	failpoint.Hit("build.done")

	// plan: what is there, and what would change. The last stage that only reads.
	if err := e.planned(ctx, p); err != nil {
		return err
	}
	failpoint.Hit("plan.done")
	if e.DryRun {
		return e.foresee(ctx, p)
	}

	// inventory: claim before writing (rule 2), the first time together with the
	// finalizer (claim.go). A crash behind this line leaves entries for objects that
	// were never made; pruning finds them gone.
	if err := e.grow(ctx, p); err != nil {
		return err
	}

	// apply: in stages, and no further after a stage that failed. A crash in
	// here leaves objects that the inventory knows; the next pass does the rest.
	if err := e.applied(ctx, p); err != nil {
		return err
	}
	failpoint.Hit("apply.done")

	// prune: only after a whole apply; forget only what is gone (rule 2). A
	// crash in here leaves entries of objects that are gone, which the next pass
	// sees and drops. The shrunk inventory is stored with the report.
	if err := e.pruned(ctx, p); err != nil {
		return err
	}
	failpoint.Hit("prune.done")

	// health: are the objects as their specs say? If not yet, come back.
	p.unit.settled(p.target.view, e.verifyAt())
	e.remember(p)
	return e.healthy(ctx, p)
}

// gather finds what a pass is made from: what it waits for, the source, what the
// spec refers to, and the way to the cluster.
func (e *Engine) gather(ctx context.Context, p *pass) (err error) {
	// dag: what it depends on comes first.
	if err := e.blocked(p); err != nil {
		return err
	}

	// source: the snapshot that its sourceRef names, already fetched.
	if p.snapshot, err = e.snapshot(p); err != nil {
		return err
	}

	// references: what the spec names, the way to the cluster included.
	if err := e.refer(ctx, p); err != nil {
		return err
	}
	if err := e.aim(ctx, p); err != nil {
		return err
	}
	if err := p.reader.done(); err != nil {
		return fail(kustomizev1.ReconciliationFailedReason, Retry, err)
	}

	// recipe: the spec in the words of the packages that act on it.
	if err := e.read(p); err != nil {
		return err
	}
	e.judge(ctx, p)
	return nil
}

// finalize is the same line for a unit that is being deleted: reconcile it to
// nothing, then let it go. It returns nil once the finalizer may be removed.
func (e *Engine) finalize(ctx context.Context, p *pass) (err error) {
	if !deletesObjects(p.object) {
		return nil
	}
	if err := e.loadInventory(ctx, p, kustomizev1.PruneFailedReason); err != nil {
		return err
	}
	if left, err := e.reach(ctx, p); err != nil || left {
		return err
	}
	if err := p.target.applier.Follow(ctx, p.unit.user(), p.inventory); err != nil {
		return fail(kustomizev1.PruneFailedReason, Retry, err)
	}
	if err := e.pruned(ctx, p); err != nil {
		return err
	}
	failpoint.Hit("finalize.pruned")
	return e.terminated(p)
}
