package scenario

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// Alone is a world on a development cluster of its own, for tests that install or
// take away what the others on a shared one need. Nothing is installed on it, and
// its only namespaces are those that every cluster has.
func Alone(tb testing.TB) *World {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "cluster")
	tb.Cleanup(func() { _ = exec.Command(Binary("devcluster"), "down", "--dir", dir).Run() }) // reported by the tests of status
	if out, err := exec.Command(Binary("devcluster"), "up", "--dir", dir).CombinedOutput(); err != nil {
		tb.Fatalf("devcluster up: %v\n%s", err, out)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	config, err := kube.LoadConfig(kubeconfig, "", "test")
	if err != nil {
		tb.Fatal(err)
	}
	cluster, err := kube.Connect(config)
	if err != nil {
		tb.Fatal(err)
	}
	w := &World{
		Cluster: &Cluster{Cluster: cluster, Kubeconfig: kubeconfig, AuditLog: filepath.Join(dir, "audit.log")},
		tb:      tb, NS: "default", Git: NewGit(tb, ""), config: kubeconfig, storage: tb.TempDir(), planted: planted{values: map[string]string{}},
	}
	tb.Cleanup(func() {
		w.tellsNothing()
		w.Kill()
		if tb.Failed() {
			w.logMu.Lock()
			defer w.logMu.Unlock()
			tb.Logf("engine log:\n%s", excerpt(w.log.String()))
		}
	})
	return w
}

// On is a world on another cluster, with no namespaces, server or engine of its
// own.
func On(tb testing.TB, cluster *kube.Cluster) *World {
	return &World{Cluster: &Cluster{Cluster: cluster}, tb: tb, planted: planted{values: map[string]string{}}}
}
