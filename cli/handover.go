package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"

	coordinationv1 "k8s.io/api/coordination/v1"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// ownKinds are the kinds that a one-shot run drives, sources first: those whose
// passes an engine reports. definedKinds has all that there are.
var ownKinds = []schema.GroupVersionKind{
	clusterconfigv1.GroupVersion.WithKind(clusterconfigv1.FluxConfigKind),
	sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind),
	sourcev1.GroupVersion.WithKind(sourcev1.BucketKind),
	sourcev1.GroupVersion.WithKind(sourcev1.OCIRepositoryKind),
	sourcev1.GroupVersion.WithKind(sourcev1.HelmRepositoryKind),
	sourcev1.GroupVersion.WithKind(sourcev1.HelmChartKind),
	kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind),
	helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind),
}

// item is one of our objects, of any kind: what all of them have in common.
type item struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Namespace   string            `json:"namespace"`
		Name        string            `json:"name"`
		Generation  int64             `json:"generation"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Suspend   bool `json:"suspend"`
		DependsOn []struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"dependsOn"`
		SourceRef struct {
			Kind      string `json:"kind"`
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"sourceRef"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration     int64              `json:"observedGeneration"`
		Conditions             []metav1.Condition `json:"conditions"`
		LastHandledReconcileAt string             `json:"lastHandledReconcileAt"`
		LastAppliedRevision    string             `json:"lastAppliedRevision"`
		Artifact               *meta.Artifact     `json:"artifact"`
		// Statuses are those of a FluxConfig's objects.
		Statuses  []clusterconfigv1.ObjectStatus `json:"statuses"`
		Inventory struct {
			Entries []any `json:"entries"`
			Chunks  []struct {
				Entries int `json:"entries"`
			} `json:"chunks"`
		} `json:"inventory"`
	} `json:"status"`
}

// objects is how many it has on the cluster.
func (i item) objects() int {
	n := len(i.Status.Inventory.Entries)
	for _, c := range i.Status.Inventory.Chunks {
		n += c.Entries
	}
	return n
}

func (i item) id() string { return i.Kind + "/" + i.Metadata.Namespace + "/" + i.Metadata.Name }

func itemOf(obj *unstructured.Unstructured) (i item, err error) {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &i); err != nil {
		return i, fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
	}
	return i, nil
}

// isAbout tells whether an object is in a namespace that this run is about.
func (o *once) isAbout(i item) bool {
	return len(o.options.Namespaces) == 0 || slices.Contains(o.options.Namespaces, i.Metadata.Namespace)
}

// list reads all of our objects that this run is about.
func (o *once) list(ctx context.Context) ([]item, error) {
	items, err := list(ctx, o.cluster, o.options.Namespaces)
	return slices.DeleteFunc(items, func(i item) bool { return i.Kind == clusterconfigv1.FluxConfigKind && o.options.Off.FluxConfigs }), err
}

// list reads all of our objects, or those of some namespaces.
func list(ctx context.Context, cluster *kube.Cluster, namespaces []string) ([]item, error) {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	var out []item
	for _, namespace := range namespaces {
		items, err := listIn(ctx, cluster, namespace)
		if err != nil {
			return nil, err
		}
		out = append(out, items...)
	}
	return out, nil
}

func listIn(ctx context.Context, cluster *kube.Cluster, namespace string) ([]item, error) {
	var out []item
	for _, gvk := range ownKinds {
		resource, err := cluster.Resource(gvk, namespace)
		if err != nil {
			return nil, err
		}
		found, err := resource.List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", gvk.Kind, err)
		}
		for n := range found.Items {
			i, err := itemOf(&found.Items[n])
			if err != nil {
				return nil, err
			}
			out = append(out, i)
		}
	}
	return out, nil
}

// leaseHolder names the engine that holds the cluster's lease now, "" for none.
// A lease that was not renewed in time is nobody's.
func leaseHolder(ctx context.Context, cluster *kube.Cluster, e engine.Election) (string, error) {
	resource, err := cluster.Resource(leaseKind, e.Namespace)
	if err != nil {
		return "", err
	}
	obj, err := resource.Get(ctx, e.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for a running Plumb: %w", err)
	}
	return holderOf(obj, time.Now()), nil
}

var leaseKind = coordinationv1.SchemeGroupVersion.WithKind("Lease")

// holderOf reads who holds a lease at a time, "" for nobody.
func holderOf(obj *unstructured.Unstructured, now time.Time) string {
	lease := coordinationv1.Lease{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &lease); err != nil {
		return ""
	}
	s := lease.Spec
	if s.HolderIdentity == nil || s.RenewTime == nil || s.LeaseDurationSeconds == nil {
		return ""
	}
	if now.Sub(s.RenewTime.Time) > time.Duration(*s.LeaseDurationSeconds)*time.Second {
		return ""
	}
	return *s.HolderIdentity
}

