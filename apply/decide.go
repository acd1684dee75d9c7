package apply

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// known decides without a request where that can be done.
func (p *planning) known(c Change) (Change, bool) {
	r, known := p.View.Get(p.req.Unit.Kind, c.Key)
	w := p.req.Written[c.Key]
	same := w.Desired == c.hash && w != (Written{})
	c.owned, c.body = w.Owned, w.Body
	switch {
	case known && r.Owner == p.req.Unit && untouched(c.hash, w, r, known):
		c.Action = Unchanged
		return c, true
	case p.frozen(c.desired, r):
		c.Action, c.Reason = Skipped, kustomizev1.ReconcileAnnotation+" is disabled"
		return c, true
	case p.excused(c.desired, known) != "":
		c.Action, c.Reason = Skipped, p.excused(c.desired, known)
		return c, true
	case !known && same && expires(c.desired):
		c.Action, c.Reason = Unchanged, "it ran, and is removed"
		return c, true
	}
	if c.body = (drift.Hash{}); p.straight(c) { // else not all of it is sent
		c.body = body(c.desired)
	}
	c.drifted = same
	return c, false
}

// ask decides by a dry run on the server.
func (p *planning) ask(ctx context.Context, c Change) (Change, error) {
	r, known := p.View.Get(p.req.Unit.Kind, c.Key)
	if known && taken(p.req.Unit, r, p.claimed[c.Key.ObjMetadata], p.Exists) {
		return c, fmt.Errorf("%s is managed by %s %s now: remove it from one of the two sources", c.Key, r.Owner.Kind, r.Owner)
	}
	if !known && p.says(c.desired, kustomizev1.PolicyAnnotation, policyIfNotPresent) {
		if _, err := p.get(ctx, c.Key); !apierrors.IsNotFound(err) {
			c.Action, c.Reason = Skipped, p.excused(c.desired, true)
			return c, refusedOrNil(c.Key, "look", err)
		}
	}
	c, answer, err := p.dryRun(ctx, c, known)
	if immutable(err) {
		return p.recreate(ctx, c, r, known, err)
	}
	if p.awaitsNamespace(c.Key, err) {
		c.Action, c.Reason, c.deferred = Created, "namespace created before this set", true
		return c, nil
	}
	if err != nil {
		return c, refused(c.Key, "dry-run", err)
	}
	if why := p.excused(answer, true); answer.GetResourceVersion() != "" && why != "" {
		c.Action, c.Reason = Skipped, why // by an annotation on the cluster
		return c, nil
	}
	judged := p.judge(c, answer, r, known)
	if known && judged.Action == Configured && answer.GetResourceVersion() != r.ResourceVersion {
		if judged, err = p.judgeAnew(ctx, c, answer, r); err != nil {
			return c, err
		}
	}
	return p.explain(ctx, judged, answer, known)
}

// judgeAnew judges by the object itself: the live view was behind the answer, and
// what differs may be what it has not seen yet.
func (p *planning) judgeAnew(ctx context.Context, c Change, answer *unstructured.Unstructured, r live.Record) (Change, error) {
	current, err := p.get(ctx, c.Key)
	switch {
	case err == nil:
		r = live.Reduce(p.req.Unit.Kind, current)
	case !apierrors.IsNotFound(err): // deleted since: the apply creates it
		return c, refused(c.Key, "look", err)
	}
	return p.judge(c, answer, r, true), nil
}

func refusedOrNil(key kube.Key, op string, err error) error {
	if err == nil {
		return nil
	}
	return refused(key, op, err)
}

// dryRun tries one object, without the fields that are left alone once it exists.
// It returns the change with what is to be sent, and the server's answer.
func (p *planning) dryRun(ctx context.Context, c Change, exists bool) (Change, *unstructured.Unstructured, error) {
	ignored := p.req.Ignore.Paths(c.desired)
	ignores := drift.Sets(c.desired, ignored)
	if ignores && exists {
		current, err := p.get(ctx, c.Key)
		switch {
		case err == nil:
			c.desired = owned(drift.Leave(c.desired, current, ignored, p.another(c)), p.req.Unit)
		case !apierrors.IsNotFound(err):
			return c, nil, err
		}
	}
	if c.drifted && exists && !ignores {
		return p.putBack(ctx, c)
	}
	answer, err := p.send(ctx, c.desired, intent{})
	switch {
	case ignores && !exists && (err != nil || answer.GetResourceVersion() != ""):
		return p.dryRun(ctx, c, true) // it does exist, without our labels
	case contested(err):
		return p.contest(ctx, c, err)
	}
	return c, answer, err
}

// putBack tries an object that somebody has changed. He holds what he changed, so a try
// without force would only be answered with a conflict.
func (p *planning) putBack(ctx context.Context, c Change) (Change, *unstructured.Unstructured, error) {
	current, err := p.get(ctx, c.Key)
	switch {
	case err == nil:
		c.current, c.force = current, true
		c, err = p.hold(ctx, c, current)
	case apierrors.IsNotFound(err):
		err = nil
	}
	if err != nil {
		return c, nil, err
	}
	answer, err := p.send(ctx, c.desired, intent{force: c.force})
	return c, answer, err
}

