package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/prune"
)

// mostHandedBack is how much of an inventory is put back into a status: with all else
// that a Kustomization may hold it stays below the 1.5 MiB that etcd takes.
const mostHandedBack = 1 << 20

// inventoriesBack puts the inventories that are in ConfigMaps into their statuses,
// where the toolkit's controllers look for them. A crash in here leaves ConfigMaps
// that no status names; the same command once more removes them.
func inventoriesBack(ctx context.Context, out io.Writer, cluster *kube.Cluster) error {
	units, err := listKind(ctx, cluster, kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind))
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for i := range units {
		unit := &kustomizev1.Kustomization{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(units[i].Object, unit); err != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(&units[i]), err)
		}
		left, err := inventoryBack(ctx, cluster, unit)
		if err != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(&units[i]), err)
		}
		if left {
			keep[string(unit.UID)] = true
			fmt.Fprintf(out, "%s keeps its inventory in ConfigMaps: it does not fit into its status, so what leaves its source before the controllers have applied it once is not pruned\n", kube.KeyOf(&units[i]))
		}
	}
	return dropChunks(ctx, cluster, keep)
}

// inventoryBack puts one inventory back, and tells whether it is too large for that.
func inventoryBack(ctx context.Context, cluster *kube.Cluster, unit *kustomizev1.Kustomization) (left bool, err error) {
	if unit.Status.Inventory == nil || len(unit.Status.Inventory.Chunks) == 0 {
		return false, nil
	}
	resource, err := cluster.Resource(chunkKind, unit.Namespace)
	if err != nil {
		return false, err
	}
	chunks, err := resource.List(ctx, metav1.ListOptions{LabelSelector: prune.ChunksOf(unit.UID)})
	if err != nil {
		return false, err
	}
	keys, err := prune.Join(unit.Status.Inventory, chunks.Items)
	if err != nil {
		return false, err
	}
	stored, large := prune.Split(keys, mostHandedBack, unit.Name, string(unit.UID))
	if len(large) > 0 {
		return true, nil
	}
	units, err := cluster.Resource(kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind), unit.Namespace)
	if err != nil {
		return false, err
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": unit.UID},
		"status":   map[string]any{"inventory": map[string]any{"entries": stored.Entries, "chunks": nil}},
	})
	if err != nil {
		return false, err
	}
	_, err = units.Patch(ctx, unit.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: cliManager}, "status")
	return false, err
}

var chunkKind = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}

// dropChunks removes the ConfigMaps with parts of inventories, but for those of units
// whose UID is in keep.
func dropChunks(ctx context.Context, cluster *kube.Cluster, keep map[string]bool) error {
	resource, err := cluster.Resource(chunkKind, "")
	if err != nil {
		return err
	}
	found, err := resource.List(ctx, metav1.ListOptions{LabelSelector: meta.InventoryLabel})
	if err != nil {
		return fmt.Errorf("look for parts of inventories: %w", err)
	}
	for i := range found.Items {
		chunk := &found.Items[i]
		chunk.SetGroupVersionKind(chunkKind)
		if keep[chunk.GetLabels()[meta.InventoryLabel]] {
			continue
		}
		if _, err := cluster.Delete(ctx, kube.KeyOf(chunk), chunk.GetUID(), ""); err != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(chunk), err)
		}
	}
	return nil
}
