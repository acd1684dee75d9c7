//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
)

func TestMain(m *testing.M) { scenario.Main(m) }

// print writes one case.
func print(name string, figures map[string]any) {
	figures["case"] = name
	raw, err := json.Marshal(figures)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(raw))
}

// rss is a process's resident memory now and at its peak, in MiB.
func rss(tb testing.TB, pid int) (now, peak float64) {
	tb.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(fields[1], 64) // other lines are no numbers
		switch fields[0] {
		case "VmRSS:":
			now = kib / 1024
		case "VmHWM:":
			peak = kib / 1024
		}
	}
	return now, peak
}

// manifests is one small app of four objects.
func manifests(ns, name string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ServiceAccount
metadata: {name: %[2]s, namespace: %[1]s}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: %[2]s, namespace: %[1]s}
data: {name: %[2]s}
---
apiVersion: v1
kind: Service
metadata: {name: %[2]s, namespace: %[1]s}
spec: {selector: {app: %[2]s}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: 0
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec: {containers: [{name: app, image: app}]}
`, ns, name)
}

// TestIdle: one small repository, nothing happening. The bar is 60 MiB.
func TestIdle(t *testing.T) {
	w := scenario.New(t)
	w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"app/app.yaml": manifests(w.NS, "app")}), "interval: 100ms")
	w.Kustomization("app", "./app", "wait: true")
	w.Start()
	w.Ready(w.Unit("app"))
	w.Settle()
	mark := w.Mark(t)
	w.Git.AwaitRequests(t, 100)
	now, peak := rss(t, w.PID())
	requests := len(w.Since(mark))
	print("idle", map[string]any{"rss_mib": now, "rss_peak_mib": peak, "intervals": 100, "requests": requests})
	if now >= 60 {
		t.Errorf("idle RSS is %.1f MiB, want under 60", now)
	}
	if requests > 0 {
		t.Errorf("%d requests while nothing changed", requests)
	}
}

// TestManySmall: N folders of one repository, four objects each, beside the floor
// in the same run: the same objects written by a bare loop of 16 workers.
func TestManySmall(t *testing.T) {
	n := 100
	if text := os.Getenv("N"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	w := scenario.New(t)
	floor := bareLoop(t, w, n)
	files := map[string]string{}
	var units strings.Builder
	for i := range n {
		name := fmt.Sprintf("app%d", i)
		files[name+"/app.yaml"] = manifests(w.NS, name)
		fmt.Fprintf(&units, "%s---\n", w.KustomizationYAML(name, "./"+name, "wait: true"))
	}
	repo := w.Git.Repo(t, "repo", files)
	w.Apply(units.String())
	w.Source("repo", repo, "")
	mark := w.Mark(t)
	begun := time.Now()
	w.Start("--concurrent", "16")
	all := func(revision ...string) {
		for i := range n {
			w.Ready(w.Unit(fmt.Sprintf("app%d", i)), revision...)
		}
	}
	all()
	install := time.Since(begun)
	now, peak := rss(t, w.PID())
	w.Settle()
	print("many-small-install", map[string]any{"n": n, "floor_s": floor.Seconds(), "install_s": install.Seconds(), "ratio": install.Seconds() / floor.Seconds(), "requests": len(w.Since(mark)), "rss_mib": now, "rss_peak_mib": peak})

	mark = w.Mark(t)
	revision := repo.Commit(map[string]string{"app7/app.yaml": strings.Replace(manifests(w.NS, "app7"), "data: {name: app7}", "data: {name: changed}", 1)})
	begun = time.Now()
	w.Poke("repo")
	w.Ready(w.Unit("app7"), revision)
	one := time.Since(begun)
	all(revision)
	rest := time.Since(begun)
	w.Settle()
	print("many-small-change-one", map[string]any{"n": n, "ready_s": one.Seconds(), "all_at_revision_s": rest.Seconds(), "requests": len(w.Since(mark))})
}

// bareLoop writes the objects without an engine and takes them away again.
func bareLoop(t *testing.T, w *scenario.World, n int) time.Duration {
	t.Helper()
	ns := w.Namespace("floor")
	var objs []*unstructured.Unstructured
	for i := range n {
		objs = append(objs, scenario.Decode(t, manifests(ns, fmt.Sprintf("app%d", i)))...)
	}
	begun := time.Now()
	group := errgroup.Group{}
	group.SetLimit(16)
	for _, obj := range objs {
		group.Go(func() error {
			_, err := w.Cluster.Apply(t.Context(), obj, kube.ApplyOptions{Manager: "floor"})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return time.Since(begun)
}
