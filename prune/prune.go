package prune

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/denial"
	"github.com/plumb-gitops/plumb/internal/errlist"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/retry"
	"github.com/plumb-gitops/plumb/live"
)

// parallel is how many deletes one unit has under way at once.
const parallel = 8

// attempts is how often a delete is decided anew because the object changed
// between the look and the delete.
const attempts = 5

// View is what pruning needs of the live view.
type View interface {
	Get(owner string, key kube.Key) (live.Record, bool)
}

// Pruner deletes on one cluster.
type Pruner struct {
	Cluster *kube.Cluster
	View    View
	// OwnNamespace is where Plumb itself runs, "" when it runs outside.
	OwnNamespace string
}

// Outcome is what became of one object.
type Outcome struct {
	Key     kube.Key
	Verdict Verdict // Gone also for what this run deleted
	Deleted bool    // this run deleted it
	Reason  string
}

// Run deletes what the request names, in the opposite order of applying. The
// outcomes say for each object whether it may leave the inventory (Gone,
// Forget) or has to stay (Wait, Block); what failed is in the error, and stays.
func (p *Pruner) Run(ctx context.Context, r Request) ([]Outcome, error) {
	var byStage [stages][]kube.Key
	for _, key := range r.Objects {
		stage := stage(key.GroupKind)
		byStage[stage] = append(byStage[stage], key)
	}
	var all []Outcome
	var errs []error
	for _, keys := range byStage {
		keys, held := r.hold(keys, all)
		all = append(all, held...)
		outcomes, failed := p.stage(ctx, r, keys)
		all, errs = append(all, outcomes...), append(errs, failed...)
	}
	return all, errlist.InTime(ctx, errs, errOverdue)
}

// hold keeps namespaces back while releases, or other units, of the same set are still
// going: those take down what is there themselves, with hooks that run there, and until
// then a guard would find it in use.
func (r Request) hold(keys []kube.Key, before []Outcome) (rest []kube.Key, held []Outcome) {
	going := slices.IndexFunc(before, func(o Outcome) bool {
		group := o.Key.GroupKind.Group
		return o.Verdict == Wait && (group == helmv2.GroupVersion.Group || group == kustomizev1.GroupVersion.Group)
	})
	if going < 0 || !r.Returns {
		return keys, nil
	}
	for _, key := range keys {
		if key.GroupKind != (schema.GroupKind{Kind: "Namespace"}) {
			rest = append(rest, key)
			continue
		}
		held = append(held, Outcome{Key: key, Verdict: Wait, Reason: before[going].Key.String() + " goes first"})
	}
	return rest, held
}

// stages is how many there are: those of applying, and one for rights.
const stages = kube.Stages + 1

// stage is when objects of a kind are deleted: in the opposite order of
// applying, but accounts and rights after everything else. A unit may act by
// rights that are among its own objects, and so may what is being terminated.
func stage(gk schema.GroupKind) int {
	if gk.Group == "rbac.authorization.k8s.io" || gk == (schema.GroupKind{Kind: "ServiceAccount"}) {
		return stages - 1
	}
	return kube.Stages - 1 - kube.Stage(gk)
}

// Foresee tells what Run would do with each object, and does nothing. Delete
// stands for what would be deleted.
func (p *Pruner) Foresee(ctx context.Context, r Request) ([]Outcome, error) {
	outcomes := make([]Outcome, 0, len(r.Objects))
	for _, key := range r.Objects {
		c := candidate{key: key}
		c.record, c.known = p.View.Get(r.Unit.Kind, key)
		out, err := p.decide(ctx, r, c)
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, out)
	}
	return outcomes, nil
}

// stage decides and deletes the objects of one stage. Each goroutine has its
// own slot, so no lock is needed.
func (p *Pruner) stage(ctx context.Context, r Request, keys []kube.Key) ([]Outcome, []error) {
	outcomes := make([]Outcome, len(keys))
	errs := make([]error, len(keys))
	group := errgroup.Group{}
	group.SetLimit(parallel)
	for i, key := range keys {
		group.Go(func() error {
			outcomes[i], errs[i] = p.one(ctx, r, key)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	done := outcomes[:0]
	for i := range outcomes {
		if errs[i] == nil {
			done = append(done, outcomes[i])
		}
	}
	return done, errs
}

func (p *Pruner) one(ctx context.Context, r Request, key kube.Key) (Outcome, error) {
	c := candidate{key: key}
	c.record, c.known = p.View.Get(r.Unit.Kind, key)
	for range attempts {
		out, err := p.decide(ctx, r, c)
		if err != nil || out.Verdict != Delete {
			return out, err
		}
		failpoint.Hit("prune.object")
		gone, err := p.delete(ctx, c)
		switch {
		case apierrors.IsConflict(err): // it changed since we looked
			if c, err = p.look(ctx, r, key); err != nil {
				return Outcome{}, err
			}
		case err != nil:
			return Outcome{}, fmt.Errorf("%s delete failed: %w", key, denial.Explain(err))
		case !gone:
			return Outcome{Key: key, Verdict: Wait, Deleted: true, Reason: "something keeps it from being deleted"}, nil
		default:
			return Outcome{Key: key, Verdict: Gone, Deleted: true}, nil
		}
	}
	return Outcome{}, fmt.Errorf("%s delete failed: it changes faster than it can be looked at", key)
}

// delete deletes what was looked at, and nothing that came after it: that it may
// be sent again. A conflict is for the caller, who looks again.
func (p *Pruner) delete(ctx context.Context, c candidate) (bool, error) {
	conflict := error(nil)
	gone, err := retry.Do(ctx, func() (bool, error) {
		gone, err := p.Cluster.Delete(ctx, c.key, c.record.UID, c.record.ResourceVersion)
		if apierrors.IsConflict(err) {
			conflict, err = err, nil
		}
		return gone, err
	})
	return gone, errors.Join(conflict, err)
}

// get reads an object.
func (p *Pruner) get(ctx context.Context, key kube.Key) (*unstructured.Unstructured, error) {
	obj, err := retry.Do(ctx, func() (*unstructured.Unstructured, error) { return p.Cluster.Get(ctx, key) })
	return obj, denial.Explain(err)
}

// decide asks the vetoes; without one the object has to go.
func (p *Pruner) decide(ctx context.Context, r Request, c candidate) (Outcome, error) {
	for _, v := range p.vetoes() {
		verdict, reason, err := v.check(ctx, r, c)
		if err != nil {
			return Outcome{}, err
		}
		if verdict == Block && r.Leave {
			verdict = Forget
		}
		if verdict != "" {
			return Outcome{Key: c.key, Verdict: verdict, Reason: reason}, nil
		}
	}
	return Outcome{Key: c.key, Verdict: Delete}, nil
}

// look reads the object itself, for when the live view is behind.
func (p *Pruner) look(ctx context.Context, r Request, key kube.Key) (candidate, error) {
	obj, err := p.get(ctx, key)
	if apierrors.IsNotFound(err) {
		return candidate{key: key}, nil
	}
	if err != nil {
		return candidate{}, fmt.Errorf("%s: look before pruning: %w", key, err)
	}
	record := live.Reduce(r.Unit.Kind, obj)
	return candidate{key: key, record: record, known: record.Owner.Name != ""}, nil
}
