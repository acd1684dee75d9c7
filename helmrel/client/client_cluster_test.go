package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/helmrel/client"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/live"
)

func TestMain(m *testing.M) { scenario.Main(m) }

var numbered atomic.Int64

// patience is the timeout of what is to succeed, on a busy machine too.
const patience = 5 * time.Minute

// world is a namespace of a real cluster, with a release in it that acts as a user
// of its own, by whose name the audit log is read.
type world struct {
	testing.TB
	cluster *scenario.Cluster
	as      *kube.Cluster
	view    *live.View
	ns      string
	user    string
	store   *storage.Storage
	known   map[kube.Key]apply.Written
	ssa     bool
	force   bool
}

func newWorld(t testing.TB, serverSide bool) *world {
	t.Helper()
	w := &world{TB: t, cluster: scenario.Open(t), ssa: serverSide, ns: fmt.Sprintf("helm%d-%d", os.Getpid(), numbered.Add(1))}
	w.user = "user-" + w.ns
	file := filepath.Join(t.TempDir(), "kubeconfig")
	w.cluster.As(t, w.user, file)
	config, err := kube.LoadConfig(file, "", "test")
	if err != nil {
		t.Fatal(err)
	}
	if w.as, err = kube.Connect(config); err != nil {
		t.Fatal(err)
	}
	w.view = live.New(t.Context(), w.cluster.Cluster, func(live.Change) {})
	w.store = storage.Init(driver.NewMemory())
	namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": w.ns}}}
	if _, err := w.cluster.Apply(t.Context(), namespace, kube.ApplyOptions{Manager: "setup"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := w.cluster.Delete(context.WithoutCancel(t.Context()), kube.KeyOf(namespace), "", ""); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) client(ctx context.Context) *client.Client {
	owner := live.User{Kind: "HelmRelease", NamespacedName: types.NamespacedName{Namespace: w.ns, Name: "web"}}
	return client.New(ctx, client.Options{
		Force:   w.force,
		Cluster: w.as, View: w.view, Owner: owner, Release: "web", Namespace: w.ns, ServerSide: w.ssa, Known: w.known,
	})
}

// configured is what an action of the SDK needs.
func (w *world) configured(c *client.Client) *action.Configuration {
	w.Helper()
	capabilities, err := client.Capabilities(w.as)
	if err != nil {
		w.Fatal(err)
	}
	return &action.Configuration{
		Releases: w.store, KubeClient: c, Capabilities: capabilities,
		RESTClientGetter: client.Getter{Cluster: w.as, Namespace: w.ns}, Log: func(string, ...any) {},
	}
}

func (w *world) install(texts ...string) (*release.Release, error) {
	w.Helper()
	c := w.client(w.Context())
	install := action.NewInstall(w.configured(c))
	install.ReleaseName, install.Namespace, install.TakeOwnership, install.Wait, install.WaitForJobs = "web", w.ns, true, true, true
	install.Timeout = patience
	out, err := install.RunWithContext(w.Context(), charted(texts), nil)
	w.learn(c)
	return out, err
}

func (w *world) upgrade(force bool, texts ...string) (*release.Release, error) {
	w.Helper()
	w.force = force
	c := w.client(w.Context())
	upgrade := action.NewUpgrade(w.configured(c))
	upgrade.Namespace, upgrade.TakeOwnership, upgrade.Wait, upgrade.Timeout, upgrade.Force = w.ns, true, true, patience, force
	out, err := upgrade.RunWithContext(w.Context(), "web", charted(texts), nil)
	w.learn(c)
	return out, err
}

func (w *world) learn(c *client.Client) {
	if len(c.Written()) > 0 {
		w.known = c.Written()
	}
	if err := c.Close(); err != nil {
		w.Error(err)
	}
}

func charted(texts []string) *chart.Chart {
	ch := &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: "web", Version: "1.0.0"}}
	for i, text := range texts {
		ch.Templates = append(ch.Templates, &chart.File{Name: fmt.Sprintf("templates/%d.yaml", i), Data: []byte(text)})
	}
	return ch
}

func configMap(name, value string) string {
	return `{apiVersion: v1, kind: ConfigMap, metadata: {name: ` + name + `}, data: {a: "` + value + `"}}`
}

