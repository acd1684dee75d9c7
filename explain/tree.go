package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/prune"
)

// Node is one object and what it brought to the cluster.
type Node struct {
	Object   string `json:"object"`
	Status   string `json:"status"` // a word of kstatus
	Message  string `json:"message,omitempty"`
	Children []Node `json:"children,omitempty"`
}

// atOnce is how many objects are read at a time.
const atOnce = 16

// Tree reads a Kustomization or a HelmRelease with its whole inventory, those in it
// included. The error is ErrNotFound when it is not there.
func Tree(ctx context.Context, r Reader, key kube.Key) (Node, error) {
	return tree(ctx, r, key, map[kube.Key]bool{})
}

// tree goes down one level. above are the objects on the way, so that one which
// contains itself ends.
func tree(ctx context.Context, r Reader, key kube.Key, above map[kube.Key]bool) (Node, error) {
	obj, err := get(ctx, r, key)
	if err != nil {
		return Node{}, err
	}
	if obj == nil && len(above) == 0 {
		return Node{}, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	n := node(key, obj)
	if obj == nil || above[key] {
		return n, nil
	}
	keys, err := inventoryOf(ctx, r, key, obj)
	if err != nil || len(keys) == 0 {
		return n, err
	}
	below := map[kube.Key]bool{key: true}
	for k := range above {
		below[k] = true
	}
	n.Children, err = children(ctx, r, keys, below)
	return n, err
}

// inventoryOf is what a Kustomization or a HelmRelease has on the cluster; nothing
// for any other object.
func inventoryOf(ctx context.Context, r Reader, key kube.Key, obj *unstructured.Unstructured) ([]kube.Key, error) {
	if key.GroupKind != unitKey("", "").GroupKind && key.GroupKind != releaseKey("", "").GroupKind {
		return nil, nil
	}
	unit := struct {
		Status struct {
			Inventory *kustomizev1.ResourceInventory `json:"inventory"`
		} `json:"status"`
	}{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &unit); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	keys, err := stored(ctx, r, obj, unit.Status.Inventory)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return keys, nil
}

// stored reads an inventory with what of it is in ConfigMaps beside its object.
func stored(ctx context.Context, r Reader, obj metav1.Object, inventory *kustomizev1.ResourceInventory) ([]kube.Key, error) {
	if inventory == nil || len(inventory.Chunks) == 0 {
		return prune.Load(inventory)
	}
	chunks, err := r.List(ctx, schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, obj.GetNamespace(), prune.ChunksOf(obj.GetUID()))
	if err != nil {
		return nil, err
	}
	return prune.Join(inventory, chunks)
}

// children reads objects side by side. Each goroutine has its own slot.
func children(ctx context.Context, r Reader, keys []kube.Key, above map[kube.Key]bool) ([]Node, error) {
	slices.SortFunc(keys, func(a, b kube.Key) int { return cmp.Compare(a.String(), b.String()) })
	nodes := make([]Node, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, key := range keys {
		group.Go(func() (err error) {
			nodes[i], err = tree(ctx, r, key, above)
			return err
		})
	}
	return nodes, group.Wait()
}

// node judges one object. One of ours is judged by its own Ready condition.
func node(key kube.Key, obj *unstructured.Unstructured) Node {
	v := health.Of(obj)
	n := Node{Object: key.String(), Status: string(v.Status), Message: v.Message}
	if obj == nil || key.GroupKind.Group != kustomizev1.GroupVersion.Group && key.GroupKind.Group != helmv2.GroupVersion.Group {
		return n
	}
	if c := ready(obj); c != nil {
		n.Message = c.Message
		if c.Status == metav1.ConditionFalse {
			n.Status = string(health.Failed)
		}
	}
	return n
}

func runtimeKind(apiVersion, kind string) schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(apiVersion, kind)
}
