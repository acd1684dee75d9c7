package engine

import (
	"context"
	"maps"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// ensureChart makes the HelmChart that spec.chart stands for, or brings it up to
// date, and removes one that is not asked for any more. The status names it, so
// that it is found again when the spec names another source. p.chartAt is from which
// generation of it on the chart is what is asked for.
func (e *Engine) ensureChart(ctx context.Context, p *releasePass) error {
	want := chartFor(p.object)
	if want == nil {
		return e.dropCharts(ctx, p, "")
	}
	name := want.Namespace + "/" + want.Name
	if p.status.HelmChart != name {
		if err := e.dropCharts(ctx, p, name); err != nil {
			return err
		}
	}
	p.status.HelmChart = name
	p.unit.madeChart(name)
	have := &sourcev1.HelmChart{}
	err := e.client.Get(ctx, client.ObjectKeyFromObject(want), have)
	switch {
	case apierrors.IsNotFound(err):
		if err := e.client.Create(ctx, want); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		p.actions = append(p.actions, Action{Key: chartKey(want), Verb: string(apply.Created), At: e.now()})
		return nil
	case err != nil:
		return err
	}
	next := have.DeepCopy()
	next.Spec = want.Spec
	next.Spec.Suspend = have.Spec.Suspend
	next.Labels, next.Annotations = laid(have.Labels, want.Labels), laid(have.Annotations, want.Annotations)
	if !reflect.DeepEqual(next, have) {
		if err := e.client.Patch(ctx, next, client.MergeFrom(have)); err != nil {
			return err
		}
	}
	if !have.Spec.Suspend {
		p.chartAt = next.Generation
	}
	return nil
}

// chartKey names a HelmChart as actions do.
func chartKey(hc *sourcev1.HelmChart) kube.Key {
	gvk := sourcev1.GroupVersion.WithKind(sourcev1.HelmChartKind)
	return kube.Key{ObjMetadata: object.ObjMetadata{Namespace: hc.Namespace, Name: hc.Name, GroupKind: gvk.GroupKind()}, Version: gvk.Version}
}

func laid(under, over map[string]string) map[string]string {
	if len(over) == 0 {
		return under
	}
	out := maps.Clone(under)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, over)
	return out
}

// chartFor is the HelmChart that a release asks for, nil when it names a source
// that is there.
func chartFor(hr *helmv2.HelmRelease) *sourcev1.HelmChart {
	if hr.Spec.Chart == nil || hr.Spec.ChartRef != nil {
		return nil
	}
	_, name := hr.GetChart()
	hc := &sourcev1.HelmChart{Spec: hr.Spec.Chart.Spec.HelmChart(hr.Spec.Interval)}
	hc.Namespace, hc.Name = name.Namespace, name.Name
	owner := map[string]string{helmv2.NameLabel: hr.Name, helmv2.NamespaceLabel: hr.Namespace}
	hc.Labels = owner
	if m := hr.Spec.Chart.Metadata; m != nil {
		hc.Labels, hc.Annotations = laid(m.Labels, owner), maps.Clone(m.Annotations)
	}
	return hc
}

// dropCharts removes the HelmCharts of a release, but for one: the one that the status
// names, and what a process made that ended before the status named it.
func (e *Engine) dropCharts(ctx context.Context, p *releasePass, but string) error {
	names := []string{p.status.HelmChart}
	made := &sourcev1.HelmChartList{}
	if err := e.client.List(ctx, made, client.MatchingFields{chartOwner: p.unit.name.String()}, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range made.Items {
		names = append(names, made.Items[i].Namespace+"/"+made.Items[i].Name)
	}
	for _, name := range names {
		if name == but {
			continue
		}
		if err := e.dropChart(ctx, p, name); err != nil {
			return err
		}
	}
	p.status.HelmChart = but
	p.unit.madeChart(but)
	return nil
}

// dropChart removes the HelmChart of that namespace and name, if it is this release's.
func (e *Engine) dropChart(ctx context.Context, p *releasePass, name string) error {
	namespace, short, ok := strings.Cut(name, "/")
	if !ok {
		return nil
	}
	hc := &sourcev1.HelmChart{}
	err := e.client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: short}, hc)
	if err == nil && ownerOfChart(hc) == p.unit.name.String() {
		err = e.client.Delete(ctx, hc)
	}
	return client.IgnoreNotFound(err)
}

// chartOwner is the field by which the cache finds the HelmCharts of a release.
const chartOwner = "owner"

// ownerOfChart is the release that a HelmChart was made for, as namespace/name, "" for
// any other. Those that a release has among its objects have its labels, too.
func ownerOfChart(hc client.Object) string {
	namespace, name := hc.GetLabels()[helmv2.NamespaceLabel], hc.GetLabels()[helmv2.NameLabel]
	if hc.GetName() != namespace+"-"+name {
		return ""
	}
	return namespace + "/" + name
}

// indexCharts has the cache find them so.
func indexCharts(ctx context.Context, cache client.FieldIndexer) error {
	return cache.IndexField(ctx, &sourcev1.HelmChart{}, chartOwner, func(obj client.Object) []string {
		if owner := ownerOfChart(obj); owner != "" {
			return []string{owner}
		}
		return nil
	})
}

// fieldsOf is an object in the form of its JSON, for expressions.
func fieldsOf(hr *helmv2.HelmRelease) map[string]any {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(hr)
	if err != nil {
		return map[string]any{} // our own type always converts
	}
	return fields
}
