//go:build bench

package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/helmrel/charts"
	"github.com/plumb-gitops/plumb/helmrel/client"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/memory"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/live"
)

// templates are those of a chart of podinfo's size: six objects.
var templates = map[string]string{
	"values.yaml":               "replicas: 1\nimage: podinfo:6.0.0\nmessage: greetings\n",
	"templates/_helpers.tpl":    "{{- define \"labels\" -}}\napp: {{ .Release.Name }}\n{{- end -}}\n",
	"templates/account.yaml":    "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: {{ .Release.Name }}}\n",
	"templates/config.yaml":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {message: {{ .Values.message | quote }}}\n",
	"templates/service.yaml":    "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  selector:\n    {{- include \"labels\" . | nindent 4 }}\n  ports: [{port: 80}]\n",
	"templates/ingress.yaml":    "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: {{ .Release.Name }}}\nspec: {rules: [{host: {{ .Release.Name }}.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: {{ .Release.Name }}, port: {number: 80}}}}]}}]}\n",
	"templates/hpa.yaml":        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: {{ .Release.Name }}}\nspec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .Release.Name }}}, minReplicas: 1, maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 99}}}]}\n",
	"templates/deployment.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  replicas: {{ .Values.replicas }}\n  selector:\n    matchLabels:\n      {{- include \"labels\" . | nindent 6 }}\n  template:\n    metadata:\n      labels:\n        {{- include \"labels\" . | nindent 8 }}\n    spec:\n      serviceAccountName: {{ .Release.Name }}\n      containers:\n      - {name: podinfo, image: {{ .Values.image | quote }}, resources: {requests: {cpu: 1m, memory: 1Mi}}}\n",
	"README.md":                 strings.Repeat("What the chart is for, and how it is used.\n", 200),
}

// helmWorld runs the SDK's actions on our client, in this process.
type helmWorld struct {
	testing.TB
	cluster *scenario.Cluster
	as      *kube.Cluster
	view    *live.View
	secrets kubernetes.Interface
	charts  *charts.Cache
	archive []byte
	gate    *memory.Gate
	ns      string
	user    string
	known   []map[kube.Key]apply.Written
}

func newHelmWorld(t *testing.T, n int) *helmWorld {
	w := &helmWorld{TB: t, cluster: scenario.Open(t), charts: charts.New(64 << 20), gate: memory.NewGate(512 << 20), known: make([]map[kube.Key]apply.Written, n)}
	w.ns = fmt.Sprintf("helm%d", os.Getpid())
	w.user = "bench-" + w.ns
	w.archive = testhelm.Chart(t, "podinfo", "6.0.0", templates)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	w.cluster.As(t, w.user, file)
	config, err := kube.LoadConfig(file, "", "bench")
	if err != nil {
		t.Fatal(err)
	}
	if w.as, err = kube.Connect(config); err != nil {
		t.Fatal(err)
	}
	if w.secrets, err = kubernetes.NewForConfigAndClient(w.as.Config, w.as.HTTP); err != nil {
		t.Fatal(err)
	}
	w.view = live.New(t.Context(), w.as, func(live.Change) {})
	w.namespace(w.ns)
	return w
}

func (w *helmWorld) namespace(name string) {
	obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
	if _, err := w.cluster.Apply(w.Context(), obj, kube.ApplyOptions{Manager: "setup"}); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if _, err := w.cluster.Delete(context.WithoutCancel(w.Context()), kube.KeyOf(obj), "", ""); err != nil {
			w.Error(err)
		}
	})
}

// action makes one action, of which run is the SDK's call.
func (w *helmWorld) action(i int, run func(cfg *action.Configuration, name string) error) error {
	name := fmt.Sprintf("app%d", i)
	c := client.New(w.Context(), client.Options{
		Cluster: w.as, View: w.view, Owner: live.User{Kind: helmv2.HelmReleaseKind, NamespacedName: types.NamespacedName{Namespace: w.ns, Name: name}},
		Release: name, Namespace: w.ns, ServerSide: true, Known: w.known[i],
	})
	capabilities, err := client.Capabilities(w.as)
	if err != nil {
		return err
	}
	secrets := driver.NewSecrets(w.secrets.CoreV1().Secrets(w.ns))
	cfg := &action.Configuration{
		Releases: storage.Init(secrets), KubeClient: c, Capabilities: capabilities,
		RESTClientGetter: client.Getter{Cluster: w.as, Namespace: w.ns}, Log: func(string, ...any) {},
	}
	if err := run(cfg, name); err != nil {
		return err
	}
	w.known[i] = c.Written()
	return c.Close()
}

func (w *helmWorld) all(run func(cfg *action.Configuration, name string) error) time.Duration {
	begun := time.Now()
	group := errgroup.Group{}
	group.SetLimit(16)
	for i := range w.known {
		group.Go(func() error { return w.action(i, run) })
	}
	if err := group.Wait(); err != nil {
		w.Fatal(err)
	}
	return time.Since(begun)
}

func (w *helmWorld) chart() (*charts.Chart, func(), error) {
	ch, err := w.charts.Load("sha256:podinfo", func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(w.archive)), nil })
	if err != nil {
		return nil, nil, err
	}
	release, err := w.gate.Admit(w.Context(), ch.Estimate(0))
	return ch, release, err
}

