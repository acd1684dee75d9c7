package prune

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// Verdict is what happens to an object that is not wanted any more.
type Verdict string

// The verdicts.
const (
	Delete Verdict = "delete"
	Forget Verdict = "forget" // not ours to delete: leave it, drop it from the inventory
	Gone   Verdict = "gone"   // it is no more
	Wait   Verdict = "wait"   // it is being deleted, something keeps it
	Block  Verdict = "block"  // a guard wants consent first
)

// candidate is an object that may be pruned.
type candidate struct {
	key    kube.Key
	record live.Record
	known  bool // the live view has it, so it carries owner labels
}

// veto is a reason against deleting a candidate. An empty verdict means none.
type veto struct {
	name  string
	check func(ctx context.Context, r Request, c candidate) (Verdict, string, error)
}

// vetoes are asked in this order; the first that speaks decides. The costly one
// comes last.
func (p *Pruner) vetoes() []veto {
	return []veto{
		{"unlabelled", p.unlabelled},
		{"adopted", adopted},
		{"prune disabled", disabled},
		{"terminating", terminating},
		{"own namespace", p.ownNamespace},
		{"in use", p.inUse},
	}
}

// unlabelled: an object outside of the live view is gone, or lost our labels
// and with them our claim to it.
func (p *Pruner) unlabelled(ctx context.Context, r Request, c candidate) (Verdict, string, error) {
	if c.known {
		return "", "", nil
	}
	_, err := p.get(ctx, c.key)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return Gone, "", nil
	case err != nil:
		return "", "", fmt.Errorf("%s: look before pruning: %w", c.key, err)
	}
	return Forget, "it does not carry the labels of this " + r.Unit.Kind, nil
}

// adopted: another unit put its labels on the object.
func adopted(_ context.Context, r Request, c candidate) (Verdict, string, error) {
	if c.record.Owner == r.Unit {
		return "", "", nil
	}
	return Forget, "it is managed by " + c.record.Owner.Kind + " " + c.record.Owner.String(), nil
}

// disabled: the object says of itself that it must not be pruned.
func disabled(_ context.Context, _ Request, c candidate) (Verdict, string, error) {
	if !c.record.Keep {
		return "", "", nil
	}
	return Forget, "pruning is disabled by its annotation or label", nil
}

// terminating: somebody deleted it already, us included.
func terminating(_ context.Context, _ Request, c candidate) (Verdict, string, error) {
	if !c.record.Deleting {
		return "", "", nil
	}
	return Wait, "it is being deleted", nil
}

// ownNamespace: the engine does not saw off the branch it sits on.
func (p *Pruner) ownNamespace(_ context.Context, _ Request, c candidate) (Verdict, string, error) {
	if c.key.GroupKind.Group != "" || c.key.GroupKind.Kind != "Namespace" || c.key.Name != p.OwnNamespace {
		return "", "", nil
	}
	return Block, "Plumb itself runs there", nil
}

// inUse: what a Namespace, CRD or PersistentVolumeClaim takes with it.
func (p *Pruner) inUse(ctx context.Context, r Request, c candidate) (Verdict, string, error) {
	if r.Consent {
		return "", "", nil
	}
	holds, err := p.holds(ctx, c.key)
	if err != nil {
		return "", "", fmt.Errorf("%s: look at what it holds: %w", c.key, err)
	}
	if holds == "" {
		return "", "", nil
	}
	return Block, "it holds " + holds, nil
}

// Request is what a unit wants pruned.
type Request struct {
	Unit live.User
	// Objects have to go.
	Objects []kube.Key
	// Consent lets Namespaces, CRDs and claims go with all that they hold.
	Consent bool
	// Leave gives up on what a guard blocks instead of keeping it in the
	// inventory: for a unit that is itself being deleted, and so can't wait.
	Leave bool
	// Returns says that the unit comes back for what has to wait.
	Returns bool
}
