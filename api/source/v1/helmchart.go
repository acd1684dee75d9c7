package v1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
)

// HelmChartKind is the kind's name.
const HelmChartKind = "HelmChart"

// HelmChartSpec says which chart to take from which source.
// +kubebuilder:validation:XValidation:rule="!has(self.verify) || self.sourceRef.kind == 'HelmRepository'",message="verify is for charts from a HelmRepository"
type HelmChartSpec struct {
	// Chart is the name of the chart in a HelmRepository, or the path of its folder
	// in another source.
	// +required
	Chart string `json:"chart"`
	// Version of the chart in a HelmRepository, exact or a range; the highest that
	// is in it is taken.
	// +kubebuilder:default:=*
	// +optional
	Version string `json:"version,omitempty"`
	// SourceRef names the source of the chart.
	// +required
	SourceRef LocalHelmChartSourceReference `json:"sourceRef"`
	// Interval at which the source is looked at for another version.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +required
	Interval metav1.Duration `json:"interval"`
	// ReconcileStrategy tells what makes another chart: another version, or each
	// revision of the source as well.
	// +kubebuilder:validation:Enum=ChartVersion;Revision
	// +kubebuilder:default:=ChartVersion
	// +optional
	ReconcileStrategy string `json:"reconcileStrategy,omitempty"`
	// ValuesFiles are merged in this order and take the place of the chart's
	// values.yaml. They are relative to the chart in a HelmRepository, else to the
	// root of the source.
	// +optional
	ValuesFiles []string `json:"valuesFiles,omitempty"`
	// ValuesFile is of v1beta1 and v1beta2. It comes before ValuesFiles.
	// +optional
	ValuesFile string `json:"valuesFile,omitempty"`
	// IgnoreMissingValuesFiles leaves out values files that are not there.
	// +optional
	IgnoreMissingValuesFiles bool `json:"ignoreMissingValuesFiles,omitempty"`
	// Suspend stops looking for another chart; what was fetched stays in use.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// Verify says who has to have signed a chart from a registry.
	// +optional
	Verify *OCIRepositoryVerification `json:"verify,omitempty"`
	// AccessFrom is of v1beta1 and v1beta2, where it never had an effect.
	// +optional
	AccessFrom *meta.AccessFrom `json:"accessFrom,omitempty"`
}

// LocalHelmChartSourceReference names a source in the same namespace.
type LocalHelmChartSourceReference struct {
	// APIVersion of the source.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind of the source.
	// +kubebuilder:validation:Enum=HelmRepository;GitRepository;Bucket
	// +required
	Kind string `json:"kind"`
	// Name of the source.
	// +required
	Name string `json:"name"`
}

// HelmChartStatus is what was found.
type HelmChartStatus struct {
	// ObservedGeneration is the generation of the spec that this is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions of the chart.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Artifact in use.
	// +optional
	Artifact *meta.Artifact `json:"artifact,omitempty"`
	// ObservedSourceArtifactRevision is the revision of the source from which the
	// chart was taken.
	// +optional
	ObservedSourceArtifactRevision string `json:"observedSourceArtifactRevision,omitempty"`
	// ObservedChartName is the chart's name in its Chart.yaml.
	// +optional
	ObservedChartName string `json:"observedChartName,omitempty"`
	// ObservedValuesFiles are those that were there, where others may be missing.
	// +optional
	ObservedValuesFiles []string `json:"observedValuesFiles,omitempty"`
	// URL at which the artifact server offers the latest artifact.
	// +optional
	URL string `json:"url,omitempty"`
	// LastHandledReconcileAt is the last requestedAt that was handled.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// HelmChart is a Helm chart to take from a source.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=hc,categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:printcolumn:name="Chart",type=string,JSONPath=`.spec.chart`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.spec.version`
// +kubebuilder:printcolumn:name="Source Kind",type=string,JSONPath=`.spec.sourceRef.kind`
// +kubebuilder:printcolumn:name="Source Name",type=string,JSONPath=`.spec.sourceRef.name`
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description=""
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status",description=""
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].message",description=""
type HelmChart struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec HelmChartSpec `json:"spec,omitempty"`
	// +kubebuilder:default={"observedGeneration":-1}
	// +optional
	Status HelmChartStatus `json:"status,omitempty"`
}

// HelmChartList is a list of charts.
//
// +kubebuilder:object:root=true
type HelmChartList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HelmChart `json:"items"`
}

func (c *HelmChart) GetInterval() time.Duration { return c.Spec.Interval.Duration }

// GetTimeout is the default: a HelmRepository has a timeout of its own, which
// counts instead.
func (c *HelmChart) GetTimeout() time.Duration { return time.Minute }

func (c *HelmChart) IsSuspended() bool { return c.Spec.Suspend }

func (c *HelmChart) GetServiceAccountName() string { return "" }

func (c *HelmChart) GetSecretNames() []string {
	return referenced(c.Spec.Verify.secrets()...)
}

func (c *HelmChart) GetArtifact() *meta.Artifact { return c.Status.Artifact }

func (c *HelmChart) SetArtifact(a *meta.Artifact) { c.Status.Artifact = a }

func (c *HelmChart) GetConditions() *[]metav1.Condition { return &c.Status.Conditions }

func (c *HelmChart) GetObservedGeneration() int64 { return c.Status.ObservedGeneration }

func (c *HelmChart) SetObservedGeneration(generation int64) { c.Status.ObservedGeneration = generation }

func (c *HelmChart) GetLastHandledReconcileAt() string { return c.Status.LastHandledReconcileAt }

func (c *HelmChart) SetLastHandledReconcileAt(at string) { c.Status.LastHandledReconcileAt = at }

// GetValuesFiles are the values files in the order in which they are merged.
func (s HelmChartSpec) GetValuesFiles() []string {
	if s.ValuesFile == "" {
		return s.ValuesFiles
	}
	return append([]string{s.ValuesFile}, s.ValuesFiles...)
}
