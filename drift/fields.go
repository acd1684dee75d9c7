// Package drift tells which change on the cluster is drift.
//
// We own the fields that our field manager's entry in managedFields lists.
// Their names and values, hashed, are what "untouched" means: as long as the
// hash is what it was after our own last write, nobody changed anything of ours,
// whatever else happened to the object. Everything here is pure.
package drift

import (
	"bytes"
	"encoding/json"
	"hash"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Hash names a part of an object's content. The zero Hash means "no such part".
type Hash [16]byte

// fields is one level of the trie in a managedFields entry (FieldsV1 of the
// server-side apply specification): "f:name" is a field, "k:{…}" a list item
// named by its keys, "v:…" a set item, "i:n" an index and "." the node itself.
type fields map[string]fields

// Owned hashes the fields that manager has applied: which they are and what
// they hold now. It is zero when the manager owns nothing here.
func Owned(obj *unstructured.Unstructured, manager string) Hash {
	return OwnedBy(obj, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
	})
}

// OwnedBy hashes the fields that the writers hold, in the same way. What one of
// them wrote client-side and another one changed since is not his any more. The writer
// is asked without the fields and the time of an entry.
//
// It is done for every event of every object that is watched, so it reads the entries
// where they are: the accessor of the object would copy all of them, by reflection, and
// encode their fields.
func OwnedBy(obj *unstructured.Unstructured, writer Writer) Hash {
	all, _, _ := unstructured.NestedFieldNoCopy(obj.Object, "metadata", "managedFields") // its form is the API server's
	entries, _ := all.([]any)
	var h *hasher
	for _, one := range entries {
		entry, _ := one.(map[string]any)
		if owned, ok := entry["fieldsV1"].(map[string]any); ok && readable(owned) && writer(heading(entry)) {
			if h == nil {
				h = newHasher()
			}
			h.owned(owned, obj.Object)
		}
	}
	if h == nil {
		return Hash{}
	}
	return sum(h.Hash)
}

// readable tells whether fields are a tree. What nobody can read is owned by nobody.
func readable(f map[string]any) bool {
	for _, below := range f {
		if m, ok := below.(map[string]any); !ok && below != nil || !readable(m) {
			return false
		}
	}
	return true
}

// heading is an entry of managedFields without its fields and its time.
func heading(entry map[string]any) metav1.ManagedFieldsEntry {
	text := func(field string) string { value, _ := entry[field].(string); return value }
	return metav1.ManagedFieldsEntry{
		Manager: text("manager"), Operation: metav1.ManagedFieldsOperationType(text("operation")),
		APIVersion: text("apiVersion"), FieldsType: text("fieldsType"), Subresource: text("subresource"),
	}
}

// Content hashes everything of the object but its status and what the API
// server keeps for itself.
func Content(obj *unstructured.Unstructured) Hash {
	h := fnv.New128a()
	writeJSON(h, content(obj))
	return sum(h)
}

// bookkeeping is what changes in an object's metadata without anybody changing
// the object.
var bookkeeping = []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"}

// content is obj without status and bookkeeping; it shares the rest with obj.
func content(obj *unstructured.Unstructured) map[string]any {
	out := maps.Clone(obj.Object)
	delete(out, "status")
	if metadata, ok := out["metadata"].(map[string]any); ok {
		metadata = maps.Clone(metadata)
		for _, name := range bookkeeping {
			delete(metadata, name)
		}
		out["metadata"] = metadata
	}
	return out
}

func parse(entry metav1.ManagedFieldsEntry) fields {
	if entry.FieldsV1 == nil {
		return nil
	}
	var f fields
	if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &f); err != nil {
		return nil // an entry that nobody can read is owned by nobody
	}
	return f
}

// hasher is a hash that much is written to in small parts.
type hasher struct {
	hash.Hash
	values *json.Encoder
	buffer []byte
}

func newHasher() *hasher {
	h := fnv.New128a()
	return &hasher{Hash: h, values: json.NewEncoder(h)}
}

func (h *hasher) text(text string, end byte) {
	h.buffer = append(append(h.buffer[:0], text...), end)
	_, _ = h.Write(h.buffer) // never fails
}

// owned hashes which fields an entry has, and what they hold.
func (h *hasher) owned(f map[string]any, value any) {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		h.text(name, 0)
		if name == "." {
			continue
		}
		child, found := step(value, name)
		below, _ := f[name].(map[string]any)
		switch {
		case !found:
			h.text("", 0) // owned, but gone or write-only
		case len(below) == 0:
			_ = h.values.Encode(child) // objects come from JSON, so they encode; map keys are sorted
		default:
			h.owned(below, child)
		}
	}
	h.text("", '}') // where a level ends is a part of who owns what
}

// step follows one trie element down from value.
func step(value any, name string) (any, bool) {
	kind, rest, _ := strings.Cut(name, ":")
	switch kind {
	case "f":
		m, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		child, ok := m[rest]
		return child, ok
	case "k":
		return find(value, rest, hasKeys)
	case "v":
		return find(value, rest, isValue)
	default:
		return nil, false
	}
}

func find(list any, encoded string, matches func(item, want any) bool) (any, bool) {
	items, _ := list.([]any)
	var want any
	if err := json.Unmarshal([]byte(encoded), &want); err != nil {
		return nil, false
	}
	for _, item := range items {
		if matches(item, want) {
			return item, true
		}
	}
	return nil, false
}

func hasKeys(item, want any) bool {
	have, ok := item.(map[string]any)
	keys, ok2 := want.(map[string]any)
	if !ok || !ok2 {
		return false
	}
	for key, value := range keys {
		if !isValue(have[key], value) {
			return false
		}
	}
	return true
}

// isValue compares by encoding, since JSON numbers come as int64 on one side
// and as float64 on the other.
func isValue(item, want any) bool {
	if text, ok := item.(string); ok {
		other, ok := want.(string)
		return ok && text == other
	}
	a, errA := json.Marshal(item)
	b, errB := json.Marshal(want)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

func writeJSON(h hash.Hash, value any) {
	// Objects come from JSON, so they encode; map keys are sorted.
	_ = json.NewEncoder(h).Encode(value)
}

func sum(h hash.Hash) (out Hash) {
	copy(out[:], h.Sum(nil))
	return out
}
