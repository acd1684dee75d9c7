package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/prune"
)

// chunkIndex knows which chunks there are. It finds out once, by a list, and anew after
// other engines may have written some.
type chunkIndex struct {
	cluster    *kube.Cluster
	namespaces []string // all when empty

	mu   sync.Mutex
	have map[types.UID]map[string]chunkPlace // by unit and name; nil before the list
}

// chunkPlace is where a chunk is, and whose it is by name.
type chunkPlace struct{ namespace, unit string }

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// of is the names of a unit's chunks.
func (x *chunkIndex) of(ctx context.Context, unit types.UID) (map[string]bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.listLocked(ctx); err != nil {
		return nil, err
	}
	out := make(map[string]bool, len(x.have[unit]))
	for name := range x.have[unit] {
		out[name] = true
	}
	return out, nil
}

func (x *chunkIndex) listLocked(ctx context.Context) error {
	if x.have != nil {
		return nil
	}
	reader, err := metadata.NewForConfigAndClient(x.cluster.Config, x.cluster.HTTP)
	if err != nil {
		return err
	}
	namespaces := x.namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	have := map[types.UID]map[string]chunkPlace{}
	for _, namespace := range namespaces {
		list, err := reader.Resource(configMaps).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: meta.InventoryLabel})
		if err != nil {
			return fmt.Errorf("look for parts of inventories: %w", err)
		}
		for _, item := range list.Items {
			uid := types.UID(item.Labels[meta.InventoryLabel])
			if have[uid] == nil {
				have[uid] = map[string]chunkPlace{}
			}
			have[uid][item.Name] = chunkPlace{item.Namespace, item.Annotations[meta.InventoryLabel]}
		}
	}
	x.have = have
	return nil
}

// forget has the next look find out anew.
func (x *chunkIndex) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.have = nil
}

func (x *chunkIndex) note(unit *kustomizev1.Kustomization, name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.have == nil {
		return // the next list has it
	}
	if x.have[unit.UID] == nil {
		x.have[unit.UID] = map[string]chunkPlace{}
	}
	x.have[unit.UID][name] = chunkPlace{unit.Namespace, unit.Name}
}

// remove removes one chunk. It is gone also when somebody else was quicker.
func (x *chunkIndex) remove(ctx context.Context, namespace string, unit types.UID, name string) error {
	if _, err := x.cluster.Delete(ctx, coreKey(configMapKind, namespace, name), "", ""); err != nil {
		return fmt.Errorf("remove a part of an old inventory, ConfigMap/%s/%s: %w", namespace, name, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.have[unit], name)
	return nil
}

// read reads the chunks of a unit, those that its status does not name included.
func (x *chunkIndex) read(ctx context.Context, namespace string, unit types.UID) ([]unstructured.Unstructured, error) {
	list, err := x.cluster.Dynamic.Resource(configMaps).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: prune.ChunksOf(unit)})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// orphans removes the chunks of units that are no more: of those whose finalizer
// somebody took off. Each is looked for before.
func (x *chunkIndex) orphans(ctx context.Context) error {
	x.mu.Lock()
	err := x.listLocked(ctx)
	all := map[types.UID]map[string]chunkPlace{}
	for uid, chunks := range x.have {
		all[uid] = maps.Clone(chunks)
	}
	x.mu.Unlock()
	errs := []error{err}
	for uid, chunks := range all {
		gone := false
		for name, at := range chunks {
			if !gone {
				unit, err := x.cluster.Get(ctx, unitKey(types.NamespacedName{Namespace: at.namespace, Name: at.unit}))
				if gone = apierrors.IsNotFound(err) || err == nil && unit.GetUID() != uid; !gone {
					break
				}
			}
			errs = append(errs, x.remove(ctx, at.namespace, uid, name))
		}
	}
	return errors.Join(errs...)
}
