package scenario_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/scenario"
)

// watching is a command that goes on until it is interrupted.
type watching struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// watch starts a command against a world's cluster.
func watch(w *scenario.World, t *testing.T, args ...string) *watching {
	t.Helper()
	return going(t, append(args, "--kubeconfig", w.EngineKubeconfig(), "-n", w.NS)...)
}

// going starts a command, which goes on while the test does.
func going(t *testing.T, args ...string) *watching {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // says would wait for ever
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, scenario.Plumb(), args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &watching{t: t, cmd: cmd, lines: bufio.NewScanner(out)}
}

// says reads lines until one matches.
func (w *watching) says(pattern string) {
	w.t.Helper()
	for wanted := regexp.MustCompile(pattern); w.lines.Scan(); {
		if wanted.MatchString(w.lines.Text()) {
			return
		}
	}
	w.t.Fatalf("%v ended without saying %s", w.cmd.Args, pattern)
}

// interrupted presses Ctrl-C, which is how it ends well.
func (w *watching) interrupted(wantCode int) {
	w.t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
		w.t.Fatal(err)
	}
	for w.lines.Scan() { // what is left
	}
	_ = w.cmd.Wait() // the exit code tells
	if code := w.cmd.ProcessState.ExitCode(); code != wantCode {
		w.t.Errorf("%v: exit code %d, want %d", w.cmd.Args, code, wantCode)
	}
}

// TestWatches: get and events go on telling, of several kinds at once, until Ctrl-C.
func TestWatches(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"app/cm.yaml": configMap(w.NS, "cm", "x")}), "")
	w.Start()
	table, objects, events := watch(w, t, "get", "sources,ks", "-w"), watch(w, t, "get", "ks", "-w", "-o", "json"), watch(w, t, "events", "-w")
	table.says("^NAME +REVISION +SUSPENDED +READY +MESSAGE$")
	table.says("^gitrepository/repo +main@sha1:[0-9a-f]{8} +False +True ")
	w.Kustomization("app", "./app", "")
	table.says("^kustomization/app +main@sha1:[0-9a-f]{8} +False +True +Applied revision")
	objects.says(`"kind": "Kustomization"`)
	events.says("Normal +ReconciliationSucceeded +Kustomization/" + w.NS + "/app +Applied revision")
	w.Delete(w.Unit("app"))
	table.says("^kustomization/app .*deleted$")
	for _, v := range []*watching{table, objects, events} {
		v.interrupted(0)
	}
}

// TestInterruptedRequest: Ctrl-C ends the wait for an engine, with the code for that.
func TestInterruptedRequest(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	w.Kustomization("app", "./app", "")
	asked := watch(w, t, "reconcile", "ks/app")
	w.Until(w.Unit("app"), "it is asked for", func(obj *unstructured.Unstructured) bool {
		return obj != nil && obj.GetAnnotations()["reconcile.fluxcd.io/requestedAt"] != ""
	})
	asked.interrupted(130)
}

// TestLogs: of an engine that runs elsewhere out of a file; of one in the cluster
// through the API server, which says why it can't where the node has no kubelet.
func TestLogs(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"app/cm.yaml": configMap(w.NS, "cm", "x")}), "")
	w.Kustomization("app", "./app", "")
	w.Start()
	w.Ready(w.Unit("app"))
	w.EventWith(w.Unit("app"), "ReconciliationSucceeded", "Applied revision") // the line comes before it
	w.Stop()
	file := filepath.Join(t.TempDir(), "plumb.log")
	if err := os.WriteFile(file, []byte(w.Log()), 0o600); err != nil {
		t.Fatal(err)
	}
	said := plumb(t, w.EngineKubeconfig(), 0, "logs", "ks/app", "-n", w.NS, "--level", "info", "--file", file)
	for _, line := range strings.Split(strings.TrimSpace(said), "\n") {
		if !strings.Contains(line, " INFO  Kustomization/"+w.NS+"/app: ") {
			t.Errorf("a line that was not asked for: %s", line)
		}
	}
	if !strings.Contains(said, "Applied revision") {
		t.Errorf("no line about what was applied: %s", said)
	}

	said = plumb(t, w.EngineKubeconfig(), 1, "logs", "--engine-namespace", w.NS)
	if !strings.Contains(said, "Plumb does not run in namespace "+w.NS+": give --engine-namespace") {
		t.Errorf("without a Deployment: %s", said)
	}
	w.Apply("{apiVersion: apps/v1, kind: Deployment, metadata: {name: plumb, namespace: " + w.NS + ", labels: {app.kubernetes.io/name: plumb}}, " +
		"spec: {selector: {matchLabels: {app.kubernetes.io/name: plumb}}, template: {metadata: {labels: {app.kubernetes.io/name: plumb}}, spec: {containers: [{name: plumb, image: example.com/plumb}]}}}}")
	w.Until(scenario.Key("Deployment", w.NS, "plumb"), "it has a pod", func(obj *unstructured.Unstructured) bool {
		if obj == nil {
			return false
		}
		available, _, _ := unstructured.NestedInt64(obj.Object, "status", "availableReplicas")
		return available > 0
	})
	said = plumb(t, w.EngineKubeconfig(), 1, "logs", "--engine-namespace", w.NS)
	if !strings.Contains(said, "plumb: Pod/"+w.NS+"/plumb-") || !strings.Contains(said, "the API server asks the kubelet of the pod's node for it") {
		t.Errorf("of a node without a kubelet: %s", said)
	}
}
