package scenario_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/scenario"
)

// engines are several engines on one world, each with a name of its own.
type engines struct {
	t   *testing.T
	w   *scenario.World
	set map[string]*exec.Cmd
}

// log is what an engine says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (e *engines) user(name string) string { return e.w.NS + "-" + name }

// start starts an engine whose leases are in the world's namespace.
func (e *engines) start(name string, args ...string) {
	e.t.Helper()
	config := filepath.Join(e.t.TempDir(), "kubeconfig")
	e.w.As(e.t, e.user(name), config)
	said := &log{}
	cmd := exec.Command(scenario.Plumb(), append([]string{
		"run", "--kubeconfig", config, "--storage-path", e.t.TempDir(), "--watch-namespace", e.w.NS, "--lease-namespace", e.w.NS,
		"--metrics-addr", "", "--health-addr", "", "--log-format", "text",
	}, args...)...)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.set[name] = cmd
	e.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if e.t.Failed() {
			e.t.Logf("%s says:\n%s", name, said.text.String())
		}
	})
}

// end ends an engine and waits for that.
func (e *engines) end(name string, signal syscall.Signal) {
	e.t.Helper()
	cmd := e.set[name]
	if err := cmd.Process.Signal(signal); err != nil {
		e.t.Fatal(err)
	}
	_ = cmd.Wait() // killed, or stopped: both are meant
}

// writers are the engines that wrote the status of each Kustomization since a mark, in
// their order, each named again where it follows another one.
func (e *engines) writers(since scenario.Mark) map[string][]string {
	out := map[string][]string{}
	for _, event := range e.w.Audit(e.t, since, e.w.NS+"-") {
		who, ours := strings.CutPrefix(event.ImpersonateUser.Username, e.w.NS+"-")
		if !ours || event.Stage != "ResponseComplete" || event.ObjectRef.Resource != "kustomizations" || event.ObjectRef.Subresource != "status" || event.Verb != "patch" {
			continue
		}
		unit := event.ObjectRef.Name
		if order := out[unit]; len(order) == 0 || order[len(order)-1] != who {
			out[unit] = append(order, who)
		}
	}
	return out
}

func (e *engines) await(revision string, units int) {
	e.t.Helper()
	for i := range units {
		e.w.Ready(e.w.Unit(fmt.Sprintf("u%02d", i)), revision)
	}
}

// TestShards: several engines share the work, nothing is done by two of them, whoever
// dies or leaves is stood in for, and dependencies hold across all of them.
func TestShards(t *testing.T) {
	t.Parallel()
	const units = 12
	w := scenario.New(t)
	files := map[string]string{}
	for i := range units {
		files[fmt.Sprintf("u%02d/cm.yaml", i)] = configMap(w.NS, fmt.Sprintf("u%02d", i), "1")
	}
	repo := w.Git.Repo(t, "repo", files)
	w.Source("repo", repo, "interval: 1s")
	e := &engines{t: t, w: w, set: map[string]*exec.Cmd{}}
	member := func(engine string) { e.start(engine, "--shards", "9", "--max-status-inventory", "1") } // all of them in chunks
	for _, name := range []string{"a", "b", "c"} {
		member(name)
	}
	e.balanced(3, 9)
	mark := w.Mark(t)
	for i := range units {
		extra := ""
		if i > 0 {
			extra = fmt.Sprintf("dependsOn: [{name: u%02d}]", i-1)
		}
		w.Kustomization(fmt.Sprintf("u%02d", i), fmt.Sprintf("./u%02d", i), extra)
	}
	e.await("main@sha1:"+repo.Git("rev-parse", "HEAD"), units)
	all := map[string]bool{}
	for unit, by := range e.writers(mark) {
		all[by[0]] = true
		if len(by) != 1 {
			t.Errorf("%s was worked on by %v", unit, by)
		}
	}
	if len(all) != 3 {
		t.Errorf("the work was done by %v, want all three", all)
	}

	e.end("b", syscall.SIGKILL)
	mark = w.Mark(t)
	files["u05/cm.yaml"] = configMap(w.NS, "u05", "2")
	revision := repo.Commit(files)
	e.await(revision, units)
	for unit, by := range e.writers(mark) {
		if slices.Contains(by, "b") || len(by) > 2 { // the two that live may hand it over once
			t.Errorf("%s was worked on by %v", unit, by)
		}
	}
	e.balanced(2, 9)

	// Back to one, which leaves in an orderly way: the other one goes on at once.
	mark = w.Mark(t)
	e.end("a", syscall.SIGTERM)
	e.balanced(1, 9)
	files["u00/cm.yaml"] = configMap(w.NS, "u00", "3")
	e.await(repo.Commit(files), units)
	for unit, by := range e.writers(mark) {
		if by[len(by)-1] != "c" {
			t.Errorf("%s was written last by %v, want c", unit, by)
		}
	}
}

// balanced waits until so many engines hold all shards between them, with fair shares.
func (e *engines) balanced(engines, shards int) {
	e.t.Helper()
	for i := range shards {
		e.w.There(scenario.Key("Lease", e.w.NS, fmt.Sprintf("plumb-engine-shard-%d", i)))
	}
	e.w.UntilAll("Lease", e.w.NS, fmt.Sprintf("%d shards held by %d engines", shards, engines), func(leases []unstructured.Unstructured) bool {
		held := map[string]int{}
		for _, lease := range leases {
			holder, _, _ := unstructured.NestedString(lease.Object, "spec", "holderIdentity")
			if strings.Contains(lease.GetName(), "-shard-") && holder != "" {
				held[holder]++
			}
		}
		sum := 0
		for _, n := range held {
			sum += n
			if n > (shards+engines-1)/engines {
				return false
			}
		}
		return len(held) == engines && sum == shards
	})
}

// TestShardLabels: engines for different labels, as the toolkit shards; a dependency and
// the source may be the other one's.
func TestShardLabels(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	repo := w.Git.Repo(t, "repo", map[string]string{"a/cm.yaml": configMap(w.NS, "a", "1"), "b/cm.yaml": configMap(w.NS, "b", "1")})
	w.Source("repo", repo, "interval: 1s")
	w.Kustomization("a", "./a", "")
	w.Apply(strings.Replace(w.KustomizationYAML("b", "./b", "dependsOn: [{name: a}]"), "metadata: {", "metadata: {labels: {sharding.fluxcd.io/key: second}, ", 1))
	e := &engines{t: t, w: w, set: map[string]*exec.Cmd{}}
	mark := w.Mark(t)
	e.start("first", "--watch-label-selector", "!sharding.fluxcd.io/key")
	e.start("second", "--watch-label-selector", "sharding.fluxcd.io/key=second")
	for _, n := range []string{"1", "2"} {
		revision := repo.Commit(map[string]string{"a/cm.yaml": configMap(w.NS, "a", n), "b/cm.yaml": configMap(w.NS, "b", n), "n": n})
		w.Ready(w.Unit("a"), revision)
		w.Ready(w.Unit("b"), revision)
	}
	by := e.writers(mark)
	if fmt.Sprint(by) != "map[a:[first] b:[second]]" {
		t.Errorf("written by %v", by)
	}
}
