package drift

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// FuzzOwned holds Owned to its laws on random objects, of which a random part
// is ours.
func FuzzOwned(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := newWorld(seed)
		before := Owned(w.object(t), ours)

		if Owned(w.object(t), ours) != before {
			t.Error("the order of keys matters")
		}
		w.spec["foreign"] = "new"
		w.status = map[string]any{"ready": seed}
		w.foreign = fields{"f:spec": {"f:foreign": {}}}
		if Owned(w.object(t), ours) != before {
			t.Error("what is not ours matters")
		}
		w.owned["f:zz"] = fields{}
		if Owned(w.object(t), ours) == before {
			t.Error("a field that became ours goes unseen")
		}
		delete(w.owned, "f:zz")
		*w.leaf = fmt.Sprint(*w.leaf, "'")
		if Owned(w.object(t), ours) == before {
			t.Error("a changed value goes unseen")
		}
	})
}

// world is a random object, with which part of it is ours.
type world struct {
	*rand.Rand
	spec    map[string]any
	owned   fields
	leaf    *any // a value that is ours
	status  map[string]any
	foreign fields
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), leaf: new(any)}
	w.spec, w.owned = w.level(3)
	*w.leaf = "value"
	w.spec["leaf"], w.owned["f:leaf"] = w.leaf, fields{}
	return w
}

// level makes a map of random content and the part of it that is ours.
func (w *world) level(depth int) (map[string]any, fields) {
	content, owned := map[string]any{}, fields{}
	for i := range w.IntN(4) {
		name := fmt.Sprintf("n%d", i)
		value, part := w.value(depth)
		content[name] = value
		if w.IntN(2) == 0 {
			owned["f:"+name] = part
		}
	}
	return content, owned
}

func (w *world) value(depth int) (any, fields) {
	if depth == 0 {
		return w.IntN(3), fields{}
	}
	switch w.IntN(5) {
	case 0:
		return w.level(depth - 1)
	case 1:
		return w.items(depth)
	case 2:
		return []any{"a", "b"}, fields{`v:"b"`: {}}
	case 3:
		return []any{"a", w.IntN(2)}, fields{} // atomic
	default:
		return fmt.Sprint(w.IntN(3)), fields{}
	}
}

func (w *world) items(depth int) (any, fields) {
	var list []any
	owned := fields{}
	for i := range w.IntN(3) {
		item, part := w.level(depth - 1)
		item["name"], part["."] = fmt.Sprint(i), fields{}
		list = append(list, item)
		owned[fmt.Sprintf(`k:{"name":"%d"}`, i)] = part
	}
	return list, owned
}

// object decodes the world from JSON whose keys are in random order.
func (w *world) object(t testing.TB) *unstructured.Unstructured {
	t.Helper()
	entries := []any{
		map[string]any{"manager": "other", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": w.foreign},
		map[string]any{"manager": ours, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields{"f:spec": w.owned}},
	}
	w.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	var out bytes.Buffer
	w.encode(&out, map[string]any{
		"apiVersion": "v1", "kind": "T", "spec": w.spec, "status": w.status,
		"metadata": map[string]any{"name": "x", "managedFields": entries},
	})
	return decode(t, out.String())
}

func (w *world) encode(out *bytes.Buffer, value any) {
	switch v := value.(type) {
	case map[string]any:
		w.encodeMap(out, slices.Collect(maps.Keys(v)), func(key string) any { return v[key] })
	case fields:
		w.encodeMap(out, slices.Collect(maps.Keys(v)), func(key string) any { return v[key] })
	case []any:
		for i, item := range v {
			out.WriteByte("[,"[min(i, 1)])
			w.encode(out, item)
		}
		if len(v) == 0 {
			out.WriteByte('[')
		}
		out.WriteByte(']')
	default:
		text, _ := json.Marshal(v) // scalars always encode
		out.Write(text)
	}
}

func (w *world) encodeMap(out *bytes.Buffer, keys []string, value func(string) any) {
	slices.Sort(keys) // so that only the seed decides
	w.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	out.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			out.WriteByte(',')
		}
		w.encode(out, key)
		out.WriteByte(':')
		w.encode(out, value(key))
	}
	out.WriteByte('}')
}

// FuzzAnyContent feeds whatever JSON there is to all that this package offers.
func FuzzAnyContent(f *testing.F) {
	f.Add(deployment, deployment)
	f.Add(`{"kind":"T","metadata":{"managedFields":[{"manager":"kustomize-controller","operation":"Apply","fieldsV1":{"f:a":{"k:[]":{},"v:":{},"i:0":{},"x":{}}}}]},"a":[1,null]}`, `{"kind":"T"}`)
	f.Add(`{"kind":"T","metadata":{"managedFields":[{"manager":"m","time":"2025-01-01T00:00:00Z"},{"manager":"n"},null,1]}}`, `{"kind":"T","a":[]}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		live, wanted := &unstructured.Unstructured{}, &unstructured.Unstructured{}
		if live.UnmarshalJSON([]byte(a)) != nil || wanted.UnmarshalJSON([]byte(b)) != nil {
			return
		}
		if again := live.DeepCopy(); Owned(live, ours) != Owned(again, ours) || Content(live) != Content(again) {
			t.Error("a hash is not stable")
		}
		if found := Differences(live, live, ours); len(found) > 0 {
			t.Errorf("an object differs from itself: %v", found)
		}
		differ := len(Differences(live, wanted, ours)) > 0
		if differ != (Content(live) != Content(wanted)) {
			t.Errorf("the hashes and the differences disagree, which are %v", Differences(live, wanted, ours))
		}
	})
}
