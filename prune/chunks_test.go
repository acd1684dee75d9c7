package prune

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

func configMaps(n int) []kube.Key {
	keys := make([]kube.Key, n)
	for i := range keys {
		keys[i] = key("shop", fmt.Sprintf("settings-%05d", i), "", "v1", "ConfigMap")
	}
	return keys
}

// stored are chunks as they are on the cluster.
func stored(chunks []Chunk) []unstructured.Unstructured {
	var out []unstructured.Unstructured
	for _, c := range chunks {
		obj := unstructured.Unstructured{Object: map[string]any{"data": map[string]any{ChunkKey: c.Text}}}
		obj.SetName(c.Name)
		out = append(out, obj)
	}
	return out
}

func TestASmallInventoryStaysInTheStatus(t *testing.T) {
	t.Parallel()
	keys := configMaps(100)
	inventory, chunks := Split(keys, 1<<20, "app", "uid")
	if len(chunks) > 0 || len(inventory.Chunks) > 0 || len(inventory.Entries) != len(keys) {
		t.Errorf("%d entries and %d chunks", len(inventory.Entries), len(inventory.Chunks))
	}
	if got, err := Join(inventory, nil); err != nil || !reflect.DeepEqual(got, keys) {
		t.Errorf("comes back as %v, %v", got, err)
	}
}

func TestALargeInventoryIsInChunks(t *testing.T) {
	t.Parallel()
	keys := configMaps(30000)
	inventory, chunks := Split(keys, 1<<20, strings.Repeat("n", 199)+".x", "uid")
	if len(inventory.Entries) > 0 || inventory.Entries == nil || len(chunks) < 20 || len(chunks) > 200 {
		t.Fatalf("%d entries and %d chunks", len(inventory.Entries), len(chunks))
	}
	names := map[string]bool{}
	for _, c := range chunks {
		if names[c.Name] || len(c.Name) > 253 || strings.Contains(c.Name, ".-") || len(c.Text) > most || c.Entries == 0 {
			t.Errorf("chunk %s of %d entries in %d bytes", c.Name, c.Entries, len(c.Text))
		}
		names[c.Name] = true
	}
	got, err := Join(inventory, stored(chunks))
	if err != nil || !reflect.DeepEqual(got, keys) {
		t.Errorf("%d of %d come back, %v", len(got), len(keys), err)
	}
	if _, others := Split(keys, 1<<20, "app", "another"); others[0].Name == chunks[0].Name {
		t.Error("two units have a chunk of one name")
	}
}

// TestAnEntryChangesItsChunk: what comes or goes changes few chunks, wherever it is.
func TestAnEntryChangesItsChunk(t *testing.T) {
	t.Parallel()
	keys := configMaps(30000)
	_, before := Split(keys, 1<<20, "app", "uid")
	for range 20 {
		at := rand.IntN(len(keys))
		_, after := Split(slices.Delete(slices.Clone(keys), at, at+1), 1<<20, "app", "uid")
		fresh := 0
		for _, c := range after {
			if !slices.ContainsFunc(before, func(b Chunk) bool { return b.Name == c.Name }) {
				fresh++
			}
		}
		if fresh > 8 {
			t.Errorf("without entry %d, %d of %d chunks are new", at, fresh, len(after))
		}
	}
}

func TestALostChunkIsAnError(t *testing.T) {
	t.Parallel()
	inventory, chunks := Split(configMaps(30), 0, "app", "uid")
	if len(chunks) < 3 {
		t.Fatalf("%d chunks", len(chunks))
	}
	found := stored(chunks)[1:]
	unstructured.RemoveNestedField(found[0].Object, "data")
	keys, err := Join(inventory, found)
	lost := new(LostError)
	if !errors.As(err, &lost) || !slices.Equal(lost.Missing, []string{chunks[0].Name}) || !slices.Equal(lost.Changed, []string{chunks[1].Name}) {
		t.Errorf("got %v", err)
	}
	if want := 30 - int(chunks[0].Entries+chunks[1].Entries); len(keys) != want {
		t.Errorf("%d keys can be read, want %d", len(keys), want)
	}
}

func TestChunksOfNonsense(t *testing.T) {
	t.Parallel()
	text := "no entry\n"
	inventory := &kustomizev1.ResourceInventory{Chunks: []kustomizev1.InventoryChunk{{Name: "a", Digest: digest(text), Entries: 1}}}
	if keys, err := Join(inventory, stored([]Chunk{{InventoryChunk: inventory.Chunks[0], Text: text}})); err == nil || keys != nil {
		t.Errorf("got %v, %v", keys, err)
	}
}

func TestSame(t *testing.T) {
	t.Parallel()
	a, _ := Split(configMaps(30), 0, "app", "uid")
	b, _ := Split(configMaps(31), 0, "app", "uid")
	c, _ := Split(configMaps(30), 1<<20, "app", "uid")
	if !Same(a, a.DeepCopy()) || Same(a, b) || Same(a, c) || Same(a, nil) || !Same(nil, nil) {
		t.Error("what is the same is not, or the other way round")
	}
}
