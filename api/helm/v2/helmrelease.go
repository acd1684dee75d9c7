package v2

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
)

// HelmReleaseSpec says which chart to release with which values.
// +kubebuilder:validation:XValidation:rule="(has(self.chart) && !has(self.chartRef)) || (!has(self.chart) && has(self.chartRef))",message="set either chart or chartRef"
type HelmReleaseSpec struct {
	// Chart describes the HelmChart to take.
	// +optional
	Chart *HelmChartTemplate `json:"chart,omitempty"`
	// ChartRef names a source that has the chart.
	// +optional
	ChartRef *CrossNamespaceSourceReference `json:"chartRef,omitempty"`
	// Interval is the slow safety net: what changes, in the chart, the values or on
	// the cluster, is acted on at once.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +required
	Interval metav1.Duration `json:"interval"`
	// KubeConfig of another cluster to release to.
	// +optional
	KubeConfig *kustomizev1.KubeConfigReference `json:"kubeConfig,omitempty"`
	// Suspend stops everything for this release; what is released stays.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// ReleaseName in Helm's records; the name, with the target namespace before it,
	// when it is not set.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=53
	// +optional
	ReleaseName string `json:"releaseName,omitempty"`
	// TargetNamespace of the release; the same when empty.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	TargetNamespace string `json:"targetNamespace,omitempty"`
	// StorageNamespace of Helm's records; the same when empty.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	StorageNamespace string `json:"storageNamespace,omitempty"`
	// DependsOn lists HelmReleases that have to be ready first.
	// +optional
	DependsOn []kustomizev1.DependencyReference `json:"dependsOn,omitempty"`
	// Timeout of each operation of an action, such as a hook; 5m when it is not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// MaxHistory is how many records of the release are kept; 5 when it is not set,
	// all when it is 0.
	// +optional
	MaxHistory *int `json:"maxHistory,omitempty"`
	// ServiceAccountName to act as.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// PersistentClient has no effect: there is one client for all actions.
	// +optional
	PersistentClient *bool `json:"persistentClient,omitempty"`
	// DriftDetection tells what to do about what others change.
	// +optional
	DriftDetection *DriftDetection `json:"driftDetection,omitempty"`
	// Install tells how to install.
	// +optional
	Install *Install `json:"install,omitempty"`
	// Upgrade tells how to upgrade.
	// +optional
	Upgrade *Upgrade `json:"upgrade,omitempty"`
	// Test tells whether and how to run the tests of the chart.
	// +optional
	Test *Test `json:"test,omitempty"`
	// Rollback tells how to roll back.
	// +optional
	Rollback *Rollback `json:"rollback,omitempty"`
	// Uninstall tells how to uninstall.
	// +optional
	Uninstall *Uninstall `json:"uninstall,omitempty"`
	// ValuesFrom lists ConfigMaps and Secrets with values.
	// +optional
	ValuesFrom []ValuesReference `json:"valuesFrom,omitempty"`
	// Values go over those of ValuesFrom.
	// +optional
	Values *apiextensionsv1.JSON `json:"values,omitempty"`
	// CommonMetadata is added to every object.
	// +optional
	CommonMetadata *kustomizev1.CommonMetadata `json:"commonMetadata,omitempty"`
	// PostRenderers change what the chart renders, in this order.
	// +optional
	PostRenderers []PostRenderer `json:"postRenderers,omitempty"`
	// PostRenderStrategy tells how hooks go through the post renderers: combined (the
	// default) with everything else, separate from it, or nohooks: not at all.
	// +kubebuilder:validation:Enum=nohooks;combined;separate
	// +optional
	PostRenderStrategy string `json:"postRenderStrategy,omitempty"`
	// WaitStrategy tells how readiness is judged.
	// +optional
	WaitStrategy *WaitStrategy `json:"waitStrategy,omitempty"`
	// HealthCheckExprs tell how healthy looks for kinds that don't say.
	// +optional
	HealthCheckExprs []kustomizev1.CustomHealthCheck `json:"healthCheckExprs,omitempty"`
}

// DriftDetection tells what to do about what others change.
type DriftDetection struct {
	// Mode: enabled puts it back, warn only reports it, disabled does not look.
	// +kubebuilder:validation:Enum=enabled;warn;disabled
	// +optional
	Mode string `json:"mode,omitempty"`
	// Ignore lists fields that are left alone.
	// +optional
	Ignore []kustomizev1.IgnoreRule `json:"ignore,omitempty"`
}

// ValuesReference names an object with values.
type ValuesReference struct {
	// Kind of the object.
	// +kubebuilder:validation:Enum=Secret;ConfigMap
	// +required
	Kind string `json:"kind"`
	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// ValuesKey is the key with the values; values.yaml when it is not set.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[\-._a-zA-Z0-9]+$`
	// +optional
	ValuesKey string `json:"valuesKey,omitempty"`
	// TargetPath is the one value to set, in the form of helm --set. It goes over
	// everything else.
	// +kubebuilder:validation:MaxLength=250
	// +kubebuilder:validation:Pattern=`^([a-zA-Z0-9_\-.\\\/]|\[[0-9]{1,5}\])+$`
	// +optional
	TargetPath string `json:"targetPath,omitempty"`
	// Optional tolerates that there is no such object.
	// +optional
	Optional bool `json:"optional,omitempty"`
	// Literal sets the value at TargetPath as it is, as helm --set-literal does.
	// +optional
	Literal bool `json:"literal,omitempty"`
}

// PostRenderer changes what the chart renders.
type PostRenderer struct {
	// Kustomize changes it with patches and images.
	// +optional
	Kustomize *Kustomize `json:"kustomize,omitempty"`
}

// Kustomize changes objects with patches and images.
type Kustomize struct {
	// Patches, strategic merge or JSON.
	// +optional
	Patches []kustomizev1.Patch `json:"patches,omitempty"`
	// PatchesStrategicMerge are patches as v2beta1 and v2beta2 have them. They come
	// before Patches.
	// +optional
	PatchesStrategicMerge []apiextensionsv1.JSON `json:"patchesStrategicMerge,omitempty"`
	// PatchesJSON6902 are patches as v2beta1 and v2beta2 have them. They come before
	// Patches.
	// +optional
	PatchesJSON6902 []kustomizev1.JSON6902Patch `json:"patchesJson6902,omitempty"`
	// Images to replace.
	// +optional
	Images []kustomizev1.Image `json:"images,omitempty"`
}

// WaitStrategy tells how readiness is judged.
type WaitStrategy struct {
	// Name: poller judges as Kustomizations do, legacy as Helm 3 does.
	// +kubebuilder:validation:Enum=poller;legacy
	// +required
	Name string `json:"name"`
}

// HelmRelease is a chart to release.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=hr,categories={all,fluxcd,fluxcd-appliers}
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description=""
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status",description=""
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].message",description=""
type HelmRelease struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec HelmReleaseSpec `json:"spec,omitempty"`
	// +kubebuilder:default={"observedGeneration":-1}
	// +optional
	Status HelmReleaseStatus `json:"status,omitempty"`
}

// HelmReleaseList is a list of HelmReleases.
//
// +kubebuilder:object:root=true
type HelmReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HelmRelease `json:"items"`
}
