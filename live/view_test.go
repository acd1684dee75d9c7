package live

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// units are the kind whose view of things is tested.
const units = "Kustomization"

var (
	configMaps = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	apps       = types.NamespacedName{Namespace: "flux-system", Name: "apps"}
)

// news is what a view told, one line for each change.
type news struct {
	mu    sync.Mutex
	lines []string
}

func (n *news) tell(c Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf("%s %s to %s", c.Record().Key.Name, version(c.Old), version(c.New)))
}

func version(r *Record) string {
	if r == nil {
		return "none"
	}
	return r.ResourceVersion
}

// take returns the lines since the last call, sorted.
func (n *news) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.lines
	n.lines = nil
	slices.Sort(out)
	return out
}

// watched is a view without a cluster that watches ConfigMaps.
func watched() (*View, *kind, *news) {
	n := &news{}
	v := &View{notify: n.tell, kinds: map[selection]*kind{}, named: map[kube.Key]*named{}}
	return v, watching(v, configMaps), n
}

func watching(v *View, gvk schema.GroupVersionKind) *kind {
	k := &kind{view: v, selection: selection{units, gvk}, users: map[User]bool{appsUnit: true}, records: map[kube.Key]Record{}, stop: func() {}}
	k.watcher = newWatcher(nil, metav1.ListOptions{}, k, k.drop)
	v.kinds[k.selection] = k
	return k
}

