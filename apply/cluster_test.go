package apply_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/live"
)

func TestMain(m *testing.M) { scenario.Main(m) }

var numbered atomic.Int64

// world is a namespace on a real API server, and a unit that applies to it.
type world struct {
	testing.TB
	*apply.Applier
	cluster *kube.Cluster
	ns      string
	unit    live.User
	view    *live.View
	changes chan live.Change
	req     apply.Request // but for Objects and Inventory
	known   map[kube.Key]apply.Written
	have    []kube.Key
}

func newWorld(t testing.TB) *world {
	t.Helper()
	cluster := scenario.Open(t).Cluster
	w := &world{TB: t, cluster: cluster, ns: fmt.Sprintf("apply%d-%d", os.Getpid(), numbered.Add(1)), known: map[kube.Key]apply.Written{}}
	w.unit = live.User{Kind: kustomizev1.KustomizationKind, NamespacedName: types.NamespacedName{Namespace: w.ns, Name: "apps"}}
	w.req.Leads = true // as the engine does
	w.changes = make(chan live.Change, 10000)
	w.view = live.New(t.Context(), cluster, func(c live.Change) { w.changes <- c })
	w.Applier = &apply.Applier{Cluster: cluster, View: w.view, Exists: func(live.User) bool { return true }, Facts: new(apply.Facts)}
	w.as("setup", w.object(`{apiVersion: v1, kind: Namespace, metadata: {name: `+w.ns+`}}`))
	t.Cleanup(func() {
		key := kube.KeyOf(w.object(`{apiVersion: v1, kind: Namespace, metadata: {name: ` + w.ns + `}}`))
		if _, err := cluster.Delete(context.WithoutCancel(t.Context()), key, "", ""); err != nil {
			t.Error(err)
		}
	})
	return w
}

// object reads YAML; NS stands for the namespace.
func (w *world) object(text string) *unstructured.Unstructured {
	w.Helper()
	raw, err := yaml.YAMLToJSON([]byte(strings.ReplaceAll(text, "NS", w.ns)))
	if err != nil {
		w.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(raw); err != nil {
		w.Fatal(err)
	}
	return obj
}

func (w *world) objects(texts []string) []*unstructured.Unstructured {
	out := make([]*unstructured.Unstructured, len(texts))
	for i, text := range texts {
		out[i] = w.object(text)
	}
	return out
}

// as applies an object as another manager, with force.
func (w *world) as(manager string, obj *unstructured.Unstructured) {
	w.Helper()
	if _, err := w.cluster.Apply(w.Context(), obj, kube.ApplyOptions{Manager: manager}); err != nil {
		w.Fatal(err)
	}
}

// patch changes an object as another manager, at a subresource or at "".
func (w *world) patch(manager string, key kube.Key, subresource, patch string) *unstructured.Unstructured {
	w.Helper()
	resource, err := w.cluster.Resource(key.GVK(), key.Namespace)
	if err != nil {
		w.Fatal(err)
	}
	var below []string
	if subresource != "" {
		below = []string{subresource}
	}
	obj, err := resource.Patch(w.Context(), key.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: manager}, below...)
	if err != nil {
		w.Fatal(err)
	}
	return obj
}

func (w *world) get(key kube.Key) *unstructured.Unstructured {
	w.Helper()
	obj, err := w.cluster.Get(w.Context(), key)
	if err != nil {
		w.Fatal(err)
	}
	return obj
}

func (w *world) request(objects []*unstructured.Unstructured) apply.Request {
	req := w.req
	req.Unit, req.Objects, req.Written, req.Inventory = w.unit, objects, w.known, w.have
	return req
}

func (w *world) plan(texts ...string) (apply.Plan, error) {
	req := w.request(w.objects(texts))
	req.Leads = false // nobody runs it
	return w.Plan(w.Context(), req)
}

// apply plans and runs, and remembers what the engine would.
func (w *world) apply(texts ...string) []apply.Change {
	w.Helper()
	changes, err := w.try(w.objects(texts))
	if err != nil {
		w.Fatal(err)
	}
	return changes
}

func (w *world) try(objects []*unstructured.Unstructured) ([]apply.Change, error) {
	req := w.request(objects)
	plan, err := w.Plan(w.Context(), req)
	if err != nil {
		return nil, err
	}
	for _, c := range plan.Changes() {
		if !slices.Contains(w.have, c.Key) && c.Action != apply.Skipped {
			w.have = append(w.have, c.Key)
		}
	}
	result, err := w.Run(w.Context(), req, plan)
	maps.Copy(w.known, result.Written)
	return result.Changes, err
}

// settle waits until the live view is where the object is.
func (w *world) settle(obj *unstructured.Unstructured) {
	w.Helper()
	key := kube.KeyOf(obj)
	for {
		if r, ok := w.view.Get(w.unit.Kind, key); ok && !live.Older(r.ResourceVersion, obj.GetResourceVersion()) {
			return
		}
		w.await()
	}
}

// current waits until the object is as its spec says.
func (w *world) current(key kube.Key) {
	w.Helper()
	for {
		if r, ok := w.view.Get(w.unit.Kind, key); ok && r.Health.Status == health.Current {
			return
		}
		w.await()
	}
}

// gone waits until the live view has lost the object.
func (w *world) gone(key kube.Key) {
	w.Helper()
	for {
		if _, ok := w.view.Get(w.unit.Kind, key); !ok {
			return
		}
		w.await()
	}
}

func (w *world) await() {
	w.Helper()
	select {
	case <-w.changes:
	case <-w.Context().Done():
		w.Fatal("nothing happens any more")
	}
}

func (w *world) field(obj *unstructured.Unstructured, path ...string) any {
	value, _, err := unstructured.NestedFieldNoCopy(obj.Object, path...)
	if err != nil {
		w.Fatal(err)
	}
	return value
}

// actions are "Kind/name action" in the plan's order.
func actions(changes []apply.Change) string {
	out := make([]string, len(changes))
	for i, c := range changes {
		out[i] = c.Key.GroupKind.Kind + "/" + c.Key.Name + " " + string(c.Action)
	}
	return strings.Join(out, ", ")
}

// expect compares the actions of one pass.
func (w *world) expect(want string, texts ...string) apply.Change {
	w.Helper()
	changes := w.apply(texts...)
	if got := actions(changes); got != want {
		w.Fatalf("got  %s\nwant %s\n%+v", got, want, changes)
	}
	return changes[0]
}

func managers(obj *unstructured.Unstructured) string {
	var out []string
	for _, e := range obj.GetManagedFields() {
		out = append(out, e.Manager)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

func asRefusal(err error) string {
	refusal := new(apply.Refusal)
	if !errors.As(err, &refusal) {
		return fmt.Sprint("no refusal: ", err)
	}
	return refusal.Error()
}

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NS}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "example.com/web:1"}]
`

func settings(fields string) string {
	return `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: NS}, data: {` + fields + `}}`
}
