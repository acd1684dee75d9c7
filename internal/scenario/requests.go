package scenario

import (
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/retry"
)

// What a test asks of the cluster is asked again where the server could not answer for
// a passing reason: how the engine takes that is for other tests to say.

// Apply applies YAML documents as a user would.
func (w *World) Apply(manifests string) {
	w.tb.Helper()
	if err := w.TryApply(manifests); err != nil {
		w.tb.Fatal(err)
	}
}

// TryApply is Apply for manifests that the server may refuse.
func (w *World) TryApply(manifests string) error {
	objs, err := decode(manifests)
	if err != nil {
		return err
	}
	for _, obj := range objs {
		w.planted.plant(obj)
		if _, err := retry.Do(w.tb.Context(), func() (*unstructured.Unstructured, error) {
			return w.Cluster.Apply(w.tb.Context(), obj, kube.ApplyOptions{Manager: "test"})
		}); err != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
	}
	return nil
}

// Delete deletes an object and does not wait for it to go.
func (w *World) Delete(key kube.Key) {
	w.tb.Helper()
	if _, err := retry.Do(w.tb.Context(), func() (bool, error) { return w.Cluster.Delete(w.tb.Context(), key, "", "") }); err != nil {
		w.tb.Fatal(err)
	}
}

// Patch sends a merge patch as some field manager.
func (w *World) Patch(key kube.Key, manager, patch string, subresources ...string) {
	w.tb.Helper()
	if changed := map[string]any{}; json.Unmarshal([]byte(patch), &changed) == nil {
		obj := &unstructured.Unstructured{Object: changed}
		obj.SetKind(key.GroupKind.Kind)
		obj.SetName(key.Name)
		w.planted.plant(obj)
	}
	_, err := retry.Do(w.tb.Context(), func() (*unstructured.Unstructured, error) {
		r, err := w.Resource(key.GVK(), key.Namespace)
		if err != nil {
			return nil, err
		}
		return r.Patch(w.tb.Context(), key.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: manager}, subresources...)
	})
	if err != nil {
		w.tb.Fatal(err)
	}
}

// Get reads an object; it is nil when there is none.
func (w *World) Get(key kube.Key) *unstructured.Unstructured {
	w.tb.Helper()
	obj, err := w.read(key)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.tb.Fatal(err)
	}
	return obj
}

// Look is Get for goroutines of a test: nil also when it could not be read.
func (w *World) Look(key kube.Key) *unstructured.Unstructured {
	obj, err := w.read(key)
	if err != nil {
		return nil
	}
	return obj
}

func (w *World) read(key kube.Key) (*unstructured.Unstructured, error) {
	return retry.Do(w.tb.Context(), func() (*unstructured.Unstructured, error) { return w.Cluster.Get(w.tb.Context(), key) })
}

// resource is the dynamic client of a kind.
func (w *World) resource(gvk schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	return retry.Do(w.tb.Context(), func() (dynamic.ResourceInterface, error) { return w.Resource(gvk, namespace) })
}
