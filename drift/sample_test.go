package drift

import (
	"encoding/json"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const ours = "kustomize-controller"

// deployment is what an API server holds of a Deployment that we applied, that
// somebody scaled by hand and that its controller reports on.
const deployment = `{
  "apiVersion": "apps/v1",
  "kind": "Deployment",
  "metadata": {
    "name": "web", "namespace": "shop", "uid": "0c5ca8e5-5ad1-44e1-a0b1-6e2e4a8d0b65",
    "resourceVersion": "4711", "generation": 3, "creationTimestamp": "2025-01-01T00:00:00Z",
    "annotations": {"deployment.kubernetes.io/revision": "1", "team": "till"},
    "labels": {"app": "web", "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"},
    "finalizers": ["example.com/guard", "example.com/other"],
    "managedFields": [
      {"manager": "kustomize-controller", "operation": "Apply", "apiVersion": "apps/v1", "time": "2025-01-01T00:00:00Z", "fieldsType": "FieldsV1",
       "fieldsV1": {
         "f:metadata": {
           "f:annotations": {"f:team": {}},
           "f:labels": {"f:app": {}, "f:kustomize.toolkit.fluxcd.io/name": {}, "f:kustomize.toolkit.fluxcd.io/namespace": {}},
           "f:finalizers": {"v:\"example.com/guard\"": {}}},
         "f:spec": {
           "f:replicas": {},
           "f:selector": {},
           "f:template": {
             "f:metadata": {"f:labels": {"f:app": {}}},
             "f:spec": {
               "f:containers": {
                 "k:{\"name\":\"web\"}": {
                   ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                   "f:env": {"k:{\"name\":\"MODE\"}": {".": {}, "f:name": {}, "f:value": {}}},
                   "f:ports": {"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}}},
      {"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "time": "2025-01-02T00:00:00Z", "fieldsType": "FieldsV1",
       "fieldsV1": {"f:spec": {"f:replicas": {}}}},
      {"manager": "sidecar-injector", "operation": "Update", "apiVersion": "apps/v1", "time": "2025-01-01T12:00:00Z", "fieldsType": "FieldsV1",
       "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"proxy\"}": {".": {}, "f:name": {}, "f:image": {}}}}}}}},
      {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "apps/v1", "time": "2025-01-03T00:00:00Z", "fieldsType": "FieldsV1", "subresource": "status",
       "fieldsV1": {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}, "f:status": {"f:replicas": {}}}}
    ]
  },
  "spec": {
    "replicas": 2,
    "progressDeadlineSeconds": 600,
    "selector": {"matchLabels": {"app": "web"}},
    "template": {
      "metadata": {"labels": {"app": "web"}},
      "spec": {
        "containers": [
          {"name": "web", "image": "web:1", "imagePullPolicy": "IfNotPresent", "args": ["--listen", ":8080"],
           "env": [{"name": "MODE", "value": "prod"}, {"name": "EXTRA", "value": "x"}],
           "ports": [{"containerPort": 8080, "protocol": "TCP"}]},
          {"name": "proxy", "image": "proxy:1"}
        ],
        "restartPolicy": "Always"
      }
    }
  },
  "status": {"replicas": 2, "readyReplicas": 2, "observedGeneration": 3}
}`

// decode makes an object as a client does: whole numbers are int64.
func decode(t testing.TB, data string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON([]byte(data)); err != nil {
		t.Fatal(err)
	}
	return obj
}

// set gives the field at path a value. Steps into lists are indexes.
func set(t testing.TB, obj *unstructured.Unstructured, value any, path ...any) {
	t.Helper()
	parent, last := walk(t, obj, path)
	switch p := parent.(type) {
	case map[string]any:
		p[last.(string)] = value
	case []any:
		p[last.(int)] = value
	default:
		t.Fatalf("%v leads nowhere", path)
	}
}

// unset removes the field at path from its map.
func unset(t testing.TB, obj *unstructured.Unstructured, path ...any) {
	t.Helper()
	parent, last := walk(t, obj, path)
	delete(parent.(map[string]any), last.(string))
}

func walk(t testing.TB, obj *unstructured.Unstructured, path []any) (parent, last any) {
	t.Helper()
	parent = obj.Object
	for _, step := range path[:len(path)-1] {
		switch p := parent.(type) {
		case map[string]any:
			parent = p[step.(string)]
		case []any:
			parent = p[step.(int)]
		}
	}
	return parent, path[len(path)-1]
}

// manage makes an object whose entry of ours lists exactly these fields.
func manage(t testing.TB, content, owned string) *unstructured.Unstructured {
	t.Helper()
	obj := decode(t, content)
	var fields map[string]any
	if err := json.Unmarshal([]byte(owned), &fields); err != nil {
		t.Fatal(err)
	}
	set(t, obj, []any{map[string]any{"manager": ours, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}}, "metadata", "managedFields")
	return obj
}

var (
	template = []any{"spec", "template", "spec"}
	web      = at(template, "containers", 0)
	proxy    = at(template, "containers", 1)
)

// at is a path below another.
func at(base []any, steps ...any) []any { return slices.Concat(base, steps) }
