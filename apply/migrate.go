package apply

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/retry"
)

// kubectlHolds tells whether kubectl, in any of its forms, manages fields of
// the object. It does not after a pass of ours: what only kubectl had set, and
// the source has not, goes away.
func kubectlHolds(obj *unstructured.Unstructured) bool {
	return slices.ContainsFunc(obj.GetManagedFields(), byKubectl)
}

func byKubectl(entry metav1.ManagedFieldsEntry) bool {
	return strings.Contains(entry.Manager, "kubectl")
}

// migrate makes kubectl's fields ours, so that the apply that follows removes
// those which we don't set. A crash in between leaves us owning too much, which
// that same apply mends in the next pass.
//
// Somebody may write in between, so it is tried anew.
func (p *planning) migrate(ctx context.Context, key kube.Key) error {
	_, err := retry.Do(ctx, func() (struct{}, error) { return struct{}{}, p.migrateOnce(ctx, key) })
	return err
}

func (p *planning) migrateOnce(ctx context.Context, key kube.Key) error {
	current, err := p.Cluster.Get(ctx, key)
	if apierrors.IsNotFound(err) {
		return nil // deleted since: the apply creates it
	}
	if err != nil {
		return err
	}
	merged, err := takeOver(current.GetManagedFields(), current.GetAPIVersion(), p.req.Rules.Unowned(key.GroupKind))
	if err != nil {
		return err
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/resourceVersion", "value": current.GetResourceVersion()},
		{"op": "replace", "path": "/metadata/managedFields", "value": merged},
	})
	if err != nil {
		return err
	}
	_, err = p.Cluster.PatchJSON(ctx, key, patch, manager)
	return err
}

// takeOver is the list of managers with kubectl's fields added to ours, but for
// those that stay on the object by being nobody's.
func takeOver(entries []metav1.ManagedFieldsEntry, apiVersion string, unowned []drift.Path) ([]metav1.ManagedFieldsEntry, error) {
	all := fieldpath.NewSet()
	var others []metav1.ManagedFieldsEntry
	for _, entry := range entries {
		ours := entry.Manager == manager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == ""
		if !ours && !byKubectl(entry) {
			others = append(others, entry)
			continue
		}
		if entry.Subresource == "status" {
			continue // no spec of ours: nobody owns it any more
		}
		set := fieldpath.NewSet()
		if entry.FieldsV1 != nil {
			if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
				return nil, err
			}
		}
		if !ours {
			set = set.Difference(setOf(unowned))
		}
		all = all.Union(set)
	}
	raw, err := all.ToJSON()
	if err != nil {
		return nil, err
	}
	now := metav1.Now()
	return append(others, metav1.ManagedFieldsEntry{
		Manager:    manager,
		Operation:  metav1.ManagedFieldsOperationApply,
		APIVersion: apiVersion,
		Time:       &now,
		FieldsType: "FieldsV1",
		FieldsV1:   metav1.NewFieldsV1(string(raw)),
	}), nil
}

// setOf is the set of the paths and of all that they lead through: who owns a map
// and stops applying it removes everything in it.
func setOf(paths []drift.Path) *fieldpath.Set {
	set := fieldpath.NewSet()
	for _, path := range paths {
		steps := fieldpath.Path{}
		for _, step := range path {
			steps = append(steps, fieldpath.PathElement{FieldName: &step})
			set.Insert(steps.Copy())
		}
	}
	return set
}
