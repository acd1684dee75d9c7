package scenario_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
)

const toolkit = "kustomize-controller"

// recordedFile is a file of testdata/handover for a namespace.
func recordedFile(t *testing.T, w *scenario.World, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(scenario.Root(), "testdata", "handover", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(raw), "$NS", w.NS)
}

// asToolkit applies objects by the same requests as the toolkit's controller.
func asToolkit(t *testing.T, w *scenario.World, manifests string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, obj := range scenario.Decode(t, manifests) {
		applied, err := w.Cluster.Apply(t.Context(), obj, kube.ApplyOptions{Manager: toolkit})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, applied)
	}
	return out
}

// TestHandover: from the toolkit's controllers to Plumb and back. No object is
// made anew, no field is left behind, and what Plumb leaves has the same shape.
func TestHandover(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	objects := recordedFile(t, w, "applied.yaml")
	documents := strings.Split(objects, "\n---\n")
	settings, deployment := documents[0], documents[1]

	// The state that the toolkit leaves.
	before := map[string]string{}
	for _, obj := range asToolkit(t, w, objects) {
		before[obj.GetKind()+"/"+obj.GetName()] = string(obj.GetUID())
	}
	sameShape(t, w, recordedFile(t, w, "left.yaml"))
	plain := strings.NewReplacer(
		"    kustomize.toolkit.fluxcd.io/name: app\n", "", "    kustomize.toolkit.fluxcd.io/namespace: "+w.NS+"\n", "",
		"\n  removed: \"1\"", "",
	)
	repo := w.Git.Repo(t, "repo", map[string]string{"app/settings.yaml": plain.Replace(settings), "app/web.yaml": plain.Replace(deployment)})
	w.Source("repo", repo, "")
	w.Kustomization("app", "./app", "wait: true")
	w.Patch(w.Unit("app"), toolkit, `{"metadata":{"finalizers":["finalizers.fluxcd.io"]}}`)
	var status map[string]any
	if err := yaml.Unmarshal([]byte(recordedFile(t, w, "status.yaml")), &status); err != nil {
		t.Fatal(err)
	}
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		t.Fatal(err)
	}
	w.Patch(w.Unit("app"), toolkit, string(patch), "status")

	// To Plumb: the objects are the same ones, what left the source goes.
	w.Start()
	app := w.Ready(w.Unit("app"), "main@sha1:"+repo.Git("rev-parse", "HEAD"))
	w.Gone(scenario.Key("Service", w.NS, "gone"))
	for id, uid := range before {
		kind, name, _ := strings.Cut(id, "/")
		obj := w.Get(scenario.Key(kind, w.NS, name))
		if name == "gone" {
			continue
		}
		if obj == nil || string(obj.GetUID()) != uid {
			t.Errorf("%s was made anew", id)
		}
	}
	data, _, _ := unstructured.NestedMap(w.Get(scenario.Key("ConfigMap", w.NS, "settings")).Object, "data")
	if diff := cmp.Diff(map[string]any{"kept": "1"}, data); diff != "" {
		t.Errorf("the data of settings (- want, + got):\n%s", diff)
	}
	if want := []string{w.NS + "_settings__ConfigMap", w.NS + "_web_apps_Deployment"}; !slices.Equal(sorted(scenario.Inventory(app)), want) {
		t.Errorf("inventory %v, want %v", scenario.Inventory(app), want)
	}
	if !slices.Contains(app.GetFinalizers(), "finalizers.fluxcd.io") {
		t.Errorf("finalizers %v", app.GetFinalizers())
	}

	// And back: the shape is the same, so the toolkit's next apply changes nothing.
	w.Stop()
	sameShape(t, w, strings.ReplaceAll(recordedFile(t, w, "left.yaml"), "data.removed ", ""))
	for _, document := range []string{strings.ReplaceAll(settings, "\n  removed: \"1\"", ""), deployment} {
		obj := scenario.Decode(t, document)[0]
		before := w.Get(kube.KeyOf(obj))
		if diff := cmp.Diff(written(before), written(asToolkit(t, w, document)[0])); diff != "" {
			t.Errorf("%s changed when the toolkit applied it again (- before, + after):\n%s", kube.KeyOf(obj), diff)
		}
	}
}

// written is an object without its status, which the cluster's controllers may write at
// any time, and without what any write changes.
func written(obj *unstructured.Unstructured) map[string]any {
	out := obj.DeepCopy()
	out.SetResourceVersion("")
	out.SetManagedFields(slices.DeleteFunc(out.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool { return e.Subresource == "status" }))
	delete(out.Object, "status")
	return out.Object
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// owner is one entry of managedFields, for people.
type owner struct {
	Manager    string `json:"manager"`
	Operation  string `json:"operation"`
	APIVersion string `json:"apiVersion"`
	Fields     string `json:"fields"`
}

// sameShape compares the field managers of objects, those of Kubernetes' own
// controllers left out, with a file.
func sameShape(t *testing.T, w *scenario.World, file string) {
	t.Helper()
	var want map[string][]owner
	if err := yaml.Unmarshal([]byte(file), &want); err != nil {
		t.Fatal(err)
	}
	got := map[string][]owner{}
	for id := range want {
		kind, name, _ := strings.Cut(id, "/")
		for _, entry := range w.Get(scenario.Key(kind, w.NS, name)).GetManagedFields() {
			if entry.Subresource != "" || strings.HasPrefix(entry.Manager, "kube-controller") {
				continue
			}
			var fields map[string]any
			if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
				t.Fatal(err)
			}
			got[id] = append(got[id], owner{entry.Manager, string(entry.Operation), entry.APIVersion, strings.Join(paths(fields, ""), " ")})
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("field managers (- want, + got):\n%s", diff)
	}
}

// paths are the owned fields, down to lists with items of their own.
func paths(fields map[string]any, above string) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		name, isField := strings.CutPrefix(key, "f:")
		below, _ := fields[key].(map[string]any)
		switch {
		case !isField:
			return []string{strings.TrimPrefix(above, ".")}
		case len(below) == 0:
			out = append(out, strings.TrimPrefix(fmt.Sprintf("%s.%s", above, name), "."))
		default:
			out = append(out, paths(below, above+"."+name)...)
		}
	}
	return out
}
