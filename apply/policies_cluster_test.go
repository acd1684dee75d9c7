package apply_test

import (
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
)

func TestAppliedTwiceIsEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.expect("ConfigMap/settings created, Deployment/web created", settings(`a: "1"`), web)
	w.expect("ConfigMap/settings unchanged, Deployment/web unchanged", settings(`a: "1"`), web)
	clear(w.known) // as after a restart
	w.expect("ConfigMap/settings unchanged, Deployment/web unchanged", settings(`a: "1"`), web)
	w.expect("ConfigMap/settings configured, Deployment/web unchanged", settings(`b: "1"`), web)
	if data := w.field(w.get(w.have[0]), "data").(map[string]any); len(data) != 1 || data["b"] != "1" {
		t.Errorf("got %v", data)
	}
}

func TestPolicyIfNotPresent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	once := func(value string) string {
		return strings.Replace(settings("a: '"+value+"'"), "name: settings", "name: settings, annotations: {kustomize.toolkit.fluxcd.io/ssa: IfNotPresent}", 1)
	}
	w.as("somebody", w.object(settings(`a: theirs`)))
	w.expect("ConfigMap/settings skipped", once("1"))
	if got := w.field(w.get(kube.KeyOf(w.object(once("1")))), "data", "a"); got != "theirs" {
		t.Errorf("got %v", got)
	}
	mine := func(value string) string { return strings.ReplaceAll(once(value), "settings", "mine") }
	w.expect("ConfigMap/mine created", mine("1"))
	w.expect("ConfigMap/mine skipped", mine("2"))
	key := kube.KeyOf(w.object(mine("1")))
	w.settle(w.patch("somebody", key, "", `{"data":{"a":"9"}}`))
	w.expect("ConfigMap/mine skipped", mine("1"))
	if got := w.field(w.get(key), "data", "a"); got != "9" {
		t.Errorf("got %v", got)
	}
}

