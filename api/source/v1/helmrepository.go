package v1

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
)

// HelmRepositoryKind is the kind's name.
const HelmRepositoryKind = "HelmRepository"

// Types of a HelmRepository.
const (
	HelmRepositoryTypeDefault = "default" // an index at an HTTP address
	HelmRepositoryTypeOCI     = "oci"     // a registry; there is nothing to fetch but charts
)

// HelmRepositorySpec says where charts are, and how often to look.
type HelmRepositorySpec struct {
	// URL of the repository: http or https, or oci with the path above the charts.
	// +kubebuilder:validation:Pattern="^(http|https|oci)://.*$"
	// +required
	URL string `json:"url"`
	// Type of the repository: default has an index, oci is a registry.
	// +kubebuilder:validation:Enum=default;oci
	// +optional
	Type string `json:"type,omitempty"`
	// SecretRef names the Secret with credentials: username and password, or for oci
	// also of the type kubernetes.io/dockerconfigjson.
	// +optional
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`
	// CertSecretRef names the Secret with ca.crt, or tls.crt and tls.key, or both.
	// +optional
	CertSecretRef *meta.LocalObjectReference `json:"certSecretRef,omitempty"`
	// KeyringSecretRef names the Secret with OpenPGP public keys, in any of its keys.
	// Where it is set, charts from an index need a provenance file that one of them
	// has signed. The toolkit has no such field.
	// +optional
	KeyringSecretRef *meta.LocalObjectReference `json:"keyringSecretRef,omitempty"`
	// PassCredentials gives the credentials to other hosts, too, from which the index
	// says that charts come.
	// +optional
	PassCredentials bool `json:"passCredentials,omitempty"`
	// Provider of credentials other than a Secret, for the type oci.
	// +kubebuilder:validation:Enum=generic;aws;azure;gcp
	// +kubebuilder:default:=generic
	// +optional
	Provider string `json:"provider,omitempty"`
	// Interval at which the index is looked at; 1m when it is not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	Interval *metav1.Duration `json:"interval,omitempty"`
	// Timeout of one fetch, of the index or of a chart; 60s when it is not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m))+$"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// Insecure allows plain HTTP with the type oci.
	// +optional
	Insecure bool `json:"insecure,omitempty"`
	// Suspend stops looking at the repository; what was fetched stays in use.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// AccessFrom has no effect, nor ever had.
	// +optional
	AccessFrom *meta.AccessFrom `json:"accessFrom,omitempty"`
}

// HelmRepositoryStatus is what was found.
type HelmRepositoryStatus struct {
	// ObservedGeneration is the generation of the spec that this is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions of the repository.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Artifact in use.
	// +optional
	Artifact *meta.Artifact `json:"artifact,omitempty"`
	// URL at which the artifact server offers the latest artifact.
	// +optional
	URL string `json:"url,omitempty"`
	// LastHandledReconcileAt is the last requestedAt that was handled.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// HelmRepository is a place with Helm charts: an index at an HTTP address, or a registry.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=helmrepo,categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description=""
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status",description=""
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].message",description=""
type HelmRepository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec HelmRepositorySpec `json:"spec,omitempty"`
	// +kubebuilder:default={"observedGeneration":-1}
	// +optional
	Status HelmRepositoryStatus `json:"status,omitempty"`
}

// HelmRepositoryList is a list of repositories.
//
// +kubebuilder:object:root=true
type HelmRepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HelmRepository `json:"items"`
}

func (r *HelmRepository) GetInterval() time.Duration { return orMinute(r.Spec.Interval) }

func (r *HelmRepository) GetTimeout() time.Duration { return orMinute(r.Spec.Timeout) }

func (r *HelmRepository) IsSuspended() bool { return r.Spec.Suspend }

func (r *HelmRepository) GetServiceAccountName() string { return "" }

func (r *HelmRepository) GetSecretNames() []string {
	return referenced(r.Spec.SecretRef, r.Spec.CertSecretRef, r.Spec.KeyringSecretRef)
}

func (r *HelmRepository) GetArtifact() *meta.Artifact { return r.Status.Artifact }

func (r *HelmRepository) SetArtifact(a *meta.Artifact) { r.Status.Artifact = a }

func (r *HelmRepository) GetConditions() *[]metav1.Condition { return &r.Status.Conditions }

func (r *HelmRepository) GetObservedGeneration() int64 { return r.Status.ObservedGeneration }

func (r *HelmRepository) SetObservedGeneration(generation int64) {
	r.Status.ObservedGeneration = generation
}

func (r *HelmRepository) GetLastHandledReconcileAt() string { return r.Status.LastHandledReconcileAt }

func (r *HelmRepository) SetLastHandledReconcileAt(at string) { r.Status.LastHandledReconcileAt = at }

// GetSecretRef names the Secret with credentials, nil for none.
func (r *HelmRepository) GetSecretRef() *meta.LocalObjectReference { return r.Spec.SecretRef }

// IsOCI tells whether charts come from a registry. A URL with oci:// says so as
// well as the type does: it can be nothing else.
func (s HelmRepositorySpec) IsOCI() bool {
	return s.Type == HelmRepositoryTypeOCI || strings.HasPrefix(s.URL, "oci://")
}
