package apply

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// parallel is how many requests one unit has under way at once.
const parallel = 8

// View is what planning needs of the live view.
type View interface {
	Get(kube.Key) (live.Record, bool)
	Observe(*unstructured.Unstructured) live.Record
	Use(unit types.NamespacedName, kinds map[schema.GroupVersionKind]bool) error
	Sync(context.Context, schema.GroupVersionKind) error
}

// Applier plans and writes on one cluster.
type Applier struct {
	Cluster *kube.Cluster
	View    View
	// Exists tells whether there is a unit of that name.
	Exists func(types.NamespacedName) bool
}

// Request is one unit's wish.
type Request struct {
	Unit      types.NamespacedName
	Objects   []*unstructured.Unstructured
	Force     bool                 // recreate what cannot be changed in place
	Written   map[kube.Key]Written // what we know from earlier passes; empty to look at everything
	Inventory []kube.Key           // what the unit has on the cluster
}

// Plan finds out what has to be written. It asks the server only about objects
// of which it is not known that they are as we left them. All invalid objects
// are in the error, sorted; then there is no plan.
func (a *Applier) Plan(ctx context.Context, req Request) (Plan, error) {
	p := a.planning(req)
	p.provides = provides(req.Objects)
	if err := p.prepare(ctx); err != nil {
		return Plan{}, err
	}
	plan := Plan{Stages: make([][]Change, kube.Stages)}
	for i := range plan.Stages {
		plan.Stages[i] = p.stages[i]
		if err := p.try(ctx, plan.Stages[i]); err != nil {
			return Plan{}, err
		}
		p.noteNew(plan.Stages[i])
		if i+1 < kube.Stages {
			p.deferUntried(p.stages[i+1:])
		}
	}
	return plan, nil
}

// planning is a plan in the making.
type planning struct {
	*Applier
	req      Request
	provides provided
	claimed  map[object.ObjMetadata]bool // the inventory
	fresh    map[string]bool             // namespaces that this plan creates
	stages   [kube.Stages][]Change
}

// Follow has the live view follow the kinds of a unit's inventory, for when
// there is nothing to plan.
func (a *Applier) Follow(ctx context.Context, unit types.NamespacedName, inventory []kube.Key) error {
	return a.planning(Request{Unit: unit, Inventory: inventory}).follow(ctx)
}

func (a *Applier) planning(req Request) *planning {
	p := &planning{Applier: a, req: req, fresh: map[string]bool{}, claimed: map[object.ObjMetadata]bool{}}
	for _, key := range req.Inventory {
		p.claimed[key.ObjMetadata] = true
	}
	return p
}

// prepare maps every object to its resource and sorts them into stages.
func (p *planning) prepare(ctx context.Context) error {
	var errs []error
	for _, obj := range p.req.Objects {
		c, err := p.change(obj)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		stage := kube.Stage(c.Key.GroupKind)
		p.stages[stage] = append(p.stages[stage], c)
	}
	if len(errs) > 0 {
		return joined(errs)
	}
	for i := range p.stages {
		sortChanges(p.stages[i])
	}
	return p.follow(ctx)
}

// follow has the live view follow every kind of the unit that the cluster
// serves: a kind that it does not serve has no objects to see.
func (p *planning) follow(ctx context.Context) error {
	kinds := map[schema.GroupVersionKind]bool{}
	add := func(gvk schema.GroupVersionKind) {
		if _, err := p.Cluster.Mapping(gvk); err == nil {
			kinds[gvk] = true
		}
	}
	for _, obj := range p.req.Objects {
		add(obj.GroupVersionKind())
	}
	for _, key := range p.req.Inventory {
		add(key.GVK())
	}
	if err := p.View.Use(p.req.Unit, kinds); err != nil {
		return err
	}
	for gvk := range kinds {
		if err := p.View.Sync(ctx, gvk); err != nil {
			return err
		}
	}
	return nil
}

// change makes the change of one object, deferred if its kind is only defined
// by this very set.
func (p *planning) change(obj *unstructured.Unstructured) (Change, error) {
	desired := owned(obj, p.req.Unit)
	gvk := desired.GroupVersionKind()
	mapping, err := p.Cluster.Mapping(gvk)
	switch {
	case meta.IsNoMatchError(err) && p.provides.kinds[gvk.GroupKind()]:
		return Change{Key: kube.KeyOf(desired), Action: Created, Reason: "kind defined in this set", desired: desired, hash: drift.Content(desired), deferred: true}, nil
	case meta.IsNoMatchError(err):
		return Change{}, &UnknownKind{Key: kube.KeyOf(desired)}
	case err != nil:
		return Change{}, fmt.Errorf("%s: find its resource: %w", kube.KeyOf(desired), err)
	}
	if err := place(desired, mapping.Scope.Name() == meta.RESTScopeNameNamespace); err != nil {
		return Change{}, err
	}
	return Change{Key: kube.KeyOf(desired), desired: desired, hash: drift.Content(desired)}, nil
}

