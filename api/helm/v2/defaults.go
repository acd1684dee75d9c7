package v2

import (
	"crypto/sha256"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

const (
	defaultTimeout    = 5 * time.Minute
	defaultMaxHistory = 5
	longestName       = 53 // of a release, as Helm takes it
	shortHash         = 12
)

// GetTimeout is how long each operation of an action may take, where the action
// has no timeout of its own.
func (r *HelmRelease) GetTimeout() time.Duration { return orDuration(r.Spec.Timeout, defaultTimeout) }

func orDuration(d *metav1.Duration, fallback time.Duration) time.Duration {
	if d == nil {
		return fallback
	}
	return d.Duration
}

// GetMaxHistory is how many records of the release are kept, 0 for all.
func (r *HelmRelease) GetMaxHistory() int {
	if r.Spec.MaxHistory == nil {
		return defaultMaxHistory
	}
	return *r.Spec.MaxHistory
}

// GetReleaseNamespace is the namespace of the release.
func (r *HelmRelease) GetReleaseNamespace() string {
	return orDefault(r.Spec.TargetNamespace, r.Namespace)
}

// GetStorageNamespace is the namespace of Helm's records.
func (r *HelmRelease) GetStorageNamespace() string {
	return orDefault(r.Spec.StorageNamespace, r.Namespace)
}

// GetReleaseName is the name in Helm's records. One that is put together and too
// long is cut, with a part of its hash instead, as the toolkit does.
func (r *HelmRelease) GetReleaseName() string {
	if r.Spec.ReleaseName != "" {
		return r.Spec.ReleaseName
	}
	name := r.Name
	if r.Spec.TargetNamespace != "" {
		name = r.Spec.TargetNamespace + "-" + name
	}
	if len(name) <= longestName {
		return name
	}
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:shortHash]
	return name[:longestName-shortHash-1] + "-" + hash
}

// GetChart names the source that has the chart: the one of spec.chartRef, or the
// HelmChart that is made for spec.chart, in the namespace of its source. Both
// results are empty when neither is set.
func (r *HelmRelease) GetChart() (kind string, name types.NamespacedName) {
	switch ref := r.Spec.ChartRef; {
	case ref != nil:
		return ref.Kind, types.NamespacedName{Namespace: orDefault(ref.Namespace, r.Namespace), Name: ref.Name}
	case r.Spec.Chart != nil:
		namespace := orDefault(r.Spec.Chart.Spec.SourceRef.Namespace, r.Namespace)
		return sourcev1.HelmChartKind, types.NamespacedName{Namespace: namespace, Name: r.Namespace + "-" + r.Name}
	}
	return "", types.NamespacedName{}
}

// GetDependsOn names the releases that have to be ready first.
func (r *HelmRelease) GetDependsOn() []types.NamespacedName {
	names := make([]types.NamespacedName, 0, len(r.Spec.DependsOn))
	for _, d := range r.Spec.DependsOn {
		names = append(names, types.NamespacedName{Namespace: orDefault(d.Namespace, r.Namespace), Name: d.Name})
	}
	return names
}

// GetConditions points to the conditions, to read and to change them.
func (r *HelmRelease) GetConditions() *[]metav1.Condition { return &r.Status.Conditions }

// GetValuesKey is the key with the values.
func (v ValuesReference) GetValuesKey() string { return orDefault(v.ValuesKey, "values.yaml") }

// ForceRequested tells whether an annotation asks for a release though nothing
// changed, which was not handled yet.
func (r *HelmRelease) ForceRequested() bool {
	return r.requested(ForceRequestAnnotation, r.Status.LastHandledForceAt)
}

// ResetRequested tells whether an annotation asks to forget the failures, which
// was not handled yet.
func (r *HelmRelease) ResetRequested() bool {
	return r.requested(ResetRequestAnnotation, r.Status.LastHandledResetAt)
}

func (r *HelmRelease) requested(annotation, handled string) bool {
	at := r.Annotations[annotation]
	return at != "" && at != handled && at == r.Annotations[meta.ReconcileRequestAnnotation]
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
