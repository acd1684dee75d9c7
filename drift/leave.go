package drift

import (
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Writer tells whether an entry of managedFields is somebody else's, to whom a
// field is left.
type Writer func(metav1.ManagedFieldsEntry) bool

// Leave is wanted with the fields at paths as they have to be applied so that
// the live object keeps what it has of them:
//
//   - stripped, where another writer owns the field: it stays his;
//   - adopted, with the live value, where nobody else owns it: a field that its
//     last owner does not apply any more would be removed, or set to a default;
//   - stripped, where the live object has no such field.
//
// Maps, and lists whose items have owners of their own, are decided part by
// part. Neither argument is changed.
func Leave(wanted, live *unstructured.Unstructured, paths []Path, another Writer) *unstructured.Unstructured {
	out := wanted.DeepCopy()
	all, theirs := managers(live, func(metav1.ManagedFieldsEntry) bool { return true }), managers(live, another)
	for _, path := range paths {
		p := place{live: live.Object, isLive: true, all: all, theirs: theirs}
		if value, kept := p.follow(out.Object, path); kept {
			out.Object, _ = value.(map[string]any)
		}
	}
	return out
}

// With is the hash of content of which the fields at paths are left alone.
func (h Hash) With(paths []Path) Hash {
	if len(paths) == 0 {
		return h
	}
	mixed := fnv.New128a()
	_, _ = mixed.Write(h[:])
	for _, path := range paths {
		_, _ = mixed.Write([]byte(path.String() + "\x00"))
	}
	return sum(mixed)
}

// Sets tells whether the object has a field at one of the paths.
func Sets(obj *unstructured.Unstructured, paths []Path) bool {
	return slices.ContainsFunc(paths, func(p Path) bool { return present(obj.Object, p) })
}

func present(value any, path Path) bool {
	if len(path) == 0 {
		return true
	}
	switch v := value.(type) {
	case map[string]any:
		child, ok := v[path[0]]
		return ok && present(child, path[1:])
	case []any:
		return slices.ContainsFunc(indexes(v, path[0]), func(i int) bool { return present(v[i], path[1:]) })
	default:
		return false
	}
}

// indexes are the items of a list that a step leads to.
func indexes(list []any, step string) []int {
	if step == each {
		out := make([]int, len(list))
		for i := range out {
			out[i] = i
		}
		return out
	}
	if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(list) {
		return []int{i}
	}
	return nil
}

func managers(obj *unstructured.Unstructured, of Writer) []fields {
	var out []fields
	for _, entry := range obj.GetManagedFields() {
		if f := parse(entry); f != nil && of(entry) {
			out = append(out, f)
		}
	}
	return out
}

// place is where a decision is at: the live value there, and what managers own
// of it.
type place struct {
	live   any
	isLive bool
	all    []fields       // everybody's
	theirs []fields       // those to whom fields are left
	inside bool           // of a value that is owned as a whole only
	names  map[string]any // the keys that name this list item
}

// follow goes down a path and decides what is at its end. It returns what the
// wanted value becomes, or that it goes.
func (p place) follow(wanted any, path Path) (any, bool) {
	if len(path) == 0 {
		return p.decide(wanted)
	}
	switch w := wanted.(type) {
	case map[string]any:
		child, ok := w[path[0]]
		if !ok {
			return w, true
		}
		if value, kept := p.key(path[0]).follow(child, path[1:]); kept {
			w[path[0]] = value
		} else {
			delete(w, path[0])
		}
		return w, len(w) > 0
	case []any:
		for _, i := range indexes(w, path[0]) {
			at := p.item(w[i], i)
			if !at.isLive {
				continue // an item that comes with this apply comes whole
			}
			if value, kept := at.follow(w[i], path[1:]); kept {
				w[i] = value
			}
		}
		return w, true
	default:
		return wanted, true
	}
}

func (p place) decide(wanted any) (any, bool) {
	if !p.isLive {
		return nil, false
	}
	if p.inside {
		return p.live, true // a part of it alone can be nobody's
	}
	if !p.atomic() {
		switch w := wanted.(type) {
		case map[string]any:
			if _, ok := p.live.(map[string]any); ok && len(w) > 0 {
				return p.decideKeys(w)
			}
		case []any:
			if kind := p.itemKind(); kind != "" && len(w) > 0 {
				return p.decideItems(w, kind)
			}
		}
	}
	return p.live, len(p.theirs) == 0
}

// decideKeys decides every key of a map, but for those that name a list item.
func (p place) decideKeys(wanted map[string]any) (any, bool) {
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if _, isName := p.names[key]; isName {
			continue
		}
		if value, kept := p.key(key).decide(wanted[key]); kept {
			wanted[key] = value
		} else {
			delete(wanted, key)
		}
	}
	return wanted, len(wanted) > len(p.names)
}

// decideItems decides every item of a list whose items have owners: those named
// by keys ("k") and those that are values ("v").
func (p place) decideItems(wanted []any, kind string) (any, bool) {
	out := make([]any, 0, len(wanted))
	for i, item := range wanted {
		at := p.item(item, i)
		if !at.isLive {
			continue
		}
		kept := len(at.theirs) == 0
		if m, ok := item.(map[string]any); ok && kind == "k" {
			_, says := at.decideKeys(m)
			kept = kept || says
		}
		if kept {
			out = append(out, item)
		}
	}
	return out, len(out) > 0
}

// key is the place of a key of a map.
func (p place) key(name string) place {
	live, _ := p.live.(map[string]any)
	child, ok := live[name]
	return place{live: child, isLive: ok, all: children(p.all, name), theirs: children(p.theirs, name), inside: p.inside || p.atomic()}
}

func children(all []fields, name string) []fields {
	var out []fields
	for _, f := range all {
		if child, ok := f["f:"+name]; ok {
			out = append(out, child)
		}
	}
	return out
}

// item is the place of the live item that is the same as a wanted one: by what
// managers name it by, by its name, or by its index.
func (p place) item(wanted any, index int) place {
	all, id := sameItem(p.all, wanted)
	theirs, _ := sameItem(p.theirs, wanted)
	at := place{all: all, theirs: theirs, inside: p.inside || p.atomic()}
	if m, ok := wanted.(map[string]any); ok && id == nil && m["name"] != nil {
		id = map[string]any{"name": m["name"]}
	}
	at.names, _ = id.(map[string]any)
	live, _ := p.live.([]any)
	if id == nil && index < len(live) {
		at.live, at.isLive = live[index], true
		return at
	}
	for _, candidate := range live {
		if at.names != nil && hasKeys(candidate, id) || at.names == nil && isValue(candidate, id) {
			at.live, at.isLive = candidate, true
			break
		}
	}
	return at
}

// sameItem is what managers own of a list item, and by what they name it: its
// keys, or the value itself.
func sameItem(all []fields, item any) (out []fields, id any) {
	for _, f := range all {
		for name, child := range f {
			kind, encoded, _ := strings.Cut(name, ":")
			value := decoded(encoded)
			if kind == "k" && hasKeys(item, value) || kind == "v" && isValue(item, value) {
				out, id = append(out, child), value
			}
		}
	}
	return out, id
}

// atomic tells whether managers own the value here as a whole only.
func (p place) atomic() bool {
	return len(p.all) > 0 && !slices.ContainsFunc(p.all, func(f fields) bool { return len(f) > 0 })
}

// itemKind is how managers name items here: "k", "v", or "" for not at all.
func (p place) itemKind() string {
	for _, f := range p.all {
		for name := range f {
			if kind, _, _ := strings.Cut(name, ":"); kind == "k" || kind == "v" {
				return kind
			}
		}
	}
	return ""
}