// noteNew remembers which namespaces come with this plan.
func (p *planning) noteNew(stage []Change) {
	for _, c := range stage {
		if c.Action == Created && c.Key.GroupKind == (schema.GroupKind{Kind: "Namespace"}) {
			p.fresh[c.Key.Name] = true
		}
	}
}

// deferUntried marks what cannot be tried before its namespace is there.
func (p *planning) deferUntried(later [][]Change) {
	for _, stage := range later {
		for i := range stage {
			if p.fresh[stage[i].Key.Namespace] && !live.Frozen(stage[i].desired) {
				stage[i].Action, stage[i].Reason, stage[i].deferred = Created, "namespace created by this set", true
			}
		}
	}
}

// try decides each change of a stage that is not deferred. Each goroutine has
// its own slot, so no lock is needed.
func (p *planning) try(ctx context.Context, stage []Change) error {
	errs := make([]error, len(stage))
	group := errgroup.Group{}
	group.SetLimit(parallel)
	for i := range stage {
		if stage[i].deferred {
			continue
		}
		var done bool
		if stage[i], done = p.known(stage[i]); done {
			continue
		}
		group.Go(func() error {
			stage[i], errs[i] = p.ask(ctx, stage[i])
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	return joined(errs)
}

// known decides without a request where that can be done.
func (p *planning) known(c Change) (Change, bool) {
	r, known := p.View.Get(c.Key)
	w := p.req.Written[c.Key]
	switch {
	case known && r.Owner == p.req.Unit && untouched(c.hash, w, r, known):
		c.Action = Unchanged
		return c, true
	case frozen(c.desired, r):
		c.Action, c.Reason = Skipped, kustomizev1.ReconcileAnnotation+" is disabled"
		return c, true
	}
	c.drifted = w.Desired == c.hash && w != (Written{})
	return c, false
}

// ask decides by a dry run on the server.
func (p *planning) ask(ctx context.Context, c Change) (Change, error) {
	r, known := p.View.Get(c.Key)
	if known && taken(p.req.Unit, r, p.claimed[c.Key.ObjMetadata], p.Exists) {
		return c, fmt.Errorf("%s is managed by Kustomization %s now: remove it from one of the two sources", c.Key, r.Owner)
	}
	answer, err := p.Cluster.Apply(ctx, c.desired, kube.ApplyOptions{Manager: manager, DryRun: true})
	if immutable(err) && (p.req.Force || forced(c.desired)) {
		return p.replace(ctx, c, r, known)
	}
	if err != nil {
		return c, refused(c.Key, "dry-run", err)
	}
	c = judge(c, answer, r, known)
	if c.Action == Configured && c.drifted {
		c.Fields, err = p.differences(ctx, c.Key, answer)
	}
	return c, err
}

// differences looks at a drifted object to tell what was changed, and by whom.
func (a *Applier) differences(ctx context.Context, key kube.Key, answer *unstructured.Unstructured) ([]drift.Difference, error) {
	current, err := a.Cluster.Get(ctx, key)
	if apierrors.IsNotFound(err) {
		return nil, nil // deleted since: the apply creates it
	}
	if err != nil {
		return nil, fmt.Errorf("%s: look at what drifted: %w", key, err)
	}
	return drift.Differences(current, answer, manager), nil
}

// replace plans to delete and create an object.
func (a *Applier) replace(ctx context.Context, c Change, r live.Record, known bool) (Change, error) {
	c.Action, c.Reason, c.uid = Recreated, "a field cannot be changed in place", r.UID
	if known {
		return c, nil
	}
	current, err := a.Cluster.Get(ctx, c.Key)
	if err != nil {
		return c, fmt.Errorf("%s: look at what has to be recreated: %w", c.Key, err)
	}
	c.uid = current.GetUID()
	return c, nil
}

// forced tells whether the object itself asks to be recreated.
func forced(obj *unstructured.Unstructured) bool {
	return obj.GetAnnotations()[kustomizev1.ForceAnnotation] == kustomizev1.EnabledValue
}

// immutable tells whether the server refuses to change a field in place.
func immutable(err error) bool {
	return err != nil && apierrors.IsInvalid(err) && mentionsImmutable(err)
}

// IsUnknownKind tells whether an error is, or holds, an UnknownKind.
func IsUnknownKind(err error) bool {
	unknown := new(UnknownKind)
	return errors.As(err, &unknown)
}
