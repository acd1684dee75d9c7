// Package explain says why an object of ours is not ready, and what belongs to
// it, from what the cluster says now. It only reads, and needs no engine.
//
// A Chain is the way of the data for one object, source first: each Step of it
// is done, or it is what the others wait for. A Node is an object with those that
// it brought to the cluster.
package explain

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Reader reads one object. The error is the API server's.
type Reader interface {
	Get(ctx context.Context, key kube.Key) (*unstructured.Unstructured, error)
	// List is the objects of a kind in a namespace that carry labels.
	List(ctx context.Context, gvk schema.GroupVersionKind, namespace, selector string) ([]unstructured.Unstructured, error)
}

// PodKind and EventKind are what is read beside the kinds of ours.
var (
	PodKind   = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	EventKind = schema.GroupVersionKind{Version: "v1", Kind: "Event"}
)

// unitKey names a Kustomization.
func unitKey(namespace, name string) kube.Key {
	return keyOf(kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind), namespace, name)
}

// sourceKey names a source.
func sourceKey(kind, namespace, name string) kube.Key {
	return keyOf(sourcev1.GroupVersion.WithKind(kind), namespace, name)
}

func keyOf(gvk schema.GroupVersionKind, namespace, name string) kube.Key {
	return kube.Key{ObjMetadata: object.ObjMetadata{Namespace: namespace, Name: name, GroupKind: gvk.GroupKind()}, Version: gvk.Version}
}

// get reads one object; it is nil when there is none, or no such kind.
func get(ctx context.Context, r Reader, key kube.Key) (*unstructured.Unstructured, error) {
	obj, err := r.Get(ctx, key)
	if apierrors.IsNotFound(err) || apimeta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return obj, nil
}

// unitOf reads a Kustomization, nil when there is none.
func unitOf(ctx context.Context, r Reader, key kube.Key) (*kustomizev1.Kustomization, error) {
	obj, err := get(ctx, r, key)
	if err != nil || obj == nil {
		return nil, err
	}
	k := &kustomizev1.Kustomization{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, k); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return k, nil
}

// ready is the Ready condition of an object, nil when it has none.
func ready(obj *unstructured.Unstructured) *metav1.Condition {
	status := struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &status); err != nil {
		return nil
	}
	return apimeta.FindStatusCondition(status.Status.Conditions, meta.ReadyCondition)
}