// configMap has content that we own.
func configMap(t testing.TB, name, resourceVersion, value string) *unstructured.Unstructured {
	t.Helper()
	return parse(t, fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata:
  {name: %q, namespace: shop, uid: u, resourceVersion: %q, labels: {kustomize.toolkit.fluxcd.io/name: apps},
   managedFields: [{manager: kustomize-controller, operation: Apply, fieldsV1: {"f:data": {"f:a": {}}}}]}
data: {a: %q}
`, name, resourceVersion, value))
}

// step is something that a watch brings, with what the view tells of it.
type step struct {
	do   func(k *kind)
	tell []string
}

func TestKind(t *testing.T) {
	t.Parallel()
	put := func(name, rv, value string) func(*kind) {
		return func(k *kind) { k.put(configMap(t, name, rv, value)) }
	}
	remove := func(name, rv string) func(*kind) { return func(k *kind) { k.remove(configMap(t, name, rv, "")) } }
	list := func(rv string, objs ...*unstructured.Unstructured) func(*kind) {
		return func(k *kind) { k.replace(objs, rv) }
	}
	for name, c := range map[string]struct {
		steps []step
		left  []string // name and resource version
	}{
		"appears":                   {[]step{{put("a", "1", "x"), []string{"a none to 1"}}}, []string{"a 1"}},
		"changes":                   {[]step{{put("a", "1", "x"), []string{"a none to 1"}}, {put("a", "2", "y"), []string{"a 1 to 2"}}}, []string{"a 2"}},
		"changes what nobody minds": {[]step{{put("a", "1", "x"), []string{"a none to 1"}}, {put("a", "2", "x"), nil}}, []string{"a 2"}},
		"comes twice":               {[]step{{put("a", "1", "x"), []string{"a none to 1"}}, {put("a", "1", "x"), nil}}, []string{"a 1"}},
		"comes late":                {[]step{{put("a", "2", "y"), []string{"a none to 2"}}, {put("a", "1", "x"), nil}}, []string{"a 2"}},
		"goes":                      {[]step{{put("a", "1", "x"), []string{"a none to 1"}}, {remove("a", "2"), []string{"a 1 to none"}}}, nil},
		"goes, unknown":             {[]step{{remove("a", "2"), nil}}, nil},
		"goes twice":                {[]step{{put("a", "1", "x"), []string{"a none to 1"}}, {remove("a", "2"), []string{"a 1 to none"}}, {remove("a", "2"), nil}}, nil},
		"went before it came back":  {[]step{{put("a", "3", "x"), []string{"a none to 3"}}, {remove("a", "2"), nil}}, []string{"a 3"}},
		"comes back":                {[]step{{put("a", "1", "x"), []string{"a none to 1"}}, {remove("a", "2"), []string{"a 1 to none"}}, {put("a", "3", "x"), []string{"a none to 3"}}}, []string{"a 3"}},
		"first list":                {[]step{{list("5", configMap(t, "a", "1", "x"), configMap(t, "b", "2", "x")), []string{"a none to 1", "b none to 2"}}}, []string{"a 1", "b 2"}},
		"empty list":                {[]step{{list("5"), nil}}, nil},
		"same list":                 {[]step{{put("a", "1", "x"), []string{"a none to 1"}}, {list("5", configMap(t, "a", "1", "x")), nil}}, []string{"a 1"}},
		"list without it":           {[]step{{put("a", "1", "x"), []string{"a none to 1"}}, {list("5"), []string{"a 1 to none"}}}, nil},
		"list of before our write":  {[]step{{put("a", "7", "x"), []string{"a none to 7"}}, {list("5"), nil}}, []string{"a 7"}},
		"list of before a change":   {[]step{{put("a", "7", "y"), []string{"a none to 7"}}, {list("5", configMap(t, "a", "1", "x")), nil}}, []string{"a 7"}},
		"list with changes": {[]step{{list("5", configMap(t, "a", "1", "x"), configMap(t, "b", "2", "x")), []string{"a none to 1", "b none to 2"}},
			{list("9", configMap(t, "b", "8", "y"), configMap(t, "c", "9", "x")), []string{"a 1 to none", "b 2 to 8", "c none to 9"}}}, []string{"b 8", "c 9"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, k, n := watched()
			for i, s := range c.steps {
				s.do(k)
				if got := n.take(); !slices.Equal(got, s.tell) {
					t.Errorf("step %d tells %q, want %q", i, got, s.tell)
				}
			}
			if got := known(k); !slices.Equal(got, c.left) {
				t.Errorf("%q are known, want %q", got, c.left)
			}
		})
	}
}

func known(k *kind) []string {
	var out []string
	for key, r := range k.records {
		out = append(out, key.Name+" "+r.ResourceVersion)
	}
	slices.Sort(out)
	return out
}

// Who is told asks the view at once, so no lock may be held.
func TestNewsComeOutsideOfTheLock(t *testing.T) {
	t.Parallel()
	v, k, _ := watched()
	var seen []bool
	v.notify = func(c Change) {
		_, known := v.Get(units, c.Record().Key)
		seen = append(seen, known)
	}
	k.put(configMap(t, "a", "1", "x"))
	k.put(configMap(t, "a", "2", "y"))
	k.remove(configMap(t, "a", "3", "y"))
	k.put(configMap(t, "a", "4", "y"))
	k.replace(nil, "5")
	if want := []bool{true, true, false, true, false}; !slices.Equal(seen, want) {
		t.Errorf("got %v, want %v", seen, want)
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	v, k, n := watched()
	answer := configMap(t, "a", "5", "x")
	if got := v.Observe(units, answer); got != Reduce(units, answer) {
		t.Errorf("got %+v", got)
	}
	n.take()
	k.put(answer)
	if got := n.take(); got != nil {
		t.Errorf("the event of our own write tells %q", got)
	}
	if r, known := v.Get(units, kube.KeyOf(answer)); !known || r.ResourceVersion != "5" {
		t.Errorf("the view has %+v, %v", r, known)
	}
	stranger := parse(t, `{apiVersion: v1, kind: Service, metadata: {name: a, namespace: shop}}`)
	v.Observe(units, stranger)
	if _, known := v.Get(units, kube.KeyOf(stranger)); known || n.take() != nil {
		t.Error("the view knows an object of a kind that it does not watch")
	}
}

func TestDropOfAKind(t *testing.T) {
	t.Parallel()
	v, k, n := watched()
	stopped := 0
	k.stop = func() { stopped++ }
	k.put(configMap(t, "a", "1", "x"))
	k.put(configMap(t, "b", "2", "x"))
	n.take()
	k.drop()
	if got := n.take(); !slices.Equal(got, []string{"a 1 to none", "b 2 to none"}) {
		t.Errorf("got %q", got)
	}
	if _, known := v.Get(units, kube.KeyOf(configMap(t, "a", "1", "x"))); known || v.Kinds() != 0 || stopped != 1 {
		t.Errorf("known %v, %d kinds, stopped %d times", known, v.Kinds(), stopped)
	}
}

// A watch that ends late must not end the one that came after it.
func TestDropLeavesASuccessor(t *testing.T) {
	t.Parallel()
	v, old, _ := watched()
	successor := watching(v, configMaps)
	old.drop()
	if v.kinds[selection{units, configMaps}] != successor {
		t.Error("the successor was dropped")
	}
}

func TestUseStopsWhatNobodyNeeds(t *testing.T) {
	t.Parallel()
	v, k, _ := watched()
	stopped := 0
	k.stop = func() { stopped++ }
	other := otherUnit
	for i, c := range []struct {
		unit  User
		uses  bool
		kinds int
	}{
		{appsUnit, true, 1}, {other, true, 1}, {appsUnit, false, 1}, {appsUnit, false, 1}, {other, false, 0}, {other, false, 0},
	} {
		kinds := map[schema.GroupVersionKind]bool{}
		if c.uses {
			kinds[configMaps] = true
		}
		if err := v.Use(c.unit, kinds); err != nil || v.Kinds() != c.kinds {
			t.Errorf("step %d: %v, %d kinds, want %d", i, err, v.Kinds(), c.kinds)
		}
	}
	if stopped != 1 {
		t.Errorf("the watch was stopped %d times", stopped)
	}
}

func TestSync(t *testing.T) {
	t.Parallel()
	v, k, _ := watched()
	if err := v.Sync(t.Context(), units, schema.GroupVersionKind{Version: "v1", Kind: "Secret"}); err == nil || err.Error() != "Secret is not in the live view" {
		t.Errorf("got %v", err)
	}
	if err := k.watcher.Replace(nil, "1"); err != nil {
		t.Fatal(err)
	}
	if err := v.Sync(t.Context(), units, configMaps); err != nil {
		t.Errorf("got %v after the first list", err)
	}
}

func TestViewIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	v, k, n := watched()
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for rv := range 50 {
				obj := configMap(t, "a", fmt.Sprint(rv), fmt.Sprint(rv))
				switch i {
				case 0:
					k.put(obj)
				case 1:
					v.Observe(units, obj)
				case 2:
					v.Get(units, kube.KeyOf(obj))
				default:
					k.replace([]*unstructured.Unstructured{obj}, fmt.Sprint(rv))
				}
			}
		})
	}
	group.Wait()
	if got := known(k); !slices.Equal(got, []string{"a 49"}) || len(n.take()) == 0 {
		t.Errorf("%q are known", got)
	}
}
