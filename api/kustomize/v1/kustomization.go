package v1

import (
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// KustomizationSpec says what to build from which source, and how to apply it.
type KustomizationSpec struct {
	// CommonMetadata is added to every object.
	// +optional
	CommonMetadata *CommonMetadata `json:"commonMetadata,omitempty"`
	// DependsOn lists Kustomizations that have to be ready first.
	// +optional
	DependsOn []DependencyReference `json:"dependsOn,omitempty"`
	// Decryption of Secrets.
	// +optional
	Decryption *Decryption `json:"decryption,omitempty"`
	// Interval is the default of timeout and retryInterval. Nothing happens at
	// it: what changes, in the source or on the cluster, is acted on at once.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +required
	Interval metav1.Duration `json:"interval"`
	// RetryInterval is the longest time between two attempts after a failure;
	// the interval when it is not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	RetryInterval *metav1.Duration `json:"retryInterval,omitempty"`
	// KubeConfig of another cluster to apply to.
	// +optional
	KubeConfig *KubeConfigReference `json:"kubeConfig,omitempty"`
	// Path of the folder with the kustomization.yaml, or with plain manifests.
	// +optional
	Path string `json:"path,omitempty"`
	// PostBuild substitutes variables.
	// +optional
	PostBuild *PostBuild `json:"postBuild,omitempty"`
	// Prune deletes what left the source.
	// +required
	Prune bool `json:"prune"`
	// DeletionPolicy tells what becomes of the objects when the Kustomization
	// is deleted: MirrorPrune (the default) does as spec.prune says.
	// +kubebuilder:validation:Enum=MirrorPrune;Delete;WaitForTermination;Orphan
	// +optional
	DeletionPolicy string `json:"deletionPolicy,omitempty"`
	// HealthChecks lists objects that have to be healthy.
	// +optional
	HealthChecks []NamespacedObjectKindReference `json:"healthChecks,omitempty"`
	// HealthCheckExprs tell how healthy looks for kinds that don't say.
	// +optional
	HealthCheckExprs []CustomHealthCheck `json:"healthCheckExprs,omitempty"`
	// Ignore lists fields that are left alone.
	// +optional
	Ignore []IgnoreRule `json:"ignore,omitempty"`
	// NamePrefix of every object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	// +optional
	NamePrefix string `json:"namePrefix,omitempty"`
	// NameSuffix of every object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	// +optional
	NameSuffix string `json:"nameSuffix,omitempty"`
	// Patches, strategic merge or JSON.
	// +optional
	Patches []Patch `json:"patches,omitempty"`
	// Images to replace.
	// +optional
	Images []Image `json:"images,omitempty"`
	// ServiceAccountName to act as.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// SourceRef names the source.
	// +required
	SourceRef CrossNamespaceSourceReference `json:"sourceRef"`
	// Suspend stops everything for this unit; what is applied stays.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// TargetNamespace overrides the namespace of every object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	TargetNamespace string `json:"targetNamespace,omitempty"`
	// Timeout of building, applying and becoming healthy; the interval when it
	// is not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// Force recreates objects whose change the API server refuses.
	// +kubebuilder:default:=false
	// +optional
	Force bool `json:"force,omitempty"`
	// Wait for every applied object to be healthy.
	// +optional
	Wait bool `json:"wait,omitempty"`
	// Components of kustomize to add.
	// +optional
	Components []string `json:"components,omitempty"`
	// IgnoreMissingComponents leaves out components that are not in the source.
	// +optional
	IgnoreMissingComponents bool `json:"ignoreMissingComponents,omitempty"`
	// BuildMetadata of kustomize to add to every object.
	// +optional
	BuildMetadata []BuildMetadata `json:"buildMetadata,omitempty"`
	// PatchesStrategicMerge are patches as v1beta1 and v1beta2 have them. They come
	// before Patches.
	// +optional
	PatchesStrategicMerge []apiextensionsv1.JSON `json:"patchesStrategicMerge,omitempty"`
	// PatchesJSON6902 are patches as v1beta1 and v1beta2 have them. They come
	// before Patches.
	// +optional
	PatchesJSON6902 []JSON6902Patch `json:"patchesJson6902,omitempty"`
	// Validation is of v1beta1 and v1beta2, and means nothing any more: the API
	// server validates everything.
	// +kubebuilder:validation:Enum=none;client;server
	// +optional
	Validation string `json:"validation,omitempty"`
}

// ResourceInventory lists what a unit has on the cluster, or may have.
type ResourceInventory struct {
	// +required
	Entries []ResourceRef `json:"entries"`
	// Chunks name the ConfigMaps, in the namespace of the unit, that hold the entries
	// of an inventory that is too large for the status. Entries is empty then.
	// +optional
	Chunks []InventoryChunk `json:"chunks,omitempty"`
}

// InventoryChunk names one ConfigMap with a part of an inventory.
type InventoryChunk struct {
	// Name of the ConfigMap.
	// +required
	Name string `json:"name"`
	// Digest of its content: one that has another content is not believed.
	// +required
	Digest string `json:"digest"`
	// Entries is how many there are in it.
	// +required
	Entries int64 `json:"entries"`
}

// ResourceRef is one entry of an inventory.
type ResourceRef struct {
	// ID is namespace_name_group_Kind.
	// +required
	ID string `json:"id"`
	// Version of the kind.
	// +required
	Version string `json:"v"`
}

// Snapshot is one entry of the history.
type Snapshot struct {
	// +required
	Digest string `json:"digest"`
	// +required
	FirstReconciled metav1.Time `json:"firstReconciled"`
	// +required
	LastReconciled metav1.Time `json:"lastReconciled"`
	// +required
	LastReconciledDuration metav1.Duration `json:"lastReconciledDuration"`
	// +required
	LastReconciledStatus string `json:"lastReconciledStatus"`
	// +required
	TotalReconciliations int64 `json:"totalReconciliations"`
	// +optional
	Metadata map[string]string `json:"metadata,omitempty"`
}

// KindSnapshot is what v1beta1 had for an inventory.
type KindSnapshot struct {
	// +required
	Checksum string `json:"checksum"`
	// +required
	Entries []KindSnapshotEntry `json:"entries"`
}

// KindSnapshotEntry lists the kinds in a namespace.
type KindSnapshotEntry struct {
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// +required
	Kinds map[string]string `json:"kinds"`
}

// KustomizationStatus is what came of it.
type KustomizationStatus struct {
	// ObservedGeneration is the generation of the spec that this is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// LastAppliedRevision is the last one that was applied as a whole.
	// +optional
	LastAppliedRevision string `json:"lastAppliedRevision,omitempty"`
	// LastAppliedOriginRevision is the upstream revision of an OCI artifact.
	// +optional
	LastAppliedOriginRevision string `json:"lastAppliedOriginRevision,omitempty"`
	// LastAttemptedRevision is the last one that was tried.
	// +optional
	LastAttemptedRevision string `json:"lastAttemptedRevision,omitempty"`
	// LastHandledReconcileAt is the last requestedAt that was handled.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
	// Inventory lists what the unit has on the cluster.
	// +optional
	Inventory *ResourceInventory `json:"inventory,omitempty"`
	// History of what was applied.
	// +optional
	History []Snapshot `json:"history,omitempty"`
	// Snapshot is of v1beta1, where it stood for the inventory. It is never set.
	// +optional
	Snapshot *KindSnapshot `json:"snapshot,omitempty"`
}

// Kustomization builds a folder of a source and applies it.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ks,categories={all,fluxcd,fluxcd-appliers}
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description=""
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status",description=""
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].message",description=""
type Kustomization struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec KustomizationSpec `json:"spec,omitempty"`
	// +kubebuilder:default={"observedGeneration":-1}
	// +optional
	Status KustomizationStatus `json:"status,omitempty"`
}

