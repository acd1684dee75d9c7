package v1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
)

// BucketKind is the kind's name.
const BucketKind = "Bucket"

// BucketSpec says what to fetch, and how often to look.
// +kubebuilder:validation:XValidation:rule="self.provider == 'aws' || self.provider == 'generic' || !has(self.sts)",message="sts is for the providers 'aws' and 'generic'"
// +kubebuilder:validation:XValidation:rule="self.provider != 'aws' || !has(self.sts) || self.sts.provider == 'aws'",message="with the provider 'aws', sts.provider has to be 'aws'"
// +kubebuilder:validation:XValidation:rule="self.provider != 'generic' || !has(self.sts) || self.sts.provider == 'ldap'",message="with the provider 'generic', sts.provider has to be 'ldap'"
// +kubebuilder:validation:XValidation:rule="!has(self.sts) || self.sts.provider != 'aws' || !has(self.sts.secretRef)",message="sts.secretRef is not for the sts.provider 'aws'"
// +kubebuilder:validation:XValidation:rule="!has(self.sts) || self.sts.provider != 'aws' || !has(self.sts.certSecretRef)",message="sts.certSecretRef is not for the sts.provider 'aws'"
// +kubebuilder:validation:XValidation:rule="self.provider != 'generic' || !has(self.serviceAccountName)",message="serviceAccountName is not for the provider 'generic'"
// +kubebuilder:validation:XValidation:rule="!has(self.secretRef) || !has(self.serviceAccountName)",message="secretRef and serviceAccountName exclude each other"
type BucketSpec struct {
	// Provider of the bucket and of credentials other than a Secret; generic is
	// whatever speaks S3.
	// +kubebuilder:validation:Enum=generic;aws;gcp;azure
	// +kubebuilder:default:=generic
	// +optional
	Provider string `json:"provider,omitempty"`
	// BucketName is the name of the bucket, or of the container.
	// +required
	BucketName string `json:"bucketName"`
	// Endpoint is the host of the server, with its port if need be; for azure, the URL
	// of the account.
	// +required
	Endpoint string `json:"endpoint"`
	// STS is where credentials for a limited time come from.
	// +optional
	STS *BucketSTSSpec `json:"sts,omitempty"`
	// Insecure allows plain HTTP.
	// +optional
	Insecure bool `json:"insecure,omitempty"`
	// Region of the bucket.
	// +optional
	Region string `json:"region,omitempty"`
	// Prefix that the names of objects have to begin with.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// SecretRef names the Secret with credentials, as the provider has them.
	// +optional
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`
	// ServiceAccountName whose identity authenticates with the provider.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// CertSecretRef names the Secret with ca.crt, or tls.crt and tls.key, or both.
	// +optional
	CertSecretRef *meta.LocalObjectReference `json:"certSecretRef,omitempty"`
	// ProxySecretRef names the Secret with the address of a proxy.
	// +optional
	ProxySecretRef *meta.LocalObjectReference `json:"proxySecretRef,omitempty"`
	// Interval at which the bucket is looked at.
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
	// Suspend stops looking at the bucket; what was fetched stays in use.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// AccessFrom is of v1beta1 and v1beta2, where it never had an effect.
	// +optional
	AccessFrom *meta.AccessFrom `json:"accessFrom,omitempty"`
}

// BucketSTSSpec is a Security Token Service.
type BucketSTSSpec struct {
	// Provider of the service.
	// +kubebuilder:validation:Enum=aws;ldap
	// +required
	Provider string `json:"provider"`
	// Endpoint is the URL of the service.
	// +kubebuilder:validation:Pattern="^(http|https)://.*$"
	// +required
	Endpoint string `json:"endpoint"`
	// SecretRef names the Secret with username and password for LDAP.
	// +optional
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`
	// CertSecretRef names the Secret with ca.crt, or tls.crt and tls.key, or both.
	// +optional
	CertSecretRef *meta.LocalObjectReference `json:"certSecretRef,omitempty"`
}

// BucketStatus is what was found.
type BucketStatus struct {
	// ObservedGeneration is the generation of the spec that this is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions of the bucket.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Artifact in use.
	// +optional
	Artifact *meta.Artifact `json:"artifact,omitempty"`
	// ObservedIgnore is the spec.ignore that made the artifact.
	// +optional
	ObservedIgnore *string `json:"observedIgnore,omitempty"`
	// URL at which the artifact server offers the latest artifact.
	// +optional
	URL string `json:"url,omitempty"`
	// LastHandledReconcileAt is the last requestedAt that was handled.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// Bucket is a bucket of objects to fetch: S3, Google Cloud Storage or Azure Blob.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.spec.endpoint`
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description=""
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status",description=""
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].message",description=""
type Bucket struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec BucketSpec `json:"spec,omitempty"`
	// +kubebuilder:default={"observedGeneration":-1}
	// +optional
	Status BucketStatus `json:"status,omitempty"`
}

// BucketList is a list of buckets.
//
// +kubebuilder:object:root=true
type BucketList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Bucket `json:"items"`
}

func (b *Bucket) GetInterval() time.Duration { return b.Spec.Interval.Duration }

func (b *Bucket) GetTimeout() time.Duration { return orMinute(b.Spec.Timeout) }

func (b *Bucket) IsSuspended() bool { return b.Spec.Suspend }

func (b *Bucket) GetServiceAccountName() string { return b.Spec.ServiceAccountName }

func (b *Bucket) GetSecretNames() []string {
	refs := []*meta.LocalObjectReference{b.Spec.SecretRef, b.Spec.CertSecretRef, b.Spec.ProxySecretRef}
	if b.Spec.STS != nil {
		refs = append(refs, b.Spec.STS.SecretRef, b.Spec.STS.CertSecretRef)
	}
	return referenced(refs...)
}

func (b *Bucket) GetArtifact() *meta.Artifact { return b.Status.Artifact }

func (b *Bucket) SetArtifact(a *meta.Artifact) { b.Status.Artifact = a }

func (b *Bucket) GetConditions() *[]metav1.Condition { return &b.Status.Conditions }

func (b *Bucket) GetObservedGeneration() int64 { return b.Status.ObservedGeneration }

func (b *Bucket) SetObservedGeneration(generation int64) { b.Status.ObservedGeneration = generation }

func (b *Bucket) GetLastHandledReconcileAt() string { return b.Status.LastHandledReconcileAt }

func (b *Bucket) SetLastHandledReconcileAt(at string) { b.Status.LastHandledReconcileAt = at }

// GetSecretRef names the Secret with credentials, nil for none.
func (b *Bucket) GetSecretRef() *meta.LocalObjectReference { return b.Spec.SecretRef }
