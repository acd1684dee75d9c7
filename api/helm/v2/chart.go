package v2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

// HelmChartTemplate is the HelmChart that is made for the release.
type HelmChartTemplate struct {
	// Metadata of the HelmChart.
	// +optional
	Metadata *HelmChartTemplateMetadata `json:"metadata,omitempty"`
	// Spec of the HelmChart.
	// +required
	Spec HelmChartTemplateSpec `json:"spec"`
}

// HelmChartTemplateMetadata is added to the HelmChart.
type HelmChartTemplateMetadata struct {
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// HelmChartTemplateSpec says which chart to take from which source.
type HelmChartTemplateSpec struct {
	// Chart is the name of the chart in a HelmRepository, or the path of its folder
	// in another source.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +required
	Chart string `json:"chart"`
	// Version of the chart in a HelmRepository, exact or a range; the highest that
	// is in it is taken.
	// +kubebuilder:default:=*
	// +optional
	Version string `json:"version,omitempty"`
	// SourceRef names the source of the chart.
	// +required
	SourceRef CrossNamespaceObjectReference `json:"sourceRef"`
	// Interval at which the source is looked at for another version; spec.interval
	// when it is not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	Interval *metav1.Duration `json:"interval,omitempty"`
	// ReconcileStrategy tells what makes another chart: another version, or each
	// revision of the source as well.
	// +kubebuilder:validation:Enum=ChartVersion;Revision
	// +kubebuilder:default:=ChartVersion
	// +optional
	ReconcileStrategy string `json:"reconcileStrategy,omitempty"`
	// ValuesFiles are merged in this order and take the place of the chart's
	// values.yaml.
	// +optional
	ValuesFiles []string `json:"valuesFiles,omitempty"`
	// ValuesFile is of v2beta1 and v2beta2. It comes before ValuesFiles.
	// +optional
	ValuesFile string `json:"valuesFile,omitempty"`
	// IgnoreMissingValuesFiles leaves out values files that are not there.
	// +optional
	IgnoreMissingValuesFiles bool `json:"ignoreMissingValuesFiles,omitempty"`
	// Verify says who has to have signed a chart from a registry.
	// +optional
	Verify *HelmChartTemplateVerification `json:"verify,omitempty"`
}

// HelmChartTemplateVerification says who has to have signed a chart.
type HelmChartTemplateVerification struct {
	// Provider of the signatures.
	// +kubebuilder:validation:Enum=cosign;notation
	// +kubebuilder:default:=cosign
	// +required
	Provider string `json:"provider"`
	// SecretRef names the Secret with trusted public keys or certificates. Without it
	// cosign's keyless signatures are asked for.
	// +optional
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`
}

// CrossNamespaceObjectReference names the source of a chart.
type CrossNamespaceObjectReference struct {
	// APIVersion of the source.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind of the source.
	// +kubebuilder:validation:Enum=HelmRepository;GitRepository;Bucket
	// +required
	Kind string `json:"kind"`
	// Name of the source.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// Namespace of the source; the same when empty.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// CrossNamespaceSourceReference names a source that has a chart for an artifact.
type CrossNamespaceSourceReference struct {
	// APIVersion of the source.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind of the source.
	// +kubebuilder:validation:Enum=OCIRepository;HelmChart;ExternalArtifact
	// +required
	Kind string `json:"kind"`
	// Name of the source.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// Namespace of the source; the same when empty.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// HelmChart is what the template stands for, with the interval of the release for
// want of its own.
func (s HelmChartTemplateSpec) HelmChart(interval metav1.Duration) sourcev1.HelmChartSpec {
	if s.Interval != nil {
		interval = *s.Interval
	}
	chart := sourcev1.HelmChartSpec{
		Chart:   s.Chart,
		Version: s.Version,
		SourceRef: sourcev1.LocalHelmChartSourceReference{
			APIVersion: s.SourceRef.APIVersion,
			Kind:       s.SourceRef.Kind,
			Name:       s.SourceRef.Name,
		},
		Interval:                 interval,
		ReconcileStrategy:        s.ReconcileStrategy,
		ValuesFiles:              s.ValuesFiles,
		ValuesFile:               s.ValuesFile,
		IgnoreMissingValuesFiles: s.IgnoreMissingValuesFiles,
	}
	if s.Verify != nil {
		chart.Verify = &sourcev1.OCIRepositoryVerification{Provider: s.Verify.Provider, SecretRef: s.Verify.SecretRef}
	}
	return chart
}
