package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/prune"
)

// This file keeps inventories. One that does not fit into a status is in chunks
// (prune/chunks.go): ConfigMaps beside the unit, which its status names. The order
// of writes makes a crash harmless:
//
//	new chunks, then the status that names them, then the old chunks go
//
// Until the status is written the last inventory counts, with all of its chunks;
// from then on the new one. What a crash leaves over is a chunk that no status
// names: chunkIndex knows all there are, and the next pass of the unit removes it.

// chunksAtOnce is how many chunks of one unit are written at a time.
const chunksAtOnce = 8

// InventoryBytes is how much of an inventory is kept in a status, if nothing else is
// said (docs/decisions/0012-inventories.md): the server reads, checks and sends out all
// of a status whenever something in it changes.
const InventoryBytes = 96 << 10

// inventories are those that are in chunks, as far as they were read: a pass that
// finds the same chunks named has nothing to read.
type inventories struct {
	mu   sync.Mutex
	read map[types.UID]readInventory
}

type readInventory struct {
	stored *kustomizev1.ResourceInventory
	keys   []kube.Key
}

func (i *inventories) get(uid types.UID, stored *kustomizev1.ResourceInventory) ([]kube.Key, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	r, ok := i.read[uid]
	return r.keys, ok && prune.Same(r.stored, stored)
}

func (i *inventories) put(uid types.UID, stored *kustomizev1.ResourceInventory, keys []kube.Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(stored.Chunks) == 0 {
		delete(i.read, uid)
		return
	}
	i.read[uid] = readInventory{stored, keys}
}

// inventoryOf reads the inventory of a unit, with its chunks.
func (e *Engine) inventoryOf(ctx context.Context, namespace string, uid types.UID, stored *kustomizev1.ResourceInventory) ([]kube.Key, error) {
	if stored == nil || len(stored.Chunks) == 0 {
		return prune.Load(stored)
	}
	if keys, ok := e.inventories.get(uid, stored); ok {
		return keys, nil
	}
	found, err := e.chunks.read(ctx, namespace, uid)
	if err != nil {
		return nil, fmt.Errorf("read the inventory: %w", err)
	}
	keys, err := prune.Join(stored, found)
	if err == nil {
		e.inventories.put(uid, stored, keys)
	}
	return keys, err
}

// forgetInventory drops what is known of the inventory of a unit that is gone, and
// removes what may be left of it: its finalizer may have been taken off by somebody.
func (e *Engine) forgetInventory(ctx context.Context, u *unit) error {
	k, _ := u.state()
	if k == nil || e.DryRun {
		return nil
	}
	e.inventories.mu.Lock()
	delete(e.inventories.read, k.UID)
	e.inventories.mu.Unlock()
	left, err := e.chunks.of(ctx, k.UID)
	if err != nil {
		return err
	}
	for name := range left {
		err = errors.Join(err, e.chunks.remove(ctx, k.Namespace, k.UID, name))
	}
	return err
}

// loadInventory reads what a unit has on its cluster. With a part of it lost nobody
// knows what to prune, so nothing is done until it is back, or somebody consents to
// go on with the rest.
func (e *Engine) loadInventory(ctx context.Context, p *pass, reason string) error {
	keys, err := claimed(p.object)
	if p.object.Status.Inventory != nil {
		keys, err = e.inventoryOf(ctx, p.object.Namespace, p.object.UID, p.object.Status.Inventory)
	}
	lost := new(prune.LostError)
	switch {
	case errors.As(err, &lost) && e.behind(ctx, p):
		return fail(reason, Retry, errors.New("status.inventory is another by now"))
	case errors.As(err, &lost) && !consents(p.object.Annotations, p.snapshot.Revision):
		return fail(reason, Stall, fmt.Errorf(
			"%w: nothing is applied or pruned, since nobody knows what has to go; restore it, or set the annotation %s to \"true\" to go on without it: objects that only it named stay on the cluster", lost, meta.ConsentAnnotation))
	case lost.Any():
		e.log.Info("goes on without a part of the inventory", "kind", kustomizev1.KustomizationKind, "namespace", p.unit.name.Namespace, "name", p.unit.name.Name, "lost", lost.Error())
	case errors.As(err, new(*prune.EntryError)), errors.As(err, new(*claimError)):
		return fail(reason, Stall, err)
	case err != nil:
		return fail(reason, Retry, err)
	}
	p.inventory = keys // not before: what a failed pass has here would be stored
	return nil
}

// behind tells whether the status on the cluster names other chunks than the one that
// the pass began with, which a cache may give in the first moment of a process.
func (e *Engine) behind(ctx context.Context, p *pass) bool {
	obj, err := e.home.cluster.Get(ctx, unitKey(p.unit.name))
	if err != nil {
		return true // nobody knows; the next attempt may
	}
	now := &kustomizev1.Kustomization{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, now); err != nil {
		return true
	}
	return now.UID != p.object.UID || !prune.Same(now.Status.Inventory, p.object.Status.Inventory)
}

