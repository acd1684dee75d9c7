package scenario_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/internal/testhelm"
)

// configuration is FluxConfig fleet with kustomizations infra and apps, the
// latter from path.
func configuration(w *scenario.World, repo *scenario.Repo, path string) string {
	return fmt.Sprintf(`apiVersion: clusterconfig.azure.com/v1alpha1
kind: FluxConfig
metadata: {name: fleet, namespace: %[1]s}
spec:
  scope: namespace
  gitRepository: {url: %[2]s, ref: {branch: main}, syncInterval: 1s}
  kustomizations:
    - {name: apps, path: %[3]s, prune: true, dependsOn: [infra]}
    - {name: infra, path: ./infra, prune: true}
`, w.NS, repo.URL, path)
}

func configured(t *testing.T) (w *scenario.World, repo *scenario.Repo, fleet func(*unstructured.Unstructured) bool) {
	t.Helper()
	w = scenario.New(t)
	repo = w.Git.Repo(t, "repo", map[string]string{
		"infra/cm.yaml": configMap(w.NS, "infra", "1"), "apps/cm.yaml": configMap(w.NS, "app", "1"), "more/cm.yaml": configMap(w.NS, "app", "2"),
	})
	return w, repo, func(obj *unstructured.Unstructured) bool {
		state, _, _ := unstructured.NestedString(obj.Object, "status", "complianceState")
		return state == string(clusterconfigv1.Compliant)
	}
}

// Rule 2, of FluxConfigs: the engine is killed before each write while it makes
// what one stands for, changes it, and takes it down.
func TestFluxConfigKilledAtEachStep(t *testing.T) {
	t.Parallel()
	const shared, source, kustomizations = 3, 1, 2
	times := map[string]int{"config.object": shared + source + kustomizations, "config.delete": kustomizations + source + shared}
	for _, step := range failpoint.ConfigSteps {
		for nth := range times[step] {
			t.Run(fmt.Sprintf("%s:%d", step, nth+1), func(t *testing.T) {
				t.Parallel()
				w, repo, _ := configured(t)
				key := scenario.Key("FluxConfig", w.NS, "fleet")
				w.Apply(configuration(w, repo, "./apps"))
				kill := []string{fmt.Sprintf("PLUMB_KILL_AT=%s:%d", step, nth+1)}
				if step == "config.object" {
					w.StartWith(kill)
					w.Died()
				}
				w.Start()
				w.Ready(key, "Compliant")
				w.Has(scenario.Key("ConfigMap", w.NS, "app"), "1", "data", "value")
				w.Stop()
				w.Delete(key)
				if step == "config.delete" {
					w.StartWith(kill)
					w.Died()
				}
				w.Start()
				w.Gone(key)
				for _, left := range []string{"Kustomization/fleet-apps", "Kustomization/fleet-infra", "GitRepository/fleet", "ConfigMap/app", "ConfigMap/infra", "RoleBinding/flux-applier-binding", "Role/flux-applier", "ServiceAccount/flux-applier"} {
					kind, name, _ := strings.Cut(left, "/")
					w.Gone(scenario.Key(kind, w.NS, name))
				}
			})
		}
	}
}

// A change goes through the cluster once, and is known to be done.
func TestFluxConfigChangeAsksForReconciliation(t *testing.T) {
	t.Parallel()
	w, repo, compliant := configured(t)
	key := scenario.Key("FluxConfig", w.NS, "fleet")
	unit := scenario.Key("Kustomization", w.NS, "fleet-infra")
	w.Apply(configuration(w, repo, "./apps"))
	w.Start()
	w.Until(key, "it is compliant", compliant)
	if at := w.Get(unit).GetAnnotations()["reconcile.fluxcd.io/requestedAt"]; at != "" {
		t.Errorf("what is new was asked to reconcile at %s", at)
	}
	w.Apply(configuration(w, repo, "./more"))
	w.Has(scenario.Key("ConfigMap", w.NS, "app"), "2", "data", "value")
	w.Until(unit, "the request that the change made is handled", func(obj *unstructured.Unstructured) bool {
		at := obj.GetAnnotations()["reconcile.fluxcd.io/requestedAt"]
		handled, _, _ := unstructured.NestedString(obj.Object, "status", "lastHandledReconcileAt")
		return at != "" && at == handled
	})
	w.Ready(key, "Compliant")
}

