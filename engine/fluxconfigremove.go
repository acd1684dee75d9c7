package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
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
	if err := e.preparePrune(ctx, p.object, next); err != nil {
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
	users, err := e.discardShared(ctx, p.object)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return ignoreGone(e.saveConfig(ctx, p, deletingStatus(p.object, users)))
	}
	controllerutil.RemoveFinalizer(p.object, clusterconfigv1.Finalizer)
	return ignoreGone(e.saveConfigFinalizers(ctx, p))
}

// preparePrune says to Kustomizations that are about to be deleted what becomes of
// what they applied: by force that stays where it is; and what is pruned has to be
// gone before the next one goes, whose objects it may need for that. It is written
// before they are deleted, so whoever sees the deletion sees this as well.
func (e *Engine) preparePrune(ctx context.Context, fc *clusterconfigv1.FluxConfig, next []*unstructured.Unstructured) error {
	for _, obj := range next {
		policy := fluxconfig.DeletionPolicy(obj, forced(fc))
		if policy == "" || obj.GetDeletionTimestamp() != nil && !forced(fc) {
			continue
		}
		patch := fmt.Appendf(nil, `{"metadata":{"uid":%q},"spec":{"deletionPolicy":%q}}`, obj.GetUID(), policy)
		if err := e.client.Patch(ctx, obj, client.RawPatch(mergePatch, patch), client.FieldOwner(clusterconfigv1.FieldManager)); ignoreGone(err) != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
	}
	return nil
}

func forced(fc *clusterconfigv1.FluxConfig) bool {
	return fc.DeletionTimestamp != nil && fc.Annotations[clusterconfigv1.ForceDeleteAnnotation] == "true"
}

// discardShared deletes the account and its rights that only this configuration
// still needs, and that were made for configurations. It deletes nothing while users,
// objects that are being deleted as that account, are still there.
func (e *Engine) discardShared(ctx context.Context, fc *clusterconfigv1.FluxConfig) (users []*unstructured.Unstructured, err error) {
	others, err := e.configsBeside(ctx, fc)
	if err != nil {
		return nil, err
	}
	unneeded := fluxconfig.Unneeded(fc, others)
	if len(unneeded) == 0 {
		return nil, nil
	}
	if users, err = e.goingUsers(ctx, fc); err != nil || len(users) > 0 && !forced(fc) {
		return users, err
	}
	var going []*unstructured.Unstructured
	for _, obj := range unneeded {
		have, err := e.Cluster.Get(ctx, kube.KeyOf(obj))
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		if err == nil && belongs(have, obj) {
			going = append(going, have)
		}
	}
	return nil, e.discard(ctx, going)
}

// configsBeside lists the configurations of a namespace, past every cache: of two that
// go at once the later one has to see that the other one is no more.
func (e *Engine) configsBeside(ctx context.Context, fc *clusterconfigv1.FluxConfig) ([]clusterconfigv1.FluxConfig, error) {
	found, err := e.listed(ctx, clusterconfigv1.GroupVersion.WithKind(clusterconfigv1.FluxConfigKind), fc.Namespace)
	if err != nil {
		return nil, err
	}
	out := make([]clusterconfigv1.FluxConfig, len(found))
	for i, obj := range found {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &out[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
	}
	return out, nil
}

// goingUsers are the objects that are being deleted as the shared account: those that
// a Kustomization applied may outlive it.
func (e *Engine) goingUsers(ctx context.Context, fc *clusterconfigv1.FluxConfig) (users []*unstructured.Unstructured, err error) {
	for _, gvk := range []schema.GroupVersionKind{
		kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind), helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind),
	} {
		found, err := e.listed(ctx, gvk, fc.Namespace)
		if err != nil {
			return nil, err
		}
		for _, obj := range found {
			account, _, _ := unstructured.NestedString(obj.Object, "spec", "serviceAccountName")
			if obj.GetDeletionTimestamp() != nil && cmp.Or(account, e.DefaultServiceAccount) == fluxconfig.Applier {
				users = append(users, obj)
			}
		}
	}
	return users, nil
}

// listed are the objects of a kind in a namespace, past every cache.
func (e *Engine) listed(ctx context.Context, gvk schema.GroupVersionKind, namespace string) ([]*unstructured.Unstructured, error) {
	resource, err := e.Cluster.Resource(gvk, namespace)
	if err != nil {
		return nil, err
	}
	list, err := resource.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the %ss of namespace %s: %w", gvk.Kind, namespace, err)
	}
	out := make([]*unstructured.Unstructured, len(list.Items))
	for i := range list.Items {
		out[i] = &list.Items[i]
	}
	return out, nil
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
