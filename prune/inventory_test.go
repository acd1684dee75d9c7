package prune

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

func key(namespace, name, group, version, kind string) kube.Key {
	return kube.Key{
		ObjMetadata: object.ObjMetadata{Namespace: namespace, Name: name, GroupKind: schema.GroupKind{Group: group, Kind: kind}},
		Version:     version,
	}
}

const rbac = "rbac.authorization.k8s.io"

func TestInventoryIsStoredAsTheToolkitDoes(t *testing.T) {
	t.Parallel()
	for want, k := range map[string]kube.Key{
		"shop_web_apps_Deployment":                      key("shop", "web", "apps", "v1", "Deployment"),
		"shop_settings__ConfigMap":                      key("shop", "settings", "", "v1", "ConfigMap"),
		"_shop__Namespace":                              key("", "shop", "", "v1", "Namespace"),
		"_v1.metrics_apiregistration.k8s.io_APIService": key("", "v1.metrics", "apiregistration.k8s.io", "v1", "APIService"),
		"_system__viewer_" + rbac + "_ClusterRole":      key("", "system:viewer", rbac, "v1", "ClusterRole"),
		"_read_all_" + rbac + "_ClusterRole":            key("", "read_all", rbac, "v1", "ClusterRole"),
		"shop_a__b__c_" + rbac + "_RoleBinding":         key("shop", "a:b:c", rbac, "v1", "RoleBinding"),
	} {
		stored := Store([]kube.Key{k})
		if got := stored.Entries[0]; got.ID != want || got.Version != "v1" {
			t.Errorf("%s is stored as %+v, want %s", k, got, want)
		}
		if loaded, err := Load(stored); err != nil || !reflect.DeepEqual(loaded, []kube.Key{k}) {
			t.Errorf("%s comes back as %v, %v", want, loaded, err)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	if keys, err := Load(nil); keys != nil || err != nil {
		t.Errorf("no inventory is %v, %v", keys, err)
	}
	if keys, err := Load(&kustomizev1.ResourceInventory{}); len(keys) > 0 || err != nil {
		t.Errorf("an empty inventory is %v, %v", keys, err)
	}
	for _, id := range []string{"", "web", "shop_web", "shop_web_apps", "shop__apps_Deployment"} {
		entries := []kustomizev1.ResourceRef{{ID: "shop_settings__ConfigMap", Version: "v1"}, {ID: id, Version: "v1"}}
		keys, err := Load(&kustomizev1.ResourceInventory{Entries: entries})
		if err == nil || keys != nil || !strings.Contains(err.Error(), `"`+id+`"`) {
			t.Errorf("%q: got %v, %v, want an error that names it", id, keys, err)
		}
	}
}

func TestStoreSorts(t *testing.T) {
	t.Parallel()
	keys := []kube.Key{key("shop", "b", "", "v1", "Secret"), key("", "shop", "", "v1", "Namespace"), key("shop", "a", "", "v1", "Secret")}
	got := Store(keys).Entries
	for i, want := range []string{"_shop__Namespace", "shop_a__Secret", "shop_b__Secret"} {
		if got[i].ID != want {
			t.Errorf("entry %d is %s, want %s", i, got[i].ID, want)
		}
	}
	if keys[0].Name != "b" {
		t.Error("the keys given were reordered")
	}
	if empty := Store(nil); empty == nil || empty.Entries == nil {
		t.Error("an empty inventory has no list of entries")
	}
}

func TestUnionPrefersTheLaterVersion(t *testing.T) {
	t.Parallel()
	old, now := key("shop", "web", "apps", "v1beta1", "Deployment"), key("shop", "web", "apps", "v1", "Deployment")
	other := key("shop", "web", "extensions", "v1", "Deployment")
	if got := Union([]kube.Key{old, other}, []kube.Key{now}); !reflect.DeepEqual(got, []kube.Key{other, now}) {
		t.Errorf("got %v", got)
	}
	if got := Minus([]kube.Key{old, other}, []kube.Key{now}); !reflect.DeepEqual(got, []kube.Key{other}) {
		t.Errorf("got %v", got)
	}
}

// FuzzInventoryLaws holds Union and Minus to the laws of sets, and to leaving
// what they are given alone.
func FuzzInventoryLaws(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		a, b := randomKeys(r), randomKeys(r)
		before := [2][]kube.Key{append([]kube.Key{}, a...), append([]kube.Key{}, b...)}
		union, minus := ids(Union(a, b)), ids(Minus(a, b))

		for id := range ids(a) {
			if !union[id] || minus[id] == ids(b)[id] {
				t.Errorf("%s of a: in the union %v, in the difference %v", id, union[id], minus[id])
			}
		}
		for id := range ids(b) {
			if !union[id] || minus[id] {
				t.Errorf("%s of b: in the union %v, in the difference %v", id, union[id], minus[id])
			}
		}
		if len(union) != len(Union(a, b)) || len(union) != len(minus)+len(b) {
			t.Error("the union has an object twice, or one too many")
		}
		for what, same := range map[string]bool{
			"union with itself":      reflect.DeepEqual(ids(Union(a, a)), ids(a)),
			"union with nothing":     reflect.DeepEqual(Union(a, nil), a),
			"difference to itself":   len(Minus(a, a)) == 0,
			"difference to nothing":  reflect.DeepEqual(Minus(a, nil), a),
			"union, either way":      reflect.DeepEqual(union, ids(Union(b, a))),
			"what was given":         reflect.DeepEqual(before, [2][]kube.Key{a, b}),
			"union of b, versions":   reflect.DeepEqual(Union(Union(a, b), b), Union(a, b)),
			"difference of a union":  reflect.DeepEqual(ids(Minus(Union(a, b), b)), minus),
			"stored in either order": reflect.DeepEqual(ids(reload(t, Union(a, b))), ids(reload(t, Union(b, a)))),
		} {
			if !same {
				t.Errorf("%s is not as it should be, for %v and %v", what, a, b)
			}
		}
	})
}

// randomKeys are distinct objects, in an order and in versions left to chance.
func randomKeys(r *rand.Rand) []kube.Key {
	keys := []kube.Key{}
	for _, i := range r.Perm(6)[:r.IntN(6)] {
		keys = append(keys, key("shop", string(rune('a'+i)), "apps", []string{"v1", "v1beta1"}[r.IntN(2)], "Deployment"))
	}
	return keys
}

func ids(keys []kube.Key) map[object.ObjMetadata]bool {
	out := map[object.ObjMetadata]bool{}
	for _, k := range keys {
		out[k.ObjMetadata] = true
	}
	return out
}

func reload(t *testing.T, keys []kube.Key) []kube.Key {
	t.Helper()
	out, err := Load(Store(keys))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
