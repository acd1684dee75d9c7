package apply

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/errlist"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/retry"
	"github.com/plumb-gitops/plumb/live"
)

// Result is what a run of a plan did.
type Result struct {
	Changes []Change             // every change of the plan that was decided, in order
	Written map[kube.Key]Written // what is now known of each object
}

// NotYet says that a later stage needs an earlier one to take effect first.
// Whoever gets it comes back when one of the objects changes.
type NotYet struct{ Keys []kube.Key }

// Error implements error.
func (n *NotYet) Error() string {
	names := make([]string, len(n.Keys))
	for i, key := range n.Keys {
		names[i] = key.String()
	}
	return "waiting for " + strings.Join(names, ", ") + " before what depends on it can be applied"
}

// Run writes what the plan says, stage by stage, and no further after a stage
// that failed. The result holds what was done, also beside an error; running
// the same plan anew after a crash does the rest.
func (a *Applier) Run(ctx context.Context, req Request, plan Plan) (Result, error) {
	p := a.planning(req)
	p.writes = true // what is tried on the way is tried in full
	result := Result{Written: map[kube.Key]Written{}}
	for i, stage := range plan.Stages {
		if later := plan.Stages[i:]; i > 0 {
			if err := p.ready(plan.Stages[i-1], later); err != nil {
				return result, err
			}
		}
		if err := p.catchUp(ctx, stage); err != nil {
			return result, err
		}
		if err := p.goAhead(ctx, stage); err != nil {
			return result, err
		}
		written, err := p.write(ctx, stage)
		result.Changes = append(result.Changes, stage...)
		maps.Copy(result.Written, written)
		if err != nil {
			return result, err
		}
		failpoint.Hit("apply.stage")
	}
	return result, nil
}

// ready tells whether definitions and API services just applied are served, so
// that what waits for them can be tried.
func (p *planning) ready(before []Change, later [][]Change) error {
	if !anyDeferred(later) {
		return nil
	}
	var waiting []kube.Key
	for _, c := range before {
		provides := isDefinition(c.Key.GroupKind) || isService(c.Key.GroupKind)
		if r, known := p.View.Get(p.req.Unit.Kind, c.Key); provides && (!known || r.Health.Status != health.Current) {
			waiting = append(waiting, c.Key)
		}
	}
	if len(waiting) > 0 {
		return &NotYet{Keys: waiting}
	}
	return nil
}

func anyDeferred(later [][]Change) bool {
	for _, stage := range later {
		for _, c := range stage {
			if c.deferred {
				return true
			}
		}
	}
	return false
}

// catchUp validates the objects of a stage that could not be tried when the
// plan was made, before the first object of the stage is written.
func (p *planning) catchUp(ctx context.Context, stage []Change) error {
	if !anyDeferred([][]Change{stage}) {
		return nil
	}
	if err := p.follow(ctx); err != nil {
		return err
	}
	late := make([]Change, 0, len(stage))
	at := make([]int, 0, len(stage))
	for i := range stage {
		if !stage[i].deferred {
			continue
		}
		c, err := p.change(stage[i].desired)
		if err != nil {
			return err
		}
		late, at = append(late, c), append(at, i)
	}
	if err := p.try(ctx, late); err != nil {
		return err
	}
	for i, c := range late {
		stage[at[i]] = c
	}
	return nil
}

// write carries out one stage. Each goroutine has its own slot, so no lock is
// needed.
func (p *planning) write(ctx context.Context, stage []Change) (map[kube.Key]Written, error) {
	errs := make([]error, len(stage))
	owned := make([]drift.Hash, len(stage))
	group := errgroup.Group{}
	group.SetLimit(parallel)
	for i := range stage {
		if !stage[i].Writes() || stage[i].written {
			owned[i] = stage[i].owned // and not what is there now: somebody may have changed it since
			continue
		}
		group.Go(func() error {
			failpoint.Hit("apply.object")
			before, known := p.View.Get(p.req.Unit.Kind, stage[i].Key)
			var record live.Record
			record, errs[i] = p.one(ctx, stage[i])
			owned[i] = record.Owned
			if stage[i].foreseen && known && errs[i] == nil && before.ResourceVersion == record.ResourceVersion {
				stage[i].Action = Unchanged
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	written := map[kube.Key]Written{}
	for i := range stage {
		switch {
		case errs[i] != nil:
			stage[i].Action, stage[i].Reason = Failed, errs[i].Error()
		case stage[i].Action != Skipped && stage[i].Action != Drifted:
			written[stage[i].Key] = Written{Desired: stage[i].hash, Owned: owned[i], Body: stage[i].body}
		}
	}
	return written, errlist.InTime(ctx, errs, errOverdue)
}

// one writes one object. A crash before the answer leaves an object that is in
// the inventory already, so the next pass finds it.
func (p *planning) one(ctx context.Context, c Change) (live.Record, error) {
	if c.Action == Recreated {
		if err := p.makeRoom(ctx, c); err != nil {
			return live.Record{}, err
		}
	}
	if c.migrate {
		if err := p.migrate(ctx, c.Key); err != nil {
			return live.Record{}, refused(c.Key, "take over from kubectl", err)
		}
	}
	answer, err := p.send(ctx, c.desired, intent{write: true, force: c.migrate || c.force || len(c.Taken) > 0})
	if contested(err) {
		answer, err = p.overtaken(ctx, c)
	}
	if err != nil {
		return live.Record{}, refused(c.Key, "apply", err)
	}
	return p.View.Observe(p.req.Unit.Kind, answer), nil
}

// overtaken applies an object to which somebody wrote between plan and apply,
// after a look at what is to be left to him.
func (p *planning) overtaken(ctx context.Context, c Change) (*unstructured.Unstructured, error) {
	c, _, err := p.dryRun(ctx, c, true)
	if err != nil {
		return nil, err
	}
	return p.send(ctx, c.desired, intent{write: true, force: true})
}

// makeRoom deletes what has to be recreated. When a finalizer keeps it, the pass
// ends here and the deletion wakes the next one, which then creates the object.
func (p *planning) makeRoom(ctx context.Context, c Change) error {
	gone, err := retry.Do(ctx, func() (bool, error) { return p.Cluster.Delete(ctx, c.Key, c.uid, "") })
	if err != nil {
		return refused(c.Key, "delete", err)
	}
	if !gone {
		return fmt.Errorf("%s is being deleted to be recreated, but something keeps it: %w", c.Key, &NotYet{Keys: []kube.Key{c.Key}})
	}
	return nil
}
