package action_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/cli-utils/pkg/object"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/helmrel/action"
	"github.com/plumb-gitops/plumb/helmrel/client"
	"github.com/plumb-gitops/plumb/helmrel/storage"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/live"
)

func TestMain(m *testing.M) { scenario.Main(m) }

var numbered atomic.Int64

// world is a namespace of a real cluster, with a HelmRelease's status in memory.
type world struct {
	testing.TB
	cluster *scenario.Cluster
	view    *live.View
	wish    helmrel.Wish
	text    string // the chart's template
	status  helmv2.HelmReleaseStatus
	hurry   time.Duration // the timeout of an action whose chart never becomes ready
}

// patience is the timeout of what is to succeed, on a busy machine too.
const patience = 5 * time.Minute

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, cluster: scenario.Open(t), hurry: 5 * time.Second}
	ns := fmt.Sprintf("act%d-%d", os.Getpid(), numbered.Add(1))
	w.view = live.New(t.Context(), w.cluster.Cluster, func(live.Change) {})
	namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}}}
	if _, err := w.cluster.Apply(t.Context(), namespace, kube.ApplyOptions{Manager: "setup"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := w.cluster.Delete(context.WithoutCancel(t.Context()), kube.KeyOf(namespace), "", ""); err != nil {
			t.Error(err)
		}
	})
	w.wish = helmrel.Wish{Target: helmrel.Target{Name: "web", Namespace: ns, StorageNamespace: ns}, Generation: 1}
	w.chart("1.0.0", good)
	return w
}

const (
	good = `{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {version: "{{ .Chart.Version }}"}}`
	// never becomes ready: no node has such a label
	bad = `{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {nodeSelector: {no: such}, containers: [{name: web, image: web}]}}`
)

func (w *world) chart(version, text string) {
	w.wish.Chart, w.text = helmrel.Chart{Name: "web", Version: version}, text
	w.wish.ConfigDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // of no values
}

func (w *world) open() *storage.Driver {
	w.Helper()
	d, err := storage.Open(w.Context(), w.cluster.Cluster, w.wish.Target)
	if err != nil {
		w.Fatal(err)
	}
	return d
}

// step decides, and takes the step.
func (w *world) step(ctx context.Context) helmrel.Step {
	w.Helper()
	d := w.open()
	records, err := d.Records()
	if err != nil {
		w.Fatal(err)
	}
	step := helmrel.Decide(helmrel.State{Wish: w.wish, Records: records, Status: w.status, Now: time.Now()})
	if step.Action == helmrel.None || step.Action == helmrel.Stall || step.Action == helmrel.Wait {
		return step
	}
	helmrel.Begin(&w.status, w.wish, step)
	capabilities, err := client.Capabilities(w.cluster.Cluster)
	if err != nil {
		w.Fatal(err)
	}
	serverSide := helmrel.AppliesServerSide(w.wish, step.Action, records)
	c := client.New(ctx, client.Options{
		Former: helmrel.Remaining(records).Manifests, Cluster: w.cluster.Cluster, View: w.view, ServerSide: serverSide, Release: w.wish.Name, Namespace: w.wish.Namespace,
		Owner: live.User{Kind: helmv2.HelmReleaseKind, NamespacedName: types.NamespacedName{Namespace: w.wish.Namespace, Name: "web"}},
	})
	outcome := action.Run(ctx, step, action.Job{
		Wish: w.wish, Client: c, Getter: client.Getter{Cluster: w.cluster.Cluster, Namespace: w.wish.Namespace}, Capabilities: capabilities,
		Chart: &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: w.wish.Chart.Name, Version: w.wish.Chart.Version},
			Templates: []*chart.File{{Name: "templates/all.yaml", Data: []byte(w.text)}}},
		Records: d, Definitions: c.Definitions, Timeout: w.timeout(step), MaxHistory: 5, ServerSide: serverSide,
	})
	helmrel.Conclude(&w.status, w.wish, outcome, time.Now())
	if err := c.Close(); err != nil {
		w.Error(err)
	}
	return step
}

