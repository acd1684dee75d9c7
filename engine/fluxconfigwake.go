package engine

import (
	"context"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fluxconfig"
)

var sourceGroup = sourcev1.GroupVersion.Group

// configKinds are the kinds of what belongs to one configuration alone.
var configKinds = []schema.GroupVersionKind{
	kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind),
	sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind),
	sourcev1.GroupVersion.WithKind(sourcev1.BucketKind),
	sourcev1.GroupVersion.WithKind(sourcev1.OCIRepositoryKind),
	{Version: "v1", Kind: secretKind},
	{Version: "v1", Kind: configMapKind},
	{Version: "v1", Kind: serviceAccountKind},
}

// reportedKinds are those whose objects statuses[] lists: they say how they are in
// conditions. An ExternalArtifact does not.
var reportedKinds = map[schema.GroupKind]client.Object{
	{Group: kustomizev1.GroupVersion.Group, Kind: kustomizev1.KustomizationKind}: &kustomizev1.Kustomization{},
	{Group: helmv2.GroupVersion.Group, Kind: helmv2.HelmReleaseKind}:             &helmv2.HelmRelease{},
	{Group: sourceGroup, Kind: sourcev1.GitRepositoryKind}:                       &sourcev1.GitRepository{},
	{Group: sourceGroup, Kind: sourcev1.BucketKind}:                              &sourcev1.Bucket{},
	{Group: sourceGroup, Kind: sourcev1.OCIRepositoryKind}:                       &sourcev1.OCIRepository{},
	{Group: sourceGroup, Kind: sourcev1.HelmRepositoryKind}:                      &sourcev1.HelmRepository{},
	{Group: sourceGroup, Kind: sourcev1.HelmChartKind}:                           &sourcev1.HelmChart{},
}

// listOwned selects what belongs to a configuration alone.
func listOwned(fc *clusterconfigv1.FluxConfig) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: labels.SelectorFromSet(maps.Clone(fluxconfig.Owner(fc))).String()}
}

// wakeConfigs wakes the configuration that an object belongs to, or out of which it
// was applied, whatever changes of the object. What nobody applied, or somebody who is no
// more, may be what a configuration waits for that is taken down.
func (e *Engine) wakeConfigs() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []reconcile.Request {
		for range deepest {
			if owner, ok := configOf(obj); ok {
				return []reconcile.Request{{NamespacedName: owner}}
			}
			above := applierOf(obj)
			if above == nil || e.client.Get(ctx, client.ObjectKeyFromObject(above), above) != nil {
				return e.goingConfigs(ctx, obj.GetNamespace())
			}
			obj = above
		}
		return nil
	})
}

// deepest is how many objects may have applied each other: only two that apply each
// other go deeper.
const deepest = 20

// applierOf is the object that applied another one, by its labels, with nothing but
// its name; nil for nobody.
func applierOf(obj client.Object) client.Object {
	has := obj.GetLabels()
	if name := has[kustomizev1.NameLabel]; name != "" {
		return &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: has[kustomizev1.NamespaceLabel], Name: name}}
	}
	if name := has[helmv2.NameLabel]; name != "" {
		return &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: has[helmv2.NamespaceLabel], Name: name}}
	}
	return nil
}

// goingConfigs are the configurations of a namespace that are being deleted.
func (e *Engine) goingConfigs(ctx context.Context, namespace string) (out []reconcile.Request) {
	all := &clusterconfigv1.FluxConfigList{}
	if e.client.List(ctx, all, client.InNamespace(namespace)) != nil {
		return nil // a cache that is not there yet: the first pass comes behind it
	}
	for i := range all.Items {
		if all.Items[i].DeletionTimestamp != nil {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
		}
	}
	return out
}

// configOf is the configuration that an object belongs to, by its labels.
func configOf(obj client.Object) (types.NamespacedName, bool) {
	has := obj.GetLabels()
	owner := types.NamespacedName{Namespace: has[clusterconfigv1.NamespaceLabel], Name: has[clusterconfigv1.NameLabel]}
	return owner, has[clusterconfigv1.ManagedLabel] == "true" && owner.Name != "" && owner.Namespace == obj.GetNamespace()
}

// isSwept tells whether nothing was left behind of earlier generations.
func (u *configUnits) isSwept(fc *clusterconfigv1.FluxConfig) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.swept[client.ObjectKeyFromObject(fc)] == fc.Generation
}

func (u *configUnits) sweptAll(fc *clusterconfigv1.FluxConfig) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.swept[client.ObjectKeyFromObject(fc)] = fc.Generation
}

func (u *configUnits) unswept(fc *clusterconfigv1.FluxConfig) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.swept, client.ObjectKeyFromObject(fc))
}
