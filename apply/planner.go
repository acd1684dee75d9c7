package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/errlist"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// parallel is how many requests one unit has under way at once.
const parallel = 16

// View is what planning needs of the live view.
type View interface {
	Get(owner string, key kube.Key) (live.Record, bool)
	Observe(owner string, obj *unstructured.Unstructured) live.Record
	Use(unit live.User, kinds map[schema.GroupVersionKind]bool) error
	Sync(ctx context.Context, owner string, gvk schema.GroupVersionKind) error
}

// Applier plans and writes on one cluster.
type Applier struct {
	Cluster *kube.Cluster
	View    View
	// Admin is the same cluster for who may look at what has a say in the admission of
	// objects; nil for Cluster.
	Admin *kube.Cluster
	// Facts are what is known of the cluster for a moment; nil to find out each time.
	Facts *Facts
	// Exists tells whether there is a unit of that name.
	Exists func(live.User) bool
}

// Request is one unit's wish.
type Request struct {
	Unit      live.User // whose labels and field manager the objects get
	Objects   []*unstructured.Unstructured
	Kept      []kube.Key           // further objects, of which nothing is to be done (Keep)
	Force     bool                 // recreate what cannot be changed in place
	Written   map[kube.Key]Written // what we know from earlier passes; empty to look at everything
	Inventory []kube.Key           // what the unit has on the cluster
	// Ignore are the fields that are left alone once an object exists (spec.ignore).
	Ignore *drift.Ignores
	// Rules are the built-in ones of that sort that are on.
	Rules drift.Rules
	// ReportDrift has what somebody else changed reported, and left as it is.
	ReportDrift bool
	// Creates is a namespace that may not be there yet, and will be when the plan is
	// run; "" for none.
	Creates string
	// ByContent has an object count as different by what it says alone, and not by
	// who owns its fields.
	ByContent bool
	// Explain has the fields of every change told, not of drift only.
	Explain bool
	// Leads has the first object that is written go without a dry run (lead.go). It is
	// for plans that are run.
	Leads bool
}

// Plan finds out what has to be written. It asks the server only about objects
// of which it is not known that they are as we left them. All invalid objects
// are in the error, sorted; then there is no plan.
func (a *Applier) Plan(ctx context.Context, req Request) (Plan, error) {
	p := a.planning(req)
	if err := p.prepare(ctx); err != nil {
		return Plan{}, err
	}
	plan := Plan{Stages: make([][]Change, stages), Kept: req.Kept}
	for i := range plan.Stages {
		plan.Stages[i] = p.stages[i]
		if err := p.try(ctx, plan.Stages[i]); err != nil {
			return Plan{}, err
		}
		p.noteNew(plan.Stages[i])
		p.writes = p.writes || slices.ContainsFunc(plan.Stages[i], Change.Writes)
		p.deferUntried(p.stages[i+1:])
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
	scaling  *scaling
	stages   [stages][]Change
	manager  string // the field manager
	steered  bool   // objects steer by annotations how they are applied
	writes   bool   // a stage that is decided writes something
}

// Follow has the live view follow the kinds of a unit's inventory, for when
// there is nothing to plan.
func (a *Applier) Follow(ctx context.Context, unit live.User, inventory []kube.Key) error {
	return a.planning(Request{Unit: unit, Inventory: inventory}).follow(ctx)
}

func (a *Applier) planning(req Request) *planning {
	p := &planning{
		Applier: a, req: req, provides: provides(req.Objects), scaling: newScaling(req.Objects),
		manager: req.Unit.Manager(), steered: req.Unit.Kind == kustomizev1.KustomizationKind,
		fresh: map[string]bool{}, claimed: map[object.ObjMetadata]bool{},
	}
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
		if c.deferred {
			stage, _ = p.provides.stage(c.Key.GVK())
		}
		p.stages[stage] = append(p.stages[stage], c)
	}
	if len(errs) > 0 {
		return errlist.Join(errs)
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
		if err := p.View.Sync(ctx, p.req.Unit.Kind, gvk); err != nil {
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
	_, comes := p.provides.stage(gvk)
	mapping, err := p.Cluster.Mapping(gvk)
	switch {
	case meta.IsNoMatchError(err) && comes:
		c := p.wish(desired)
		c.Action, c.Reason, c.deferred = Created, "kind defined in this set", true
		return c, nil
	case meta.IsNoMatchError(err):
		return Change{}, &UnknownKind{Key: kube.KeyOf(desired)}
	case err != nil:
		return Change{}, fmt.Errorf("%s: find its resource: %w", kube.KeyOf(desired), err)
	}
	if err := place(desired, mapping.Scope.Name() == meta.RESTScopeNameNamespace); err != nil {
		return Change{}, err
	}
	return p.wish(desired), nil
}

// wish is a change of which only the wish is known. Its hash differs when other
// fields are ignored, or when an autoscaler of the set comes or goes.
func (p *planning) wish(desired *unstructured.Unstructured) Change {
	key := kube.KeyOf(desired)
	ignored := p.req.Ignore.Paths(desired)
	if p.scaling.targets(key) {
		ignored = append(ignored, drift.Path{drift.HPAReplicas})
	}
	return Change{
		Key: key, desired: desired, hash: drift.Content(desired).With(ignored),
		merges: p.says(desired, kustomizev1.PolicyAnnotation, policyMerge),
	}
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
			if p.fresh[stage[i].Key.Namespace] && p.excused(stage[i].desired, false) == "" {
				stage[i].Action, stage[i].Reason, stage[i].deferred = Created, "namespace created by this set", true
			}
		}
	}
}

// awaitsNamespace tells whether an object was refused for want of the namespace
// that is created before the plan is run.
func (p *planning) awaitsNamespace(key kube.Key, err error) bool {
	return p.req.Creates != "" && key.Namespace == p.req.Creates && apierrors.IsNotFound(err)
}

// try decides each change of a stage that is not deferred. Each goroutine has
// its own slot, so no lock is needed.
func (p *planning) try(ctx context.Context, stage []Change) error {
	var open []int
	for i := range stage {
		if stage[i].deferred {
			continue
		}
		var done bool
		if stage[i], done = p.known(stage[i]); !done {
			open = append(open, i)
		}
	}
	vouched, lead := p.vouch(ctx, stage, open), -1
	if len(vouched) == 0 { // those are written beside it
		p.relabel(ctx, stage, open, vouched)
		lead = p.chooseLead(stage, open, vouched)
	}
	errs := make([]error, len(stage))
	group := errgroup.Group{}
	group.SetLimit(parallel)
	for _, i := range open {
		if vouched[i] || i == lead {
			continue
		}
		group.Go(func() error {
			stage[i], errs[i] = p.ask(ctx, stage[i])
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	if lead >= 0 && slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		_, errs[lead] = p.ask(ctx, stage[lead]) // all that is wrong is told at once
	}
	return errlist.InTime(ctx, errs, errUntried)
}

// IsUnknownKind tells whether an error is, or holds, an UnknownKind.
func IsUnknownKind(err error) bool {
	unknown := new(UnknownKind)
	return errors.As(err, &unknown)
}