func (w *world) timeout(step helmrel.Step) time.Duration {
	if w.text == bad && (step.Action == helmrel.Install || step.Action == helmrel.Upgrade) {
		return w.hurry
	}
	return patience
}

// settle takes steps until there is none to take, and tells which, and how the
// records are then.
func (w *world) settle() string {
	w.Helper()
	var taken []string
	for range 12 {
		step := w.step(w.Context())
		taken = append(taken, orNone(step.Action))
		if step.Action == helmrel.None || step.Action == helmrel.Stall {
			return strings.Join(taken, ", ") + ": " + w.history()
		}
	}
	w.Fatalf("no end: %s: %s", strings.Join(taken, ", "), w.history())
	return ""
}

func orNone(a helmrel.Action) string {
	if a == helmrel.None {
		return "none"
	}
	return string(a)
}

func (w *world) history() string {
	w.Helper()
	records, err := w.open().Records()
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for _, r := range records {
		out = append(out, fmt.Sprintf("v%d %s %s", r.Version, r.Status, r.ApplyMethod))
	}
	return strings.Join(out, "; ")
}

func (w *world) expect(want string) {
	w.Helper()
	if got := w.settle(); got != want {
		w.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLifeOfARelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.expect("install, none: v1 deployed ssa")
	w.expect("none: v1 deployed ssa")
	w.chart("2.0.0", good)
	w.expect("upgrade, none: v2 deployed ssa; v1 superseded ssa")
	w.wish.Spec.Upgrade = &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{Retries: 1}}
	w.chart("3.0.0", bad)
	w.expect("upgrade, rollback, upgrade, rollback, stall: " +
		"v6 deployed ssa; v5 failed ssa; v4 superseded ssa; v3 failed ssa; v2 superseded ssa")
	if w.status.UpgradeFailures != 2 || len(w.status.History) == 0 || w.status.History[0].Version != 6 {
		t.Errorf("the status says %d failures and %+v", w.status.UpgradeFailures, w.status.History)
	}
	w.chart("4.0.0", good)
	w.expect("upgrade, none: v7 deployed ssa; v6 superseded ssa; v5 failed ssa; v4 superseded ssa; v3 failed ssa")
	w.wish.Deleting = true
	w.expect("uninstall, none: ")
}

func TestInstallFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.chart("1.0.0", bad)
	w.wish.Spec.Install = &helmv2.Install{Remediation: &helmv2.InstallRemediation{Retries: 1}}
	w.expect("install, uninstall failed, install, stall: v1 failed ssa")
	if w.status.InstallFailures != 2 {
		t.Errorf("%d failures", w.status.InstallFailures)
	}
}

// awaitPod waits until the release has brought its Pod, which never gets ready.
func (w *world) awaitPod() {
	key := kube.Key{ObjMetadata: object.ObjMetadata{Namespace: w.wish.Namespace, Name: "web", GroupKind: schema.GroupKind{Kind: "Pod"}}, Version: "v1"}
	err := wait.PollUntilContextCancel(w.Context(), 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, err := w.cluster.Get(ctx, key)
		return err == nil, nil
	})
	if err != nil {
		w.Error(err)
	}
}

// TestInterrupted ends actions from outside, and leaves records as a process does
// that is killed.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.chart("1.0.0", bad)
	w.hurry = patience // it ends before
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { defer cancel(); w.awaitPod() }()
	w.step(ctx)
	if got := w.history(); got != "v1 failed ssa" || w.status.InstallFailures != 0 {
		t.Errorf("%s with %d failures", got, w.status.InstallFailures)
	}
	w.chart("1.0.1", good)
	w.expect("install, none: v2 deployed ssa; v1 failed ssa")

	d := w.open()
	rel, err := d.Get("sh.helm.release.v1.web.v2")
	if err != nil {
		t.Fatal(err)
	}
	rel.Version, rel.Info.Status = 3, release.StatusPendingUpgrade
	if err := d.Create("sh.helm.release.v1.web.v3", rel); err != nil {
		t.Fatal(err)
	}
	w.expect("unlock, upgrade, none: v4 deployed ssa; v3 failed ssa; v2 superseded ssa; v1 failed ssa")
}
