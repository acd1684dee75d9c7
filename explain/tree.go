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

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/prune"
)

// Node is one object and what it brought to the cluster.
type Node struct {
	Object    string `json:"object"`
	Status    string `json:"status"` // a word of kstatus
	Suspended bool   `json:"suspended,omitempty"`
	Message   string `json:"message,omitempty"`
	Children  []Node `json:"children,omitempty"`

	Key kube.Key `json:"-"`
}

// Keys are the objects of a tree, its root first.
func (n Node) Keys() []kube.Key {
	out := []kube.Key{n.Key}
	for _, child := range n.Children {
		out = append(out, child.Keys()...)
	}
	return out
}

// atOnce is how many objects are read at a time.
const atOnce = 16

// Tree reads an object with all that it brought to the cluster: of a FluxConfig what it
// stands for, of a Kustomization or a HelmRelease its inventory, those in it included.
// pods adds the pods that workloads select. The error is ErrNotFound when it is not
// there.
func Tree(ctx context.Context, r Reader, key kube.Key, pods bool) (Node, error) {
	return forest{r, pods}.tree(ctx, key, map[kube.Key]bool{})
}

// forest is how trees are read.
type forest struct {
	Reader
	pods bool
}

// tree goes down one level. above are the objects on the way, so that one which
// contains itself ends.
func (f forest) tree(ctx context.Context, key kube.Key, above map[kube.Key]bool) (Node, error) {
	obj, err := get(ctx, f, key)
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
	keys, err := f.brought(ctx, key, obj)
	if err != nil || len(keys) == 0 {
		return n, err
	}
	below := map[kube.Key]bool{key: true}
	for k := range above {
		below[k] = true
	}
	n.Children, err = f.children(ctx, keys, below)
	return n, err
}

// brought is what an object brought to the cluster, in the order in which it is shown.
func (f forest) brought(ctx context.Context, key kube.Key, obj *unstructured.Unstructured) ([]kube.Key, error) {
	parts, err := Parts(ctx, f, obj)
	if err != nil || len(parts) > 0 {
		return parts, err
	}
	keys, err := inventoryOf(ctx, f, key, obj)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(keys, func(a, b kube.Key) int { return cmp.Compare(a.String(), b.String()) })
	if !f.pods {
		return keys, nil
	}
	pods, err := podsOf(ctx, f, obj)
	for i := range pods {
		keys = append(keys, kube.KeyOf(&pods[i]))
	}
	return keys, err
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
func (f forest) children(ctx context.Context, keys []kube.Key, above map[kube.Key]bool) ([]Node, error) {
	nodes := make([]Node, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, key := range keys {
		group.Go(func() (err error) {
			nodes[i], err = f.tree(ctx, key, above)
			return err
		})
	}
	return nodes, group.Wait()
}

// judged are the groups whose objects say in a Ready condition how they are.
var judged = []string{kustomizev1.GroupVersion.Group, helmv2.GroupVersion.Group, sourcev1.GroupVersion.Group, clusterconfigv1.GroupVersion.Group}

// node judges one object. One of ours is judged by its own Ready condition.
func node(key kube.Key, obj *unstructured.Unstructured) Node {
	v := health.Of(obj)
	n := Node{Object: key.String(), Status: string(v.Status), Message: v.Message, Key: key}
	switch {
	case obj == nil:
		return n
	case key.GroupKind == PodKind.GroupKind() && v.Status != health.Current:
		n.Message = podTrouble(obj)
		return n
	case !slices.Contains(judged, key.GroupKind.Group):
		return n
	}
	n.Suspended, _, _ = unstructured.NestedBool(obj.Object, "spec", "suspend")
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
