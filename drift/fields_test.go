package drift

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// change is something that happens to an object.
type change func(t testing.TB, obj *unstructured.Unstructured)

func setting(value any, path ...any) change {
	return func(t testing.TB, obj *unstructured.Unstructured) { set(t, obj, value, path...) }
}

func unsetting(path ...any) change {
	return func(t testing.TB, obj *unstructured.Unstructured) { unset(t, obj, path...) }
}

func TestOwnedStays(t *testing.T) {
	t.Parallel()
	entries := []any{"metadata", "managedFields"}
	for name, happens := range map[string]change{
		"nothing":                      func(testing.TB, *unstructured.Unstructured) {},
		"status":                       setting(int64(7), "status", "replicas"),
		"no status":                    unsetting("status"),
		"resource version":             setting("4712", "metadata", "resourceVersion"),
		"generation":                   setting(int64(4), "metadata", "generation"),
		"deletion":                     setting("2025-02-01T00:00:00Z", "metadata", "deletionTimestamp"),
		"annotation of a controller":   setting("2", "metadata", "annotations", "deployment.kubernetes.io/revision"),
		"default of the server":        setting(int64(60), "spec", "progressDeadlineSeconds"),
		"container of somebody else":   setting("proxy:2", at(proxy, "image")...),
		"field that we did not set":    setting("Always", at(web, "imagePullPolicy")...),
		"item beside ours":             setting("y", at(web, "env", 1, "value")...),
		"finalizer beside ours":        setting([]any{"example.com/guard"}, "metadata", "finalizers"),
		"time of our entry":            setting("2030-01-01T00:00:00Z", at(entries, 0, "time")...),
		"somebody else's entry":        setting("argocd", at(entries, 1, "manager")...),
		"somebody else's fields":       setting(map[string]any{"f:spec": map[string]any{}}, at(entries, 2, "fieldsV1")...),
		"an entry of ours for status":  setting(ours, at(entries, 3, "manager")...),
		"an update in our name":        setting(ours, at(entries, 1, "manager")...),
		"order of items named by keys": swapContainers,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := decode(t, deployment)
			before := Owned(obj, ours)
			happens(t, obj)
			if Owned(obj, ours) != before {
				t.Error("it counts as a change of what we own")
			}
		})
	}
}

func swapContainers(t testing.TB, obj *unstructured.Unstructured) {
	set(t, obj, []any{
		map[string]any{"name": "proxy", "image": "proxy:1"},
		obj.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"].([]any)[0],
	}, at(template, "containers")...)
}

func TestOwnedChanges(t *testing.T) {
	t.Parallel()
	entry := []any{"metadata", "managedFields", 0, "fieldsV1"}
	for name, happens := range map[string]change{
		"scalar":                        setting(int64(3), "spec", "replicas"),
		"scalar gone":                   unsetting("spec", "replicas"),
		"scalar of another type":        setting("2", "spec", "replicas"),
		"scalar to null":                setting(nil, "spec", "replicas"),
		"label":                         setting("shop", "metadata", "labels", "app"),
		"label gone":                    unsetting("metadata", "labels", "app"),
		"all labels gone":               unsetting("metadata", "labels"),
		"owner label":                   setting("other", "metadata", "labels", "kustomize.toolkit.fluxcd.io/name"),
		"inside of an atomic map":       setting("shop", "spec", "selector", "matchLabels", "app"),
		"added to an atomic map":        setting("x", "spec", "selector", "matchLabels", "tier"),
		"inside of an atomic list":      setting(":80", at(web, "args", 1)...),
		"order of an atomic list":       setting([]any{":8080", "--listen"}, at(web, "args")...),
		"item named by a key":           setting("web:2", at(web, "image")...),
		"item within an item":           setting("dev", at(web, "env", 0, "value")...),
		"item with another key":         setting("other", at(web, "name")...),
		"item of two keys":              setting("UDP", at(web, "ports", 0, "protocol")...),
		"items gone":                    setting([]any{}, at(template, "containers")...),
		"items no list any more":        setting("none", at(template, "containers")...),
		"member of a set gone":          setting([]any{"example.com/other"}, "metadata", "finalizers"),
		"we own one more":               setting(map[string]any{}, at(entry, "f:spec", "f:progressDeadlineSeconds")...),
		"we own one less":               unsetting(at(entry, "f:spec", "f:replicas")...),
		"we own one less within":        unsetting(at(entry, "f:spec", "f:template", "f:metadata", "f:labels", "f:app")...),
		"we own the item, not just it":  unsetting(at(entry, "f:spec", "f:template", "f:spec", "f:containers", `k:{"name":"web"}`, ".")...),
		"we own one less of somebody's": unsetting(at(entry, "f:metadata", "f:finalizers")...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := decode(t, deployment)
			before := Owned(obj, ours)
			happens(t, obj)
			if Owned(obj, ours) == before {
				t.Error("it goes unseen")
			}
		})
	}
}

