package scenario_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/install"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/shard"
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

func (e *engines) await(revision string, units []string) {
	e.t.Helper()
	for _, name := range units {
		e.w.Ready(e.w.Unit(name), revision)
	}
}

// spread are names of so many Kustomizations, of which each shard has one at least:
// by chance an engine may be left without any.
func spread(ns string, units, shards int) (names []string) {
	for i := range units {
		name := fmt.Sprintf("u%02d", i)
		for n := 0; shard.Of(shards, kustomizev1.KustomizationKind, ns, name) != i%shards; n++ {
			name = fmt.Sprintf("u%02d-%d", i, n)
		}
		names = append(names, name)
	}
	return names
}

// TestShards: several engines share the work, nothing is done by two of them, whoever
// dies or leaves is stood in for, and dependencies hold across all of them.
func TestShards(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	files := map[string]string{}
	units := spread(w.NS, 12, 9)
	for _, name := range units {
		files[name+"/cm.yaml"] = configMap(w.NS, name, "1")
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
	for i, name := range units {
		extra := ""
		if i > 0 {
			extra = fmt.Sprintf("dependsOn: [{name: %s}]", units[i-1])
		}
		w.Kustomization(name, "./"+name, extra)
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
	files[units[5]+"/cm.yaml"] = configMap(w.NS, units[5], "2")
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
	files[units[0]+"/cm.yaml"] = configMap(w.NS, units[0], "3")
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

// installedShards: an upgrade of the same installation to engines that share the work,
// then to another number of shards while the ones of before run, and back. They have
// the rights to their leases, and need each of them.
func installedShards(t *testing.T, w *scenario.World) {
	t.Helper()
	shards := scenario.Key("Role", "flux-system", "plumb-shards-flux-system")
	if w.Get(shards) != nil {
		t.Error("one engine has rights to the leases of shards")
	}
	plumb(t, w.Kubeconfig, 0, "install", "--shards", "3", "--replicas", "1")
	inForce(w, true, install.ShardRules()[0], "flux-system")
	mark := w.Mark(t)
	asInstalled(t, w)
	shared := func(n int) {
		w.Has(scenario.Key("Lease", "kube-system", install.Lease), fmt.Sprintf("%d shards in flux-system", n), "spec", "holderIdentity")
		for i := range n {
			w.Until(scenario.Key("Lease", "flux-system", fmt.Sprintf("plumb-engine-shard-%d", i)), "it is held", func(obj *unstructured.Unstructured) bool {
				return obj != nil && obj.Object["spec"].(map[string]any)["holderIdentity"] != nil
			})
		}
		checkSays(t, w, 0, "engine", fmt.Sprintf("%d shards are worked on; engines: 1", n), "--installed")
	}
	shared(3)

	plumb(t, w.Kubeconfig, 0, "install", "--shards", "2", "--replicas", "1")
	checkSays(t, w, 1, "engine", `3 shards in flux-system has the lease kube-system/plumb-engine`)
	next := exec.Command(scenario.Plumb(), installedArguments(t, w)...)
	said := &log{}
	next.Stdout, next.Stderr, next.Env = said, said, append(os.Environ(), "POD_NAMESPACE=flux-system")
	if err := next.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Process.Kill() }) // where it has not ended
	if code := w.Stop(); code != 0 {
		t.Errorf("an engine with shards ended with exit code %d", code)
	}
	shared(2)
	if err := next.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := next.Wait(); err != nil {
		t.Errorf("the engine after an upgrade: %v\n%s", err, said.text.String())
	}
	needed := map[string]bool{}
	for _, e := range w.Audit(t, mark, engineUser) {
		if e.User.Username == engineUser && e.ResponseStatus.Code == 403 {
			t.Errorf("with shards %s was refused", e)
		}
		if e.User.Username == engineUser && e.ObjectRef.Resource == "leases" && e.ObjectRef.Namespace == "flux-system" {
			needed[e.Verb] = true
		}
	}
	for _, right := range atoms(install.ShardRules()) {
		if !needed[right.Verbs[0]] {
			t.Errorf("no engine with shards needs the right to %s", ruleName(right))
		}
	}
	plumb(t, w.Kubeconfig, 0, "install", "--shards", "0", "--wait=false")
	if w.Get(shards) != nil || w.Get(scenario.Key("Service", "flux-system", "plumb")) == nil {
		t.Error("back to one engine, the rights of shards are left, or its Service is missing")
	}
	plumb(t, w.Kubeconfig, 0, "uninstall", "--yes", "--keep-crds")
	if lease := w.Get(scenario.Key("Lease", "flux-system", "plumb-engine-shard-0")); lease != nil {
		t.Error("uninstall left leases of shards behind")
	}
}