// What statuses lists, in which order, and who applied it: through a Kustomization of
// the repository too, with releases and their charts.
func TestFluxConfigStatuses(t *testing.T) {
	t.Parallel()
	w, repo, _ := configured(t)
	charts := testhelm.Start(t, testhelm.Options{})
	charts.Publish(t, map[string][]byte{"c-1.0.0.tgz": testhelm.Chart(t, "c", "1.0.0", map[string]string{"templates/cm.yaml": configMap(w.NS, "released", "1")})})
	repo.Commit(map[string]string{
		"apps/nested.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a-nested, namespace: " + w.NS +
			"}\nspec: {interval: 1h, path: ./nested, prune: true, sourceRef: {kind: GitRepository, name: fleet}}\n",
		"nested/release.yaml": "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: charts, namespace: " + w.NS + "}\nspec: {interval: 1h, url: " + charts.URL + "}\n---\n" +
			"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: r, namespace: " + w.NS + "}\nspec: {interval: 1h, chart: {spec: {chart: c, sourceRef: {kind: HelmRepository, name: charts}}}}\n",
	})
	key := scenario.Key("FluxConfig", w.NS, "fleet")
	w.Apply(configuration(w, repo, "./apps"))
	w.Start()
	fc := &clusterconfigv1.FluxConfig{}
	w.Until(key, "it is compliant, with seven objects", func(obj *unstructured.Unstructured) bool {
		return obj != nil && runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, fc) == nil &&
			fc.Status.ComplianceState == clusterconfigv1.Compliant && len(fc.Status.Statuses) == 7
	})
	var got []string
	for _, s := range fc.Status.Statuses {
		by := "-"
		if s.AppliedBy != nil {
			by = s.AppliedBy.Name
		}
		if len(s.StatusConditions) == 0 || s.Namespace != w.NS || s.Generation == 0 || s.ComplianceState != clusterconfigv1.Compliant {
			t.Errorf("%s/%s/%s says nothing", s.Kind, s.Namespace, s.Name)
		}
		if release := s.HelmReleaseProperties; (release != nil) != (s.Kind == "HelmRelease") {
			t.Errorf("%s/%s has the properties of a release: %v", s.Kind, s.Name, release)
		} else if release != nil && (release.LastRevisionApplied != 1 || release.FailureCount != 0 || release.HelmChartRef == nil || release.HelmChartRef.Name != w.NS+"-r") {
			t.Errorf("the release is %+v", release)
		}
		got = append(got, s.Kind+"/"+strings.TrimPrefix(s.Name, w.NS)+" by "+by)
	}
	want := []string{
		"GitRepository/fleet by -", "HelmChart/-r by a-nested", "HelmRelease/r by a-nested", "HelmRepository/charts by a-nested",
		"Kustomization/a-nested by fleet-apps", "Kustomization/fleet-apps by -", "Kustomization/fleet-infra by -",
	}
	if !slices.Equal(got, want) {
		t.Errorf("statuses are %v, want %v", got, want)
	}
	for name, at := range map[string]*metav1.Time{"sourceUpdatedAt": fc.Status.SourceUpdatedAt, "statusUpdatedAt": fc.Status.StatusUpdatedAt, "lastConfigUpdateTime": fc.Status.LastConfigUpdateTime} {
		if at == nil || at.IsZero() || time.Since(at.Time) > time.Hour {
			t.Errorf("%s is %v", name, at)
		}
	}
}

// Configurations that share an account, in every order of deletion and all at once, in
// two namespaces: what is left goes on working, and at the end nothing is left.
func TestFluxConfigsGoInAnyOrder(t *testing.T) {
	t.Parallel()
	w, repo, _ := configured(t)
	other := w.Namespace("other")
	repo.Commit(map[string]string{"other/cm.yaml": configMap(other, "app", "1"), "release/rest.yaml": configMap(w.NS, "second", "1"), "release2/rest.yaml": configMap(other, "second", "1")})
	one := func(ns, name, scope, path string) string {
		return fmt.Sprintf(`apiVersion: clusterconfig.azure.com/v1alpha1
kind: FluxConfig
metadata: {name: %s, namespace: %s}
spec:
  scope: %s
  gitRepository: {url: %s, ref: {branch: main}, syncInterval: 1s}
  kustomizations: [{name: all, path: %s, prune: true}]
`, name, ns, scope, repo.URL, path)
	}
	w.Start("--watch-namespace", other, "--config", "multiTenancy.enforce=true")
	for _, order := range []string{"first, second", "second, first", "both"} {
		for ns, path := range map[string][2]string{w.NS: {"./apps", "./release"}, other: {"./other", "./release2"}} {
			scope := "namespace"
			if ns == other {
				scope = "cluster"
			}
			w.Apply(one(ns, "first", scope, path[0]))
			w.Apply(one(ns, "second", scope, path[1]))
		}
		for _, ns := range []string{w.NS, other} {
			w.Ready(scenario.Key("FluxConfig", ns, "first"), "Compliant")
			w.Ready(scenario.Key("FluxConfig", ns, "second"), "Compliant")
			if order == "both" {
				w.Delete(scenario.Key("FluxConfig", ns, "first"))
				w.Delete(scenario.Key("FluxConfig", ns, "second"))
			} else {
				goes, stays, _ := strings.Cut(order, ", ")
				w.Delete(scenario.Key("FluxConfig", ns, goes))
				w.Gone(scenario.Key("FluxConfig", ns, goes))
				works(t, w, ns, stays)
				w.Delete(scenario.Key("FluxConfig", ns, stays))
			}
		}
		for _, ns := range []string{w.NS, other} {
			leavesNothing(w, ns, "first", "second")
		}
	}
}

// works holds that a configuration still puts back what somebody takes away.
func works(t *testing.T, w *scenario.World, ns, name string) {
	t.Helper()
	made := scenario.Key("ConfigMap", ns, map[string]string{"first": "app", "second": "second"}[name])
	w.Delete(made)
	w.There(made)
	w.Ready(scenario.Key("FluxConfig", ns, name), "Compliant")
}

// leavesNothing waits until all that configurations stood for in a namespace is gone.
func leavesNothing(w *scenario.World, ns string, names ...string) {
	for _, name := range names {
		w.Gone(scenario.Key("FluxConfig", ns, name))
		w.Gone(scenario.Key("GitRepository", ns, name))
		w.Gone(scenario.Key("Kustomization", ns, name+"-all"))
	}
	w.Gone(scenario.Key("ConfigMap", ns, "app"))
	w.Gone(scenario.Key("ConfigMap", ns, "second"))
	for _, kind := range []string{"ServiceAccount", "Role"} {
		w.Gone(scenario.Key(kind, ns, "flux-applier"))
	}
	w.Gone(scenario.Key("RoleBinding", ns, "flux-applier-binding"))
	w.Gone(scenario.Key("ClusterRoleBinding", "", "flux-applier-binding-"+ns))
}
