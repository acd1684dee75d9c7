package scenario_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/plumb-gitops/plumb/internal/scenario"
)

// TestRemoteCluster: a unit with a kubeconfig applies to, watches and prunes on
// another cluster, which is a real one. A release is made there, with its records.
func TestRemoteCluster(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cluster")
	t.Cleanup(func() { _ = exec.Command(scenario.Binary("devcluster"), "down", "--dir", dir).Run() }) // reported by status tests
	devcluster(t, 0, "up", "--dir", dir)
	remote := scenario.On(t, connect(t, dir))
	kubeconfig, err := os.ReadFile(filepath.Join(dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}

	w := scenario.New(t)
	repo := w.Git.Repo(t, "repo", map[string]string{
		"app/a.yaml":              configMap("default", "a", "x"),
		"app/b.yaml":              configMap("default", "b", "x"),
		"chart/Chart.yaml":        "{apiVersion: v2, name: chart, version: 1.0.0}\n",
		"chart/templates/cm.yaml": configMap("default", "{{ .Release.Name }}", "x"),
	})
	secret := func(content string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Secret, metadata: {name: remote, namespace: %s}, data: {value: %[2]s, second: %[2]s}}", w.NS, base64.StdEncoding.EncodeToString([]byte(content)))
	}
	w.Apply(fmt.Sprintf(`apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: repo, namespace: %[1]s}
spec: {url: %[2]s, interval: 1s, ref: {branch: main}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: app, namespace: %[1]s}
spec: {interval: 1h, path: ./app, prune: true, wait: true, kubeConfig: {secretRef: {name: remote}}, sourceRef: {kind: GitRepository, name: repo}}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop, namespace: %[1]s}
spec:
  interval: 1h
  kubeConfig: {secretRef: {name: remote, key: second}}
  releaseName: shop
  targetNamespace: default
  storageNamespace: default
  driftDetection: {mode: enabled}
  chart: {spec: {chart: ./chart, sourceRef: {kind: GitRepository, name: repo}}}
`, w.NS, repo.URL))
	w.Start()
	unit := scenario.Key("Kustomization", w.NS, "app")
	w.NotReady(unit, "ReconciliationFailed", "Secret/"+w.NS+"/remote not found")
	w.Apply(secret("apiVersion: v1\nkind: Config\n"))
	w.NotReady(unit, "ReconciliationFailed", "Secret/"+w.NS+"/remote: its context \"\" leads to no cluster")
	w.Apply(secret(string(kubeconfig)))
	w.Ready(unit)
	release, made := scenario.Key("HelmRelease", w.NS, "shop"), scenario.Key("ConfigMap", "default", "shop")
	w.Ready(release)
	remote.Has(made, "x", "data", "value")
	remote.There(scenario.Key("Secret", "default", "sh.helm.release.v1.shop.v1"))
	if w.Get(made) != nil {
		t.Error("released to the wrong cluster")
	}
	remote.Patch(made, "somebody", `{"data":{"value":"drifted"}}`)
	remote.Has(made, "x", "data", "value")

	a, b := scenario.Key("ConfigMap", "default", "a"), scenario.Key("ConfigMap", "default", "b")
	remote.Has(a, "x", "data", "value")
	if w.Get(a) != nil {
		t.Error("applied to the wrong cluster")
	}
	remote.Patch(a, "somebody", `{"data":{"value":"drifted"}}`)
	remote.Has(a, "x", "data", "value")
	repo.Commit(map[string]string{"app/b.yaml": ""})
	remote.Gone(b)

	// The kubeconfig is gone: the unit says so, and can still be deleted. What it
	// has there stays.
	w.Delete(scenario.Key("Secret", w.NS, "remote"))
	w.NotReady(unit, "ReconciliationFailed", "not found")
	w.NotReady(release, "Failed", "spec.kubeConfig: Secret/"+w.NS+"/remote not found")
	w.Delete(unit)
	w.Delete(release)
	w.Gone(unit)
	w.Gone(release)
	if remote.Get(a) == nil || remote.Get(made) == nil {
		t.Error("deleted on a cluster that cannot be reached any more")
	}
}

// TestTokenCluster: a unit reaches a cluster with tokens of a service account,
// here the cluster that it is in, which trusts its own.
func TestTokenCluster(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	w.Source("repo", w.Git.Repo(t, "repo", map[string]string{
		"app/cm.yaml":             configMap(w.NS, "cm", "x"),
		"chart/Chart.yaml":        "{apiVersion: v2, name: chart, version: 1.0.0}\n",
		"chart/templates/cm.yaml": configMap(w.NS, "{{ .Release.Name }}", "x"),
	}), "")
	config := func(provider string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: there, namespace: %s}\ndata:\n  provider: %s\n  address: %s\n  serviceAccountName: deployer\n  audiences: https://kubernetes.default.svc\n  ca.crt: %q\n",
			w.NS, provider, w.Config.Host, w.Config.CAData)
	}
	w.Apply(config("azure"))
	w.Kustomization("app", "./app", "retryInterval: 1s\nkubeConfig: {configMapRef: {name: there}}")
	w.Start()
	w.NotReady(w.Unit("app"), "ReconciliationFailed", "ServiceAccount/"+w.NS+"/deployer not found")
	w.Apply(fmt.Sprintf(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: deployer, namespace: %[1]s}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: %[1]s}]
`, w.NS))
	t.Cleanup(func() {
		_, _ = w.Cluster.Delete(context.Background(), scenario.Key("ClusterRoleBinding", "", w.NS), "", "") // the cluster goes with the run
	})
	w.NotReady(w.Unit("app"), "ReconciliationFailed", "ServiceAccount/"+w.NS+"/deployer lacks the annotations azure.workload.identity/client-id")
	w.Apply(config("nobody"))
	w.NotReady(w.Unit("app"), "ReconciliationFailed", "want aws, azure, gcp or generic")
	w.Apply(config("generic"))
	w.Ready(w.Unit("app"))
	w.Has(scenario.Key("ConfigMap", w.NS, "cm"), "x", "data", "value")
	w.Apply(fmt.Sprintf("apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: shop, namespace: %s}\nspec:\n  interval: 1h\n"+
		"  kubeConfig: {configMapRef: {name: there}}\n  chart: {spec: {chart: ./chart, sourceRef: {kind: GitRepository, name: repo}}}\n", w.NS))
	w.Ready(scenario.Key("HelmRelease", w.NS, "shop"))
	w.Has(scenario.Key("ConfigMap", w.NS, "shop"), "x", "data", "value")
}
