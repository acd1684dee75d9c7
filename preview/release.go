package preview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"helm.sh/helm/v3/pkg/chartutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/helmrel/charts"
	"github.com/plumb-gitops/plumb/helmrel/postrender"
	"github.com/plumb-gitops/plumb/helmrel/render"
	"github.com/plumb-gitops/plumb/helmrel/values"
	"github.com/plumb-gitops/plumb/source"
)

// Releases are how HelmReleases are rendered.
type Releases struct {
	// Capabilities and Lookup are those of the cluster, nil without one: then templates
	// find nothing there.
	Capabilities *chartutil.Capabilities
	Lookup       *rest.Config
	// Sources fetches charts, with what it fetched before; nil for a folder of its own.
	Sources *fetch.Backends
	// Find gives a Secret or ConfigMap that is not among the objects, nil for none; it is
	// nil without a cluster.
	Find func(ctx context.Context, kind, namespace, name string) (*unstructured.Unstructured, error)
}

// renderer renders HelmReleases. Their charts are fetched into a folder that goes
// with it.
type renderer struct {
	Releases
	tree  source.Tree
	here  map[kustomizev1.CrossNamespaceSourceReference]bool
	known []*unstructured.Unstructured

	dir      string
	backends *fetch.Backends
	charts   *charts.Cache
}

// chartBytes is how much of charts is kept for releases that share them.
const chartBytes = 64 << 20

// open prepares fetching, for the first release.
func (r *renderer) open() (err error) {
	switch {
	case r.backends != nil:
		return nil
	case r.Sources != nil:
		r.backends, r.charts = r.Sources, charts.New(chartBytes)
		return nil
	}
	if r.dir, err = os.MkdirTemp("", "plumb-charts-"); err != nil {
		return err
	}
	r.charts = charts.New(chartBytes)
	r.backends, err = fetch.Open(r.dir, fetch.Options{Limits: source.DefaultLimits()})
	return err
}

func (r *renderer) close() error {
	if r == nil || r.dir == "" {
		return nil
	}
	return os.RemoveAll(r.dir)
}

// releases renders the HelmReleases among objects, whose charts can be found.
func (r *renderer) releases(ctx context.Context, objs []*unstructured.Unstructured) ([]Unit, error) {
	var out []Unit
	seen := map[string]bool{}
	for _, obj := range objs {
		if obj.GroupVersionKind().GroupKind() != helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind).GroupKind() {
			continue
		}
		hr := &helmv2.HelmRelease{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, hr); err != nil {
			return nil, fmt.Errorf("HelmRelease/%s/%s: %w", obj.GetNamespace(), obj.GetName(), err)
		}
		u := Unit{Kind: helmv2.HelmReleaseKind, Name: hr.Namespace + "/" + hr.Name}
		if seen[u.Name] {
			continue
		}
		seen[u.Name] = true
		u.Err = r.release(ctx, hr, &u)
		if !errors.Is(u.Err, errElsewhere) {
			out = append(out, u)
		}
	}
	return out, nil
}

func (r *renderer) release(ctx context.Context, hr *helmv2.HelmRelease, u *Unit) error {
	if err := r.open(); err != nil {
		return err
	}
	chart, err := r.chart(ctx, hr)
	if err != nil {
		return err
	}
	all, err := r.values(ctx, hr)
	if err != nil {
		return err
	}
	out, err := render.Render(render.Input{
		Chart: chart.Copy(), Values: all, Name: hr.GetReleaseName(), Namespace: hr.GetReleaseNamespace(),
		Capabilities: r.Capabilities, Cluster: r.Lookup, SkipSchema: hr.Spec.Install != nil && hr.Spec.Install.DisableSchemaValidation,
	})
	if err != nil {
		return err
	}
	if post := postrender.New(ctx, hr); post != nil {
		if out.Manifest, out.Hooks, err = post.Apply(out.Manifest, out.Hooks); err != nil {
			return err
		}
	}
	if u.Objects, err = parsed(out.Manifest, hr.GetReleaseNamespace()); err != nil {
		return err
	}
	for _, hook := range out.Hooks {
		objs, err := parsed(hook.Manifest, hr.GetReleaseNamespace())
		if err != nil {
			return err
		}
		u.Hooks = append(u.Hooks, objs...)
	}
	return nil
}

// values are those that the release gets.
func (r *renderer) values(ctx context.Context, hr *helmv2.HelmRelease) (map[string]any, error) {
	var parts []values.Part
	for i, ref := range hr.Spec.ValuesFrom {
		data, err := r.data(ctx, ref.Kind, hr.Namespace, ref.Name)
		if err != nil && ref.Optional {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("spec.valuesFrom[%d]: %w", i, err)
		}
		content, ok := data[ref.GetValuesKey()]
		if !ok && !ref.Optional {
			return nil, fmt.Errorf("spec.valuesFrom[%d]: %s/%s/%s has no key %s", i, ref.Kind, hr.Namespace, ref.Name, ref.GetValuesKey())
		}
		if ok {
			parts = append(parts, values.Part{
				From: ref.Kind + "/" + hr.Namespace + "/" + ref.Name, Key: ref.GetValuesKey(), Path: ref.TargetPath,
				Literal: ref.Literal, Secret: ref.Kind == "Secret", Data: content,
			})
		}
	}
	var inline []byte
	if hr.Spec.Values != nil {
		inline = hr.Spec.Values.Raw
	}
	return values.Merge(parts, inline)
}

// chart fetches and parses the chart of a release.
func (r *renderer) chart(ctx context.Context, hr *helmv2.HelmRelease) (*charts.Chart, error) {
	kind, obj, err := r.chartSource(hr)
	if err != nil {
		return nil, err
	}
	snapshot, err := r.fetch(ctx, kind, obj)
	if err != nil {
		return nil, fmt.Errorf("%s/%s/%s: %w", kind, obj.GetNamespace(), obj.GetName(), err)
	}
	return r.load(snapshot)
}

// chartSource is the source that has the chart of a release: the HelmChart that
// spec.chart stands for, or what spec.chartRef names.
func (r *renderer) chartSource(hr *helmv2.HelmRelease) (kind string, obj fetch.Object, err error) {
	if template := hr.Spec.Chart; template != nil {
		from := template.Spec.SourceRef
		hc := &sourcev1.HelmChart{ObjectMeta: metav1.ObjectMeta{Name: hr.Namespace + "-" + hr.Name, Namespace: cmp.Or(from.Namespace, hr.Namespace)}}
		hc.Spec = template.Spec.HelmChart(hr.Spec.Interval)
		hc.Spec.Version = cmp.Or(hc.Spec.Version, "*") // the default of the API
		return sourcev1.HelmChartKind, hc, nil
	}
	if hr.Spec.ChartRef == nil {
		return "", nil, errors.New("it has neither spec.chart nor spec.chartRef")
	}
	ref := hr.Spec.ChartRef
	obj, err = r.object(ref.Kind, cmp.Or(ref.Namespace, hr.Namespace), ref.Name)
	return ref.Kind, obj, err
}
