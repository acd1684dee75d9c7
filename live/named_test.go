package live

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumb-gitops/plumb/internal/kube"
)

var (
	appsUnit   = User{Kind: "Kustomization", NamespacedName: apps}
	otherUnit  = User{Kind: "Kustomization", NamespacedName: types.NamespacedName{Namespace: "team", Name: "other"}}
	appsSource = User{Kind: "GitRepository", NamespacedName: apps}
)

// followed is a view without a cluster that follows one ConfigMap.
func followed(t testing.TB) (*View, *named, *news) {
	t.Helper()
	v, _, told := watched()
	return v, following(v, kube.KeyOf(configMap(t, "a", "", ""))), told
}

func following(v *View, key kube.Key) *named {
	n := &named{view: v, key: key, users: map[User]bool{appsUnit: true}, stop: func() {}}
	n.watcher = newWatcher(nil, metav1.ListOptions{}, n, n.drop)
	v.named[key] = n
	return n
}

func TestNamed(t *testing.T) {
	t.Parallel()
	type step struct {
		do   func(n *named)
		tell []string
	}
	object := func(rv, value string) *unstructured.Unstructured { return configMap(t, "a", rv, value) }
	put := func(rv, value string) func(*named) { return func(n *named) { n.put(object(rv, value)) } }
	remove := func(rv string) func(*named) { return func(n *named) { n.remove(object(rv, "")) } }
	list := func(rv string, objs ...*unstructured.Unstructured) func(*named) {
		return func(n *named) { n.replace(objs, rv) }
	}
	beside := func(rv, value string) func(*named) { return func(n *named) { n.change(object(rv, value), rv, true) } }
	appears := step{put("3", "x"), []string{"a none to 3"}}
	for name, c := range map[string]struct {
		steps []step
		left  string // resource version, "" when there is no object
	}{
		"appears":                 {[]step{appears}, "3"},
		"changes":                 {[]step{appears, {put("4", "y"), []string{"a 3 to 4"}}}, "4"},
		"changes its bookkeeping": {[]step{appears, {put("4", "x"), nil}}, "4"},
		"changes what is not ours": {[]step{appears, {func(n *named) {
			obj := object("4", "x")
			obj.Object["data"].(map[string]any)["b"] = "new"
			n.put(obj)
		}, []string{"a 3 to 4"}}}, "4"},
		"comes late":                 {[]step{appears, {put("2", "y"), nil}}, "3"},
		"goes":                       {[]step{appears, {remove("4"), []string{"a 3 to none"}}}, ""},
		"goes twice":                 {[]step{appears, {remove("4"), []string{"a 3 to none"}}, {remove("4"), nil}}, ""},
		"went before it came back":   {[]step{appears, {remove("2"), nil}}, "3"},
		"comes back":                 {[]step{appears, {remove("4"), []string{"a 3 to none"}}, {put("5", "x"), []string{"a none to 5"}}}, "5"},
		"is read beside the watch":   {[]step{appears, {beside("4", "y"), []string{"a 3 to 4"}}, {put("4", "y"), nil}}, "4"},
		"is read, and was older":     {[]step{appears, {beside("2", "y"), nil}}, "3"},
		"is read, and went since":    {[]step{appears, {remove("5"), []string{"a 3 to none"}}, {beside("4", "y"), nil}}, ""},
		"is not in the first list":   {[]step{{list("9"), nil}}, ""},
		"is in the first list":       {[]step{{list("9", object("3", "x")), []string{"a none to 3"}}}, "3"},
		"is not in a list any more":  {[]step{appears, {list("9"), []string{"a 3 to none"}}}, ""},
		"is in the same list":        {[]step{appears, {list("9", object("3", "x")), nil}}, "3"},
		"is not in a list of before": {[]step{appears, {list("2"), nil}}, "3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, n, told := followed(t)
			for i, s := range c.steps {
				s.do(n)
				if got := told.take(); !slices.Equal(got, s.tell) {
					t.Errorf("step %d tells %q, want %q", i, got, s.tell)
				}
			}
			r, known := v.Get(units, n.key)
			if r.ResourceVersion != c.left || known != (c.left != "") {
				t.Errorf("the view has %q, %v, want %q", r.ResourceVersion, known, c.left)
			}
		})
	}
}

