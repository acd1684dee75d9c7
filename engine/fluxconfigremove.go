package engine

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/fluxconfig"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// takeDown deletes what a configuration stands for, and lets it go at the end.
// Each pass looks at what is there and deletes what nothing else that is there
// needs; it is woken when that is gone. A crash anywhere repeats this.
func (e *Engine) takeDown(ctx context.Context, p *configPass) error {
	if !controllerutil.ContainsFinalizer(p.object, clusterconfigv1.Finalizer) || e.DryRun {
		return nil
	}
	remains, err := e.remains(ctx, p.object)
	if err != nil {
		return err
	}
	next := fluxconfig.Next(remains)
	if err := e.orphan(ctx, p.object, next); err != nil {
		return err
	}
	if err := e.discard(ctx, next); err != nil {
		return err
	}
	if slices.ContainsFunc(next, isToolkit) {
		return ignoreGone(e.saveConfig(ctx, p, deletingStatus(p.object, next)))
	}
	// Only Secrets and the like were left, which nothing has to be taken down
	// before: what the last pass deletes need not be waited for.
	if err := e.discardShared(ctx, p.object); err != nil {
		return err
	}
	controllerutil.RemoveFinalizer(p.object, clusterconfigv1.Finalizer)
	return ignoreGone(e.saveConfigFinalizers(ctx, p))
}

// orphan makes Kustomizations leave what they applied where it is, where the
// configuration is deleted by force. It is written before they are deleted, so
// whoever sees the deletion sees this as well.
func (e *Engine) orphan(ctx context.Context, fc *clusterconfigv1.FluxConfig, next []*unstructured.Unstructured) error {
	if fc.Annotations[clusterconfigv1.ForceDeleteAnnotation] != "true" {
		return nil
	}
	for _, obj := range next {
		policy, _, _ := unstructured.NestedString(obj.Object, "spec", "deletionPolicy")
		if obj.GetKind() != kustomizev1.KustomizationKind || policy == kustomizev1.DeletionPolicyOrphan {
			continue
		}
		patch := fmt.Appendf(nil, `{"metadata":{"uid":%q},"spec":{"deletionPolicy":%q}}`, obj.GetUID(), kustomizev1.DeletionPolicyOrphan)
		if err := e.client.Patch(ctx, obj, client.RawPatch(mergePatch, patch), client.FieldOwner(clusterconfigv1.FieldManager)); ignoreGone(err) != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
	}
	return nil
}

// discardShared deletes the account and its rights that only this configuration
// still needs, and that were made for configurations.
func (e *Engine) discardShared(ctx context.Context, fc *clusterconfigv1.FluxConfig) error {
	others := &clusterconfigv1.FluxConfigList{}
	if err := e.client.List(ctx, others, client.InNamespace(fc.Namespace)); err != nil {
		return err
	}
	var going []*unstructured.Unstructured
	for _, obj := range fluxconfig.Unneeded(fc, others.Items) {
		mapping, err := e.Cluster.Mapping(obj.GroupVersionKind())
		if err != nil {
			return err
		}
		have, err := e.Cluster.Dynamic.Resource(mapping.Resource).Namespace(obj.GetNamespace()).Get(ctx, obj.GetName(), metav1.GetOptions{})
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
		if err == nil && belongs(have, obj) {
			going = append(going, have)
		}
	}
	return e.discard(ctx, going)
}

// isToolkit tells whether an object is one whose end takes its time.
func isToolkit(obj *unstructured.Unstructured) bool {
	group := obj.GroupVersionKind().Group
	return group == kustomizev1.GroupVersion.Group || group == sourceGroup
}

// waitsFor names what has to be gone first.
func waitsFor(objects []*unstructured.Unstructured) string {
	keys := make([]kube.Key, len(objects))
	for i, obj := range objects {
		keys[i] = kube.KeyOf(obj)
	}
	return "waiting for " + names(keys) + " to be gone"
}
