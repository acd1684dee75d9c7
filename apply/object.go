package apply

import (
	"encoding/base64"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/live"
)

// owned is the object as we send it: with the owner labels of its unit, and in
// the form in which the server keeps it. It shares with obj what it does not change.
func owned(obj *unstructured.Unstructured, unit live.User) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: maps.Clone(obj.Object)}
	metadata, _ := out.Object["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	if metadata == nil {
		metadata = map[string]any{}
	}
	out.Object["metadata"] = metadata
	labels := out.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, unit.Labels())
	out.SetLabels(labels)
	delete(out.Object, "status")
	delete(metadata, "creationTimestamp")
	encodeSecret(out)
	return out
}

// encodeSecret moves stringData to data. stringData is write-only: left there,
// the server would forget that we own the values and drift would go unseen.
func encodeSecret(obj *unstructured.Unstructured) {
	gvk := obj.GroupVersionKind()
	if gvk.Group != "" || gvk.Kind != "Secret" {
		return
	}
	plain, found, err := unstructured.NestedStringMap(obj.Object, "stringData")
	if !found || err != nil {
		return // what is not a map of strings is for the server to refuse
	}
	data, isMap := obj.Object["data"].(map[string]any)
	switch {
	case obj.Object["data"] == nil:
		delete(obj.Object, "data") // null
	case isMap:
		obj.Object["data"] = maps.Clone(data)
	}
	for key, value := range plain {
		encoded := base64.StdEncoding.EncodeToString([]byte(value))
		if err := unstructured.SetNestedField(obj.Object, encoded, "data", key); err != nil {
			return
		}
	}
	unstructured.RemoveNestedField(obj.Object, "stringData")
}

// place gives a namespaced object no less and a cluster-wide one no more than
// it needs.
func place(obj *unstructured.Unstructured, namespaced bool) error {
	if !namespaced {
		obj.SetNamespace("")
		return nil
	}
	if obj.GetNamespace() == "" {
		return fmt.Errorf("%s/%s has no namespace: set its metadata.namespace, or spec.targetNamespace of the Kustomization", obj.GetKind(), obj.GetName())
	}
	return nil
}
