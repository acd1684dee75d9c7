package scenario_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/helmrel/storage"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/internal/testhelm"
)

// phases is a release of testdata/charts/phases that comes to an action.
type phases struct {
	action string // as helmrel.Action names it
	spec   string // below spec
	patch  string // what leads to the action, "" when the first install is it
	delete bool   // or that it is deleted
	ends   func(w *scenario.World, hr kube.Key)
	has    string // version of the chart in the end, "" for nothing
}

var phasesOf = []phases{
	{action: "install", has: "1.0.0", ends: readyWith("Helm install succeeded")},
	{action: "upgrade", patch: toVersion("2.0.0"), has: "2.0.0", ends: readyWith("Helm upgrade succeeded")},
	{action: "test", patch: `{"spec":{"test":{"enable":true}}}`, has: "1.0.0", ends: readyWith("Helm test succeeded")},
	{action: "rollback", spec: "upgrade: {remediation: {remediateLastFailure: true}}", has: "1.0.0",
		patch: `{"spec":{"chart":{"spec":{"version":"2.0.0"}},"values":{"broken":true}}}`, ends: stalledWith("RollbackSucceeded", "upgradeFailures")},
	{action: "uninstall", delete: true, ends: func(w *scenario.World, hr kube.Key) { w.Gone(hr) }},
	{action: "uninstall failed", spec: "values: {broken: true}\ninstall: {remediation: {remediateLastFailure: true}}",
		ends: stalledWith("UninstallSucceeded", "installFailures")},
}

func toVersion(v string) string { return fmt.Sprintf(`{"spec":{"chart":{"spec":{"version":%q}}}}`, v) }

func readyWith(text string) func(*scenario.World, kube.Key) {
	return func(w *scenario.World, hr kube.Key) { w.Ready(hr, text) }
}

func stalledWith(reason, counter string) func(*scenario.World, kube.Key) {
	return func(w *scenario.World, hr kube.Key) {
		w.NotReady(hr, reason)
		w.Has(hr, "1", "status", counter)
		w.Until(hr, "it is stalled", func(obj *unstructured.Unstructured) bool {
			c := scenario.Condition(obj, "Stalled")
			return c != nil && c.Status == metav1.ConditionTrue && c.Reason == "RetriesExceeded"
		})
	}
}

// meanwhile is what may happen to a release while nobody is at work on it.
var meanwhile = []struct {
	name string
	do   func(w *scenario.World, hr kube.Key)
	ends func(w *scenario.World, hr kube.Key)
	has  string
}{
	{"then another chart", func(w *scenario.World, hr kube.Key) {
		w.Patch(hr, "test", `{"spec":{"chart":{"spec":{"version":"3.0.0"}},"values":{"broken":false}}}`)
	}, readyWith(" succeeded"), "3.0.0"},
	{"then deleted", func(w *scenario.World, hr kube.Key) { w.Delete(hr) }, func(w *scenario.World, hr kube.Key) { w.Gone(hr) }, ""},
}

// TestReleaseKilledInEachPhase kills the engine before each thing that an action
// writes and after each thing that it waits for, and has the next engine go on: with
// the same wish, and at each third point with another as well.
func TestReleaseKilledInEachPhase(t *testing.T) {
	t.Parallel()
	charts := testhelm.Start(t, testhelm.Options{})
	packed := map[string][]byte{}
	for _, v := range []string{"1.0.0", "2.0.0", "3.0.0"} {
		packed["phases-"+v+".tgz"] = packChart(t, "phases", v)
	}
	charts.Publish(t, packed)
	for _, p := range phasesOf {
		t.Run(p.action, func(t *testing.T) {
			t.Parallel()
			for i, at := range p.trace(t, charts.URL) {
				kill := []string{"PLUMB_KILL_AT=release." + p.action + ">" + at}
				t.Run(at, func(t *testing.T) {
					t.Parallel()
					w, hr := p.world(t, charts.URL)
					p.lead(w, hr, kill)
					w.Died()
					w.Start()
					p.ends(w, hr)
					sane(t, w, p.has)
				})
				if p.delete || i%3 > 0 {
					continue
				}
				m := meanwhile[i/3%len(meanwhile)]
				t.Run(at+" "+m.name, func(t *testing.T) {
					t.Parallel()
					w, hr := p.world(t, charts.URL)
					p.lead(w, hr, kill)
					w.Died()
					m.do(w, hr)
					w.Start()
					m.ends(w, hr)
					sane(t, w, m.has)
				})
			}
		})
	}
}

