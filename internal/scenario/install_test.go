package scenario_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/prune"
)

// controllerOf is a Deployment of the toolkit's, as its own manifests have it.
func controllerOf(namespace, name string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %[1]s}}\n---\n"+
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[2]s, namespace: %[1]s, labels: {app.kubernetes.io/part-of: flux}}, "+
		"spec: {selector: {matchLabels: {a: %[2]s}}, template: {metadata: {labels: {a: %[2]s}}, spec: {containers: [{name: c, image: c}]}}}}", namespace, name)
}

// TestInstallAndUninstall: on a cluster of its own, since it takes the definitions
// away.
func TestInstallAndUninstall(t *testing.T) {
	t.Parallel()
	w := scenario.Alone(t)
	kubeconfig, storage := w.Kubeconfig, t.TempDir()
	said := plumb(t, kubeconfig, 1, "run", "--storage-path", storage, "--metrics-addr", "", "--health-addr", "")
	if !strings.Contains(said, "plumb install --crds-only") {
		t.Errorf("run without the definitions said %q", said)
	}
	checkSays(t, w, 0, "rights", "you may install")
	checkSays(t, w, 1, "installation", "run plumb install", "--installed")
	plumb(t, kubeconfig, 2, "install")
	plumb(t, kubeconfig, 2, "install", "--image", "plumb:v1", "--config", "concurent=3")
	plumb(t, kubeconfig, 0, "install", "--crds-only")
	if said := plumb(t, kubeconfig, 0, "install", "--image", "plumb:v1", "--dry-run"); !strings.Contains(said, "+ Deployment/flux-system/plumb created") {
		t.Errorf("the dry run said %q", said)
	}
	if w.Get(scenario.Key("Namespace", "", "flux-system")) != nil {
		t.Error("a dry run has written")
	}
	said = plumb(t, kubeconfig, 0, "install", "--image", "plumb:v1", "--config", "log-level=debug")
	if !strings.Contains(said, "Deployment/flux-system/plumb is ready") {
		t.Errorf("it did not wait: %q", said)
	}
	checks(t, w)
	upgrades(t, w)
	takesOver(t, w)

	repo := w.Git.Repo(t, "repo", map[string]string{"app/cm.yaml": configMap("default", "workload", "x")})
	objects := filepath.Join(t.TempDir(), "objects.yaml")
	manifests := "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: repo}\nspec: {url: " + repo.URL + ", interval: 1h, ref: {branch: main}}\n---\n" +
		"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: app}\nspec: {interval: 1h, path: ./app, prune: true, sourceRef: {kind: GitRepository, name: repo}}\n"
	if err := os.WriteFile(objects, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	plumb(t, kubeconfig, 0, "reconcile", "--once", "-f", objects, "--storage-path", storage)
	besideControllers(t, w, storage)
	uninstalls(t, w, repo.URL)
}

// checkSays waits until plumb check has a line about something, with a text.
func checkSays(t *testing.T, w *scenario.World, code int, check, text string, args ...string) {
	t.Helper()
	said, found := "", false
	t.Cleanup(func() {
		if !found {
			t.Logf("plumb check about %s said last:\n%s", check, said)
		}
	})
	w.Again(fmt.Sprintf("plumb check ends with %d and has %s with %q", code, check, text), func() bool {
		cmd := exec.CommandContext(t.Context(), scenario.Plumb(), append([]string{"check", "--kubeconfig", w.Kubeconfig}, args...)...)
		out, _ := cmd.CombinedOutput() // the exit code tells
		said = string(out)
		for line := range strings.Lines(said) {
			found = found || cmd.ProcessState.ExitCode() == code && strings.HasPrefix(line, check+"  ") && strings.Contains(line, text)
		}
		return found
	})
}

// checks: an installation without an engine, and then with one thing wrong after
// the other.
func checks(t *testing.T, w *scenario.World) {
	t.Helper()
	checkSays(t, w, 1, "engine", "nobody has the lease")
	checkSays(t, w, 1, "rights of plumb", "all that it needs")
	checkSays(t, w, 1, "installation", "as this version of plumb makes it")
	checkSays(t, w, 1, "definitions", "as this version of plumb has them")
	w.Apply(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook}
webhooks:
  - name: hook.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    clientConfig: {service: {namespace: default, name: nobody}}
    rules: [{apiGroups: [example.com], apiVersions: [v1], operations: ["*"], resources: ["*"]}]
`)
	checkSays(t, w, 1, "webhooks", "nobody behind Service/default/nobody")
	w.Delete(scenario.Key("ClusterRoleBinding", "", "plumb-engine-flux-system"))
	w.Patch(scenario.Key("ClusterRole", "", "plumb-engine-flux-system"), "somebody", `{"rules":[]}`)
	checkSays(t, w, 1, "rights of plumb", "ClusterRoleBinding/plumb-engine-flux-system is not there")
	checkSays(t, w, 1, "rights of plumb", "ClusterRole/plumb-engine-flux-system is not as plumb install makes it (rules)")
	w.Patch(scenario.Key("ConfigMap", "flux-system", "plumb-config"), "somebody", `{"data":{"concurent":"3"}}`)
	checkSays(t, w, 1, "settings", "concurent is no setting")
	w.Patch(scenario.Key("ConfigMap", "flux-system", "plumb-config"), "somebody", `{"data":{"concurent":null}}`)
}

// upgrades: what no flag names stays as it was, and rights that are needed no more go.
func upgrades(t *testing.T, w *scenario.World) {
	t.Helper()
	admin := scenario.Key("ClusterRoleBinding", "", "plumb-cluster-admin-flux-system")
	plumb(t, w.Kubeconfig, 0, "install", "--config", "multiTenancy.enforce=false", "--replicas", "2", "--wait=false")
	if w.Get(admin) == nil {
		t.Error("without tenancy the engine has not all rights")
	}
	said := plumb(t, w.Kubeconfig, 0, "install", "--config", "multiTenancy.enforce=", "--dry-run")
	for _, want := range []string{"- ClusterRoleBinding/plumb-cluster-admin-flux-system deleted", "~ ConfigMap/flux-system/plumb-config configured"} {
		if !strings.Contains(said, want) {
			t.Errorf("the dry run has no %q: %s", want, said)
		}
	}
	plumb(t, w.Kubeconfig, 0, "install", "--config", "multiTenancy.enforce=true", "--config", "log-level=", "--wait=false")
	if w.Get(admin) != nil {
		t.Error("the right to everything was left behind")
	}
	deployment := w.Get(scenario.Key("Deployment", "flux-system", "plumb"))
	if replicas, _, _ := unstructured.NestedInt64(deployment.Object, "spec", "replicas"); replicas != 2 {
		t.Errorf("an upgrade has changed the replicas to %d", replicas)
	}
	values, _, _ := unstructured.NestedStringMap(w.Get(scenario.Key("ConfigMap", "flux-system", "plumb-config")).Object, "data")
	if values["log-level"] != "" || values["multiTenancy.enforce"] != "true" {
		t.Errorf("the settings are %v", values)
	}
	if said := plumb(t, w.Kubeconfig, 0, "install", "--dry-run"); said != "no difference\n" {
		t.Errorf("the same once more changes something: %s", said)
	}
}

// takesOver: beside the toolkit's controllers it refuses, and goes on in their place
// when told to.
func takesOver(t *testing.T, w *scenario.World) {
	t.Helper()
	w.Apply(controllerOf("other", "source-controller"))
	said := plumb(t, w.Kubeconfig, 1, "install")
	if !strings.Contains(said, "other/source-controller") || !strings.Contains(said, "--takeover") {
		t.Errorf("beside other controllers install said %q", said)
	}
	checkSays(t, w, 1, "controllers", "other/source-controller")
	said = plumb(t, w.Kubeconfig, 0, "install", "--takeover", "--wait=false")
	if !strings.Contains(said, "scaled to zero") || !strings.Contains(said, "--hand-back") {
		t.Errorf("it has taken over and said %q", said)
	}
	key := scenario.Key("Deployment", "other", "source-controller")
	d := w.Get(key)
	if replicas, _, _ := unstructured.NestedInt64(d.Object, "spec", "replicas"); replicas != 0 || d.GetAnnotations()["kustomize.toolkit.fluxcd.io/reconcile"] != "disabled" {
		t.Errorf("it has %d replicas and annotations %v", replicas, d.GetAnnotations())
	}
	unit := inChunks(t, w)
	plumb(t, w.Kubeconfig, 0, "uninstall", "--yes", "--hand-back")
	if got, _, _ := unstructured.NestedSlice(w.Get(unit).Object, "status", "inventory", "entries"); len(got) != 40 || len(chunks(t, w)) > 0 {
		t.Errorf("handed back, the inventory has %d entries, and %d chunks are left", len(got), len(chunks(t, w)))
	}
	if got, there, _ := unstructured.NestedSlice(w.Get(unit).Object, "status", "inventory", "chunks"); there {
		t.Errorf("handed back, the inventory names %v", got)
	}
	w.Delete(unit)
	d = w.Get(key)
	if replicas, _, _ := unstructured.NestedInt64(d.Object, "spec", "replicas"); replicas != 1 || len(d.GetAnnotations()) != 1 {
		t.Errorf("handed back, it has %d replicas and annotations %v", replicas, d.GetAnnotations())
	}
	w.Delete(key)
	w.Gone(key)
	plumb(t, w.Kubeconfig, 0, "install", "--image", "plumb:v1", "--wait=false")
}

// inChunks makes a Kustomization with an inventory of 40 objects in ConfigMaps.
func inChunks(t *testing.T, w *scenario.World) kube.Key {
	t.Helper()
	unit := w.Unit("large")
	w.Apply(fmt.Sprintf("{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: large, namespace: %s}, "+
		"spec: {interval: 1h, prune: true, sourceRef: {kind: GitRepository, name: repo}}}", w.NS))
	uid := string(w.Get(unit).GetUID())
	var keys []kube.Key
	for i := range 40 {
		keys = append(keys, scenario.Key("ConfigMap", w.NS, fmt.Sprintf("cm-%02d", i)))
	}
	stored, parts := prune.Split(keys, 0, "large", uid)
	for _, c := range parts {
		w.Apply(fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: %s, labels: {%s: %s}}, immutable: true, data: {%s: %q}}",
			c.Name, w.NS, inventoryOf, uid, prune.ChunkKey, c.Text))
	}
	status, err := json.Marshal(map[string]any{"status": map[string]any{"inventory": stored}})
	if err != nil {
		t.Fatal(err)
	}
	w.Patch(unit, "test", string(status), "status")
	return unit
}

// besideControllers: the engine does not start beside the toolkit's own unless told to.
func besideControllers(t *testing.T, w *scenario.World, storage string) {
	t.Helper()
	w.Apply(controllerOf("other", "kustomize-controller"))
	said := plumb(t, w.Kubeconfig, 1, "reconcile", "--once", "--storage-path", storage)
	if !strings.Contains(said, "other/kustomize-controller") || !strings.Contains(said, "--take-over") {
		t.Errorf("beside other controllers it said %q", said)
	}
	plumb(t, w.Kubeconfig, 0, "reconcile", "--once", "--take-over", "--storage-path", storage)
}

// uninstalls: while there are configurations it has to be told what becomes of them.
// Finalizers that nobody honours any more are taken off, of kinds that a one-shot run
// does not drive either; those of others are theirs, and are named and waited for.
func uninstalls(t *testing.T, w *scenario.World, url string) {
	t.Helper()
	w.Apply("{apiVersion: clusterconfig.azure.com/v1alpha1, kind: FluxConfig, metadata: {name: held, namespace: default, finalizers: [example.com/held, fluxconfig.clusterconfig.azure.com]}, " +
		"spec: {gitRepository: {url: " + url + ", ref: {branch: main}}}}\n---\n" +
		"{apiVersion: source.toolkit.fluxcd.io/v1, kind: ExternalArtifact, metadata: {name: held, namespace: default, finalizers: [example.com/held]}, spec: {}}")
	plumb(t, w.Kubeconfig, 2, "uninstall")
	said := plumb(t, w.Kubeconfig, 1, "uninstall", "--yes")
	if !strings.Contains(said, "ExternalArtifact (1), FluxConfig (1), GitRepository (1), Kustomization (1)") || !strings.Contains(said, "--keep-workloads") {
		t.Errorf("with configurations it said %q", said)
	}
	if said := plumb(t, w.Kubeconfig, 1, "uninstall", "--yes", "--delete-workloads"); !strings.Contains(said, "no Plumb runs") {
		t.Errorf("without an engine it said %q", said)
	}
	removing := uninstalling(t, w, "--keep-workloads")
	removing.says(`^FluxConfig/default/held \(example.com/held\) is kept by finalizers that are not Plumb's$`) // by the names of the definitions
	removing.says(`^ExternalArtifact/default/held \(example.com/held\) is kept`)
	for _, kind := range []string{"FluxConfig", "ExternalArtifact"} {
		key := scenario.Key(kind, "default", "held")
		held := w.Until(key, "it is being deleted", func(obj *unstructured.Unstructured) bool { return obj != nil && obj.GetDeletionTimestamp() != nil })
		if all := held.GetFinalizers(); len(all) != 1 || all[0] != "example.com/held" {
			t.Errorf("%s has the finalizers %v, want that of others alone", key, all)
		}
		w.Patch(key, "somebody", `{"metadata":{"finalizers":null}}`)
	}
	removing.ends(0)
	if err := w.ResetMapping(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Cluster.Get(t.Context(), scenario.Key("Kustomization", "default", "app")); !meta.IsNoMatchError(err) {
		t.Errorf("after uninstall the definition is still served: %v", err)
	}
	if w.Get(scenario.Key("ConfigMap", "default", "workload")) == nil {
		t.Error("uninstall took a workload along")
	}
	for _, left := range []struct{ kind, namespace, name string }{
		{"Deployment", "flux-system", "plumb"}, {"ConfigMap", "flux-system", "plumb-config"}, {"ServiceAccount", "flux-system", "plumb"},
		{"Service", "flux-system", "plumb"}, {"ClusterRole", "", "plumb-engine-flux-system"}, {"ClusterRoleBinding", "", "plumb-engine-flux-system"},
		{"Role", "kube-system", "plumb-lease-flux-system"}, {"ClusterRole", "", "plumb-view-flux-system"},
	} {
		if w.Get(scenario.Key(left.kind, left.namespace, left.name)) != nil {
			t.Errorf("%s %s was left behind", left.kind, left.name)
		}
	}
	if labels := w.Get(scenario.Key("Namespace", "", "flux-system")).GetLabels(); len(labels) != 1 {
		t.Errorf("the namespace kept labels: %v", labels)
	}
	plumb(t, w.Kubeconfig, 0, "uninstall", "--yes")
}
