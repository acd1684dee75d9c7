package scenario_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
)

// devcluster runs the command and returns what it said.
func devcluster(t *testing.T, wantCode int, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), scenario.Binary("devcluster"), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		t.Fatalf("devcluster %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, wantCode, out.String())
	}
	return out.String()
}

func connect(t *testing.T, dir string) *kube.Cluster {
	t.Helper()
	config, err := kube.LoadConfig(filepath.Join(dir, "kubeconfig"), "", "test")
	if err != nil {
		t.Fatal(err)
	}
	c, err := kube.Connect(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pids are the processes of a cluster that are alive.
func pids(t *testing.T, dir string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "pids"))
	if err != nil {
		return nil
	}
	var all []struct{ PID int }
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	var alive []string
	for _, p := range all {
		if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID)); err == nil && len(cmdline) > 0 {
			alive = append(alive, fmt.Sprint(p.PID))
		}
	}
	return alive
}

// TestDevcluster: two side by side, data kept over a restart, nothing left behind.
func TestDevcluster(t *testing.T) {
	t.Parallel()
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	t.Cleanup(func() {
		for _, dir := range []string{one, two} {
			_ = exec.Command(scenario.Binary("devcluster"), "down", "--dir", dir).Run() // after a failure
		}
	})
	devcluster(t, 0, "up", "--dir", one)
	devcluster(t, 0, "up", "--dir", two)
	devcluster(t, 0, "status", "--dir", one)
	if said := devcluster(t, 0, "up", "--dir", one); !strings.Contains(said, "runs in "+one+" already") {
		t.Errorf("a second up said %q", said)
	}

	c := connect(t, one)
	d, err := discovery.NewDiscoveryClientForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := d.ServerVersion(); err != nil || v.GitVersion != "v1.36.3" {
		t.Errorf("version %v, %v", v, err)
	}
	key := scenario.Key("ConfigMap", "default", "kept")
	if _, err := c.Apply(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": key.Name, "namespace": key.Namespace},
	}}, kube.ApplyOptions{Manager: "test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, two).Get(t.Context(), key); err == nil {
		t.Error("the two clusters share an object")
	}
	running := pids(t, one)
	if len(running) != 5 {
		t.Errorf("%d processes, want 5", len(running))
	}

	devcluster(t, 0, "down", "--dir", one, "--keep-data")
	for _, pid := range running {
		if cmdline, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && strings.Contains(string(cmdline), one) {
			t.Errorf("process %s is still there", pid)
		}
	}
	devcluster(t, 1, "status", "--dir", one)
	devcluster(t, 0, "status", "--dir", two)
	devcluster(t, 0, "up", "--dir", one)
	if _, err := connect(t, one).Get(t.Context(), key); err != nil {
		t.Errorf("after --keep-data and up: %v", err)
	}
	for _, dir := range []string{one, two} {
		devcluster(t, 0, "down", "--dir", dir)
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	}
}

// TestDevclusterSaysWhy: a start that fails names the component, shows its last
// lines, and leaves nothing behind.
func TestDevclusterSaysWhy(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "broken")
	said := devcluster(t, 1, "up", "--dir", dir, "--apiserver-arg=--no-such-flag")
	for _, want := range []string{"kube-apiserver ended", "unknown flag: --no-such-flag"} {
		if !strings.Contains(said, want) {
			t.Errorf("it said %q, want %q in it", said, want)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}