func (w *helmWorld) install(cfg *action.Configuration, name string) error {
	ch, done, err := w.chart()
	if err != nil {
		return err
	}
	defer done()
	install := action.NewInstall(cfg)
	install.ReleaseName, install.Namespace, install.TakeOwnership, install.Wait, install.Timeout = name, w.ns, true, true, 5*time.Minute
	_, err = install.RunWithContext(w.Context(), ch.Copy(), nil)
	return err
}

func (w *helmWorld) upgrade(cfg *action.Configuration, name string) error {
	ch, done, err := w.chart()
	if err != nil {
		return err
	}
	defer done()
	upgrade := action.NewUpgrade(cfg)
	upgrade.Namespace, upgrade.TakeOwnership, upgrade.Wait, upgrade.Timeout, upgrade.MaxHistory = w.ns, true, true, 5*time.Minute, 5
	_, err = upgrade.RunWithContext(w.Context(), name, ch.Copy(), map[string]any{"message": "changed"})
	return err
}

// floor writes what the releases have, and their records, into another namespace:
// each object once, by 16 workers, and nothing else.
func (w *helmWorld) floor() time.Duration {
	var objs []*unstructured.Unstructured
	secrets, err := w.secrets.CoreV1().Secrets(w.ns).List(w.Context(), metav1.ListOptions{LabelSelector: "owner=helm"})
	if err != nil {
		w.Fatal(err)
	}
	store := storage.Init(driver.NewSecrets(w.secrets.CoreV1().Secrets(w.ns)))
	for i := range w.known {
		rel, err := store.Last(fmt.Sprintf("app%d", i))
		if err != nil {
			w.Fatal(err)
		}
		parts, err := client.Objects(strings.NewReader(rel.Manifest))
		if err != nil {
			w.Fatal(err)
		}
		objs = append(objs, parts...)
	}
	bare := w.ns + "-bare"
	w.namespace(bare)
	begun := time.Now()
	group := errgroup.Group{}
	group.SetLimit(16)
	for _, obj := range objs {
		group.Go(func() error {
			obj.SetNamespace(bare)
			_, err := w.cluster.Apply(w.Context(), obj, kube.ApplyOptions{Manager: "bench"})
			return err
		})
	}
	for i := range secrets.Items {
		group.Go(func() error {
			s := secrets.Items[i].DeepCopy()
			s.ObjectMeta = metav1.ObjectMeta{Name: s.Name, Namespace: bare, Labels: s.Labels}
			_, err := w.secrets.CoreV1().Secrets(bare).Create(w.Context(), s, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		w.Fatal(err)
	}
	return time.Since(begun)
}

// TestHelmActions: N releases of a chart of podinfo's size, by the SDK's actions on
// our client: until all are ready, as a ratio to the bare writes of the same objects
// and records in the same run.
func TestHelmActions(t *testing.T) {
	n := 100
	if text := os.Getenv("N"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	w := newHelmWorld(t, n)
	step := func(name string, run func(*action.Configuration, string) error) time.Duration {
		mark := w.cluster.Mark(t)
		took := w.all(run)
		requests := float64(len(w.cluster.Requests(t, mark, w.user)))
		debug.FreeOSMemory()
		now, peak := rss(t, os.Getpid())
		print(name, map[string]any{"n": n, "s": took.Seconds(), "requests_per_release": requests / float64(n), "rss_mib": now, "rss_peak_mib": peak})
		return took
	}
	install := step("helm-install", w.install)
	floor := w.floor()
	print("helm-install-ratio", map[string]any{"n": n, "floor_s": floor.Seconds(), "ratio": install.Seconds() / floor.Seconds()})
	step("helm-upgrade-one-object", w.upgrade)
	step("helm-upgrade-nothing", w.upgrade)
}

// TestExtraDefinitions: what definitions that nobody uses cost in memory, with
// everything discovered that a release needs. The bar is 20 MiB for 500.
func TestExtraDefinitions(t *testing.T) {
	w := newHelmWorld(t, 5)
	w.all(w.install)
	resident := func() float64 {
		if err := w.as.ResetMapping(); err != nil {
			t.Fatal(err)
		}
		w.all(w.upgrade)
		debug.FreeOSMemory()
		now, _ := rss(t, os.Getpid())
		return now
	}
	resident() // whatever grows once has grown
	base, made := resident(), 0
	for _, n := range []int{100, 500} {
		w.define(made, n)
		made = n
		grown := resident() - base
		print("helm-extra-definitions", map[string]any{"definitions": n, "rss_base_mib": base, "rss_growth_mib": grown})
		if grown >= 20 {
			t.Errorf("RSS grew by %.1f MiB with %d definitions, want under 20", grown, n)
		}
	}
}

// define makes definitions that go with the test.
func (w *helmWorld) define(from, to int) {
	group := errgroup.Group{}
	group.SetLimit(8)
	for i := from; i < to; i++ {
		group.Go(func() error {
			api := fmt.Sprintf("g%d.%s.example.com", i, w.ns)
			obj := scenario.Decode(w.TB, fmt.Sprintf(`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.%[1]s},
 spec: {group: %[1]s, scope: Namespaced, names: {kind: Thing, plural: things}, versions: [{name: v1, served: true, storage: true,
 schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`, api))[0]
			_, err := w.cluster.Apply(w.Context(), obj, kube.ApplyOptions{Manager: "setup"})
			w.Cleanup(func() {
				if _, err := w.cluster.Delete(context.WithoutCancel(w.Context()), kube.KeyOf(obj), "", ""); err != nil {
					w.Error(err)
				}
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		w.Fatal(err)
	}
}
