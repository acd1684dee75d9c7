package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FluxConfigStatus is what came of a configuration.
type FluxConfigStatus struct {
	// ObservedGeneration is the generation of the spec that this is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready, and what goes with it.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ProvisioningState tells whether everything is generated, and with
	// waitForReconciliation whether it came to an end.
	// +kubebuilder:validation:Enum=Succeeded;Failed;Canceled;Creating;Updating;Deleting
	// +optional
	ProvisioningState string `json:"provisioningState,omitempty"`
	// ComplianceState is the worst of all objects'.
	// +optional
	ComplianceState Compliance `json:"complianceState,omitempty"`
	// ErrorMessage is why provisioning failed.
	// +optional
	ErrorMessage string `json:"errorMessage,omitempty"`
	// RepositoryPublicKey is the public half of the key pair for SSH.
	// +optional
	RepositoryPublicKey string `json:"repositoryPublicKey,omitempty"`
	// SourceSyncedCommitID is the revision of the source in use.
	// +optional
	SourceSyncedCommitID string `json:"sourceSyncedCommitId,omitempty"`
	// SourceUpdatedAt is when that revision came.
	// +optional
	SourceUpdatedAt *metav1.Time `json:"sourceUpdatedAt,omitempty"`
	// StatusUpdatedAt is when this status last changed.
	// +optional
	StatusUpdatedAt *metav1.Time `json:"statusUpdatedAt,omitempty"`
	// LastConfigUpdateTime is when the observed generation was put into effect.
	// +optional
	LastConfigUpdateTime *metav1.Time `json:"lastConfigUpdateTime,omitempty"`
	// LastSucceededGeneration is the last one with which provisioning succeeded.
	// +optional
	LastSucceededGeneration int64 `json:"lastSucceededGeneration,omitempty"`
	// Statuses are those of the objects that the configuration stands for, and of
	// the toolkit objects that its kustomizations applied.
	// +optional
	Statuses []ObjectStatus `json:"statuses,omitempty"`
}

// ObjectStatus is the state of one object.
type ObjectStatus struct {
	// +required
	Name string `json:"name"`
	// +required
	Namespace string `json:"namespace"`
	// +required
	Kind string `json:"kind"`
	// +required
	ComplianceState Compliance `json:"complianceState"`
	// Generation of the object that the state is about.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// Revision of the object's source that the state is about.
	// +optional
	Revision string `json:"revision,omitempty"`
	// AppliedBy is the Kustomization that applied the object, or the HelmRelease that
	// it was made for; unset for what the configuration itself stands for.
	// +optional
	AppliedBy *ObjectReference `json:"appliedBy,omitempty"`
	// +optional
	StatusConditions []ObjectStatusCondition `json:"statusConditions,omitempty"`
	// HelmReleaseProperties are set for a HelmRelease.
	// +optional
	HelmReleaseProperties *HelmReleaseProperties `json:"helmReleaseProperties,omitempty"`
}

// ObjectReference names an object.
type ObjectReference struct {
	// +required
	Name string `json:"name"`
	// +required
	Namespace string `json:"namespace"`
}

// ObjectStatusCondition is a condition of an object.
type ObjectStatusCondition struct {
	// +required
	Type string `json:"type"`
	// +required
	Status string `json:"status"`
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
	// +optional
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
}

// HelmReleaseProperties are what is known of a Helm release.
type HelmReleaseProperties struct {
	// LastRevisionApplied is the number of the release's revision.
	// +optional
	LastRevisionApplied int64 `json:"lastRevisionApplied,omitempty"`
	// HelmChartRef names the HelmChart.
	// +optional
	HelmChartRef *ObjectReference `json:"helmChartRef,omitempty"`
	// +optional
	FailureCount int64 `json:"failureCount,omitempty"`
	// +optional
	InstallFailureCount int64 `json:"installFailureCount,omitempty"`
	// +optional
	UpgradeFailureCount int64 `json:"upgradeFailureCount,omitempty"`
}