func packChart(t *testing.T, name, version string) []byte {
	t.Helper()
	ch, err := loader.LoadDir(chartFolder(name))
	if err != nil {
		t.Fatal(err)
	}
	ch.Metadata.Version = version
	file, err := chartutil.Save(ch, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func (p phases) world(t *testing.T, charts string) (*scenario.World, kube.Key) {
	t.Helper()
	return releaseOf(t, charts, "phases", p.spec)
}

// releaseOf is a world with a release of a chart at version 1.0.0.
func releaseOf(t *testing.T, charts, chart, spec string) (*scenario.World, kube.Key) {
	t.Helper()
	w := scenario.New(t)
	w.Apply(fmt.Sprintf(`apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: charts, namespace: %[1]s}
spec: {url: %[2]s, interval: 1h}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: app, namespace: %[1]s}
spec:
  interval: 1h
  chart: {spec: {chart: %[3]s, version: 1.0.0, sourceRef: {kind: HelmRepository, name: charts}}}
  %[4]s
`, w.NS, charts, chart, strings.ReplaceAll(spec, "\n", "\n  ")))
	return w, scenario.Key("HelmRelease", w.NS, "app")
}

// lead starts an engine and leads the release to the action.
func (p phases) lead(w *scenario.World, hr kube.Key, env []string) {
	w.TB().Helper()
	w.StartWith(env)
	if p.patch == "" && !p.delete {
		return
	}
	w.Ready(hr, "Helm install succeeded")
	if p.delete {
		w.Delete(hr)
		return
	}
	w.Patch(hr, "test", p.patch)
}

// trace lets the action run to its end, and returns the steps that it came by, each
// with its number.
func (p phases) trace(t *testing.T, charts string) []string {
	t.Helper()
	w, hr := p.world(t, charts)
	file := filepath.Join(t.TempDir(), "trace")
	p.lead(w, hr, []string{"PLUMB_TRACE=" + file})
	p.ends(w, hr)
	sane(t, w, p.has)
	w.Stop()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var steps []string
	count := map[string]int{}
	within := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		step := lines.Text()
		if step == "release."+p.action {
			within = true
			steps = append(steps, step)
		}
		if !within || !slices.Contains(failpoint.ReleaseSteps, step) {
			continue
		}
		count[step]++
		steps = append(steps, fmt.Sprintf("%s:%d", step, count[step]))
		if step == "release.acted" {
			break
		}
	}
	if len(steps) == 0 || count["release.acted"] == 0 || count["release.record"] == 0 {
		t.Fatalf("the action came by %v", steps)
	}
	return steps
}

// sane checks that Helm's records make sense, and that exactly the objects are there
// that a version of the chart has.
func sane(t *testing.T, w *scenario.World, version string) {
	t.Helper()
	driver, err := storage.Open(t.Context(), w.Cluster.Cluster, helmrel.Target{Name: "app", Namespace: w.NS, StorageNamespace: w.NS})
	if err != nil {
		t.Fatal(err)
	}
	records, err := driver.Records()
	if err != nil {
		t.Fatal(err)
	}
	deployed, history := 0, ""
	for i, r := range records {
		history += fmt.Sprintf("v%d %s %s: %s\n", r.Version, r.Status, r.Chart, r.Description)
		if r.Status == release.StatusDeployed {
			deployed++
		}
		if (r.Status == release.StatusDeployed) != (i == 0) || r.Status != release.StatusDeployed && r.Status != release.StatusSuperseded && r.Status != release.StatusFailed {
			t.Errorf("v%d is %s", r.Version, r.Status)
		}
	}
	want := map[string][]string{}
	if version != "" {
		want = map[string][]string{"ConfigMap": {"app", "app-only-" + version}, "ServiceAccount": {"app"}}
		if len(records) == 0 || records[0].Chart.Version != version {
			t.Errorf("the newest record is not of version %s", version)
		}
	} else if len(records) > 0 {
		t.Error("there are records still")
	}
	// The pods of a hook that was deleted are collected by Kubernetes in its own time.
	for _, kind := range []string{"ConfigMap", "Job", "Pod", "ServiceAccount"} {
		w.UntilAll(kind, w.NS, fmt.Sprintf("of the release there are %q", want[kind]), func(all []unstructured.Unstructured) bool {
			var there []string
			for _, obj := range all {
				if strings.HasPrefix(obj.GetName(), "app") && obj.GetDeletionTimestamp() == nil {
					there = append(there, obj.GetName())
				}
			}
			return slices.Equal(sorted(there), want[kind])
		})
	}
	if t.Failed() {
		t.Logf("records, %d deployed:\n%s", deployed, history)
	}
}

// TestReleaseKilledAtItsDefinitions: the definitions in a chart's folder crds come before
// all else, and before there is a record.
func TestReleaseKilledAtItsDefinitions(t *testing.T) {
	t.Parallel()
	charts := testhelm.Start(t, testhelm.Options{})
	charts.Publish(t, map[string][]byte{"kinds-1.0.0.tgz": packChart(t, "kinds", "1.0.0")})
	w, hr := releaseOf(t, charts.URL, "kinds", "install: {crds: CreateReplace}")
	w.StartWith([]string{"PLUMB_KILL_AT=release.install>release.definition:1"})
	w.Died()
	w.Start()
	w.Ready(hr, "Helm install succeeded")
	w.Has(hr, "1", "status", "history", "count")
}

// TestReleaseKilledThenCalledOtherwise: what a first install left behind goes when the
// release has another name, or is to be in another namespace, by the next start.
func TestReleaseKilledThenCalledOtherwise(t *testing.T) {
	t.Parallel()
	charts := testhelm.Start(t, testhelm.Options{})
	charts.Publish(t, map[string][]byte{"phases-1.0.0.tgz": packChart(t, "phases", "1.0.0")})
	for at, fields := range map[string][]string{
		"release.record:1": {"releaseName"}, // before there is anything
		"apply.object:2":   {"storageNamespace"},
		"release.acted:1":  {"releaseName", "targetNamespace", "storageNamespace"},
	} {
		for _, field := range fields {
			t.Run(at+" "+field, func(t *testing.T) {
				t.Parallel()
				w, hr := releaseOf(t, charts.URL, "phases", "releaseName: app")
				w.StartWith([]string{"PLUMB_KILL_AT=release.install>" + at})
				w.Died()
				now, value := helmrel.Target{Name: "app", Namespace: w.NS, StorageNamespace: w.NS}, "other"
				switch field {
				case "releaseName":
					now.Name = value
				case "targetNamespace":
					value = w.Namespace("target")
					now.Namespace = value
				default:
					value = w.Namespace("storage")
					now.StorageNamespace = value
				}
				w.Patch(hr, "test", fmt.Sprintf(`{"spec":{%q:%q}}`, field, value))
				w.Start()
				w.Ready(hr, "Helm install succeeded")
				if now.StorageNamespace != w.NS || now.Name != "app" {
					w.UntilAll("Secret", w.NS, "the records of the former are gone", func(all []unstructured.Unstructured) bool {
						return !slices.ContainsFunc(all, func(s unstructured.Unstructured) bool { return s.GetLabels()["name"] == "app" })
					})
				}
				if now.Namespace != w.NS || now.Name != "app" {
					w.UntilAll("ConfigMap", w.NS, "the objects of the former are gone", func(all []unstructured.Unstructured) bool {
						return !slices.ContainsFunc(all, func(c unstructured.Unstructured) bool { return strings.HasPrefix(c.GetName(), "app") })
					})
				}
				w.There(scenario.Key("ConfigMap", now.Namespace, now.Name))
				driver, err := storage.Open(t.Context(), w.Cluster.Cluster, now)
				if err != nil {
					t.Fatal(err)
				}
				records, err := driver.Records()
				if err != nil || len(records) != 1 || records[0].Status != release.StatusDeployed || records[0].Version != 1 {
					t.Errorf("records are %+v: %v", records, err)
				}
			})
		}
	}
}
