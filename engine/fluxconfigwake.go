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

// wakeConfigs wakes the configuration that an object belongs to, or whose
// Kustomization applied it, whatever changes of the object.
func (e *Engine) wakeConfigs() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []reconcile.Request {
		if owner, ok := configOf(obj); ok {
			return []reconcile.Request{{NamespacedName: owner}}
		}
		by := types.NamespacedName{Namespace: obj.GetLabels()[kustomizev1.NamespaceLabel], Name: obj.GetLabels()[kustomizev1.NameLabel]}
		unit := &kustomizev1.Kustomization{}
		if by.Name == "" || e.client.Get(ctx, by, unit) != nil {
			return nil // applied by nobody, or by one that is no more: its end wakes us
		}
		if owner, ok := configOf(unit); ok {
			return []reconcile.Request{{NamespacedName: owner}}
		}
		return nil
	})
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
