package apply

import (
	"context"
	"encoding/json"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/retry"
)

// byKubectl tells whether kubectl, in any of its forms, manages the fields of an
// entry. It does not after a pass of ours: what only kubectl had set, and the
// source has not, goes away.
func byKubectl(entry metav1.ManagedFieldsEntry) bool {
	return strings.Contains(entry.Manager, "kubectl")
}

// former tells whether an entry is of one who wrote the object before us, in our
// place: kubectl for a Kustomization, Helm's client-side writes for a release.
func (p *planning) former(entry metav1.ManagedFieldsEntry) bool {
	if p.req.Unit.Kind == helmv2.HelmReleaseKind {
		return byHelm(entry)
	}
	return byKubectl(entry)
}

func byHelm(entry metav1.ManagedFieldsEntry) bool {
	return entry.Operation == metav1.ManagedFieldsOperationUpdate && entry.Subresource == "" && strings.Contains(entry.Manager, "helm")
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
	merged, err := takeOver(p.manager, p.former, current.GetManagedFields(), current.GetAPIVersion(), p.req.Rules.Kept(key.GroupKind))
	if err != nil {
		return err
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/resourceVersion", "value": current.GetResourceVersion()}, // or it is a conflict
		{"op": "replace", "path": "/metadata/managedFields", "value": merged},
	})
	if err != nil {
		return err
	}
	_, err = p.Cluster.PatchJSON(ctx, key, patch, p.manager)
	return err
}

// keeper is who owns what drift rules keep of kubectl's. A field that is nobody's
// would go with the last field of ours that is beside it.
const keeper = "plumb"

// takeOver is the list of managers with kubectl's fields added to ours, but for
// those that are kept as they are.
func takeOver(manager string, former drift.Writer, entries []metav1.ManagedFieldsEntry, apiVersion string, keep []drift.Path) ([]metav1.ManagedFieldsEntry, error) {
	ours, kept, keeps := fieldpath.NewSet(), fieldpath.NewSet(), leaves(keep)
	var others []metav1.ManagedFieldsEntry
	for _, entry := range entries {
		byUs := entry.Manager == manager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == ""
		byKeeper := entry.Manager == keeper && entry.Operation == metav1.ManagedFieldsOperationUpdate
		if !byUs && !byKeeper && !former(entry) {
			others = append(others, entry)
			continue
		}
		if entry.Subresource == "status" || entry.FieldsV1 == nil {
			continue // no spec of ours: nobody owns it any more
		}
		set := fieldpath.NewSet()
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return nil, err
		}
		if !byUs {
			kept = kept.Union(set.Intersection(keeps))
			set = set.Difference(keeps)
		}
		if !byKeeper {
			ours = ours.Union(set)
		}
	}
	if !kept.Empty() {
		entry, err := managing(keeper, metav1.ManagedFieldsOperationUpdate, apiVersion, kept)
		if err != nil {
			return nil, err
		}
		others = append(others, entry)
	}
	entry, err := managing(manager, metav1.ManagedFieldsOperationApply, apiVersion, ours)
	return append(others, entry), err
}

// managing is an entry of managedFields.
func managing(manager string, how metav1.ManagedFieldsOperationType, apiVersion string, set *fieldpath.Set) (metav1.ManagedFieldsEntry, error) {
	raw, err := set.ToJSON()
	now := metav1.Now()
	return metav1.ManagedFieldsEntry{
		Manager:    manager,
		Operation:  how,
		APIVersion: apiVersion,
		Time:       &now,
		FieldsType: "FieldsV1",
		FieldsV1:   metav1.NewFieldsV1(string(raw)),
	}, err
}

func leaves(paths []drift.Path) *fieldpath.Set {
	set := fieldpath.NewSet()
	for _, path := range paths {
		steps := make(fieldpath.Path, len(path))
		for i, step := range path {
			steps[i] = fieldpath.PathElement{FieldName: &step}
		}
		set.Insert(steps)
	}
	return set
}
