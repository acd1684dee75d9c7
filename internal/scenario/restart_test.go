package scenario_test

import (
	"testing"

	"github.com/plumb-gitops/plumb/internal/scenario"
)

// TestRestartAsksForNothing: after a restart the objects are as they were left, and
// nobody is asked about them; what changed meanwhile is seen all the same.
func TestRestartAsksForNothing(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	repo := w.Git.Repo(t, "repo", map[string]string{"app/a.yaml": set(w.NS, 10), "wait/b.yaml": configMap(w.NS, "other", "1")})
	w.Source("repo", repo, "interval: 1s")
	w.Kustomization("app", "./app", "")
	w.Kustomization("wait", "./wait", "wait: true")
	w.Start()
	w.Ready(w.Unit("app"))
	w.Ready(w.Unit("wait"))
	w.Stop()

	mark := w.Mark(t)
	revision := repo.Commit(map[string]string{"README.md": "more"})
	w.Start()
	w.Ready(w.Unit("app"), revision)
	w.Ready(w.Unit("wait"), revision)
	if tried, written := applies(w, mark); tried+written > 0 {
		t.Errorf("%d dry runs and %d writes after a restart", tried, written)
	}
	w.Kill()

	w.Patch(scenario.Key("ConfigMap", w.NS, "cm-03"), "somebody", `{"data":{"value":"theirs"}}`)
	w.Delete(scenario.Key("ConfigMap", w.NS, "cm-04"))
	mark = w.Mark(t)
	w.Start()
	w.Has(scenario.Key("ConfigMap", w.NS, "cm-03"), "1", "data", "value")
	w.Has(scenario.Key("ConfigMap", w.NS, "cm-04"), "1", "data", "value")
	w.EventWith(w.Unit("app"), "DriftCorrected", "cm-03")
	w.Settle()
	if tried, written := applies(w, mark); tried > 4 || written != 2 {
		t.Errorf("%d dry runs and %d writes for two objects that changed", tried, written)
	}
	w.Stop()

	// Asked to, it looks at everything.
	mark = w.Mark(t)
	w.Patch(w.Unit("app"), "test", `{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":"1"}}}`)
	w.Start()
	w.Has(w.Unit("app"), "1", "status", "lastHandledReconcileAt")
	if tried, _ := applies(w, mark); tried != 10 {
		t.Errorf("%d dry runs of ten objects when asked to look", tried)
	}
}
