package scenario_test

import (
	"bufio"
	"os/exec"
	"regexp"
	"syscall"
	"testing"

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
	cmd := exec.CommandContext(t.Context(), scenario.Plumb(), append(args, "--kubeconfig", w.EngineKubeconfig(), "-n", w.NS)...)
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