// handOver asks the running engine to look at everything now and watches what
// becomes of it.
func (o *once) handOver(ctx context.Context, news chan<- engine.Progress) error {
	token := time.Now().Format(time.RFC3339Nano)
	for _, gvk := range ownKinds {
		go o.watch(ctx, gvk, token, news)
	}
	items, err := o.list(ctx)
	if err != nil {
		return err
	}
	for _, i := range items {
		if !i.handles() {
			continue
		}
		if err := o.request(ctx, i, token); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// request asks for one object to be looked at.
func (o *once) request(ctx context.Context, i item, token string) error {
	for _, gvk := range ownKinds {
		if gvk.Kind != i.Kind {
			continue
		}
		key := kube.Key{ObjMetadata: object.ObjMetadata{Namespace: i.Metadata.Namespace, Name: i.Metadata.Name, GroupKind: gvk.GroupKind()}, Version: gvk.Version}
		return ask(ctx, o.cluster, key, map[string]string{meta.ReconcileRequestAnnotation: token})
	}
	return nil
}

// watch tells what the statuses of one kind say.
func (o *once) watch(ctx context.Context, gvk schema.GroupVersionKind, token string, news chan<- engine.Progress) {
	resource, err := o.cluster.Resource(gvk, metav1.NamespaceAll)
	if err != nil {
		return
	}
	follow(ctx, resource, metav1.ListOptions{}, func(u *unstructured.Unstructured, gone bool) {
		i, err := itemOf(u)
		if gone || err != nil || !o.isAbout(i) || (i.handles() && i.Status.LastHandledReconcileAt != token && !i.Spec.Suspend) {
			return
		}
		select {
		case news <- i.progress():
		case <-ctx.Done():
		}
	})
}

// progress reads a status as the end of a pass.
func (i item) progress() engine.Progress {
	p := engine.Progress{
		Kind: i.Kind, Name: types.NamespacedName{Namespace: i.Metadata.Namespace, Name: i.Metadata.Name},
		Suspended: i.Spec.Suspend, Objects: i.objects(), Attempts: attempts,
		Outcome: engine.Outcome{Revision: i.Status.LastAppliedRevision, Next: engine.Retry},
	}
	if ref := i.Spec.SourceRef; ref.Name != "" {
		if ref.Namespace == "" {
			ref.Namespace = i.Metadata.Namespace
		}
		p.Source = ref.Kind + "/" + ref.Namespace + "/" + ref.Name
	}
	if i.Status.Artifact != nil {
		p.Outcome.Revision = i.Status.Artifact.Revision
	}
	c := apimeta.FindStatusCondition(i.Status.Conditions, meta.ReadyCondition)
	if c == nil {
		p.Outcome.Next, p.Outcome.Reason = engine.Wait, meta.ProgressingReason
		return p
	}
	p.Outcome.Reason, p.Outcome.Message = c.Reason, c.Message
	switch {
	case i.Status.ObservedGeneration == i.Metadata.Generation && c.Reason == string(clusterconfigv1.Suspended):
		p.Outcome.Next = engine.Done // a FluxConfig, some of whose objects are left alone
	case i.Status.ObservedGeneration != i.Metadata.Generation || c.Status == metav1.ConditionUnknown:
		p.Outcome.Next, p.Outcome.Reason = engine.Wait, meta.ProgressingReason
	case c.Status == metav1.ConditionTrue:
		p.Outcome.Next = engine.Done
	case len(i.behind()) > 0:
		p.Outcome.Next, p.Outcome.Reason, p.Outcome.On = engine.Wait, kustomizev1.DependencyNotReadyReason, i.behind()
	case c.Reason == kustomizev1.DependencyNotReadyReason || c.Reason == kustomizev1.ArtifactFailedReason:
		p.Outcome.Next, p.Outcome.On = engine.Wait, i.needs(p.Source)
	}
	return p
}

// behind names the objects that keep a FluxConfig from being compliant.
func (i item) behind() (ids []string) {
	for _, o := range i.Status.Statuses {
		if o.ComplianceState != clusterconfigv1.Compliant && o.ComplianceState != clusterconfigv1.Suspended {
			ids = append(ids, o.Kind+"/"+o.Namespace+"/"+o.Name)
		}
	}
	return ids
}

// needs names what a unit may wait for: its source and its dependencies.
func (i item) needs(source string) []string {
	out := []string{source}
	for _, d := range i.Spec.DependsOn {
		if d.Namespace == "" {
			d.Namespace = i.Metadata.Namespace
		}
		out = append(out, i.Kind+"/"+d.Namespace+"/"+d.Name)
	}
	return out
}
