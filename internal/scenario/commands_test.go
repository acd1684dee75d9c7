package scenario_test

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

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

// TestServesHealthAndMetrics: on free ports, which the log tells.
func TestServesHealthAndMetrics(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"app/cm.yaml": configMap(w.NS, "cm", "x")}), "")
	w.Kustomization("app", "./app", "")
	w.Start()
	w.Ready(w.Unit("app"))
	w.Says("msg=running")
	for _, tc := range []struct{ server, path, want string }{
		{"health", "/healthz", "ok"},
		{"health", "/readyz", "ok"},
		{"metrics", "/metrics", `controller_runtime_reconcile_total{controller="kustomization"`},
	} {
		response, err := http.Get(w.Serving(tc.server) + tc.path)
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