// KustomizationList is a list of Kustomizations.
//
// +kubebuilder:object:root=true
type KustomizationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Kustomization `json:"items"`
}

// GetTimeout is how long building, applying and becoming healthy may take.
func (k *Kustomization) GetTimeout() time.Duration {
	if k.Spec.Timeout != nil {
		return k.Spec.Timeout.Duration
	}
	return k.Spec.Interval.Duration
}

// GetRetryInterval is the longest time between two attempts after a failure.
func (k *Kustomization) GetRetryInterval() time.Duration {
	if k.Spec.RetryInterval != nil {
		return k.Spec.RetryInterval.Duration
	}
	return k.Spec.Interval.Duration
}

// GetDeletionPolicy is the policy, MirrorPrune when none is set.
func (k *Kustomization) GetDeletionPolicy() string {
	if k.Spec.DeletionPolicy == "" {
		return DeletionPolicyMirrorPrune
	}
	return k.Spec.DeletionPolicy
}

// GetDependsOn names the units that have to be ready first.
func (k *Kustomization) GetDependsOn() []types.NamespacedName {
	names := make([]types.NamespacedName, 0, len(k.Spec.DependsOn))
	for _, d := range k.Spec.DependsOn {
		names = append(names, types.NamespacedName{Namespace: orDefault(d.Namespace, k.Namespace), Name: d.Name})
	}
	return names
}

// GetSource names the source, with its namespace.
func (k *Kustomization) GetSource() types.NamespacedName {
	ref := k.Spec.SourceRef
	return types.NamespacedName{Namespace: orDefault(ref.Namespace, k.Namespace), Name: ref.Name}
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
