package apply

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/failpoint"
)

// The first object that a plan writes, its lead, needs no dry run: its write is its
// try. All others are known to be valid by then and none of them is written before, so
// when the server refuses the lead nothing of the set was written, as after a refused
// dry run. That is one request less for each set, which counts where sets are small.

// Untaken says that the server refused the lead of a plan: nothing at all was written,
// and so nothing has to be remembered as written.
type Untaken struct{ Err error }

// Error implements error.
func (u *Untaken) Error() string { return u.Err.Error() }

// Unwrap gives the refusal.
func (u *Untaken) Unwrap() error { return u.Err }

// chooseLead picks the lead among the changes of a stage that are still to be decided,
// and decides it; -1 for none. There is none behind a stage that writes.
func (p *planning) chooseLead(stage []Change, open []int, vouched map[int]bool) int {
	if !p.req.Leads || p.writes {
		return -1
	}
	for _, i := range open {
		if action := p.foreseen(stage[i]); action != "" && !vouched[i] {
			stage[i].Action, stage[i].untried = action, true
			return i
		}
	}
	return -1
}

// foreseen is what the write of an object will do, where nothing but the server's
// refusal can change that; "" where more has to be looked at.
func (p *planning) foreseen(c Change) Action {
	if !p.straight(c) {
		return ""
	}
	if _, known := p.View.Get(p.req.Unit.Kind, c.Key); !known {
		return Created // or refused, if it is there (onlyNew)
	}
	if p.asLeft(c) {
		return Configured
	}
	return ""
}

// straight tells whether an object is sent as the source has it, whatever is there.
func (p *planning) straight(c Change) bool {
	return !c.drifted && !c.merges && !p.steers(c) && !p.scaling.targets(c.Key) && len(p.req.Ignore.Paths(c.desired)) == 0
}

// asLeft tells whether an object is on the cluster as our last write left it, and is
// nobody else's.
func (p *planning) asLeft(c Change) bool {
	r, known := p.View.Get(p.req.Unit.Kind, c.Key)
	w := p.req.Written[c.Key]
	return known && r.Owner == p.req.Unit && r.Alone && untouched(w.Desired, w, r, known)
}

// onlyNew is an object in the form that the server takes only when there is none of that
// name: it compares the resource version with that of the object that it has, and none
// has this one (Kubernetes API concepts, "Resource versions": a number of 64 bits).
func onlyNew(obj *unstructured.Unstructured) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: maps.Clone(obj.Object)}
	metadata, _ := obj.Object["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	metadata["resourceVersion"] = strconv.FormatInt(math.MaxInt64, 10)
	out.Object["metadata"] = metadata
	return out
}

// steers tells whether an object, or the unit, says how it is applied.
func (p *planning) steers(c Change) bool {
	return p.req.ReportDrift || p.says(c.desired, kustomizev1.DriftAnnotation, kustomizev1.DriftWarn) ||
		p.says(c.desired, kustomizev1.PolicyAnnotation, policyIfNotPresent)
}

// goAhead writes the lead of a stage, if it has one. Where the server has something
// against it, a dry run says what, and what else can be done; that may be a change like any other.
func (p *planning) goAhead(ctx context.Context, stage []Change) error {
	i := slices.IndexFunc(stage, func(c Change) bool { return c.untried })
	if i < 0 {
		return nil
	}
	c := stage[i]
	c.untried = false
	before, known := p.View.Get(p.req.Unit.Kind, c.Key) // and not after the write, which the view sees as well
	failpoint.Hit("apply.object")
	sent := c.desired
	if !known {
		sent = onlyNew(sent)
	}
	answer, refusal := p.sendOnce(ctx, sent)
	if refusal == nil {
		record := p.View.Observe(p.req.Unit.Kind, answer)
		if known && before.ResourceVersion == record.ResourceVersion {
			c.Action = Unchanged
		}
		c.owned, c.written = record.Owned, true
		stage[i] = c
		return nil
	}
	c.Action = ""
	c, err := p.ask(ctx, c)
	if err == nil {
		stage[i] = c
		return nil
	}
	if definite(refusal) {
		return &Untaken{Err: err}
	}
	return err
}

// definite tells whether the server has not done what it was asked for: it said so,
// and did not just fail to answer.
func definite(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	code := status.Status().Code
	return code >= http.StatusBadRequest && code < http.StatusInternalServerError && code != http.StatusRequestTimeout
}
