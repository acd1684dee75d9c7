package v1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
)

// OCIRepositoryKind is the kind's name.
const OCIRepositoryKind = "OCIRepository"

// OCIRepositorySpec says what to fetch, and how often to look.
type OCIRepositorySpec struct {
	// URL of the repository, oci://host/path without a tag.
	// +kubebuilder:validation:Pattern="^oci://.*$"
	// +required
	URL string `json:"url"`
	// Reference to the artifact; the tag latest when nothing is set.
	// +optional
	Reference *OCIRepositoryRef `json:"ref,omitempty"`
	// LayerSelector selects the layer; the first when it is not set.
	// +optional
	LayerSelector *OCILayerSelector `json:"layerSelector,omitempty"`
	// Provider of credentials other than a Secret.
	// +kubebuilder:validation:Enum=generic;aws;azure;gcp
	// +kubebuilder:default:=generic
	// +optional
	Provider string `json:"provider,omitempty"`
	// SecretRef names the Secret with credentials, of the type
	// kubernetes.io/dockerconfigjson.
	// +optional
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`
	// Verify says who has to have signed the artifact.
	// +optional
	Verify *OCIRepositoryVerification `json:"verify,omitempty"`
	// ServiceAccountName whose identity authenticates with the provider, or whose
	// image pull secrets are used.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// CertSecretRef names the Secret with ca.crt, or tls.crt and tls.key, or both.
	// +optional
	CertSecretRef *meta.LocalObjectReference `json:"certSecretRef,omitempty"`
	// ProxySecretRef names the Secret with the address of a proxy.
	// +optional
	ProxySecretRef *meta.LocalObjectReference `json:"proxySecretRef,omitempty"`
	// Interval at which the repository is looked at.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +required
	Interval metav1.Duration `json:"interval"`
	// Timeout of one fetch.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m))+$"
	// +kubebuilder:default="60s"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// Ignore lists what to leave out, in the format of .gitignore; it comes after
	// the default list and the .sourceignore files, so "!" brings back what those
	// leave out.
	// +optional
	Ignore *string `json:"ignore,omitempty"`
	// Insecure allows plain HTTP.
	// +optional
	Insecure bool `json:"insecure,omitempty"`
	// Suspend stops looking at the repository; what was fetched stays in use.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// OCIRepositoryRef is which artifact to take. The first that is set of digest,
// semver and tag wins.
type OCIRepositoryRef struct {
	// Digest of the artifact, sha256:<hash>.
	// +optional
	Digest string `json:"digest,omitempty"`
	// SemVer is a range; the highest tag in it is taken.
	// +optional
	SemVer string `json:"semver,omitempty"`
	// SemverFilter is a regular expression; only tags that match it are looked at for
	// the range.
	// +optional
	SemverFilter string `json:"semverFilter,omitempty"`
	// Tag of the artifact; latest by default.
	// +optional
	Tag string `json:"tag,omitempty"`
}

// OCILayerSelector selects a layer of the artifact, and what becomes of it.
type OCILayerSelector struct {
	// MediaType of the layer; the first that has it is taken.
	// +optional
	MediaType string `json:"mediaType,omitempty"`
	// Operation: extract unpacks the layer, copy keeps it as it is.
	// +kubebuilder:validation:Enum=extract;copy
	// +optional
	Operation string `json:"operation,omitempty"`
}

// OCIRepositoryStatus is what was found.
type OCIRepositoryStatus struct {
	// ObservedGeneration is the generation of the spec that this is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions of the repository.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Artifact in use.
	// +optional
	Artifact *meta.Artifact `json:"artifact,omitempty"`
	// ObservedIgnore is the spec.ignore that made the artifact.
	// +optional
	ObservedIgnore *string `json:"observedIgnore,omitempty"`
	// ObservedLayerSelector is the setting that made the artifact.
	// +optional
	ObservedLayerSelector *OCILayerSelector `json:"observedLayerSelector,omitempty"`
	// ContentConfigChecksum is of v1beta2. It is never set.
	// +optional
	ContentConfigChecksum string `json:"contentConfigChecksum,omitempty"`
	// URL at which the artifact server offers the latest artifact.
	// +optional
	URL string `json:"url,omitempty"`
	// LastHandledReconcileAt is the last requestedAt that was handled.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// OCIRepository is an artifact in an OCI registry to fetch.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ocirepo,categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status",description=""
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].message",description=""
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description=""
type OCIRepository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec OCIRepositorySpec `json:"spec,omitempty"`
	// +kubebuilder:default={"observedGeneration":-1}
	// +optional
	Status OCIRepositoryStatus `json:"status,omitempty"`
}

// OCIRepositoryList is a list of repositories.
//
// +kubebuilder:object:root=true
type OCIRepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []OCIRepository `json:"items"`
}

func (r *OCIRepository) GetInterval() time.Duration { return r.Spec.Interval.Duration }

func (r *OCIRepository) GetTimeout() time.Duration { return orMinute(r.Spec.Timeout) }

func (r *OCIRepository) IsSuspended() bool { return r.Spec.Suspend }

func (r *OCIRepository) GetServiceAccountName() string { return r.Spec.ServiceAccountName }

func (r *OCIRepository) GetSecretNames() []string {
	refs := []*meta.LocalObjectReference{r.Spec.SecretRef, r.Spec.CertSecretRef, r.Spec.ProxySecretRef}
	return referenced(append(refs, r.Spec.Verify.secrets()...)...)
}

func (r *OCIRepository) GetArtifact() *meta.Artifact { return r.Status.Artifact }

func (r *OCIRepository) SetArtifact(a *meta.Artifact) { r.Status.Artifact = a }

func (r *OCIRepository) GetConditions() *[]metav1.Condition { return &r.Status.Conditions }

func (r *OCIRepository) GetObservedGeneration() int64 { return r.Status.ObservedGeneration }

func (r *OCIRepository) SetObservedGeneration(generation int64) {
	r.Status.ObservedGeneration = generation
}

func (r *OCIRepository) GetLastHandledReconcileAt() string { return r.Status.LastHandledReconcileAt }

func (r *OCIRepository) SetLastHandledReconcileAt(at string) { r.Status.LastHandledReconcileAt = at }

// GetSecretRef names the Secret with credentials, nil for none.
func (r *OCIRepository) GetSecretRef() *meta.LocalObjectReference { return r.Spec.SecretRef }

// GetRef is the artifact to take, empty for the default.
func (s OCIRepositorySpec) GetRef() OCIRepositoryRef {
	if s.Reference == nil {
		return OCIRepositoryRef{}
	}
	return *s.Reference
}

// GetLayerSelector is the layer to take, empty for the default.
func (s OCIRepositorySpec) GetLayerSelector() OCILayerSelector {
	if s.LayerSelector == nil {
		return OCILayerSelector{}
	}
	return *s.LayerSelector
}
