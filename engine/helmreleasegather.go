package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	helmchart "helm.sh/helm/v3/pkg/chart"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/dag"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/helmrel/charts"
	helmclient "github.com/plumb-gitops/plumb/helmrel/client"
	"github.com/plumb-gitops/plumb/helmrel/storage"
	"github.com/plumb-gitops/plumb/helmrel/values"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/artifact"
)

// chartBytes is how much of parsed charts stays in memory that nobody uses.
const chartBytes = 32 << 20

// releasePass is what one pass over a HelmRelease learns on its way.
type releasePass struct {
	unit        *releaseUnit
	object      *helmv2.HelmRelease      // as the API server has it
	status      helmv2.HelmReleaseStatus // as it is to be, see saveRelease
	owed        bool                     // actions came to something that only status says
	begun       time.Time
	source      sourceName
	snapshot    source.Snapshot
	chartAt     int64 // generation of the HelmChart that this release's spec made, 0 for a source of others
	chart       *charts.Chart
	values      map[string]any
	wish        helmrel.Wish
	checks      *health.Checks
	connection  *connection
	cluster     *kube.Cluster // under the account that the release acts as
	account     string
	actions     []Action
	manifests   helmclient.Manifests
	leave       func()          // gives its room to another pass
	records     *storage.Driver // of the release at recordsOf, as they are now; nil before they are looked at
	recordsOf   helmrel.Target
	recordsRead time.Time        // when all of them were
	tried       *helmrel.Outcome // of the last step, nil before the first
	told        []helmrel.Event  // what came of the steps
	heard       int              // so many of those are sent
	inventory   []kube.Key       // what the release has on the cluster, nil when that was not looked at
	looked      bool             // for drift
	drift       string           // what was found then, in words
	stalled     string           // why only another input helps
	after       time.Duration    // how long to leave it alone, where a step says so
}

func newReleasePass(u *releaseUnit, hr *helmv2.HelmRelease, now time.Time) *releasePass {
	p := &releasePass{unit: u, object: hr, status: *hr.Status.DeepCopy(), begun: now, recordsRead: now}
	p.status.HelmChart = cmp.Or(p.status.HelmChart, u.chartMade())
	return p
}

func (p *releasePass) objects() int {
	if p.object.Status.Inventory == nil {
		return 0
	}
	return len(p.object.Status.Inventory.Entries)
}

// gatherRelease finds what a release is made from: what it waits for, the chart,
// the values and the way to the cluster. One that is deleted needs only the last.
func (e *Engine) gatherRelease(ctx context.Context, p *releasePass) error {
	r := e.reader(releaseInputs(p.unit.name))
	if err := e.aimRelease(ctx, p, r); err != nil {
		return err
	}
	if p.object.DeletionTimestamp != nil {
		p.wish = helmrel.NewWish(p.object, helmrel.Chart{}, "")
		return nil
	}
	if err := e.allowedRelease(p); err != nil {
		return err
	}
	as := &kustomizev1.Kustomization{ObjectMeta: p.object.ObjectMeta} // the rules are those of a Kustomization
	as.Spec.KubeConfig, as.Spec.ServiceAccountName = p.object.Spec.KubeConfig, p.object.Spec.ServiceAccountName
	if err := e.applier(ctx, r, as); err != nil {
		return waitFor(meta.FailedReason, err)
	}
	if err := e.releaseBlocked(p); err != nil {
		return err
	}
	if err := e.releaseChart(ctx, p); err != nil {
		return err
	}
	if err := e.releaseValues(ctx, p, r); err != nil {
		return err
	}
	if err := r.done(); err != nil {
		return fail(helmv2.ValuesErrorReason, Retry, err)
	}
	var err error
	if p.checks, err = health.Compile(expressions(p.object.Spec.HealthCheckExprs)); err != nil {
		return fail(helmv2.HealthCheckFailedReason, Stall, prefixed("spec.", err))
	}
	return nil
}