func TestObjectIsWhole(t *testing.T) {
	t.Parallel()
	v, n, _ := followed(t)
	if err := n.watcher.Replace([]any{configMap(t, "a", "3", "secret")}, "9"); err != nil {
		t.Fatal(err)
	}
	obj, err := v.Object(t.Context(), n.key)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := unstructured.NestedString(obj.Object, "data", "a"); got != "secret" {
		t.Errorf("got %v", obj)
	}
	n.remove(configMap(t, "a", "4", ""))
	if obj, err := v.Object(t.Context(), n.key); obj != nil || err != nil {
		t.Errorf("got %v, %v, want none", obj, err)
	}
}

func TestObjectHasToBeFollowed(t *testing.T) {
	t.Parallel()
	v, _, _ := followed(t)
	if _, err := v.Object(t.Context(), kube.KeyOf(configMap(t, "b", "", ""))); err == nil || err.Error() != "ConfigMap/shop/b is not followed" {
		t.Errorf("got %v", err)
	}
}

func TestFollowers(t *testing.T) {
	t.Parallel()
	v, n, _ := followed(t)
	stopped := 0
	n.stop = func() { stopped++ }
	for i, c := range []struct {
		user User
		keys []kube.Key
		want []User
	}{
		{appsUnit, []kube.Key{n.key}, []User{appsUnit}},
		{otherUnit, []kube.Key{n.key, n.key}, []User{appsUnit, otherUnit}},
		{appsSource, []kube.Key{n.key}, []User{appsSource, appsUnit, otherUnit}},
		{appsUnit, nil, []User{appsSource, otherUnit}},
		{appsUnit, nil, []User{appsSource, otherUnit}},
		{appsSource, nil, []User{otherUnit}},
		{otherUnit, nil, nil},
		{otherUnit, nil, nil},
	} {
		if err := v.Follow(c.user, c.keys...); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		got := v.Followers(n.key)
		slices.SortFunc(got, func(a, b User) int { return strings.Compare(a.Kind+a.Name, b.Kind+b.Name) })
		if !slices.Equal(got, c.want) {
			t.Errorf("step %d: followed by %v, want %v", i, got, c.want)
		}
	}
	if stopped != 1 {
		t.Errorf("the watch was stopped %d times", stopped)
	}
}

// TestFollowToo: one object more costs none of the others its watch.
func TestFollowToo(t *testing.T) {
	t.Parallel()
	v, n, _ := followed(t)
	stopped := 0
	n.stop = func() { stopped++ }
	more := following(v, kube.KeyOf(configMap(t, "b", "", "")))
	more.stop = func() {}
	for _, key := range []kube.Key{n.key, more.key, n.key} {
		if err := v.FollowToo(otherUnit, key); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(v.Followers(key), otherUnit) {
			t.Errorf("%s is not followed", key)
		}
	}
	if stopped != 0 || !slices.Contains(v.Followers(n.key), otherUnit) {
		t.Errorf("the first one was given up: stopped %d times", stopped)
	}
	if err := v.Follow(otherUnit, more.key); err != nil {
		t.Fatal(err)
	}
	if got := v.Followers(n.key); slices.Contains(got, otherUnit) {
		t.Errorf("what is not needed any more is still followed by %v", got)
	}
}

func TestDropOfANamedObject(t *testing.T) {
	t.Parallel()
	v, n, told := followed(t)
	stopped := 0
	n.stop = func() { stopped++ }
	n.put(configMap(t, "a", "3", "x"))
	told.take()
	n.drop()
	if got := told.take(); !slices.Equal(got, []string{"a 3 to none"}) {
		t.Errorf("got %q", got)
	}
	if v.Followers(n.key) != nil || stopped != 1 {
		t.Errorf("followed by %v, stopped %d times", v.Followers(n.key), stopped)
	}
	successor := following(v, n.key)
	n.drop()
	if v.named[n.key] != successor {
		t.Error("the successor was dropped")
	}
}

func TestGetPrefersTheKindsOwnRecord(t *testing.T) {
	t.Parallel()
	v, k, _ := watched()
	n := following(v, kube.KeyOf(configMap(t, "a", "", "")))
	n.put(configMap(t, "a", "3", "x"))
	if r, known := v.Get(units, n.key); !known || r.ResourceVersion != "3" {
		t.Errorf("got %+v, %v by name", r, known)
	}
	k.put(configMap(t, "a", "5", "y"))
	if r, _ := v.Get(units, n.key); r.ResourceVersion != "5" {
		t.Errorf("got %+v, want what the kind's watch knows", r)
	}
}
