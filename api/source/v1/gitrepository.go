package v1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
)

// GitRepositoryKind is the kind's name.
const GitRepositoryKind = "GitRepository"

// GitRepositorySpec says what to fetch, and how often to look.
// +kubebuilder:validation:XValidation:rule="!has(self.serviceAccountName) || (has(self.provider) && (self.provider == 'azure' || self.provider == 'aws'))",message="serviceAccountName can only be set when provider is 'azure' or 'aws'"
type GitRepositorySpec struct {
	// URL of the repository: http, https or ssh.
	// +kubebuilder:validation:Pattern="^(http|https|ssh)://.*$"
	// +required
	URL string `json:"url"`
	// SecretRef names the Secret with credentials: username and password for
	// http and https, identity and known_hosts for ssh.
	// +optional
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`
	// Provider of credentials other than a Secret.
	// +kubebuilder:validation:Enum=generic;aws;azure;github
	// +optional
	Provider string `json:"provider,omitempty"`
	// ServiceAccountName whose identity authenticates with the provider.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
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
	// Reference to check out; the branch master when nothing is set.
	// +optional
	Reference *GitRepositoryRef `json:"ref,omitempty"`
	// Verification of signatures.
	// +optional
	Verification *GitRepositoryVerification `json:"verify,omitempty"`
	// ProxySecretRef names the Secret with the address of a proxy.
	// +optional
	ProxySecretRef *meta.LocalObjectReference `json:"proxySecretRef,omitempty"`
	// Ignore lists what to leave out, in the format of .gitignore; it comes after
	// the default list and the .sourceignore files, so "!" brings back what those
	// leave out.
	// +optional
	Ignore *string `json:"ignore,omitempty"`
	// Suspend stops looking at the repository; what was fetched stays in use.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// RecurseSubmodules fetches submodules as well.
	// +optional
	RecurseSubmodules bool `json:"recurseSubmodules,omitempty"`
	// Include other GitRepositories' content in this one's.
	// +optional
	Include []GitRepositoryInclude `json:"include,omitempty"`
	// SparseCheckout lists the folders to fetch; all when empty.
	// +optional
	SparseCheckout []string `json:"sparseCheckout,omitempty"`
	// GitImplementation is of v1beta1 and v1beta2, and means nothing any more: there
	// is one implementation.
	// +kubebuilder:validation:Enum=go-git;libgit2
	// +optional
	GitImplementation string `json:"gitImplementation,omitempty"`
	// AccessFrom is of v1beta1 and v1beta2, where it never had an effect.
	// +optional
	AccessFrom *meta.AccessFrom `json:"accessFrom,omitempty"`
}

// GitRepositoryInclude puts a part of another repository into this one's tree.
type GitRepositoryInclude struct {
	// GitRepositoryRef names the other GitRepository.
	// +required
	GitRepositoryRef meta.LocalObjectReference `json:"repository"`
	// FromPath is the folder there; the root when empty.
	// +optional
	FromPath string `json:"fromPath,omitempty"`
	// ToPath is the folder here; the other's name when empty.
	// +optional
	ToPath string `json:"toPath,omitempty"`
}

// GitRepositoryRef is what to check out. The first that is set of commit, name,
// semver, tag and branch wins.
type GitRepositoryRef struct {
	// Branch to follow; master by default.
	// +optional
	Branch string `json:"branch,omitempty"`
	// Tag to check out.
	// +optional
	Tag string `json:"tag,omitempty"`
	// SemVer is a range; the highest tag in it is checked out.
	// +optional
	SemVer string `json:"semver,omitempty"`
	// Name of a reference, e.g. refs/heads/main or refs/pull/420/head.
	// +optional
	Name string `json:"name,omitempty"`
	// Commit to check out. With a branch it is looked for there.
	// +optional
	Commit string `json:"commit,omitempty"`
}

// GitRepositoryVerification says what has to be signed, and by whom.
type GitRepositoryVerification struct {
	// Mode tells which Git object has to carry the signature.
	// +kubebuilder:validation:Enum=head;HEAD;Tag;TagAndHEAD
	// +kubebuilder:default:=HEAD
	// +optional
	Mode string `json:"mode,omitempty"`
	// SecretRef names the Secret with the public keys of trusted authors.
	// +required
	SecretRef meta.LocalObjectReference `json:"secretRef,omitzero"` // v1beta1 could do without
}

// GitRepositoryStatus is what was found.
type GitRepositoryStatus struct {
	// ObservedGeneration is the generation of the spec that this is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions of the repository.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Artifact in use.
	// +optional
	Artifact *meta.Artifact `json:"artifact,omitempty"`
	// IncludedArtifacts are those of the included repositories.
	// +optional
	IncludedArtifacts []*meta.Artifact `json:"includedArtifacts,omitempty"`
	// ObservedIgnore is the spec.ignore that made the artifact.
	// +optional
	ObservedIgnore *string `json:"observedIgnore,omitempty"`
	// ObservedRecurseSubmodules is the setting that made the artifact.
	// +optional
	ObservedRecurseSubmodules bool `json:"observedRecurseSubmodules,omitempty"`
	// ObservedInclude is the setting that made the artifact.
	// +optional
	ObservedInclude []GitRepositoryInclude `json:"observedInclude,omitempty"`
	// ObservedSparseCheckout is the setting that made the artifact.
	// +optional
	ObservedSparseCheckout []string `json:"observedSparseCheckout,omitempty"`
	// SourceVerificationMode is the mode in which the artifact was verified.
	// +optional
	SourceVerificationMode *string `json:"sourceVerificationMode,omitempty"`
	// URL is of v1beta1 and v1beta2, see artifact.url. It is never set.
	// +optional
	URL string `json:"url,omitempty"`
	// ContentConfigChecksum is of v1beta2. It is never set.
	// +optional
	ContentConfigChecksum string `json:"contentConfigChecksum,omitempty"`
	// LastHandledReconcileAt is the last requestedAt that was handled.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// GitRepository is a Git repository to fetch.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=gitrepo,categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description=""
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status",description=""
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].message",description=""
type GitRepository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec GitRepositorySpec `json:"spec,omitempty"`
	// +kubebuilder:default={"observedGeneration":-1}
	// +optional
	Status GitRepositoryStatus `json:"status,omitempty"`
}

// GitRepositoryList is a list of repositories.
//
// +kubebuilder:object:root=true
type GitRepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GitRepository `json:"items"`
}

// GetTimeout is how long a fetch may take.
func (s GitRepositorySpec) GetTimeout() time.Duration {
	return orMinute(s.Timeout)
}

// GetRef is the reference to check out, empty for the default.
func (s GitRepositorySpec) GetRef() GitRepositoryRef {
	if s.Reference == nil {
		return GitRepositoryRef{}
	}
	return *s.Reference
}

func (r *GitRepository) GetInterval() time.Duration { return r.Spec.Interval.Duration }

func (r *GitRepository) GetTimeout() time.Duration { return r.Spec.GetTimeout() }

func (r *GitRepository) IsSuspended() bool { return r.Spec.Suspend }

func (r *GitRepository) GetServiceAccountName() string { return r.Spec.ServiceAccountName }

func (r *GitRepository) GetSecretNames() []string {
	refs := []*meta.LocalObjectReference{r.Spec.SecretRef, r.Spec.ProxySecretRef}
	if r.Spec.Verification != nil {
		refs = append(refs, &r.Spec.Verification.SecretRef)
	}
	return referenced(refs...)
}

func (r *GitRepository) GetArtifact() *meta.Artifact { return r.Status.Artifact }

func (r *GitRepository) SetArtifact(a *meta.Artifact) { r.Status.Artifact = a }

func (r *GitRepository) GetConditions() *[]metav1.Condition { return &r.Status.Conditions }

func (r *GitRepository) GetObservedGeneration() int64 { return r.Status.ObservedGeneration }

func (r *GitRepository) SetObservedGeneration(generation int64) {
	r.Status.ObservedGeneration = generation
}

func (r *GitRepository) GetLastHandledReconcileAt() string { return r.Status.LastHandledReconcileAt }

func (r *GitRepository) SetLastHandledReconcileAt(at string) { r.Status.LastHandledReconcileAt = at }

// GetSecretRef names the Secret with credentials, nil for none.
func (r *GitRepository) GetSecretRef() *meta.LocalObjectReference { return r.Spec.SecretRef }
