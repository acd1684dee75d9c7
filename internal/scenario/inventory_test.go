package scenario_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/scenario"
)

// chunked has every inventory in chunks, a few entries in each.
const chunked = "--max-status-inventory=0"

const inventoryOf = "plumb-gitops.github.io/inventory-of"

// chunks are the ConfigMaps that hold inventories in the namespace of a world.
func chunks(t *testing.T, w *scenario.World) map[string]unstructured.Unstructured {
	t.Helper()
	r, err := w.Resource(scenario.Key("ConfigMap", "", "").GVK(), w.NS)
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.List(t.Context(), metav1.ListOptions{LabelSelector: inventoryOf})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]unstructured.Unstructured{}
	for _, item := range list.Items {
		out[item.GetName()] = item
	}
	return out
}

// entries are the ids in the chunks that a status names, and how many ConfigMaps
// there are that it does not name.
func entries(t *testing.T, w *scenario.World, unit *unstructured.Unstructured) (ids []string, stray int) {
	t.Helper()
	there := chunks(t, w)
	named, _, _ := unstructured.NestedSlice(unit.Object, "status", "inventory", "chunks")
	for _, c := range named {
		fields, _ := c.(map[string]any)
		chunk, ok := there[fmt.Sprint(fields["name"])]
		if !ok {
			t.Errorf("the chunk %v is not there", fields["name"])
			continue
		}
		text, _, _ := unstructured.NestedString(chunk.Object, "data", "entries")
		for line := range strings.Lines(text) {
			id, _, _ := strings.Cut(line, " ")
			ids = append(ids, id)
		}
	}
	return ids, len(there) - len(named)
}

// set is many ConfigMaps, those of some numbers left out.
func set(ns string, n int, without ...int) string {
	var out strings.Builder
	for i := range n {
		if !slices.Contains(without, i) {
			fmt.Fprintf(&out, "---\n%s", configMap(ns, fmt.Sprintf("cm-%02d", i), "1"))
		}
	}
	return out.String()
}

func ids(ns string, n int, without ...int) (out []string) {
	for i := range n {
		if !slices.Contains(without, i) {
			out = append(out, fmt.Sprintf("%s_cm-%02d__ConfigMap", ns, i))
		}
	}
	return out
}

// TestKilledAtEachStepOfAnInventoryInChunks: one object of many comes and one goes,
// and the engine is killed on the way.
func TestKilledAtEachStepOfAnInventoryInChunks(t *testing.T) {
	t.Parallel()
	const n = 40
	for _, step := range append([]string{"inventory.chunk:2", "inventory.grown", "status.write", "status.written", "finalize.done", "none"}, failpoint.InventorySteps...) {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			w := scenario.New(t)
			repo := w.Git.Repo(t, "repo", map[string]string{"app/a.yaml": set(w.NS, n, 5)})
			w.Source("repo", repo, "interval: 1s")
			w.Kustomization("app", "./app", "")
			if step != "inventory.chunk:2" { // on the way to the first revision
				w.Start(chunked)
				if got, stray := entries(t, w, w.Ready(w.Unit("app"))); !slices.Equal(got, ids(w.NS, n, 5)) || stray != 0 {
					t.Fatalf("the inventory is %v, and %d more chunks", got, stray)
				}
				w.Stop()
			}
			revision := repo.Commit(map[string]string{"app/a.yaml": set(w.NS, n, 20)})
			final := strings.HasPrefix(step, "finalize.") || step == "inventory.dropped"
			if final {
				w.Delete(w.Unit("app"))
			}
			if step != "none" {
				w.StartWith([]string{"PLUMB_KILL_AT=" + step}, chunked)
				w.Died()
			}
			w.Start(chunked)
			if !final {
				app := w.Ready(w.Unit("app"), revision)
				w.Gone(scenario.Key("ConfigMap", w.NS, "cm-20"))
				w.There(scenario.Key("ConfigMap", w.NS, "cm-05"))
				if got, _ := entries(t, w, app); !slices.Equal(got, ids(w.NS, n, 20)) {
					t.Errorf("the inventory is %v", got)
				}
				w.Delete(w.Unit("app"))
			}
			w.Gone(w.Unit("app"))
			w.Gone(scenario.Key("ConfigMap", w.NS, "cm-00"))
			if left := chunks(t, w); len(left) > 0 {
				t.Errorf("%d chunks are left", len(left))
			}
		})
	}
}

// TestLostChunks: without a part of the inventory nothing is applied or pruned, until
// it is back or somebody consents.
func TestLostChunks(t *testing.T) {
	t.Parallel()
	const n = 40
	w := scenario.New(t)
	repo := w.Git.Repo(t, "repo", map[string]string{"app/a.yaml": set(w.NS, n)})
	w.Source("repo", repo, "interval: 1s")
	w.Kustomization("app", "./app", "")
	w.Start(chunked)
	w.Ready(w.Unit("app"))
	if out, errOut, code := w.Plumb(".", "tree", "kustomization/app", "-n", w.NS); code != 0 || !strings.Contains(out, "cm-39") || !strings.Contains(out, "cm-00") {
		t.Errorf("tree: %d %s %s", code, out, errOut)
	}
	w.Stop()
	var first unstructured.Unstructured
	for _, c := range chunks(t, w) {
		if text, _, _ := unstructured.NestedString(c.Object, "data", "entries"); strings.Contains(text, "cm-00_") {
			first = c
		}
	}
	w.Delete(scenario.Key("ConfigMap", w.NS, first.GetName()))
	revision := repo.Commit(map[string]string{"app/a.yaml": set(w.NS, n, 0, 39)})
	w.Start(chunked)
	w.NotReady(w.Unit("app"), "ReconciliationFailed", "ConfigMap "+first.GetName()+" is missing", "nothing is applied or pruned")
	w.There(scenario.Key("ConfigMap", w.NS, "cm-39"))

	// Somebody puts one there that says something else.
	forged := first.DeepCopy()
	unstructured.RemoveNestedField(forged.Object, "metadata", "resourceVersion")
	unstructured.RemoveNestedField(forged.Object, "metadata", "uid")
	unstructured.RemoveNestedField(forged.Object, "metadata", "managedFields")
	text, _, _ := unstructured.NestedString(first.Object, "data", "entries")
	if err := unstructured.SetNestedField(forged.Object, text+w.NS+"_other__ConfigMap v1\n", "data", "entries"); err != nil {
		t.Fatal(err)
	}
	r, err := w.Resource(first.GroupVersionKind(), w.NS)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(t.Context(), forged, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Apply(configMap(w.NS, "other", "x"))
	w.Patch(w.Unit("app"), "test", `{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":"1"}}}`)
	w.NotReady(w.Unit("app"), "ReconciliationFailed", "ConfigMap "+first.GetName()+" is not as it was written")

	// With consent it goes on with the rest.
	w.Patch(w.Unit("app"), "test", `{"metadata":{"annotations":{"plumb-gitops.github.io/allow-prune":"true"}}}`)
	w.Ready(w.Unit("app"), revision)
	w.Gone(scenario.Key("ConfigMap", w.NS, "cm-39"))
	w.There(scenario.Key("ConfigMap", w.NS, "cm-00"))
	w.There(scenario.Key("ConfigMap", w.NS, "other"))
	if got, _ := entries(t, w, w.Get(w.Unit("app"))); !slices.Equal(got, ids(w.NS, n, 0, 39)) {
		t.Errorf("the inventory is %v", got)
	}
}
