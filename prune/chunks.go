package prune

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// An inventory that does not fit into a status is kept in chunks: ConfigMaps whose
// content never changes, named by it. The status names those that count, so it is
// one write of the status that puts another inventory in place of the last one,
// however many chunks there are.

// Chunk is one part of an inventory, with its content.
type Chunk struct {
	kustomizev1.InventoryChunk
	Text string // an entry a line, as "ID version"
}

// ChunkKey is where a chunk has its content in the data of its ConfigMap.
const ChunkKey = "entries"

// A chunk takes no more than most bytes, so that its request stays below 64 KiB, nor
// more than a status may hold where that is less. It ends behind an entry that is one
// in so many by its hash, as a rule, so an entry that comes or goes changes the chunk
// that it is in and no other.
const (
	most      = 48 << 10
	least     = 256
	perEntry  = 128 // bytes of a chunk for each entry between two ends
	entryCost = len(`{"id":"","v":""},`)
)

// Split is the form in which an inventory is kept: all in the status while that
// takes no more than limit bytes, else all in chunks. name and uid are those of the
// unit, and make the names of its chunks its own.
func Split(keys []kube.Key, limit int, name, uid string) (*kustomizev1.ResourceInventory, []Chunk) {
	stored := Store(keys)
	if size(stored.Entries) <= limit {
		return stored, nil
	}
	var chunks []Chunk
	large := min(most, max(least, limit))
	for rest := stored.Entries; len(rest) > 0; {
		n := chunkEnd(rest, large)
		chunks = append(chunks, chunkOf(rest[:n], name, uid))
		rest = rest[n:]
	}
	out := &kustomizev1.ResourceInventory{Entries: []kustomizev1.ResourceRef{}}
	for _, c := range chunks {
		out.Chunks = append(out.Chunks, c.InventoryChunk)
	}
	return out, chunks
}

func size(entries []kustomizev1.ResourceRef) int {
	n := 0
	for _, e := range entries {
		n += entryCost + len(e.ID) + len(e.Version)
	}
	return n
}

// chunkEnd is how many of the entries the first chunk has.
func chunkEnd(entries []kustomizev1.ResourceRef, large int) int {
	bytes := 0
	for i, e := range entries {
		if bytes += entryCost + len(e.ID) + len(e.Version); bytes > large && i > 0 {
			return i
		}
		h := fnv.New32a()
		_, _ = h.Write([]byte(e.ID))
		if int(h.Sum32())%(large/perEntry) == 0 {
			return i + 1
		}
	}
	return len(entries)
}

func chunkOf(entries []kustomizev1.ResourceRef, name, uid string) Chunk {
	var text strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&text, "%s %s\n", e.ID, e.Version)
	}
	own := sha256.Sum256([]byte(uid + "\n" + text.String()))
	const longest = 200 // of the 253 that a name may have
	base := strings.TrimRight(name[:min(len(name), longest)], ".-")
	return Chunk{
		InventoryChunk: kustomizev1.InventoryChunk{
			Name: base + "-inventory-" + hex.EncodeToString(own[:8]), Digest: digest(text.String()), Entries: int64(len(entries)),
		},
		Text: text.String(),
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ChunksOf selects the ConfigMaps with the chunks of a unit.
func ChunksOf(unit types.UID) string { return meta.InventoryLabel + "=" + string(unit) }

// LostError says that chunks of an inventory are not there, or not as they were written.
// What was in them is not known any more.
type LostError struct{ Missing, Changed []string }

// Any tells whether anything is lost.
func (l *LostError) Any() bool { return len(l.Missing)+len(l.Changed) > 0 }

// Error implements error.
func (l *LostError) Error() string {
	var parts []string
	if len(l.Missing) > 0 {
		parts = append(parts, fmt.Sprintf("ConfigMap %s is missing", strings.Join(l.Missing, ", ")))
	}
	if len(l.Changed) > 0 {
		parts = append(parts, fmt.Sprintf("ConfigMap %s is not as it was written", strings.Join(l.Changed, ", ")))
	}
	return "a part of status.inventory is lost: " + strings.Join(parts, "; ")
}

// Join reads an inventory with its chunks, out of the ConfigMaps of the unit. With
// *LostError the keys are those that could be read.
func Join(stored *kustomizev1.ResourceInventory, found []unstructured.Unstructured) ([]kube.Key, error) {
	keys, err := Load(stored)
	if err != nil || stored == nil {
		return nil, err
	}
	texts := map[string]string{}
	for i := range found {
		text, _, _ := unstructured.NestedString(found[i].Object, "data", ChunkKey) // whatever else it is fails its digest
		texts[found[i].GetName()] = text
	}
	lost := &LostError{}
	for _, c := range stored.Chunks {
		text, there := texts[c.Name]
		switch {
		case !there:
			lost.Missing = append(lost.Missing, c.Name)
		case digest(text) != c.Digest:
			lost.Changed = append(lost.Changed, c.Name)
		default:
			part, err := Load(&kustomizev1.ResourceInventory{Entries: entriesOf(text)})
			if err != nil {
				return nil, err
			}
			keys = append(keys, part...)
		}
	}
	if lost.Any() {
		return keys, lost
	}
	return keys, nil
}

func entriesOf(text string) []kustomizev1.ResourceRef {
	var out []kustomizev1.ResourceRef
	for line := range strings.Lines(text) {
		id, version, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		out = append(out, kustomizev1.ResourceRef{ID: id, Version: version})
	}
	return out
}

// Same tells whether two stored inventories say the same.
func Same(a, b *kustomizev1.ResourceInventory) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.Entries, b.Entries) && slices.Equal(a.Chunks, b.Chunks)
}