func deployment(replicas int) string {
	return fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: %d, selector: {matchLabels: {app: web}},
 template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}}}`, replicas)
}

func (w *world) key(group, kind, name string) kube.Key {
	version := "v1"
	return kube.Key{ObjMetadata: object.ObjMetadata{Namespace: w.ns, Name: name, GroupKind: schema.GroupKind{Group: group, Kind: kind}}, Version: version}
}

func (w *world) get(key kube.Key) *unstructured.Unstructured {
	w.Helper()
	obj, err := w.cluster.Get(w.Context(), key)
	if err != nil {
		w.Fatal(err)
	}
	return obj
}

// verbs are the requests since a mark by resource, discovery left out.
func (w *world) verbs(since scenario.Mark) string {
	w.Helper()
	count := map[string]int{}
	for _, e := range w.cluster.Requests(w, since, w.user) {
		if e.ObjectRef.Resource == "" {
			continue
		}
		verb := e.Verb
		if strings.Contains(e.RequestURI, "dryRun=All") {
			verb = "try"
		}
		count[verb]++
	}
	var out []string
	for verb, n := range count {
		out = append(out, fmt.Sprintf("%s %d", verb, n))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// TestRequests is what an action on a release of four objects costs.
func TestRequests(t *testing.T) {
	t.Parallel()
	objects := func(value string) []string {
		return []string{configMap("a", value), configMap("b", "1"), deployment(1), `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}`}
	}
	for name, c := range map[string]struct {
		serverSide                          bool
		install, same, anew, one, uninstall string
	}{
		"server-side": {true, "patch 4, try 4", "", "try 4", "patch 1, try 1", "delete 3"},
		"client-side": {false, "create 4, get 12, try 4", "", "get 8", "get 2, patch 1, try 1", "delete 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.serverSide)
			expect := func(step, want string, do func() error) {
				t.Helper()
				since := w.cluster.Mark(t)
				if err := do(); err != nil {
					t.Fatalf("%s: %v", step, err)
				}
				if got := w.verbs(since); got != want {
					t.Errorf("%s: %q, want %q", step, got, want)
				}
			}
			expect("install", c.install, func() error { _, err := w.install(objects("1")...); return err })
			expect("the same again", c.same, func() error { _, err := w.upgrade(false, objects("1")...); return err })
			w.known = nil
			expect("the same after a restart", c.anew, func() error { _, err := w.upgrade(false, objects("1")...); return err })
			expect("one changes", c.one, func() error { _, err := w.upgrade(false, objects("2")...); return err })
			if got, _, _ := unstructured.NestedString(w.get(w.key("", "ConfigMap", "a")).Object, "data", "a"); got != "2" {
				t.Errorf("the value is %q", got)
			}
			expect("one leaves", "delete 1", func() error { _, err := w.upgrade(false, objects("2")[1:]...); return err })
			expect("uninstall", c.uninstall, func() error {
				k := w.client(t.Context())
				uninstall := action.NewUninstall(w.configured(k))
				uninstall.Wait, uninstall.Timeout = true, patience
				_, err := uninstall.Run("web")
				return err
			})
			if _, err := w.cluster.Get(t.Context(), w.key("apps", "Deployment", "web")); !apierrors.IsNotFound(err) {
				t.Errorf("the Deployment: %v", err)
			}
		})
	}
}

// Each way of applying leaves managers of its own.
func TestManagers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	managers := func() string {
		var out []string
		for _, e := range w.get(w.key("", "ConfigMap", "a")).GetManagedFields() {
			out = append(out, e.Manager+" "+string(e.Operation))
		}
		slices.Sort(out)
		return strings.Join(out, ", ")
	}
	step := func(want string, do func() error) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if got := managers(); got != want {
			t.Errorf("managers %q, want %q", got, want)
		}
	}
	two := strings.Replace(configMap("a", "1"), `a: "1"`, `a: "1", b: "1"`, 1)
	step("helm-controller Update", func() error { _, err := w.install(two); return err })
	w.ssa = true
	step("helm-controller Apply", func() error { _, err := w.upgrade(false, strings.ReplaceAll(two, `"1"`, `"2"`)); return err })
	w.ssa = false
	step("helm-controller Apply, helm-controller Update", func() error { _, err := w.upgrade(false, configMap("a", "3")); return err })
	if _, found, _ := unstructured.NestedString(w.get(w.key("", "ConfigMap", "a")).Object, "data", "b"); found {
		t.Error("a value that was removed is still there")
	}
}

func TestNothingIsWrittenOfAnInvalidManifest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	_, err := w.install(configMap("a", "1"), `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 99999999}]}}`)
	if err == nil || !strings.Contains(err.Error(), "Service/"+w.ns+"/web") {
		t.Errorf("got %v", err)
	}
	if _, err := w.cluster.Get(t.Context(), w.key("", "ConfigMap", "a")); !apierrors.IsNotFound(err) {
		t.Errorf("the valid one: %v", err)
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	hook := func(ttl, image string) string {
		return `{apiVersion: batch/v1, kind: Job, metadata: {name: migrate, annotations: {helm.sh/hook: pre-install, helm.sh/hook-delete-policy: hook-succeeded}},
 spec: {` + ttl + `template: {metadata: {labels: {app: migrate}}, spec: {restartPolicy: Never, containers: [{name: migrate, image: ` + image + `}]}}}}`
	}
	for name, ttl := range map[string]string{"a Job": "", "a Job that removes itself": "ttlSecondsAfterFinished: 0, "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, true)
			if _, err := w.install(hook(ttl, "x"), configMap("a", "1")); err != nil {
				t.Fatal(err)
			}
			w.get(w.key("", "ConfigMap", "a"))
			if _, err := w.cluster.Get(t.Context(), w.key("batch", "Job", "migrate")); !apierrors.IsNotFound(err) {
				t.Errorf("the hook: %v", err)
			}
		})
	}
}

func TestAContextEndsAWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	stopped := errors.New("memory is short")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := w.client(ctx)
	never := strings.Replace(deployment(1), "spec: {containers", "spec: {nodeName: nowhere, containers", 1)
	list, err := c.Build(strings.NewReader(never), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(list); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait(list, time.Hour) }()
	cancel(stopped)
	if err := <-done; !errors.Is(err, stopped) || !strings.Contains(err.Error(), "Deployment/"+w.ns+"/web") {
		t.Errorf("got %v", err)
	}
	if err := w.client(t.Context()).Wait(list, time.Millisecond); err == nil || !strings.HasPrefix(err.Error(), "timeout waiting for: Deployment/") {
		t.Errorf("got %v", err)
	}
}

func TestDrift(t *testing.T) {
	t.Parallel()
	for name, serverSide := range map[string]bool{"server-side": true, "client-side": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, serverSide)
			excused := `{apiVersion: v1, kind: ConfigMap, metadata: {name: free, annotations: {helm.toolkit.fluxcd.io/driftDetection: disabled}}, data: {a: "1"}}`
			rel, err := w.install(configMap("a", "1"), configMap("b", "1"), deployment(1), excused)
			if err != nil {
				t.Fatal(err)
			}
			look := func(want, requests string, ignore *drift.Ignores) *client.Drift {
				t.Helper()
				since := w.cluster.Mark(t)
				found, err := w.client(t.Context()).Drift(rel.Manifest, ignore)
				if err != nil {
					t.Fatal(err)
				}
				if got := found.String(); got != strings.ReplaceAll(want, "NS", w.ns) {
					t.Errorf("got %q, want %q", got, want)
				}
				if got := w.verbs(since); got != requests {
					t.Errorf("it cost %q, want %q", got, requests)
				}
				return found
			}
			look("", "", nil)
			w.patch(w.key("", "ConfigMap", "free"), `{"data":{"a":"2"}}`)
			w.intrude(w.key("", "ConfigMap", "b"), `{"data":{"b":"theirs"}}`) // not a field of ours
			w.patch(w.key("", "ConfigMap", "a"), `{"data":{"a":"2"}}`)
			w.patch(w.key("apps", "Deployment", "web"), `{"spec":{"replicas":2}}`)
			ignore, err := drift.CompileIgnores([]drift.IgnoreRule{{Paths: []string{"/spec/replicas"}, Target: &drift.Selector{Kind: "Deployment"}}})
			if err != nil {
				t.Fatal(err)
			}
			found := look("ConfigMap/NS/a changed: data.a (by intruder)", "get 2, try 2", ignore)
			if err := found.Correct(); err != nil {
				t.Fatal(err)
			}
			if got, _, _ := unstructured.NestedString(w.get(w.key("", "ConfigMap", "a")).Object, "data", "a"); got != "1" {
				t.Errorf("the value is %q", got)
			}
			if got, _, _ := unstructured.NestedInt64(w.get(w.key("apps", "Deployment", "web")).Object, "spec", "replicas"); got != 2 {
				t.Errorf("there are %d replicas", got)
			}
		})
	}
}
