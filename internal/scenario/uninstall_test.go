package scenario_test

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/scenario"
)

// uninstalling starts plumb uninstall, which goes on while the test does.
func uninstalling(t *testing.T, w *scenario.World, args ...string) *watching {
	t.Helper()
	return going(t, append([]string{"uninstall", "--yes", "--kubeconfig", w.Kubeconfig}, args...)...)
}

// ends waits until the command ends by itself, and returns what it still said.
func (w *watching) ends(wantCode int) (said []string) {
	w.t.Helper()
	for w.lines.Scan() {
		said = append(said, w.lines.Text())
	}
	_ = w.cmd.Wait() // the exit code tells
	if code := w.cmd.ProcessState.ExitCode(); code != wantCode {
		w.t.Errorf("%v: exit code %d, want %d: %q", w.cmd.Args, code, wantCode, said)
	}
	return said
}

// uninstallsWithWorkloads: the engine that runs takes down what configurations applied,
// those that generate others first and sources last, and nothing of it goes on before
// that is done.
func uninstallsWithWorkloads(t *testing.T, w *scenario.World) {
	t.Helper()
	plumb(t, w.Kubeconfig, 0, "install", "--image", "plumb:v1")
	w.Refresh()
	asInstalled(t, w)
	const ns = "leaving"
	repo := w.Git.Repo(t, ns, fleet(ns))
	w.Apply(`{apiVersion: v1, kind: Namespace, metadata: {name: leaving}}
---
apiVersion: clusterconfig.azure.com/v1alpha1
kind: FluxConfig
metadata: {name: team, namespace: leaving}
spec:
  scope: namespace
  gitRepository: {url: ` + repo.URL + `, ref: {branch: main}}
  kustomizations: [{name: app, path: ./app, prune: true}]
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: deployer, namespace: leaving}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: deployer-leaving}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: leaving}]
---
{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, metadata: {name: own, namespace: leaving}, spec: {interval: 1h, url: ` + repo.URL + `, ref: {branch: main}}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: own, namespace: leaving}
spec: {interval: 1h, path: ./remote, prune: true, serviceAccountName: deployer, sourceRef: {kind: GitRepository, name: own}}
`)
	config, release, released := scenario.Key("FluxConfig", ns, "team"), scenario.Key("HelmRelease", ns, "release"), scenario.Key("ConfigMap", ns, "released")
	w.Ready(config, "Compliant")
	w.Ready(release)
	w.Ready(scenario.Key("Kustomization", ns, "own"))
	w.Patch(released, "somebody", `{"metadata":{"finalizers":["example.com/hold"]}}`)

	removing := uninstalling(t, w, "--delete-workloads")
	w.Until(released, "the release is being taken down", func(obj *unstructured.Unstructured) bool { return obj != nil && obj.GetDeletionTimestamp() != nil })
	for _, later := range []string{"Kustomization/leaving/own", "GitRepository/leaving/own", "ConfigMap/leaving/remote", "Deployment/flux-system/plumb"} {
		parts := strings.Split(later, "/")
		if obj := w.Get(scenario.Key(parts[0], parts[1], parts[2])); obj == nil || obj.GetDeletionTimestamp() != nil {
			t.Errorf("%s went while a workload of what comes before it is there", later)
		}
	}
	w.Patch(released, "somebody", `{"metadata":{"finalizers":null}}`)
	said := removing.ends(0)
	w.Kill()
	last := -1
	for _, line := range []string{"FluxConfig/leaving/team removed", "Kustomization/leaving/own removed", "GitRepository/leaving/own removed", "Deployment/flux-system/plumb removed", "CustomResourceDefinition/kustomizations.kustomize.toolkit.fluxcd.io removed"} {
		at := slices.Index(said, line)
		if at <= last {
			t.Errorf("%q comes at line %d, after %d: %q", line, at, last, said)
		}
		last = at
	}
	for _, name := range []string{"app", "released", "remote"} {
		if w.Get(scenario.Key("ConfigMap", ns, name)) != nil {
			t.Errorf("the workload %s is left", name)
		}
	}
	if w.Get(scenario.Key("Secret", ns, "sh.helm.release.v1.release.v1")) != nil || w.Get(scenario.Key("Namespace", "", ns)) == nil {
		t.Error("a record of the release is left, or a namespace that nobody applied is gone")
	}
	if err := w.ResetMapping(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Cluster.Get(t.Context(), release); !meta.IsNoMatchError(err) {
		t.Errorf("the definition is still served: %v", err)
	}
}