func TestPolicyIgnoreAndReconcileOnTheCluster(t *testing.T) {
	t.Parallel()
	for name, mark := range map[string]string{"ignore": `"kustomize.toolkit.fluxcd.io/ssa":"Ignore"`, "reconcile": `"kustomize.toolkit.fluxcd.io/reconcile":"Disabled"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.expect("ConfigMap/settings created", settings(`a: "1"`))
			w.settle(w.patch("somebody", w.have[0], "", `{"metadata":{"annotations":{`+mark+`}},"data":{"a":"9"}}`))
			w.expect("ConfigMap/settings skipped", settings(`a: "2"`))
			if got := w.field(w.get(w.have[0]), "data", "a"); got != "9" {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestPolicyMerge: kubectl's additions go with the default policy, and stay with
// Merge; what the source sets is ours with both.
func TestPolicyMerge(t *testing.T) {
	t.Parallel()
	for policy, c := range map[string]struct {
		kept     bool
		managers string
	}{"Override": {false, "kustomize-controller"}, "Merge": {true, "kubectl-edit kustomize-controller"}} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			source := strings.Replace(settings(`a: "1"`), "name: settings", "name: settings, labels: {kustomize.toolkit.fluxcd.io/ssa: "+policy+"}", 1)
			w.expect("ConfigMap/settings created", source)
			w.settle(w.patch("kubectl-edit", w.have[0], "", `{"data":{"a":"9","b":"9"}}`))
			change := w.expect("ConfigMap/settings configured", source)
			if len(change.Fields) == 0 || change.Fields[0].String() != "data.a (by kubectl-edit)" || change.Fields[0].Before != `"9"` || change.Fields[0].After != `"1"` {
				t.Errorf("got %+v", change.Fields)
			}
			obj := w.get(w.have[0])
			_, kept := w.field(obj, "data").(map[string]any)["b"]
			if kept != c.kept || w.field(obj, "data", "a") != "1" || managers(obj) != c.managers {
				t.Errorf("got %v, managers %s", w.field(obj, "data"), managers(obj))
			}
			w.expect("ConfigMap/settings unchanged", source)
		})
	}
}

func TestConflictsAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.as("argocd-controller", w.object(settings(`a: theirs, b: theirs`)))
	change := w.expect("ConfigMap/settings configured", settings(`a: "1"`))
	if change.Reason != "takes over data.a from argocd-controller" || change.Drifted() {
		t.Errorf("got %+v", change)
	}
	if data := w.field(w.get(w.have[0]), "data").(map[string]any); data["a"] != "1" || data["b"] != "theirs" {
		t.Errorf("got %v", data)
	}
	w.expect("ConfigMap/settings unchanged", settings(`a: "1"`))
}

// TestSpecIgnore: fields that are ignored are created, and then left alone.
func TestSpecIgnore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var err error
	if w.req.Ignore, err = drift.CompileIgnores([]drift.IgnoreRule{{Paths: []string{"/data/a"}, Target: &drift.Selector{Kind: "ConfigMap"}}}); err != nil {
		t.Fatal(err)
	}
	value := func() any { return w.field(w.get(w.have[0]), "data", "a") }
	w.expect("ConfigMap/settings created", settings(`a: "1", b: "1"`))
	if value() != "1" {
		t.Fatalf("created with %v", value())
	}
	w.expect("ConfigMap/settings unchanged", settings(`a: "2", b: "1"`)) // a new value in the source
	if value() != "1" {
		t.Errorf("the source's change was applied: %v", value())
	}
	w.settle(w.patch("somebody", w.have[0], "", `{"data":{"a":"theirs","b":"theirs"}}`))
	change := w.expect("ConfigMap/settings configured", settings(`a: "2", b: "1"`)) // theirs, and drift beside it
	if value() != "theirs" || w.field(w.get(w.have[0]), "data", "b") != "1" || len(change.Fields) != 1 || change.Fields[0].Path != "data.b" {
		t.Errorf("got %v, corrected %v", w.get(w.have[0]).Object["data"], change.Fields)
	}
	w.expect("ConfigMap/settings unchanged", settings(`a: "2", b: "1"`))
	clear(w.known)
	w.expect("ConfigMap/settings unchanged", settings(`a: "2", b: "1"`))
	w.settle(w.patch("kubectl-edit", w.have[0], "", `{"data":{"a":"kubectl","b":"kubectl"}}`))
	w.expect("ConfigMap/settings configured", settings(`a: "2", b: "1"`)) // kubectl's fields become ours, with their value
	if value() != "kubectl" || strings.Contains(managers(w.get(w.have[0])), "kubectl") {
		t.Errorf("got %v, managers %s", value(), managers(w.get(w.have[0])))
	}
	w.settle(w.patch("somebody", w.have[0], "", `{"data":{"a":null,"b":"x"}}`))
	w.expect("ConfigMap/settings configured", settings(`a: "2", b: "1"`)) // removed, and stays so
	if value() != nil {
		t.Errorf("got %v", value())
	}
	w.req.Ignore = nil
	w.expect("ConfigMap/settings configured", settings(`a: "2", b: "1"`))
	if value() != "2" {
		t.Errorf("not ignored any more, and %v", value())
	}
}

// TestSpecIgnoreOfWhatExists: the object was there before, with a required field
// that is ignored and that only its former owner set.
func TestSpecIgnoreOfWhatExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.as("somebody", w.object(strings.Replace(web, "web:1", "web:9", 1)))
	var err error
	if w.req.Ignore, err = drift.CompileIgnores([]drift.IgnoreRule{{Paths: []string{"/spec/template/spec/containers/0/image"}}}); err != nil {
		t.Fatal(err)
	}
	w.expect("Deployment/web configured", web)
	containers := w.field(w.get(w.have[0]), "spec", "template", "spec", "containers").([]any)
	if image := containers[0].(map[string]any)["image"]; image != "example.com/web:9" {
		t.Errorf("got %v", image)
	}
	clear(w.known)
	w.expect("Deployment/web unchanged", web)
}

// TestReportOnly: what somebody changed is told and stays; a change of the
// source is applied as a whole.
func TestReportOnly(t *testing.T) {
	t.Parallel()
	marked := func(fields string) string {
		return strings.Replace(settings(fields), "name: settings", "name: settings, annotations: {plumb-gitops.github.io/drift: warn}", 1)
	}
	for name, c := range map[string]struct {
		source func(string) string
		unit   bool
	}{"by the object": {marked, false}, "by the unit": {settings, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.req.ReportDrift = c.unit
			w.expect("ConfigMap/settings created", c.source(`a: "1"`))
			w.settle(w.patch("somebody", w.have[0], "", `{"data":{"a":"9"}}`))
			for range 2 { // with and without memory
				change := w.expect("ConfigMap/settings drifted", c.source(`a: "1"`))
				if len(change.Fields) != 1 || change.Fields[0].String() != "data.a (by somebody)" || !change.Drifted() {
					t.Errorf("got %+v", change)
				}
				clear(w.known)
			}
			if got := w.field(w.get(w.have[0]), "data", "a"); got != "9" {
				t.Errorf("got %v", got)
			}
			w.expect("ConfigMap/settings configured", c.source(`a: "1", b: "1"`))
			if got := w.field(w.get(w.have[0]), "data", "a"); got != "1" {
				t.Errorf("got %v", got)
			}
		})
	}
}
