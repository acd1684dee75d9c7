// Package prune keeps the inventory of a unit and deletes what left its source.
//
// The inventory is what a unit has on the cluster, or may have: it grows before
// the first write and shrinks only after a confirmed delete. Whatever is in it
// and not wanted any more is looked at by a list of named vetoes before it is
// deleted.
package prune

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Load reads an inventory as it is stored, ids being namespace_name_group_Kind.
// An entry that cannot be read is an error: to drop it would orphan an object.
func Load(stored *kustomizev1.ResourceInventory) ([]kube.Key, error) {
	if stored == nil {
		return nil, nil
	}
	keys := make([]kube.Key, 0, len(stored.Entries))
	for _, entry := range stored.Entries {
		id, ok := parse(entry.ID)
		if !ok {
			return nil, &EntryError{ID: entry.ID}
		}
		keys = append(keys, kube.Key{ObjMetadata: id, Version: entry.Version})
	}
	return keys, nil
}

// EntryError says that an entry of an inventory is none.
type EntryError struct{ ID string }

// Error implements error.
func (e *EntryError) Error() string {
	return fmt.Sprintf("status.inventory has an entry %q that cannot be read: it is not of the form namespace_name_group_Kind", e.ID)
}

// parse reads namespace_name_group_Kind. Names of RBAC objects may hold an
// underscore, the other parts may not, so it is read from both ends; a colon in
// such a name is written as two underscores (cli-utils, ObjMetadata).
func parse(text string) (id object.ObjMetadata, ok bool) {
	namespace, rest, ok := strings.Cut(text, "_")
	kindAt := strings.LastIndex(rest, "_")
	if !ok || kindAt < 0 {
		return id, false
	}
	rest, kind := rest[:kindAt], rest[kindAt+1:]
	groupAt := strings.LastIndex(rest, "_")
	if groupAt < 0 {
		return id, false
	}
	name, group := rest[:groupAt], rest[groupAt+1:]
	id = object.ObjMetadata{Namespace: namespace, Name: name, GroupKind: schema.GroupKind{Group: group, Kind: kind}}
	if object.RBACGroupKind[id.GroupKind] {
		id.Name = strings.ReplaceAll(name, "__", ":")
	}
	return id, id.Name != "" && kind != ""
}

// Store is the form in which an inventory is kept, sorted.
func Store(keys []kube.Key) *kustomizev1.ResourceInventory {
	entries := make([]kustomizev1.ResourceRef, 0, len(keys))
	for _, key := range keys {
		entries = append(entries, Ref(key))
	}
	slices.SortFunc(entries, func(a, b kustomizev1.ResourceRef) int { return cmp.Compare(a.ID, b.ID) })
	return &kustomizev1.ResourceInventory{Entries: entries}
}

// Ref is the entry of one object.
func Ref(key kube.Key) kustomizev1.ResourceRef {
	return kustomizev1.ResourceRef{ID: key.ObjMetadata.String(), Version: key.Version}
}

// Union is everything in a or b. Where both know an object, in different
// versions of its kind, b's stands.
func Union(a, b []kube.Key) []kube.Key {
	return append(Minus(a, b), b...)
}

// Minus is everything in a that is not in b, whatever the version.
func Minus(a, b []kube.Key) []kube.Key {
	not := make(map[object.ObjMetadata]bool, len(b))
	for _, key := range b {
		not[key.ObjMetadata] = true
	}
	out := make([]kube.Key, 0, len(a))
	for _, key := range a {
		if !not[key.ObjMetadata] {
			out = append(out, key)
		}
	}
	return out
}
