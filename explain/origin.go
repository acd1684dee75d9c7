package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Origins are the objects that an object of ours is made from, the farthest first: of
// a Kustomization its source; of a HelmRelease its chart, and what that comes from; of
// a FluxConfig nothing (Parts has what it stands for). They need not be there.
func Origins(ctx context.Context, r Reader, obj *unstructured.Unstructured) ([]kube.Key, error) {
	var out []kube.Key
	for obj != nil {
		key, err := origin(obj)
		if err != nil || key.Name == "" || slices.Contains(out, key) {
			return out, err
		}
		out = slices.Insert(out, 0, key)
		if obj, err = get(ctx, r, key); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// origin is the one object that another is made from; its name is empty where there
// is none.
func origin(obj *unstructured.Unstructured) (kube.Key, error) {
	read := func(into any) error {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, into); err != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
		return nil
	}
	switch obj.GetKind() {
	case kustomizev1.KustomizationKind:
		k := &kustomizev1.Kustomization{}
		err := read(k)
		name := k.GetSource()
		return sourceKey(k.Spec.SourceRef.Kind, name.Namespace, name.Name), err
	case helmv2.HelmReleaseKind:
		hr := &helmv2.HelmRelease{}
		err := read(hr)
		kind, name := hr.GetChart()
		return sourceKey(kind, name.Namespace, name.Name), err
	case sourcev1.HelmChartKind:
		chart := &sourcev1.HelmChart{}
		err := read(chart)
		return sourceKey(chart.Spec.SourceRef.Kind, chart.Namespace, chart.Spec.SourceRef.Name), err
	case sourcev1.ExternalArtifactKind:
		made := &sourcev1.ExternalArtifact{}
		if err := read(made); err != nil || made.Spec.SourceRef == nil {
			return kube.Key{}, err
		}
		ref := made.Spec.SourceRef
		return keyOf(runtimeKind(ref.APIVersion, ref.Kind), cmp.Or(ref.Namespace, made.Namespace), ref.Name), nil
	default:
		return kube.Key{}, nil
	}
}

// partKinds are the kinds of what a FluxConfig stands for, sources first.
var partKinds = []schema.GroupVersionKind{
	sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind),
	sourcev1.GroupVersion.WithKind(sourcev1.BucketKind),
	sourcev1.GroupVersion.WithKind(sourcev1.OCIRepositoryKind),
	kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind),
}

// Parts are what a FluxConfig stands for and is there: its source first, then its
// Kustomizations by name. Of any other object there are none.
func Parts(ctx context.Context, r Reader, obj *unstructured.Unstructured) ([]kube.Key, error) {
	if obj.GetKind() != clusterconfigv1.FluxConfigKind {
		return nil, nil
	}
	selector := labels.SelectorFromSet(labels.Set{
		clusterconfigv1.ManagedLabel: "true", clusterconfigv1.NameLabel: obj.GetName(), clusterconfigv1.NamespaceLabel: obj.GetNamespace(),
	}).String()
	var out []kube.Key
	for _, gvk := range partKinds {
		items, err := r.List(ctx, gvk, obj.GetNamespace(), selector)
		if apimeta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: what it stands for: %w", kube.KeyOf(obj), err)
		}
		slices.SortFunc(items, func(a, b unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
		for _, item := range items {
			out = append(out, keyOf(gvk, item.GetNamespace(), item.GetName()))
		}
	}
	return out, nil
}
