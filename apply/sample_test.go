package apply

import (
	"maps"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

const manager = kustomizev1.FieldManager

var unit = live.User{Kind: kustomizev1.KustomizationKind, NamespacedName: types.NamespacedName{Namespace: "flux-system", Name: "apps"}}

// parse makes an object as a client does: whole numbers are int64.
func parse(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	json, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(json); err != nil {
		t.Fatal(err)
	}
	return obj
}

func parseAll(t testing.TB, texts ...string) []*unstructured.Unstructured {
	t.Helper()
	out := make([]*unstructured.Unstructured, len(texts))
	for i, text := range texts {
		out[i] = parse(t, text)
	}
	return out
}

// configMap is what the server holds of a ConfigMap that we applied.
const configMap = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: shop
  uid: u1
  resourceVersion: "10"
  labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system}
  managedFields:
  - {manager: kustomize-controller, operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:data": {"f:a": {}}}}
data: {a: "1", b: "2"}
`

// edited is the ConfigMap after a change.
func edited(t testing.TB, edit func(obj *unstructured.Unstructured)) *unstructured.Unstructured {
	t.Helper()
	obj := parse(t, configMap)
	edit(obj)
	return obj
}

// with sets a field; the value is one of JSON's.
func with(t testing.TB, value any, path ...string) func(*unstructured.Unstructured) {
	return func(obj *unstructured.Unstructured) {
		t.Helper()
		if err := unstructured.SetNestedField(obj.Object, value, path...); err != nil {
			t.Fatal(err)
		}
	}
}

// managedBy sets the entries of managedFields, all of them for field data.a.
func managedBy(t testing.TB, entries ...map[string]any) func(*unstructured.Unstructured) {
	list := make([]any, len(entries))
	for i, entry := range entries {
		full := map[string]any{"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": map[string]any{"f:data": map[string]any{"f:a": map[string]any{}}}}
		maps.Copy(full, entry)
		list[i] = full
	}
	return with(t, list, "metadata", "managedFields")
}

func key(t testing.TB, text string) kube.Key {
	t.Helper()
	return kube.KeyOf(parse(t, text))
}