// allowedRelease refuses references to other namespaces where tenancy forbids them.
func (e *Engine) allowedRelease(p *releasePass) error {
	own := p.object.Namespace
	_, chart := p.object.GetChart()
	errs := []error{e.refused("spec.chart", own, chart.Namespace)}
	for i, d := range p.object.Spec.DependsOn {
		errs = append(errs, e.refused(fmt.Sprintf("spec.dependsOn[%d]", i), own, d.Namespace))
	}
	if err := errors.Join(errs...); err != nil {
		return fail(kustomizev1.AccessDeniedReason, Stall, err)
	}
	return nil
}

// aimRelease finds the way to the cluster.
func (e *Engine) aimRelease(ctx context.Context, p *releasePass, r *reader) error {
	as := &pass{reader: r, object: &kustomizev1.Kustomization{ObjectMeta: p.object.ObjectMeta}} // the rules are those of a Kustomization
	as.object.Spec.KubeConfig, as.object.Spec.ServiceAccountName = p.object.Spec.KubeConfig, p.object.Spec.ServiceAccountName
	id, connect, err := e.kubeconfig(ctx, as)
	if err != nil {
		return waitFor(meta.FailedReason, fmt.Errorf("spec.kubeConfig: %w", err))
	}
	if p.connection, err = e.connections.use(releaseUser(p.unit.name), id, connect); err != nil {
		return fail(meta.FailedReason, Retry, fmt.Errorf("spec.kubeConfig: %w", err))
	}
	p.account = e.account(as.object)
	if p.cluster, err = p.connection.identity(p.account); err != nil {
		return fail(meta.FailedReason, Retry, err)
	}
	return nil
}

// releaseBlocked tells what comes first.
func (e *Engine) releaseBlocked(p *releasePass) error {
	if cycle := e.releases.graph.Cycle(p.unit.name); cycle != nil {
		return fail(helmv2.DependencyNotReadyReason, Stall, fmt.Errorf("dependency cycle: %s", dag.Format(cycle)))
	}
	as := &kustomizev1.Kustomization{ObjectMeta: p.object.ObjectMeta}
	as.Spec.DependsOn = p.object.Spec.DependsOn
	expressions, err := readiness(as)
	if err != nil {
		return fail(helmv2.DependencyNotReadyReason, Stall, err)
	}
	waiting := e.releases.graph.Blocked(p.unit.name, func(name types.NamespacedName) bool {
		ready := e.releaseReady(name)
		if expression := expressions[name]; expression != nil {
			by, err := e.releaseReadyBy(expression, p.object, name)
			return by && err == nil && (ready || !e.AdditiveReadyExpr)
		}
		return ready
	})
	if len(waiting) == 0 {
		return nil
	}
	texts, on := make([]string, len(waiting)), make([]string, len(waiting))
	for i, name := range waiting {
		on[i] = helmv2.HelmReleaseKind + "/" + name.String()
		texts[i] = fmt.Sprintf("dependency '%s' is not ready", name)
		if !e.releaseExists(name) {
			texts[i] = fmt.Sprintf("dependency '%s' not found", name)
		}
	}
	return &Failure{Reason: helmv2.DependencyNotReadyReason, Next: Wait, On: on, Err: errors.New(strings.Join(texts, ", "))}
}

func (e *Engine) releaseReady(name types.NamespacedName) bool {
	u := e.releases.get(name)
	if u == nil {
		return false
	}
	hr := u.state()
	return hr != nil && !u.acts() && hr.Status.ObservedGeneration == hr.Generation && apimeta.IsStatusConditionTrue(hr.Status.Conditions, meta.ReadyCondition)
}

func (e *Engine) releaseReadyBy(expression *health.Readiness, self *helmv2.HelmRelease, name types.NamespacedName) (bool, error) {
	u := e.releases.get(name)
	if u == nil || u.state() == nil {
		return false, nil
	}
	return expression.Ready(fieldsOf(self), fieldsOf(u.state()))
}

func (e *Engine) releaseExists(name types.NamespacedName) bool {
	u := e.releases.get(name)
	return u != nil && u.state() != nil && u.state().DeletionTimestamp == nil
}

