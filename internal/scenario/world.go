package scenario

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumb-gitops/plumb/api/crds"
)

// patience bounds every wait of a test. It is an error message, not a measure.
var patience = patienceOf(os.Getenv("PLUMB_TEST_PATIENCE"))

// Patience is how long a test waits for what has to come.
func Patience() time.Duration { return patience }

func patienceOf(text string) time.Duration {
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	return 3 * time.Minute // on a machine with much else to do seconds become a minute
}

// World is what one test has for itself on the shared cluster: namespaces, a Git
// server, an engine.
type World struct {
	*Cluster
	tb  testing.TB
	NS  string // namespace of sources and Kustomizations; others begin with it
	Git *Git

	user    string
	config  string
	storage string
	mu      sync.Mutex
	engine  *exec.Cmd
	oneShot *os.Process
	log     bytes.Buffer
	begun   int // where in the log the last engine begins
	logMu   sync.Mutex
	planted planted
}

var numbered atomic.Int64

// New makes a world. Its namespaces, and what its Kustomizations left, go with
// the test.
func New(tb testing.TB) *World {
	tb.Helper()
	c := Open(tb)
	ns := fmt.Sprintf("t%d-%d", os.Getpid(), numbered.Add(1))
	w := &World{Cluster: c, tb: tb, NS: ns, Git: NewGit(tb, ""), user: "plumb-" + ns, storage: tb.TempDir(), planted: planted{values: map[string]string{}}}
	w.config = filepath.Join(tb.TempDir(), "kubeconfig")
	c.AsIn(tb, w.user, ns, w.config)
	w.install()
	w.Namespace("")
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

// crashes begin what a Go program says of how it ended, which is longer than a tail.
var crashes = regexp.MustCompile(`(?m)^(panic: |fatal error: |SIG[A-Z]+: |runtime: |WARNING: DATA RACE)`)

// excerpt is what a failed test shows of a log: its end, and how a crash begins.
func excerpt(text string) string {
	const lines = 60
	all := strings.Split(text, "\n")
	out := strings.Join(all[max(0, len(all)-lines):], "\n")
	if at := crashes.FindStringIndex(text); at != nil {
		crash := strings.Split(text[at[0]:], "\n")
		out = strings.Join(crash[:min(lines, len(crash))], "\n") + "\n[...]\n" + out
	}
	return out
}

var installOnce sync.Once

// install makes the cluster know our kinds.
func (w *World) install() {
	w.tb.Helper()
	installOnce.Do(func() {
		out, err := exec.Command(Plumb(), "install", "--crds-only", "--kubeconfig", w.Kubeconfig).CombinedOutput()
		if err != nil {
			w.tb.Fatalf("plumb install: %v\n%s", err, out)
		}
	})
	if _, err := crds.All(); err != nil {
		w.tb.Fatal(err)
	}
}

// Namespace makes a namespace of this world and returns its name.
func (w *World) Namespace(suffix string) string {
	w.tb.Helper()
	name := strings.TrimSuffix(w.NS+"-"+suffix, "-")
	w.Apply(fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", name))
	w.Discard(name)
	return name
}

// Discard removes a namespace when the test is over, without waiting for it.
func (w *World) Discard(name string) {
	w.tb.Cleanup(func() {
		w.hidesIn(name)
		w.release(name)
		_, _ = w.Cluster.Delete(context.Background(), Key("Namespace", "", name), "", "") // the cluster goes with the run
	})
}

// release takes the finalizers off what is left in a namespace, whose engine is gone.
func (w *World) release(ns string) {
	for _, kind := range []string{"FluxConfig", "Kustomization", "HelmRelease"} {
		r, err := w.Resource(kinds[kind], ns)
		if err != nil {
			return
		}
		list, err := r.List(context.Background(), metav1.ListOptions{})
		if err != nil {
			return
		}
		for _, unit := range list.Items {
			_, _ = r.Patch(context.Background(), unit.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		}
	}
}

// Source applies a GitRepository of a repository; extra is YAML below spec.
func (w *World) Source(name string, r *Repo, extra string) {
	w.tb.Helper()
	w.Apply(fmt.Sprintf("apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: %s, namespace: %s}\nspec:\n  url: %s\n%s", name, w.NS, r.URL, indent(withDefault(extra, "interval: 1h"), "ref: {branch: main}")))
}

// Kustomization applies a Kustomization of the source "repo"; extra is YAML
// below spec.
func (w *World) Kustomization(name, path, extra string) {
	w.tb.Helper()
	w.Apply(w.KustomizationYAML(name, path, extra))
}

// KustomizationYAML is what Kustomization applies.
func (w *World) KustomizationYAML(name, path, extra string) string {
	return fmt.Sprintf("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: %s, namespace: %s}\nspec:\n  interval: 1h\n  path: %s\n%s", name, w.NS, path, indent(withDefault(extra, "sourceRef: {kind: GitRepository, name: repo}"), "prune: true"))
}

func withDefault(extra, line string) string {
	key, _, _ := strings.Cut(line, ":")
	if strings.Contains(extra, key+":") {
		return extra
	}
	return line + "\n" + extra
}

// indent puts YAML below spec; fallback holds where it says nothing of the key.
func indent(extra, fallback string) string {
	extra = withDefault(extra, fallback)
	return "  " + strings.ReplaceAll(strings.TrimSpace(extra), "\n", "\n  ") + "\n"
}

// EngineKubeconfig is the kubeconfig of the engine.
func (w *World) EngineKubeconfig() string { return w.config }

// Start starts an engine that works on this world alone.
func (w *World) Start(args ...string) { w.tb.Helper(); w.StartWith(nil, args...) }

// StartWith is Start with environment variables.
func (w *World) StartWith(env []string, args ...string) {
	w.tb.Helper()
	w.StartAs(env, append([]string{
		"run", "--kubeconfig", w.config, "--storage-path", w.storage, "--leader-elect=false", "--metrics-addr", "127.0.0.1:0",
		"--health-addr", "127.0.0.1:0", "--watch-namespace", w.NS, "--log-format", "text", "--log-level", "debug", "--allow-file-urls",
	}, args...)...)
}

// StartAs starts an engine with exactly these arguments.
func (w *World) StartAs(env []string, args ...string) {
	w.tb.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	cmd := exec.Command(Plumb(), args...)
	cmd.Env = append(os.Environ(), env...)
	w.logMu.Lock()
	w.begun = w.log.Len()
	w.logMu.Unlock()
	sink := &locked{mu: &w.logMu, to: &w.log}
	cmd.Stdout, cmd.Stderr = sink, sink
	if err := cmd.Start(); err != nil {
		w.tb.Fatal(err)
	}
	w.engine = cmd
}

// locked serialises the writes of one process with the reads of a failed test.
type locked struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

// Write implements io.Writer.
func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

// PID is the engine's process.
func (w *World) PID() int { return w.engine.Process.Pid }

// Log is what the engine has logged so far.
func (w *World) Log() string {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.String()
}

// Kill ends the engine as a power cut would.
func (w *World) Kill() { w.end(syscall.SIGKILL) }

// Stop asks the engine to end and returns its exit code.
func (w *World) Stop() int {
	w.tb.Helper()
	w.hides("the metrics", w.metrics())
	return w.end(syscall.SIGTERM)
}

// Died waits until the engine has killed itself at a step.
func (w *World) Died() {
	w.tb.Helper()
	begun := time.Now()
	if code := w.end(0); code != -1 || time.Since(begun) >= patience {
		w.tb.Fatalf("the engine did not come by the step at which it was to die (exit code %d)", code)
	}
}

func (w *World) end(signal syscall.Signal) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.engine == nil {
		return 0
	}
	if signal != 0 {
		_ = w.engine.Process.Signal(signal) // it may have ended already
	}
	timer := time.AfterFunc(patience, func() { _ = w.engine.Process.Kill() })
	defer timer.Stop()
	_ = w.engine.Wait() // the exit code tells
	code := w.engine.ProcessState.ExitCode()
	w.engine = nil
	return code
}

// Once runs `plumb reconcile --once` and returns its output and exit code.
func (w *World) Once(args ...string) (stdout, stderr string, code int) {
	w.tb.Helper()
	return w.said(w.onceCommand(args...))
}

// Plumb runs another command in a folder, with the kubeconfig's context set to
// this world's namespace, and returns its output and exit code.
func (w *World) Plumb(dir string, args ...string) (stdout, stderr string, code int) {
	w.tb.Helper()
	cmd := exec.CommandContext(w.tb.Context(), Plumb(), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.config)
	return w.said(cmd)
}

func (w *World) onceCommand(args ...string) *exec.Cmd {
	return exec.CommandContext(w.tb.Context(), Plumb(), append([]string{
		"reconcile", "--once", "--kubeconfig", w.config, "--storage-path", w.storage, "--watch-namespace", w.NS, "--lease-namespace", w.NS,
	}, args...)...)
}

// OnceInBackground starts a one-shot run; done gets its exit code.
func (w *World) OnceInBackground(done chan<- int, args ...string) {
	w.tb.Helper()
	cmd := w.onceCommand(args...)
	if err := cmd.Start(); err != nil {
		w.tb.Fatal(err)
	}
	w.oneShot = cmd.Process
	go func() {
		_ = cmd.Wait() // the exit code tells
		done <- cmd.ProcessState.ExitCode()
	}()
}

// Signal sends a signal to the one-shot run in the background.
func (w *World) Signal(s os.Signal) {
	w.tb.Helper()
	if err := w.oneShot.Signal(s); err != nil {
		w.tb.Fatal(err)
	}
}

// Since are the engine's requests since a mark.
func (w *World) Since(mark Mark) []Event {
	w.tb.Helper()
	return w.Requests(w.tb, mark, w.user)
}

// TB is the test that the world belongs to.
func (w *World) TB() testing.TB { return w.tb }

// Poke asks for a source to be looked at now.
func (w *World) Poke(source string) {
	w.tb.Helper()
	w.Patch(w.Repository(source), "test", fmt.Sprintf(`{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":"%d"}}}`, time.Now().UnixNano()))
}

// Settle waits until the engine has done what was waited for, and has sent all events of
// it: an object of ours comes and goes, and then none waits for the API server.
func (w *World) Settle() {
	w.tb.Helper()
	name := fmt.Sprintf("settle%d", numbered.Add(1))
	w.Apply(w.KustomizationYAML(name, "./none", "sourceRef: {kind: GitRepository, name: "+name+"}"))
	w.NotReady(w.Unit(name), "ArtifactFailed")
	w.EventWith(w.Unit(name), "ArtifactFailed", "not found")
	w.Delete(w.Unit(name))
	w.Gone(w.Unit(name)) // at once: it has nothing, so it has no finalizer
	w.Again("no event waits", func() bool { return strings.Contains(w.metrics(), "\nplumb_events_waiting 0\n") })
}