func unitKey(name types.NamespacedName) kube.Key {
	gvk := kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind)
	return kube.Key{ObjMetadata: object.ObjMetadata{Namespace: name.Namespace, Name: name.Name, GroupKind: gvk.GroupKind()}, Version: gvk.Version}
}

// storeInventory writes the chunks of a pass's inventory and returns what the status
// has to say of it. A crash in here leaves chunks that no status names.
func (e *Engine) storeInventory(ctx context.Context, p *pass) (*kustomizev1.ResourceInventory, error) {
	stored, chunks := prune.Split(p.inventory, e.inventoryBytes(), p.unit.name.Name, string(p.object.UID))
	if len(chunks) == 0 || e.DryRun {
		return stored, nil
	}
	have, err := e.chunks.of(ctx, p.object.UID)
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(chunksAtOnce)
	for _, c := range chunks {
		if have[c.Name] {
			continue
		}
		group.Go(func() error {
			if err := e.createChunk(ctx, p.object, c); err != nil {
				return fmt.Errorf("store the inventory in ConfigMap/%s/%s: %w", p.object.Namespace, c.Name, err)
			}
			failpoint.Hit("inventory.chunk")
			return nil
		})
	}
	return stored, group.Wait()
}

func (e *Engine) inventoryBytes() int {
	if e.InventoryBytes > 0 {
		return e.InventoryBytes
	}
	return InventoryBytes
}

// createChunk writes one chunk. One of that name holds the same, since the name is
// made of the content, unless somebody put it there: then it gives way.
func (e *Engine) createChunk(ctx context.Context, unit *kustomizev1.Kustomization, c prune.Chunk) error {
	immutable := true
	err := e.client.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: c.Name, Namespace: unit.Namespace,
			Labels:      map[string]string{meta.InventoryLabel: string(unit.UID)},
			Annotations: map[string]string{meta.InventoryLabel: unit.Name},
		},
		Immutable: &immutable,
		Data:      map[string]string{prune.ChunkKey: c.Text},
	})
	if apierrors.IsAlreadyExists(err) {
		err = e.replaceChunk(ctx, unit, c)
	}
	if err == nil {
		e.chunks.note(unit, c.Name)
	}
	return err
}

// replaceChunk looks at what has the name of a chunk. A crash behind the delete is one
// before the write of the chunk.
func (e *Engine) replaceChunk(ctx context.Context, unit *kustomizev1.Kustomization, c prune.Chunk) error {
	key := coreKey(configMapKind, unit.Namespace, c.Name)
	there, err := e.home.cluster.Get(ctx, key)
	if err != nil {
		return err
	}
	if _, err := prune.Join(&kustomizev1.ResourceInventory{Chunks: []kustomizev1.InventoryChunk{c.InventoryChunk}}, []unstructured.Unstructured{*there}); err == nil && there.GetLabels()[meta.InventoryLabel] == string(unit.UID) {
		return nil
	}
	if _, err := e.home.cluster.Delete(ctx, key, there.GetUID(), ""); err != nil {
		return err
	}
	return e.createChunk(ctx, unit, c)
}

// tidyInventory removes the chunks that the status of a unit does not name. The unit
// is the answer to a write: a cache may not know yet which ones are named.
func (e *Engine) tidyInventory(ctx context.Context, unit *kustomizev1.Kustomization) error {
	have, err := e.chunks.of(ctx, unit.UID)
	if err != nil {
		return err
	}
	var named []string
	if unit.Status.Inventory != nil {
		for _, c := range unit.Status.Inventory.Chunks {
			named = append(named, c.Name)
		}
	}
	for name := range have {
		if slices.Contains(named, name) {
			continue
		}
		failpoint.Hit("inventory.tidy")
		if err := e.chunks.remove(ctx, unit.Namespace, unit.UID, name); err != nil {
			return err
		}
	}
	return nil
}

// dropInventory ends an inventory in chunks of a unit that is about to go: first the
// status, so that after a crash nobody looks for what is removed next.
func (e *Engine) dropInventory(ctx context.Context, p *pass) error {
	if have, err := e.chunks.of(ctx, p.object.UID); err != nil || len(have) == 0 {
		return err
	}
	p.inventory = []kube.Key{}
	return e.saveInventory(ctx, p)
}

// patchOf is the patch from the status that an object has to the next one. An
// inventory that stays is left out before anything is compared: it may be a megabyte.
func patchOf(k *kustomizev1.Kustomization, next kustomizev1.KustomizationStatus) ([]byte, error) {
	last := k.Status
	if prune.Same(last.Inventory, next.Inventory) {
		last.Inventory, next.Inventory = nil, nil
	}
	return statusPatch(k, last, next)
}

// tidyOrphans removes what is left of the inventories of units that are no more, once.
func (e *Engine) tidyOrphans(ctx context.Context) error {
	if err := e.chunks.orphans(ctx); err != nil && ctx.Err() == nil {
		e.log.Error(err, "parts of old inventories stay until the next start")
	}
	return nil
}
