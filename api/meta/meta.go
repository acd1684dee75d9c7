// Package meta holds what the API groups share: references, artifacts,
// condition types and reasons, and the annotations that clients use.
//
// +kubebuilder:object:generate=true
package meta

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Finalizer keeps an object until the engine has cleaned up after it.
const Finalizer = "finalizers.fluxcd.io"

// ReconcileRequestAnnotation asks for a reconciliation now. Its value, often a
// time, comes back in status.lastHandledReconcileAt once it was handled.
const ReconcileRequestAnnotation = "reconcile.fluxcd.io/requestedAt"

// ConsentAnnotation on a Kustomization or a source allows what the guards
// block: to act on a source that became empty, and to prune Namespaces, CRDs
// and claims with all that they hold. Its value is "true", or the one revision
// for which it is meant.
const ConsentAnnotation = "plumb-gitops.github.io/allow-prune"

// ClaimAnnotation on a Kustomization names the objects of its first inventory, before its
// status does.
const ClaimAnnotation = "plumb-gitops.github.io/claim"

// InventoryLabel marks a ConfigMap that holds a part of an inventory. As a label its
// value is the UID of the object whose inventory that is, as an annotation its name.
const InventoryLabel = "plumb-gitops.github.io/inventory-of"

// Condition types that every kind has.
const (
	ReadyCondition       = "Ready"
	ReconcilingCondition = "Reconciling" // True while work is under way or will be retried
	StalledCondition     = "Stalled"     // True when only another input can help
)

// Condition reasons that every kind has.
const (
	SucceededReason            = "Succeeded"
	FailedReason               = "Failed"
	ProgressingReason          = "Progressing"
	ProgressingWithRetryReason = "ProgressingWithRetry"
)

// LocalObjectReference names an object in the same namespace.
type LocalObjectReference struct {
	// Name of the referent.
	// +required
	Name string `json:"name"`
}

// SecretKeyReference names a Secret in the same namespace, and a key in it.
type SecretKeyReference struct {
	// Name of the Secret.
	// +required
	Name string `json:"name"`
	// Key in the Secret; when empty, the keys "value" and "value.yaml" are tried.
	// +optional
	Key string `json:"key,omitempty"`
}

// NamespacedObjectReference names an object of any kind.
type NamespacedObjectReference struct {
	// APIVersion of the referent.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind of the referent.
	// +required
	Kind string `json:"kind"`
	// Name of the referent.
	// +required
	Name string `json:"name"`
	// Namespace of the referent; the same when empty.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// AccessFrom lists the namespaces from which an object may be referred to.
type AccessFrom struct {
	// NamespaceSelectors select namespaces; one that matches is enough.
	// +required
	NamespaceSelectors []NamespaceSelector `json:"namespaceSelectors"`
}

// NamespaceSelector selects namespaces by their labels.
type NamespaceSelector struct {
	// MatchLabels has to be a part of the namespace's labels; empty selects all.
	// +optional
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
}

// Artifact is what a source has fetched.
type Artifact struct {
	// Path of the artifact below the address of the artifact server.
	// +required
	Path string `json:"path"`
	// URL at which the artifact server offers it as an archive.
	// +required
	URL string `json:"url"`
	// Revision in the words of the source, e.g. "main@sha1:<commit>".
	// +required
	Revision string `json:"revision,omitempty"` // v1beta1 could do without
	// Digest of the content, "<algorithm>:<checksum>".
	// +required
	// +kubebuilder:validation:Pattern="^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$"
	Digest string `json:"digest,omitempty"` // older versions can do without
	// Checksum of v1beta1, which Digest has replaced. It is never set.
	// +optional
	Checksum string `json:"checksum,omitempty"`
	// LastUpdateTime is when this revision was stored.
	// +required
	LastUpdateTime metav1.Time `json:"lastUpdateTime"`
	// Size of the archive in bytes.
	// +optional
	Size *int64 `json:"size,omitempty"`
	// Metadata of the upstream, e.g. annotations of an OCI artifact.
	// +optional
	Metadata map[string]string `json:"metadata,omitempty"`
}