// releaseChart finds the chart: the snapshot of the source that the spec names, or
// of the HelmChart that is made for it.
func (e *Engine) releaseChart(ctx context.Context, p *releasePass) error {
	if err := e.ensureChart(ctx, p); err != nil {
		return fail(helmv2.ArtifactFailedReason, Retry, err)
	}
	kind, name := p.object.GetChart()
	p.source = sourceName{Kind: kind, NamespacedName: name}
	found, ok := e.snapshots.get(p.source)
	old := ok && e.snapshots.generation(p.source) < p.chartAt
	if !ok || old {
		text := fmt.Errorf("source '%s' not found", p.source)
		switch {
		case old:
			text = fmt.Errorf("source '%s' has no artifact of its present spec yet", p.source)
		case e.snapshots.known(p.source):
			text = fmt.Errorf("source '%s' has no artifact yet", p.source)
			e.lacking(p.source)
		}
		return &Failure{Reason: helmv2.ArtifactFailedReason, Next: Wait, On: []string{p.source.String()}, Err: text}
	}
	p.snapshot = found
	packed, err := artifact.New(e.Sources.Store).Pack(ctx, found)
	if err != nil {
		return fail(helmv2.ArtifactFailedReason, Retry, err)
	}
	if p.chart, err = e.charts.Load(packed.Hash, func() (io.ReadCloser, error) { return e.Sources.Store.Open(packed.Hash) }); err != nil {
		return fail(helmv2.ArtifactFailedReason, Stall, fmt.Errorf("source '%s': %w", p.source, err))
	}
	return nil
}

// chartOf is the chart as records name it: one out of a registry has a part of its
// digest in its version, so that the same version with other content is another.
func (p *releasePass) chartOf() helmrel.Chart {
	m := p.chart.Metadata()
	c := helmrel.Chart{Name: m.Name, Version: m.Version, AppVersion: m.AppVersion}
	if p.source.Kind == sourcev1.OCIRepositoryKind {
		if _, digest, ok := strings.Cut(p.snapshot.Revision, "@"); ok {
			c.Digest = digest
			if _, hex, ok := strings.Cut(digest, ":"); ok && len(hex) >= 12 {
				c.Version += "+" + hex[:12]
			}
		}
	}
	return c
}

// copyOfChart is the SDK's own copy, under the version that records name.
func (p *releasePass) copyOfChart() *helmchart.Chart {
	ch := p.chart.Copy()
	m := *ch.Metadata
	m.Version = p.wish.Chart.Version
	ch.Metadata = &m
	return ch
}

// releaseValues puts the values together.
func (e *Engine) releaseValues(ctx context.Context, p *releasePass, r *reader) error {
	var parts []values.Part
	for i, ref := range p.object.Spec.ValuesFrom {
		from := coreKey(ref.Kind, p.object.Namespace, ref.Name)
		data, err := r.data(ctx, ref.Kind, p.object.Namespace, ref.Name)
		if absent := new(missing); ref.Optional && errors.As(err, &absent) {
			continue
		}
		if err != nil {
			return waitFor(helmv2.ValuesErrorReason, fmt.Errorf("spec.valuesFrom[%d]: %w", i, err))
		}
		content, ok := data[ref.GetValuesKey()]
		if !ok && ref.Optional {
			continue
		}
		if !ok {
			return &Failure{Reason: helmv2.ValuesErrorReason, Next: Wait, On: []string{from.String()},
				Err: fmt.Errorf("spec.valuesFrom[%d]: %s has no key %s", i, from, ref.GetValuesKey())}
		}
		parts = append(parts, values.Part{From: from.String(), Key: ref.GetValuesKey(), Path: ref.TargetPath, Literal: ref.Literal, Secret: ref.Kind == secretKind, Data: content})
	}
	var inline []byte
	if p.object.Spec.Values != nil {
		inline = bytes.TrimSpace(p.object.Spec.Values.Raw)
	}
	merged, err := values.Merge(parts, inline)
	if err != nil {
		return fail(helmv2.ValuesErrorReason, Stall, err)
	}
	p.values = merged
	p.wish = helmrel.NewWish(p.object, p.chartOf(), values.Digest(merged))
	p.wish.Spec.DriftDetection = p.unit.detection(p.object)
	return nil
}