// another tells who keeps a field that is ignored. What kubectl holds becomes
// ours, unless the object is merged.
func (p *planning) another(c Change) drift.Writer {
	return func(e metav1.ManagedFieldsEntry) bool {
		ours := e.Manager == p.manager && e.Operation == metav1.ManagedFieldsOperationApply
		return !ours && e.Subresource != "status" && (c.merges || !p.former(e))
	}
}

// contest is for fields that others own with other values: what the drift rules
// say is left to them, the rest is taken over and named.
func (p *planning) contest(ctx context.Context, c Change, conflict error) (Change, *unstructured.Unstructured, error) {
	current, err := p.get(ctx, c.Key)
	if err != nil && !apierrors.IsNotFound(err) {
		return c, nil, err
	}
	if err == nil {
		if c, err = p.hold(ctx, c, current); err != nil {
			return c, nil, err
		}
	}
	if len(c.Rules) > 0 {
		answer, err := p.send(ctx, c.desired, intent{})
		if !contested(err) {
			return c, answer, err
		}
		conflict = err
	}
	c.Taken = conflicts(conflict)
	answer, err := p.send(ctx, c.desired, intent{force: true})
	return c, answer, err
}

// hold takes the fields out of a change that drift rules leave to their writers.
func (p *planning) hold(ctx context.Context, c Change, current *unstructured.Unstructured) (Change, error) {
	rules := p.req.Rules
	by, desired := rules.Held(c.desired, current, p.manager)
	if slices.Contains(by, drift.HPAReplicas) {
		scaled, err := p.autoscaled(ctx, c.Key)
		if err != nil {
			return c, err
		}
		if !scaled { // it was, once
			by, desired = rules.Without(drift.HPAReplicas).Held(c.desired, current, p.manager)
		}
	}
	if len(by) > 0 {
		c.Rules, c.desired, c.body = by, desired, drift.Hash{}
	}
	return c, nil
}

// explain adds what there is to say about a change, and turns drift into a report
// where that is all that is wished for.
func (p *planning) explain(ctx context.Context, c Change, answer *unstructured.Unstructured, known bool) (Change, error) {
	if !c.Writes() {
		return c, nil
	}
	warn := p.req.ReportDrift || p.says(c.desired, kustomizev1.DriftAnnotation, kustomizev1.DriftWarn) || p.says(answer, kustomizev1.DriftAnnotation, kustomizev1.DriftWarn)
	_, remembered := p.req.Written[c.Key]
	forgotten := warn && known && !remembered
	if c.Action == Configured && (c.drifted || forgotten || p.req.Explain) {
		var err error
		if c.Fields, err = p.differences(ctx, c, answer); err != nil {
			return c, err
		}
	}
	c.current = nil
	if forgotten {
		c.drifted = allHeld(c.Fields)
	}
	if warn && c.drifted {
		return reported(c), nil
	}
	if c.Reason == "" {
		c.Reason = takeover(c.Taken)
	}
	return c, nil
}

// reported is drift that stays as it is.
func reported(c Change) Change {
	if c.Action == Created {
		c.Reason = "it was deleted"
	}
	c.Action = Drifted
	return c
}

// allHeld tells whether somebody else has all that differs: then it was he who
// changed it. What nobody holds may be new in the source.
func allHeld(fields []drift.Difference) bool {
	return len(fields) > 0 && !slices.ContainsFunc(fields, func(d drift.Difference) bool { return !d.Held() })
}

// differences looks at a drifted object to tell what was changed, and by whom.
func (p *planning) differences(ctx context.Context, c Change, answer *unstructured.Unstructured) ([]drift.Difference, error) {
	if c.current != nil {
		return drift.Differences(c.current, answer, p.manager), nil
	}
	current, err := p.get(ctx, c.Key)
	if apierrors.IsNotFound(err) {
		return nil, nil // deleted since: the apply creates it
	}
	if err != nil {
		return nil, fmt.Errorf("%s: look at what drifted: %w", c.Key, err)
	}
	return drift.Differences(current, answer, p.manager), nil
}

// recreate plans to delete and create an object of which a field cannot be
// changed in place, if that is allowed; else the refusal names the field.
func (p *planning) recreate(ctx context.Context, c Change, r live.Record, known bool, refusal error) (Change, error) {
	allowed := p.mayRecreate(c.desired)
	if allowed && known {
		c.Action, c.Reason, c.uid = Recreated, "a field cannot be changed in place", r.UID
		return c, nil
	}
	current, err := p.get(ctx, c.Key)
	if !allowed {
		return c, &Refusal{Key: c.Key, Op: "dry-run", Err: refusal, Fields: locked(refusal, c.desired, current)}
	}
	if err != nil {
		return c, fmt.Errorf("%s: look at what has to be recreated: %w", c.Key, err)
	}
	c.Action, c.Reason, c.uid = Recreated, "a field cannot be changed in place", current.GetUID()
	return c, nil
}
