package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/chart"
	"github.com/plumb-gitops/plumb/source/helmrepo"
)

// helmCharts are HelmCharts.
type helmCharts struct{ builder *chart.Builder }

// GVK implements Kind.
func (helmCharts) GVK() schema.GroupVersionKind {
	return sourcev1.GroupVersion.WithKind(sourcev1.HelmChartKind)
}

// New implements Kind.
func (helmCharts) New() Object { return &sourcev1.HelmChart{} }

// Failure implements Kind.
func (helmCharts) Failure() string { return sourcev1.ChartPullErrorReason }

// Fetch implements Kind.
func (k helmCharts) Fetch(ctx context.Context, c Cluster, obj Object, last source.Snapshot) (source.Snapshot, error) {
	hc, _ := obj.(*sourcev1.HelmChart)
	spec, from, err := chartSpec(ctx, c, hc)
	if err != nil {
		return source.Snapshot{}, err
	}
	found, _, err := k.builder.Fetch(ctx, spec, last.Revision)
	if err != nil {
		return source.Snapshot{}, chartError(err)
	}
	note(hc, found, from)
	return found.Snapshot, nil
}

// note keeps in the status what Succeeded says of the chart.
func note(hc *sourcev1.HelmChart, found chart.Chart, from string) {
	hc.Status.ObservedChartName, hc.Status.ObservedSourceArtifactRevision = found.Name, from
	hc.Status.ObservedValuesFiles = nil
	if hc.Spec.IgnoreMissingValuesFiles {
		hc.Status.ObservedValuesFiles = found.ValuesFiles
	}
}

// Open implements Kind.
func (k helmCharts) Open(_ context.Context, _ Cluster, obj Object) (source.Snapshot, error) {
	hc, _ := obj.(*sourcev1.HelmChart)
	found, err := k.builder.Open(hc.Status.Artifact.Revision, hc.Status.Artifact.Digest)
	return found.Snapshot, err
}

// Succeeded implements Kind.
func (k helmCharts) Succeeded(obj Object, s source.Snapshot) (reason, message string) {
	hc, _ := obj.(*sourcev1.HelmChart)
	hc.Status.URL = latest(hc.Status.Artifact)
	found, err := k.builder.Open(s.Revision, s.Digest)
	if err == nil && found.Packaged {
		return sourcev1.ChartPackageSucceededReason, fmt.Sprintf("packaged '%s' chart with version '%s'", hc.Status.ObservedChartName, s.Revision)
	}
	return sourcev1.ChartPullSucceededReason, fmt.Sprintf("pulled '%s' chart with version '%s'", hc.Status.ObservedChartName, s.Revision)
}

// chartError gives an error the reason that the toolkit has for it.
func chartError(err error) error {
	switch {
	case errors.As(err, new(*source.VerifyError)):
		return failed(sourcev1.ChartVerificationErrorReason, err)
	case errors.As(err, new(*source.NotFoundError)), Final(err):
		return failed(sourcev1.InvalidChartReferenceReason, err)
	}
	return err
}

// chartSpec is what a HelmChart means, and the revision of the source that it is
// taken from, "" for a registry.
func chartSpec(ctx context.Context, c Cluster, hc *sourcev1.HelmChart) (spec chart.Spec, from string, err error) {
	spec = chart.Spec{
		Owner: string(hc.UID), Generation: hc.Generation, Chart: hc.Spec.Chart, Version: hc.Spec.Version,
		ValuesFiles: hc.Spec.GetValuesFiles(), IgnoreMissingValuesFiles: hc.Spec.IgnoreMissingValuesFiles, ReconcileStrategy: hc.Spec.ReconcileStrategy,
	}
	ref := hc.Spec.SourceRef
	obj, snapshot, err := c.Source(ctx, ref.Kind, ref.Name)
	if err != nil {
		return spec, "", failed(sourcev1.SourceUnavailableReason, err)
	}
	repo, isRepository := obj.(*sourcev1.HelmRepository)
	if !isRepository || !repo.Spec.IsOCI() {
		if snapshot.Tree == nil {
			return spec, "", &Error{Reason: sourcev1.NoSourceArtifactReason, On: ref.Kind + "/" + hc.Namespace + "/" + ref.Name,
				Err: fmt.Errorf("source '%s/%s/%s' has no artifact yet", ref.Kind, hc.Namespace, ref.Name)}
		}
	}
	if !isRepository {
		spec.Source, spec.Dependencies = &snapshot, dependencies(c)
		return spec, snapshot.Revision, nil
	}
	at, err := helmSpec(ctx, c, repo)
	if err != nil {
		return spec, "", err
	}
	if at.Verify, err = verification(ctx, c, hc.Spec.Verify); err != nil {
		return spec, "", err
	}
	if hc.Spec.Verify != nil && !repo.Spec.IsOCI() {
		return spec, "", &source.InvalidError{Err: errors.New("spec.verify is for charts in registries: for an index, set keyringSecretRef in the HelmRepository")}
	}
	spec.Repository = &at
	return spec, snapshot.Revision, nil
}

// dependencies gets into a repository with the credentials of the HelmRepository
// of that address, where the namespace has one.
func dependencies(c Cluster) func(context.Context, string) (helmrepo.Spec, error) {
	return func(ctx context.Context, address string) (helmrepo.Spec, error) {
		repos, err := c.HelmRepositories(ctx)
		if err != nil {
			return helmrepo.Spec{}, err
		}
		for _, repo := range repos {
			if strings.TrimSuffix(repo.Spec.URL, "/") != strings.TrimSuffix(address, "/") {
				continue
			}
			spec, err := helmSpec(ctx, c, repo)
			if err != nil {
				return helmrepo.Spec{}, fmt.Errorf("HelmRepository/%s/%s: %w", repo.Namespace, repo.Name, err)
			}
			return spec, nil
		}
		return helmrepo.Spec{URL: address}, nil
	}
}
