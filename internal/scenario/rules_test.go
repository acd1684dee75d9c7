package scenario_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/scenario"
)

func configMap(ns, name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {value: %q}\n", name, ns, value)
}

// Rule 1: nothing is written before it is known.
func TestInvalidObjectOfTenChangesNothing(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	files := map[string]string{}
	for i := range 9 {
		files[fmt.Sprintf("app/cm%d.yaml", i)] = configMap(w.NS, fmt.Sprintf("cm%d", i), "x")
	}
	files["app/bad.yaml"] = fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad, namespace: %s}\nspec: {replicas: 1}\n", w.NS)
	repo := w.Git.Repo(t, "repo", files)
	w.Source("repo", repo, "")
	w.Kustomization("app", "./app", "")
	mark := w.Mark(t)
	w.Start()
	w.NotReady(w.Unit("app"), "ReconciliationFailed", "Deployment/"+w.NS+"/bad dry-run failed", "spec.selector")
	for i := range 9 {
		if w.Get(scenario.Key("ConfigMap", w.NS, fmt.Sprintf("cm%d", i))) != nil {
			t.Errorf("cm%d was created", i)
		}
	}
	for _, e := range w.Since(mark) {
		if slices.Contains([]string{"create", "update", "patch", "delete"}, e.Verb) && !strings.Contains(e.RequestURI, "dryRun=All") &&
			!slices.Contains([]string{"kustomizations", "gitrepositories", "events"}, e.ObjectRef.Resource) {
			t.Errorf("a write: %s", e)
		}
	}
	if inventory := scenario.Inventory(w.Get(w.Unit("app"))); len(inventory) != 0 {
		t.Errorf("the inventory grew: %v", inventory)
	}
	revision := repo.Commit(map[string]string{"app/bad.yaml": ""})
	w.Poke("repo")
	w.Ready(w.Unit("app"), revision)
}

// threeObjects makes a unit of the ConfigMaps a, b and c, for engines that are killed.
func threeObjects(t *testing.T, w *scenario.World) *scenario.Repo {
	t.Helper()
	repo := w.Git.Repo(t, "repo", map[string]string{
		"app/a.yaml": configMap(w.NS, "a", "1"), "app/b.yaml": configMap(w.NS, "b", "1"), "app/c.yaml": configMap(w.NS, "c", "1"),
	})
	w.Source("repo", repo, "interval: 1s")
	w.Kustomization("app", "./app", "wait: true")
	return repo
}

// Rule 2: a crash between any two lines is harmless. In each run the engine is
// killed once at a step, while it takes a unit from one revision to the next:
// one object changes, one comes, one goes.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	for _, step := range failpoint.Steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			w := scenario.New(t)
			repo := threeObjects(t, w)
			first := []string{"finalizer.added"} // happens only on the way to the first revision
			if !slices.Contains(first, step) {
				w.Start()
				w.Ready(w.Unit("app"))
				w.Stop()
			}
			revision := repo.Commit(map[string]string{"app/a.yaml": configMap(w.NS, "a", "2"), "app/b.yaml": "", "app/d.yaml": configMap(w.NS, "d", "1")})
			final := strings.HasPrefix(step, "finalize.")
			if final {
				w.Delete(w.Unit("app"))
			}
			w.StartWith([]string{"PLUMB_KILL_AT=" + step})
			w.Died()
			w.Start()
			if final {
				w.Gone(w.Unit("app"))
				for _, name := range []string{"a", "b", "c", "d"} {
					w.Gone(scenario.Key("ConfigMap", w.NS, name))
				}
				return
			}
			app := w.Ready(w.Unit("app"), revision)
			w.Has(scenario.Key("ConfigMap", w.NS, "a"), "2", "data", "value")
			w.Gone(scenario.Key("ConfigMap", w.NS, "b"))
			want := []string{w.NS + "_a__ConfigMap", w.NS + "_c__ConfigMap", w.NS + "_d__ConfigMap"}
			if got := scenario.Inventory(app); !slices.Equal(got, want) {
				t.Errorf("inventory %v, want %v", got, want)
			}
		})
	}
}

// Rule 2, of the first pass, whose inventory is not in the status yet: what was begun is
// known, also when it is not in the source any more at the next start.
func TestKilledInTheFirstPass(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"plan.done", "inventory.grow", "finalizer.added", "inventory.grown", "apply.object:2", "apply.stage", "apply.done", "prune.done", "status.write", "status.written"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			w := scenario.New(t)
			repo := threeObjects(t, w)
			w.StartWith([]string{"PLUMB_KILL_AT=" + step})
			w.Died()
			revision := repo.Commit(map[string]string{"app/a.yaml": "", "app/b.yaml": "", "app/d.yaml": configMap(w.NS, "d", "1")})
			w.Start()
			app := w.Ready(w.Unit("app"), revision)
			w.Gone(scenario.Key("ConfigMap", w.NS, "a"))
			w.Gone(scenario.Key("ConfigMap", w.NS, "b"))
			want := []string{w.NS + "_c__ConfigMap", w.NS + "_d__ConfigMap"}
			if got := scenario.Inventory(app); !slices.Equal(got, want) {
				t.Errorf("inventory %v, want %v", got, want)
			}
			w.Delete(w.Unit("app"))
			w.Gone(w.Unit("app"))
			w.Gone(scenario.Key("ConfigMap", w.NS, "c"))
		})
	}
}

