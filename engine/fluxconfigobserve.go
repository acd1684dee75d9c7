package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fluxconfig"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// sourceState is what the source of a configuration brought last.
type sourceState struct {
	revision string
	at       *metav1.Time
}

// said is what toolkit objects have in common, and what some of them say of where
// they are.
type said struct {
	Metadata struct {
		UID types.UID `json:"uid"`
	} `json:"metadata"`
	Spec struct {
		Suspend    bool           `json:"suspend"`
		KubeConfig map[string]any `json:"kubeConfig"`
		SourceRef  struct {
			Kind      string `json:"kind"`
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"sourceRef"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration             int64                          `json:"observedGeneration"`
		Conditions                     []metav1.Condition             `json:"conditions"`
		Artifact                       *meta.Artifact                 `json:"artifact"`
		Inventory                      *kustomizev1.ResourceInventory `json:"inventory"`
		LastAppliedRevision            string                         `json:"lastAppliedRevision"`
		ObservedSourceArtifactRevision string                         `json:"observedSourceArtifactRevision"`
	} `json:"status"`
}

// observation is one look at the toolkit objects of a configuration.
type observation struct {
	*Engine
	fresh   bool // ask the API server about what was applied, past every cache
	seen    map[object.ObjMetadata]bool
	objects []fluxconfig.Object
	source  sourceState
}

// observeConfig gathers what the toolkit objects say that a configuration stands
// for, and those that its Kustomizations applied, and theirs.
//
// The caches of two kinds are not in step: one may know that a Kustomization is
// done, and another not yet of the HelmRelease that it changed. So what would be news
// that all is well is made sure of: a Kustomization says it is done after it wrote,
// hence what the API server says now of what was written is no older than that.
func (e *Engine) observeConfig(ctx context.Context, p *configPass) error {
	look := func(fresh bool) error {
		o := &observation{Engine: e, fresh: fresh, seen: map[object.ObjMetadata]bool{}}
		for _, want := range p.wanted {
			if !isToolkit(want) {
				continue
			}
			if err := o.listen(ctx, want.GroupVersionKind(), client.ObjectKeyFromObject(want), nil); err != nil {
				return err
			}
		}
		p.objects, p.source = o.objects, o.source
		return nil
	}
	if err := look(false); err != nil || !fluxconfig.GoodNews(p.objects, p.object.Status) {
		return err
	}
	return look(true)
}

// listen adds what one object says, and what those say that it applied. by is who
// applied it; nil for what the configuration stands for itself.
func (o *observation) listen(ctx context.Context, gvk schema.GroupVersionKind, name types.NamespacedName, by *clusterconfigv1.ObjectReference) error {
	id := object.ObjMetadata{GroupKind: gvk.GroupKind(), Namespace: name.Namespace, Name: name.Name}
	if o.seen[id] {
		return nil // two inventories have it, or one its own Kustomization
	}
	o.seen[id] = true
	obj, err := o.read(ctx, gvk, name, o.fresh && by != nil)
	if err != nil {
		return err
	}
	out, says := fluxconfig.Object{Kind: gvk.Kind, Namespace: name.Namespace, Name: name.Name, AppliedBy: by}, said{}
	if obj == nil {
		o.objects = append(o.objects, out)
		return nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &says); err != nil {
		return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
	}
	out.Suspended, out.Generation = says.Spec.Suspend, obj.GetGeneration()
	out.ObservedGeneration, out.Conditions = says.Status.ObservedGeneration, says.Status.Conditions
	if a := says.Status.Artifact; a != nil && by == nil {
		o.source = sourceState{a.Revision, &a.LastUpdateTime}
	}
	switch gvk.Kind {
	case kustomizev1.KustomizationKind:
		return o.unit(ctx, out, says)
	case helmv2.HelmReleaseKind:
		return o.release(ctx, out, obj)
	case sourcev1.HelmChartKind:
		out.Offered, err = o.offered(ctx, says.Spec.SourceRef.Kind, types.NamespacedName{Namespace: name.Namespace, Name: says.Spec.SourceRef.Name})
		out.Applied = says.Status.ObservedSourceArtifactRevision
	}
	o.add(out)
	return err
}

// add notes an object. Where it could be is known only of one whose source is.
func (o *observation) add(out fluxconfig.Object) {
	if out.Offered == "" {
		out.Applied = ""
	}
	o.objects = append(o.objects, out)
}

// unit adds a Kustomization, and what it applied to this cluster.
func (o *observation) unit(ctx context.Context, out fluxconfig.Object, says said) (err error) {
	ref := says.Spec.SourceRef
	if ref.Namespace == "" {
		ref.Namespace = out.Namespace
	}
	if out.Offered, err = o.offered(ctx, ref.Kind, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}); err != nil {
		return err
	}
	out.Applied = says.Status.LastAppliedRevision
	o.add(out)
	if says.Spec.KubeConfig != nil {
		return nil
	}
	keys, err := o.inventoryOf(ctx, out.Namespace, says.Metadata.UID, says.Status.Inventory)
	if err != nil {
		return nil //nolint:nilerr // the Kustomization says so itself
	}
	by := &clusterconfigv1.ObjectReference{Name: out.Name, Namespace: out.Namespace}
	for _, key := range keys {
		kind, reported := reportedKinds[key.GroupKind]
		if !reported {
			continue
		}
		gvk, err := o.client.GroupVersionKindFor(kind)
		if err != nil {
			return err
		}
		if err := o.listen(ctx, gvk, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, by); err != nil {
			return err
		}
	}
	return nil
}