func TestOwnedIsZeroWithoutReadableEntry(t *testing.T) {
	t.Parallel()
	entry := []any{"metadata", "managedFields", 0}
	for name, happens := range map[string]change{
		"no entries":               unsetting("metadata", "managedFields"),
		"another manager":          setting("helm-controller", at(entry, "manager")...),
		"updates only":             setting("Update", at(entry, "operation")...),
		"subresource only":         setting("scale", at(entry, "subresource")...),
		"entry without fields":     unsetting(at(entry, "fieldsV1")...),
		"entry that nobody reads":  setting(map[string]any{"f:spec": "all"}, at(entry, "fieldsV1")...),
		"metadata of another form": setting("none", "metadata"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := decode(t, deployment)
			happens(t, obj)
			if got := Owned(obj, ours); got != (Hash{}) {
				t.Errorf("got %x, want zero", got)
			}
		})
	}
	if Owned(&unstructured.Unstructured{}, ours) != (Hash{}) {
		t.Error("something is owned of an object without content")
	}
}

// The names of the fields and their values are one stream: where a level of the
// trie ends has to be part of it.
func TestOwnedTellsLevelsApart(t *testing.T) {
	t.Parallel()
	content := `{"apiVersion":"v1","kind":"T","metadata":{},"x":{"a":1,"y":2},"y":2,"xf:a":1}`
	for name, c := range map[string][2]string{
		"field below or beside":      {`{"f:x":{"f:a":{},"f:y":{}}}`, `{"f:x":{"f:a":{}},"f:y":{}}`},
		"the item itself below":      {`{"f:x":{".":{},"f:a":{}}}`, `{".":{},"f:x":{"f:a":{}}}`},
		"absent field and its child": {`{"f:n":{"f:z":{}}}`, `{"f:n":{},"f:z":{}}`},
		"names that run together":    {`{"f:xf:a":{}}`, `{"f:x":{"f:a":{}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if Owned(manage(t, content, c[0]), ours) == Owned(manage(t, content, c[1]), ours) {
				t.Errorf("%s and %s are the same", c[0], c[1])
			}
		})
	}
}

func TestOwnedWriteOnlyFieldIsStable(t *testing.T) {
	t.Parallel()
	secret := `{"apiVersion":"v1","kind":"Secret","metadata":{},"data":{"a":"YQ=="}}`
	a := manage(t, secret, `{"f:stringData":{"f:a":{}},"f:data":{"f:a":{}}}`)
	if Owned(a, ours) == (Hash{}) || Owned(a, ours) != Owned(a.DeepCopy(), ours) {
		t.Error("an owned field that is not there spoils the hash")
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	before := Content(decode(t, deployment))
	same := map[string]change{
		"status":           setting(int64(7), "status", "replicas"),
		"no status":        unsetting("status"),
		"resource version": setting("1", "metadata", "resourceVersion"),
		"generation":       setting(int64(9), "metadata", "generation"),
		"uid":              setting("u", "metadata", "uid"),
		"managers":         unsetting("metadata", "managedFields"),
		"creation":         unsetting("metadata", "creationTimestamp"),
		"deletion":         setting("2025-02-01T00:00:00Z", "metadata", "deletionTimestamp"),
		"grace period":     setting(int64(30), "metadata", "deletionGracePeriodSeconds"),
	}
	for name, happens := range same {
		t.Run("not changed by "+name, func(t *testing.T) {
			t.Parallel()
			obj := decode(t, deployment)
			happens(t, obj)
			if Content(obj) != before {
				t.Error("the hash changed")
			}
		})
	}
	changed := map[string]change{
		"a value":          setting("web:2", at(web, "image")...),
		"a default":        setting(int64(60), "spec", "progressDeadlineSeconds"),
		"a label":          setting("x", "metadata", "labels", "x"),
		"a finalizer":      setting([]any{}, "metadata", "finalizers"),
		"the name":         setting("api", "metadata", "name"),
		"the API version":  setting("apps/v2", "apiVersion"),
		"no spec":          unsetting("spec"),
		"the items' order": swapContainers,
	}
	for name, happens := range changed {
		t.Run("changed by "+name, func(t *testing.T) {
			t.Parallel()
			obj := decode(t, deployment)
			happens(t, obj)
			if Content(obj) == before {
				t.Error("the hash did not change")
			}
		})
	}
}

func TestContentLeavesTheObjectAlone(t *testing.T) {
	t.Parallel()
	obj := decode(t, deployment)
	Content(obj)
	Owned(obj, ours)
	if !isValue(obj.Object, decode(t, deployment).Object) {
		t.Error("hashing changed the object")
	}
}

func TestContentOfOddObjects(t *testing.T) {
	t.Parallel()
	for name, object := range map[string]map[string]any{
		"none": nil, "empty": {}, "metadata of another form": {"metadata": "x"}, "no metadata": {"spec": int64(1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if Content(&unstructured.Unstructured{Object: object}) == (Hash{}) {
				t.Error("content has the hash of no content")
			}
		})
	}
}

func BenchmarkOwned(b *testing.B) {
	obj := decode(b, deployment)
	b.ReportAllocs()
	for b.Loop() {
		Owned(obj, ours)
	}
}

func BenchmarkContent(b *testing.B) {
	obj := decode(b, deployment)
	b.ReportAllocs()
	for b.Loop() {
		Content(obj)
	}
}
