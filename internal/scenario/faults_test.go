package scenario_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/internal/testproxy"
)

// requestKinds are the kinds of requests that a pass makes, each about one object.
var requestKinds = []struct {
	name  string
	about func(w *scenario.World) kube.Key
	match func(r *http.Request, object string) bool
}{
	{"lead", configMapNamed("0-lead"), func(r *http.Request, object string) bool { // it is written without a dry run
		return r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, object)
	}},
	{"dry run", configMapNamed("a"), func(r *http.Request, object string) bool {
		return r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, object) && r.URL.Query().Has("dryRun")
	}},
	{"apply", configMapNamed("a"), func(r *http.Request, object string) bool {
		return r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, object) && !r.URL.Query().Has("dryRun")
	}},
	{"delete", configMapNamed("b"), func(r *http.Request, object string) bool {
		return r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, object)
	}},
	{"status", func(w *scenario.World) kube.Key { return w.Unit("app") }, func(r *http.Request, object string) bool {
		return r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, object+"/status")
	}},
	{"get secret", func(w *scenario.World) kube.Key { return scenario.Key("Secret", w.NS, "vars") }, func(r *http.Request, _ string) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/secrets") && strings.Contains(r.URL.Query().Get("fieldSelector"), "=vars")
	}},
}

func configMapNamed(name string) func(*scenario.World) kube.Key {
	return func(w *scenario.World) kube.Key { return scenario.Key("ConfigMap", w.NS, name) }
}

var pathOf = map[string]string{"ConfigMap": "/configmaps/", "Secret": "/secrets/", "Kustomization": "/kustomizations/"}

const varsSecret = "{apiVersion: v1, kind: Secret, metadata: {name: vars, namespace: %s}, stringData: {who: everybody}}"

// TestFaults: whatever happens to whichever request of a pass, the next ones put
// it right. In each run the unit goes from one revision to the next: two objects
// change, one comes, one goes.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range requestKinds {
		for _, fault := range testproxy.Faults {
			t.Run(kind.name+"/"+string(fault), func(t *testing.T) {
				t.Parallel()
				w := scenario.New(t)
				repo := w.Git.Repo(t, "repo", map[string]string{
					"app/0.yaml": configMap(w.NS, "0-lead", "1"), "app/a.yaml": configMap(w.NS, "a", "1"), "app/b.yaml": configMap(w.NS, "b", "1"), "app/c.yaml": configMap(w.NS, "c", "${who}"),
				})
				w.Apply(fmt.Sprintf(varsSecret, w.NS))
				w.Source("repo", repo, "interval: 1s")
				w.Kustomization("app", "./app", "wait: true\ntimeout: 3s\nretryInterval: 2s\npostBuild: {substituteFrom: [{kind: Secret, name: vars}]}")
				w.Start()
				w.Ready(w.Unit("app"))
				w.Stop()
				revision := repo.Commit(map[string]string{"app/0.yaml": configMap(w.NS, "0-lead", "2"), "app/a.yaml": configMap(w.NS, "a", "2"), "app/b.yaml": "", "app/d.yaml": configMap(w.NS, "d", "1")})

				about := kind.about(w)
				object := pathOf[about.GroupKind.Kind] + about.Name
				proxy, kubeconfig := testproxy.New(t, w.EngineKubeconfig(), testproxy.Rule{
					Match:  func(r *http.Request) bool { return kind.match(r, object) },
					Fault:  fault,
					Vanish: func() { w.Delete(about) },
				})
				w.Start("--kubeconfig", kubeconfig)
				if fault == testproxy.Timeout {
					tellsOfTimeout(w, kind.name)
				}
				converged(t, w, kind.name, fault, revision)
				if !proxy.Hit() {
					t.Error("the request never came by")
				}
			})
		}
	}
}

