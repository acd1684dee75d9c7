package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/prune"
)

// The first inventory of a unit is claimed in the same write as the finalizer, by an
// annotation: both have to be there before the first object is, and a finalizer and a
// status cannot be written at once. The annotation counts as long as there is no
// inventory in the status, which the report of the same pass writes
// (docs/decisions/0014-first-claim.md).

// claimBytes is how much a first claim may say; what is larger goes into the status.
const claimBytes = 8 << 10

// firstClaim is what the annotation says.
type firstClaim struct {
	UID     types.UID                 `json:"uid"` // of the unit: a copy of it has claimed nothing
	Entries []kustomizev1.ResourceRef `json:"entries"`
}

// claimed is what a unit claimed before it had an inventory.
func claimed(k *kustomizev1.Kustomization) ([]kube.Key, error) {
	text := k.Annotations[meta.ClaimAnnotation]
	if text == "" || k.Status.Inventory != nil {
		return nil, nil
	}
	var claim firstClaim
	if err := json.Unmarshal([]byte(text), &claim); err != nil {
		return nil, &claimError{err}
	}
	if claim.UID != k.UID {
		return nil, nil
	}
	keys, err := prune.Load(&kustomizev1.ResourceInventory{Entries: claim.Entries})
	if err != nil {
		return nil, &claimError{err}
	}
	return keys, nil
}

// claimError says that nobody can tell what a unit claimed.
type claimError struct{ err error }

// Error implements error.
func (c *claimError) Error() string {
	return fmt.Sprintf("the annotation %s, which names what was begun, cannot be read: restore it, or remove it to go on without: %v", meta.ClaimAnnotation, c.err)
}

// Unwrap gives the cause.
func (c *claimError) Unwrap() error { return c.err }

// claim puts the finalizer on a unit that has none. It returns whether the inventory of
// the pass is claimed by the same write.
func (e *Engine) claim(ctx context.Context, p *pass) (all bool, err error) {
	metadata := map[string]any{
		"finalizers":      append(slices.Clone(p.object.Finalizers), meta.Finalizer),
		"resourceVersion": p.object.ResourceVersion, // so that no other finalizer is lost
	}
	if p.object.Status.Inventory == nil {
		text := asJSON(firstClaim{p.object.UID, prune.Store(p.inventory).Entries})
		if all = len(text) <= claimBytes; all {
			metadata["annotations"] = map[string]any{meta.ClaimAnnotation: string(text)}
		}
	}
	patch := asJSON(map[string]any{"metadata": metadata})
	object, err := saved(p.object, patch, func(o client.Object, c client.Patch) error { return e.client.Patch(ctx, o, c) })
	if err != nil {
		return false, err
	}
	p.object = object
	p.unit.wrote(object)
	failpoint.Hit("finalizer.added")
	return all, nil
}