// TestDeletedBeforeItHasAnInventory: what was begun goes with the unit, and with a claim
// of another unit's nothing goes.
func TestDeletedBeforeItHasAnInventory(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	repo := w.Git.Repo(t, "repo", map[string]string{"app/a.yaml": configMap(w.NS, "a", "1"), "app/b.yaml": configMap(w.NS, "b", "1"), "brief/c.yaml": configMap(w.NS, "c", "1")})
	w.Source("repo", repo, "interval: 1h")
	w.Kustomization("app", "./app", "")
	w.StartWith([]string{"PLUMB_KILL_AT=apply.done"})
	w.Died()
	if got := scenario.Inventory(w.Get(w.Unit("app"))); len(got) > 0 {
		t.Fatalf("it has an inventory already: %v", got)
	}
	claim := w.Get(w.Unit("app")).GetAnnotations()["plumb-gitops.github.io/claim"]
	if !strings.Contains(claim, w.NS+"_b__ConfigMap") {
		t.Fatalf("the claim is %q", claim)
	}
	w.Apply(w.KustomizationYAML("copy", "./none", "suspend: true"))
	w.Patch(w.Unit("copy"), "test", fmt.Sprintf(`{"metadata":{"annotations":{"plumb-gitops.github.io/claim":%q},"finalizers":["finalizers.fluxcd.io"]}}`, claim))
	w.Delete(w.Unit("copy"))
	w.Start()
	w.Gone(w.Unit("copy"))
	w.Ready(w.Unit("app"))
	if w.Get(scenario.Key("ConfigMap", w.NS, "a")) == nil {
		t.Error("the copy took away what it never had")
	}
	w.Stop()
	w.Kustomization("brief", "./brief", "")
	w.StartWith([]string{"PLUMB_KILL_AT=apply.done"})
	w.Died()
	w.Delete(w.Unit("brief"))
	w.Start()
	w.Gone(w.Unit("brief"))
	w.Gone(scenario.Key("ConfigMap", w.NS, "c"))
}

// Rule 3: nobody waits on a worker.
func TestUnhealthyUnitsDoNotDelayAHealthyOne(t *testing.T) {
	t.Parallel()
	const sick = 50
	w := scenario.New(t)
	files := map[string]string{"healthy/cm.yaml": configMap(w.NS, "healthy", "1")}
	for i := range sick {
		files[fmt.Sprintf("sick%d/claim.yaml", i)] = fmt.Sprintf("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: sick%d, namespace: %s}\nspec: {accessModes: [ReadWriteOnce], storageClassName: nobody, resources: {requests: {storage: 1Gi}}}\n", i, w.NS)
	}
	repo := w.Git.Repo(t, "repo", files)
	w.Source("repo", repo, "interval: 100ms")
	var all strings.Builder
	for i := range sick {
		fmt.Fprintf(&all, "%s---\n", w.KustomizationYAML(fmt.Sprintf("sick%d", i), fmt.Sprintf("./sick%d", i), "wait: true\ntimeout: 1h"))
	}
	w.Apply(all.String())
	w.Kustomization("healthy", "./healthy", "wait: true")
	w.Start("--concurrent", "4")
	w.Ready(w.Unit("healthy"))
	for i := range sick {
		w.NotReady(w.Unit(fmt.Sprintf("sick%d", i)), "Progressing", "PersistentVolumeClaim")
	}
	// All fifty wait now, for an hour each. If they had the workers, the healthy one
	// would never come to its turn.
	w.Ready(w.Unit("healthy"), repo.Commit(map[string]string{"healthy/cm.yaml": configMap(w.NS, "healthy", "2")}))
	for i := range sick {
		w.NotReady(w.Unit(fmt.Sprintf("sick%d", i)), "Progressing", "PersistentVolumeClaim")
	}
}

// at is the time of an event.
func at(t *testing.T, event *unstructured.Unstructured) time.Time {
	t.Helper()
	text, _, _ := unstructured.NestedString(event.Object, "eventTime")
	when, err := time.Parse(metav1.RFC3339Micro, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// Rule 4: unchanged input costs no request. A minute of intervals goes by, at a
// faster pace: the source is looked at sixty times.
func TestUnchangedUnitsCostNoRequest(t *testing.T) {
	t.Parallel()
	const units, polls = 100, 60
	w := scenario.New(t)
	files := map[string]string{}
	var all strings.Builder
	for i := range units {
		for j := range 4 {
			files[fmt.Sprintf("u%d/cm%d.yaml", i, j)] = configMap(w.NS, fmt.Sprintf("u%d-%d", i, j), "x")
		}
		fmt.Fprintf(&all, "%s---\n", strings.Replace(w.KustomizationYAML(fmt.Sprintf("u%d", i), fmt.Sprintf("./u%d", i), "wait: true\ntimeout: 1m"), "interval: 1h", "interval: 1s", 1))
	}
	w.Source("repo", w.Git.Repo(t, "repo", files), "interval: 100ms")
	w.Apply(all.String())
	w.Start()
	for i := range units {
		w.Ready(w.Unit(fmt.Sprintf("u%d", i)))
	}
	w.Settle()
	mark := w.Mark(t)
	w.Git.AwaitRequests(t, polls)
	if requests := w.Since(mark); len(requests) > 0 {
		t.Errorf("%d requests in %d intervals, want none; the first: %s", len(requests), polls, requests[0])
	}
}
