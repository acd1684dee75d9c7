package scenario_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/live"
)

// told is what a FluxConfig said of its compliance, in order, and where it said
// Compliant though something was not as it should be.
type told struct {
	mu     sync.Mutex
	states []string
	wrong  []string
	newest string        // resource version
	more   chan struct{} // has one when something was said
}

func newTold() *told { return &told{more: make(chan struct{}, 1)} }

// say notes a state, unless it is the last one still.
func (s *told) say(version, state, wrong string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.states) == 0 || s.states[len(s.states)-1] != state {
		s.states = append(s.states, state)
	}
	if wrong != "" {
		s.wrong = append(s.wrong, wrong)
	}
	s.newest = version
	select {
	case s.more <- struct{}{}:
	default: // there is one
	}
}

// until returns what was said since the last call and until the FluxConfig was as it is
// given here, beginning with what held before.
func (s *told) until(t *testing.T, obj *unstructured.Unstructured) (states, wrong []string) {
	t.Helper()
	for late := time.After(scenario.Patience()); !s.came(obj.GetResourceVersion()); {
		select {
		case <-s.more:
		case <-late:
			t.Fatalf("resource version %s of the FluxConfig was not seen", obj.GetResourceVersion())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	states, wrong = slices.Clone(s.states), s.wrong
	s.states, s.wrong = s.states[max(0, len(s.states)-1):], nil
	return states, wrong
}

// came tells whether a version, or one behind it, was seen.
func (s *told) came(version string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest != "" && !live.Older(s.newest, version)
}

// follow listens to a FluxConfig. Whenever it says Compliant, each object that it lists
// has to be there and Ready as it was asked to be then, or asked for more since.
func (s *told) follow(w *scenario.World, key kube.Key) {
	w.See(key, func(obj *unstructured.Unstructured) {
		state, _, _ := unstructured.NestedString(obj.Object, "status", "complianceState")
		wrong := ""
		if state == string(clusterconfigv1.Compliant) {
			wrong = unready(w, obj)
		}
		s.say(obj.GetResourceVersion(), state, wrong)
	})
}

// unready names what a FluxConfig lists that is not as it was asked to be.
func unready(w *scenario.World, fc *unstructured.Unstructured) string {
	list, _, _ := unstructured.NestedSlice(fc.Object, "status", "statuses")
	for _, entry := range list {
		s, _ := entry.(map[string]any)
		key := scenario.Key(fmt.Sprint(s["kind"]), fmt.Sprint(s["namespace"]), fmt.Sprint(s["name"]))
		live := w.Look(key)
		ready := scenario.Condition(live, "Ready")
		if live == nil || live.GetGeneration() == s["generation"] && (ready == nil || ready.ObservedGeneration != live.GetGeneration()) {
			return fmt.Sprintf("%s: %v", key, ready)
		}
	}
	return ""
}

// Compliance through upgrades, by each of its changes: of what two Kustomizations
// apply, one after the other, and of a chart. It is Compliant with what there was, then
// not, then Compliant with what there is, and nothing else between.
func TestFluxConfigComplianceThroughUpgrades(t *testing.T) {
	t.Parallel()
	w, repo, compliant := configured(t)
	charts := testhelm.Start(t, testhelm.Options{})
	packed := map[string][]byte{}
	publish := func(version string) {
		packed["c-"+version+".tgz"] = testhelm.Chart(t, "c", version, map[string]string{"templates/cm.yaml": configMap(w.NS, "released", version)})
		charts.Publish(t, packed)
	}
	release := func(value string) string {
		return "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: charts, namespace: " + w.NS + "}\nspec: {interval: 1s, url: " + charts.URL + "}\n---\n" +
			"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: r, namespace: " + w.NS + "}\nspec: {interval: 1h, values: {a: " + value + "}, chart: {spec: {chart: c, interval: 1s, sourceRef: {kind: HelmRepository, name: charts}}}}\n"
	}
	publish("1.0.0")
	repo.Commit(map[string]string{"apps/release.yaml": release("x")})
	key, said := scenario.Key("FluxConfig", w.NS, "fleet"), newTold()
	w.Apply(configuration(w, repo, "./apps"))
	said.follow(w, key)
	w.Start()
	said.until(t, w.Ready(key, "Compliant"))
	for _, upgrade := range []struct {
		name, kind string // whose revision tells that it is done
		make       func() (revision string)
	}{
		{"both kustomizations", "Kustomization/fleet-apps", func() string {
			return repo.Commit(map[string]string{"apps/cm.yaml": configMap(w.NS, "app", "2"), "infra/cm.yaml": configMap(w.NS, "infra", "2"), "apps/release.yaml": release("y")})
		}},
		{"the chart", "HelmRelease/r", func() string { publish("1.1.0"); return "1.1.0" }},
	} {
		revision := upgrade.make()
		states, wrong := said.until(t, w.Until(key, "it is compliant after a change of "+upgrade.name, func(obj *unstructured.Unstructured) bool {
			return compliant(obj) && slices.Contains(revisions(obj), upgrade.kind+" "+revision)
		}))
		if want := []string{"Compliant", "Pending", "Compliant"}; !slices.Equal(states, want) {
			t.Errorf("%s: the compliance was %v, want %v", upgrade.name, states, want)
		}
		if len(wrong) > 0 {
			t.Errorf("%s: Compliant, but %v", upgrade.name, wrong)
		}
	}
	for name, value := range map[string]string{"app": "2", "infra": "2", "released": "1.1.0"} {
		w.Has(scenario.Key("ConfigMap", w.NS, name), value, "data", "value")
	}
}

// revisions are those of what a FluxConfig lists, after kind and name.
func revisions(fc *unstructured.Unstructured) (out []string) {
	list, _, _ := unstructured.NestedSlice(fc.Object, "status", "statuses")
	for _, entry := range list {
		s, _ := entry.(map[string]any)
		out = append(out, fmt.Sprintf("%s/%s %s", s["kind"], s["name"], s["revision"]))
	}
	return out
}
