package scenario_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
)

// plumb runs a command against a cluster and returns what it said.
func plumb(t *testing.T, kubeconfig string, wantCode int, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), scenario.Plumb(), append(args, "--kubeconfig", kubeconfig)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		t.Fatalf("plumb %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, wantCode, out.String())
	}
	return out.String()
}

// TestInstallAndUninstall: on a cluster of its own, since it takes the definitions
// away.
func TestInstallAndUninstall(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cluster")
	t.Cleanup(func() { _ = exec.Command(scenario.Binary("devcluster"), "down", "--dir", dir).Run() }) // reported by status tests
	devcluster(t, 0, "up", "--dir", dir)
	kubeconfig := filepath.Join(dir, "kubeconfig")
	c := connect(t, dir)
	storage := t.TempDir()

	said := plumb(t, kubeconfig, 1, "run", "--storage-path", storage, "--metrics-addr", "", "--health-addr", "")
	if !strings.Contains(said, "plumb install --crds-only") {
		t.Errorf("run without the definitions said %q", said)
	}
	plumb(t, kubeconfig, 0, "install", "--crds-only")
	for _, text := range []string{"kind: Deployment", "kind: ServiceAccount", "image: example.com/plumb:v1", "kind: CustomResourceDefinition"} {
		if exported := plumb(t, kubeconfig, 0, "install", "--export", "--image", "example.com/plumb:v1"); !strings.Contains(exported, text) {
			t.Errorf("the export has no %q", text)
		}
	}
	plumb(t, kubeconfig, 2, "install")
	plumb(t, kubeconfig, 0, "install", "--image", "example.com/plumb:v1")
	if _, err := c.Get(t.Context(), scenario.Key("Deployment", "flux-system", "plumb")); err != nil {
		t.Error(err)
	}

	git := scenario.NewGit(t, "")
	repo := git.Repo(t, "repo", map[string]string{"app/cm.yaml": configMap("default", "workload", "x")})
	objects := filepath.Join(t.TempDir(), "objects.yaml")
	manifests := "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: repo}\nspec: {url: " + repo.URL + ", interval: 1h, ref: {branch: main}}\n---\n" +
		"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: app}\nspec: {interval: 1h, path: ./app, prune: true, sourceRef: {kind: GitRepository, name: repo}}\n"
	if err := os.WriteFile(objects, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	plumb(t, kubeconfig, 0, "reconcile", "--once", "-f", objects, "--storage-path", storage)

	// Beside the toolkit's own controllers it does not start unless told to.
	for _, obj := range scenario.Decode(t, "{apiVersion: v1, kind: Namespace, metadata: {name: other}}\n---\n"+
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: kustomize-controller, namespace: other, labels: {app.kubernetes.io/part-of: flux}}, "+
		"spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: c}]}}}}") {
		if _, err := c.Apply(t.Context(), obj, kube.ApplyOptions{Manager: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	said = plumb(t, kubeconfig, 1, "reconcile", "--once", "--storage-path", storage)
	if !strings.Contains(said, "other/kustomize-controller") || !strings.Contains(said, "--take-over") {
		t.Errorf("beside other controllers it said %q", said)
	}
	plumb(t, kubeconfig, 0, "reconcile", "--once", "--take-over", "--storage-path", storage)

	// Objects whose finalizers nobody honours are no hindrance, of kinds that a
	// one-shot run does not drive either.
	for _, obj := range scenario.Decode(t, "{apiVersion: clusterconfig.azure.com/v1alpha1, kind: FluxConfig, metadata: {name: held, namespace: default, finalizers: [example.com/held]}, "+
		"spec: {gitRepository: {url: "+repo.URL+", ref: {branch: main}}}}\n---\n"+
		"{apiVersion: source.toolkit.fluxcd.io/v1, kind: ExternalArtifact, metadata: {name: held, namespace: default, finalizers: [example.com/held]}, spec: {}}") {
		if _, err := c.Apply(t.Context(), obj, kube.ApplyOptions{Manager: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	plumb(t, kubeconfig, 2, "uninstall")
	plumb(t, kubeconfig, 0, "uninstall", "--yes")
	if err := c.ResetMapping(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), scenario.Key("Kustomization", "default", "app")); !meta.IsNoMatchError(err) {
		t.Errorf("after uninstall the definition is still served: %v", err)
	}
	if _, err := c.Get(t.Context(), scenario.Key("ConfigMap", "default", "workload")); err != nil {
		t.Errorf("uninstall took a workload along: %v", err)
	}
	plumb(t, kubeconfig, 0, "uninstall", "--yes")
}

// TestServesHealthAndMetrics: on free ports, which the log tells.
func TestServesHealthAndMetrics(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"app/cm.yaml": configMap(w.NS, "cm", "x")}), "")
	w.Kustomization("app", "./app", "")
	w.Start()
	w.Ready(w.Unit("app"))
	for _, tc := range []struct{ server, path, want string }{
		{"health", "/healthz", "ok"},
		{"health", "/readyz", "ok"},
		{"metrics", "/metrics", `controller_runtime_reconcile_total{controller="kustomization"`},
	} {
		address := regexp.MustCompile(`msg="serving ` + tc.server + `" address=(\S+)`).FindStringSubmatch(w.Log())
		if address == nil {
			t.Fatalf("no address of %s in the log", tc.server)
		}
		response, err := http.Get("http://" + address[1] + tc.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), tc.want) {
			t.Errorf("%s: %d, %v, want %q in it", tc.path, response.StatusCode, err, tc.want)
		}
	}
	if code := w.Stop(); code != 0 {
		t.Errorf("stopped with exit code %d", code)
	}
}

// TestInterrupted: Ctrl-C ends a one-shot run with 130, gives the lease back and
// leaves what it wrote in the inventory.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"app/claim.yaml": "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: never, namespace: " + w.NS +
		"}\nspec: {accessModes: [ReadWriteOnce], storageClassName: nobody, resources: {requests: {storage: 1Gi}}}\n"}), "")
	w.Kustomization("app", "./app", "wait: true\ntimeout: 1h")
	done := make(chan int, 1)
	w.OnceInBackground(done)
	w.There(scenario.Key("PersistentVolumeClaim", w.NS, "never"))
	w.NotReady(w.Unit("app"), "Progressing", "PersistentVolumeClaim")
	w.Signal(syscall.SIGINT)
	if code := <-done; code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	if got := scenario.Inventory(w.Get(w.Unit("app"))); len(got) != 1 {
		t.Errorf("inventory %v, want the claim", got)
	}
	lease := w.Get(scenario.Key("Lease", w.NS, "plumb-engine"))
	if holder, _, _ := unstructured.NestedString(lease.Object, "spec", "holderIdentity"); holder != "" {
		t.Errorf("the lease is still held by %s", holder)
	}
}