// release adds a HelmRelease, and the HelmChart that was made for it.
func (o *observation) release(ctx context.Context, out fluxconfig.Object, obj *unstructured.Unstructured) error {
	hr := &helmv2.HelmRelease{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, hr); err != nil {
		return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
	}
	out.Release = releaseProperties(hr)
	kind, chart := hr.GetChart()
	revision, err := o.offered(ctx, kind, chart)
	if err != nil {
		return err
	}
	switch kind {
	case sourcev1.HelmChartKind: // its revision is the chart's version
		out.Offered, out.Applied = strings.TrimPrefix(revision, "v"), strings.TrimPrefix(hr.Status.LastAttemptedRevision, "v")
	case sourcev1.OCIRepositoryKind: // the version is the chart's own, so the digest tells
		_, out.Offered, _ = strings.Cut(revision, "@")
		out.Applied = hr.Status.LastAttemptedRevisionDigest
	}
	o.add(out)
	if out.Release.HelmChartRef == nil {
		return nil
	}
	own := types.NamespacedName{Namespace: out.Release.HelmChartRef.Namespace, Name: out.Release.HelmChartRef.Name}
	return o.listen(ctx, sourcev1.GroupVersion.WithKind(sourcev1.HelmChartKind), own, out.AppliedBy)
}

func releaseProperties(hr *helmv2.HelmRelease) *clusterconfigv1.HelmReleaseProperties {
	s := hr.Status
	out := &clusterconfigv1.HelmReleaseProperties{FailureCount: s.Failures, InstallFailureCount: s.InstallFailures, UpgradeFailureCount: s.UpgradeFailures}
	if len(s.History) > 0 {
		out.LastRevisionApplied = int64(s.History[0].Version)
	}
	if namespace, name, ok := strings.Cut(s.HelmChart, "/"); ok {
		out.HelmChartRef = &clusterconfigv1.ObjectReference{Namespace: namespace, Name: name}
	}
	return out
}

// offered is the revision that a source has, "" for none. It may lag, and then what
// is at a later one counts as under way until it does not lag any more.
func (o *observation) offered(ctx context.Context, kind string, name types.NamespacedName) (string, error) {
	gvk := sourcev1.GroupVersion.WithKind(kind)
	if kind == "" || name.Name == "" || !o.client.Scheme().Recognizes(gvk) {
		return "", nil
	}
	obj, err := o.read(ctx, gvk, name, false)
	if obj == nil {
		return "", err
	}
	revision, _, _ := unstructured.NestedString(obj.Object, "status", "artifact", "revision")
	return revision, nil
}

// read is an object as a cache has it, or past all of them as the API server has it.
// There is none for us in a namespace that this engine does not look after.
func (o *observation) read(ctx context.Context, gvk schema.GroupVersionKind, name types.NamespacedName, fresh bool) (*unstructured.Unstructured, error) {
	if len(o.Namespaces) > 0 && !slices.Contains(o.Namespaces, name.Namespace) {
		return nil, nil
	}
	if !fresh {
		return o.cached(ctx, gvk, name)
	}
	obj, err := o.Cluster.Get(ctx, kube.Key{ObjMetadata: object.ObjMetadata{GroupKind: gvk.GroupKind(), Namespace: name.Namespace, Name: name.Name}, Version: gvk.Version})
	return obj, client.IgnoreNotFound(err)
}
