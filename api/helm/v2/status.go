package v2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
)

// Snapshot is one release in the history.
type Snapshot struct {
	// APIVersion of the form in which the digest is made.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// Digest of the release as Helm stores it.
	// +required
	Digest string `json:"digest"`
	// Name of the release.
	// +required
	Name string `json:"name"`
	// Namespace of the release.
	// +required
	Namespace string `json:"namespace"`
	// Version of the release: 1, 2 and so on.
	// +required
	Version int `json:"version"`
	// Status of the release, in Helm's words.
	// +required
	Status string `json:"status"`
	// ChartName is the name of its chart.
	// +required
	ChartName string `json:"chartName"`
	// ChartVersion is the version of its chart.
	// +required
	ChartVersion string `json:"chartVersion"`
	// AppVersion is the version of what the chart deploys.
	// +optional
	AppVersion string `json:"appVersion,omitempty"`
	// ConfigDigest is the digest of its values.
	// +required
	ConfigDigest string `json:"configDigest"`
	// FirstDeployed is when the name was first installed.
	// +required
	FirstDeployed metav1.Time `json:"firstDeployed"`
	// LastDeployed is when this version was.
	// +required
	LastDeployed metav1.Time `json:"lastDeployed"`
	// Deleted is when this version was uninstalled.
	// +optional
	Deleted *metav1.Time `json:"deleted,omitempty"`
	// TestHooks are the tests that ran, by name.
	// +optional
	TestHooks map[string]TestHookStatus `json:"testHooks,omitempty"`
	// OCIDigest is the digest of the artifact from which the chart came.
	// +optional
	OCIDigest string `json:"ociDigest,omitempty"`
	// Action that made this version.
	// +optional
	Action string `json:"action,omitempty"`
}

// ReleaseTarget names a release and where its records are.
type ReleaseTarget struct {
	// +required
	Name string `json:"name"`
	// +required
	Namespace string `json:"namespace"`
	// +required
	StorageNamespace string `json:"storageNamespace"`
}

// TestHookStatus is how a test ended.
type TestHookStatus struct {
	// +optional
	LastStarted *metav1.Time `json:"lastStarted,omitempty"`
	// +optional
	LastCompleted *metav1.Time `json:"lastCompleted,omitempty"`
	// Phase in Helm's words.
	// +optional
	Phase string `json:"phase,omitempty"`
}

// HelmReleaseStatus is what came of it.
type HelmReleaseStatus struct {
	// ObservedGeneration is the generation of the spec that this is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// ObservedPostRenderersDigest is that of the post renderers of the last release.
	// +optional
	ObservedPostRenderersDigest string `json:"observedPostRenderersDigest,omitempty"`
	// ObservedCommonMetadataDigest is that of the common metadata of the last release.
	// +optional
	ObservedCommonMetadataDigest string `json:"observedCommonMetadataDigest,omitempty"`
	// LastAttemptedGeneration is the last generation that was tried.
	// +optional
	LastAttemptedGeneration int64 `json:"lastAttemptedGeneration,omitempty"`
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// HelmChart is the namespace and name of the HelmChart that was made.
	// +optional
	HelmChart string `json:"helmChart,omitempty"`
	// StorageNamespace is where the records of the release are.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	StorageNamespace string `json:"storageNamespace,omitempty"`
	// Begun is the release whose first record may be there already, while the history does
	// not tell of it yet.
	// +optional
	Begun *ReleaseTarget `json:"begun,omitempty"`
	// History of the release, the last one first.
	// +optional
	History []*Snapshot `json:"history,omitempty"`
	// Inventory lists what the release has on the cluster.
	// +optional
	Inventory *kustomizev1.ResourceInventory `json:"inventory,omitempty"`
	// LastAttemptedReleaseAction is the last one that was tried.
	// +kubebuilder:validation:Enum=install;upgrade
	// +optional
	LastAttemptedReleaseAction string `json:"lastAttemptedReleaseAction,omitempty"`
	// LastAttemptedReleaseActionDuration is how long that took.
	// +optional
	LastAttemptedReleaseActionDuration *metav1.Duration `json:"lastAttemptedReleaseActionDuration,omitempty"`
	// Failures in a row, of whatever kind.
	// +optional
	Failures int64 `json:"failures,omitempty"`
	// InstallFailures since the last release or change.
	// +optional
	InstallFailures int64 `json:"installFailures,omitempty"`
	// UpgradeFailures since the last release or change.
	// +optional
	UpgradeFailures int64 `json:"upgradeFailures,omitempty"`
	// LastAttemptedRevision is the version of the chart that was last tried.
	// +optional
	LastAttemptedRevision string `json:"lastAttemptedRevision,omitempty"`
	// LastAttemptedRevisionDigest is the digest of that artifact.
	// +optional
	LastAttemptedRevisionDigest string `json:"lastAttemptedRevisionDigest,omitempty"`
	// LastAttemptedValuesChecksum is of v2beta1, see LastAttemptedConfigDigest.
	// +optional
	LastAttemptedValuesChecksum string `json:"lastAttemptedValuesChecksum,omitempty"`
	// LastReleaseRevision is of v2beta1, see History.
	// +optional
	LastReleaseRevision int `json:"lastReleaseRevision,omitempty"`
	// LastAppliedRevision is of v2beta1 and v2beta2, see History.
	// +optional
	LastAppliedRevision string `json:"lastAppliedRevision,omitempty"`
	// LastAttemptedConfigDigest is the digest of the values that were last tried.
	// +optional
	LastAttemptedConfigDigest string `json:"lastAttemptedConfigDigest,omitempty"`
	// LastHandledReconcileAt is the last requestedAt that was handled.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
	// LastHandledForceAt is the last forceAt that was handled.
	// +optional
	LastHandledForceAt string `json:"lastHandledForceAt,omitempty"`
	// LastHandledResetAt is the last resetAt that was handled.
	// +optional
	LastHandledResetAt string `json:"lastHandledResetAt,omitempty"`
}