// tellsOfTimeout checks what a unit says of a request that had no answer within its
// spec.timeout: at which stage that was, and the way out.
func tellsOfTimeout(w *scenario.World, kind string) {
	said := map[string][2]string{
		"lead":       {"ReconciliationFailed", "ConfigMap/" + w.NS + "/0-lead dry-run failed: no answer within spec.timeout"},
		"dry run":    {"ReconciliationFailed", "spec.timeout was over before the server had tried all objects: none of them is written"},
		"apply":      {"ReconciliationFailed", "spec.timeout was over before all objects were written"},
		"delete":     {"PruneFailed", "spec.timeout was over before all objects were deleted"},
		"status":     {"ReconciliationFailed", "store the inventory: no answer within spec.timeout"},
		"get secret": {"BuildFailed", "Secret/" + w.NS + "/vars: waiting for the first list: no answer within spec.timeout"},
	}[kind]
	failed := w.NotReady(w.Unit("app"), said[0], said[1], "the next attempt ", "; set a longer one")
	if strings.Contains(failed.Message, "http") || strings.Contains(failed.Message, "deadline") {
		w.TB().Errorf("the message is for nobody: %s", failed.Message)
	}
}

// converged checks how a unit ended after a fault.
func converged(t *testing.T, w *scenario.World, kind string, fault testproxy.Fault, revision string) {
	t.Helper()
	if fault == testproxy.Vanished {
		switch kind {
		case "status": // the unit itself was deleted
			w.Gone(w.Unit("app"))
			for _, name := range []string{"a", "b", "c", "d"} {
				w.Gone(scenario.Key("ConfigMap", w.NS, name))
			}
			return
		case "get secret":
			w.NotReady(w.Unit("app"), "BuildFailed", "Secret/"+w.NS+"/vars not found")
			w.Apply(fmt.Sprintf(varsSecret, w.NS))
		}
	}
	app := w.Ready(w.Unit("app"), revision)
	w.Has(scenario.Key("ConfigMap", w.NS, "0-lead"), "2", "data", "value")
	w.Has(scenario.Key("ConfigMap", w.NS, "a"), "2", "data", "value")
	w.Has(scenario.Key("ConfigMap", w.NS, "c"), "everybody", "data", "value")
	w.Gone(scenario.Key("ConfigMap", w.NS, "b"))
	want := []string{w.NS + "_0-lead__ConfigMap", w.NS + "_a__ConfigMap", w.NS + "_c__ConfigMap", w.NS + "_d__ConfigMap"}
	if got := scenario.Inventory(app); !slices.Equal(got, want) {
		t.Errorf("inventory %v, want %v", got, want)
	}
	w.Settle()
	var succeeded int
	told := map[string]int{}
	for _, e := range w.Events(w.Unit("app")) {
		if e.GetAnnotations()["kustomize.toolkit.fluxcd.io/revision"] != revision {
			continue
		}
		told[fmt.Sprint(e.Object["reason"], ": ", e.Object["message"])]++
		if e.Object["reason"] == "ReconciliationSucceeded" {
			succeeded++
		}
	}
	if succeeded != 1 {
		t.Errorf("%d events of success, want one", succeeded)
	}
	for text, times := range told {
		if times > 1 {
			t.Errorf("told %d times: %s", times, text)
		}
	}
}

// TestSlowConfigurationHoldsUpNoOther: one FluxConfig whose request is never answered
// leaves those of other namespaces to be made, changed and deleted.
func TestSlowConfigurationHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w, repo, compliant := configured(t)
	slow := w.Namespace("slow")
	proxy, kubeconfig := testproxy.New(t, w.EngineKubeconfig(), testproxy.Rule{Fault: testproxy.Timeout, Match: func(r *http.Request) bool {
		return r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/namespaces/"+slow+"/gitrepositories/")
	}})
	fleet := configuration(w, repo, "./apps")
	w.Apply(strings.Replace(fleet, "namespace: "+w.NS, "namespace: "+slow, 1))
	w.Start("--kubeconfig", kubeconfig, "--watch-namespace", slow)
	w.There(scenario.Key("ServiceAccount", slow, "flux-applier"))
	key := scenario.Key("FluxConfig", w.NS, "fleet")
	w.Apply(fleet)
	w.Until(key, "it is compliant", compliant)
	w.Delete(key)
	w.Gone(key)
	if !proxy.Hit() {
		t.Error("the request never came by")
	}
	if state, has, _ := unstructured.NestedString(w.Get(scenario.Key("FluxConfig", slow, "fleet")).Object, "status", "complianceState"); has && state == "Compliant" {
		t.Error("the slow one was not slow")
	}
}
