package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Timing is how often a source is looked at, and for how long.
type Timing struct {
	// Timeout of one look.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +kubebuilder:default="10m0s"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// SyncInterval is the time between two looks.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +kubebuilder:default="10m0s"
	// +optional
	SyncInterval *metav1.Duration `json:"syncInterval,omitempty"`
}

// Access is what every source may say about who asks.
type Access struct {
	// LocalAuthRef names a Secret of the same namespace with the credentials, in
	// the keys of the generated source. It replaces all that is given otherwise.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	LocalAuthRef string `json:"localAuthRef,omitempty"`
	// ObjectLevelIdentity is the workload identity of this source.
	// +optional
	ObjectLevelIdentity *ObjectLevelIdentity `json:"objectLevelIdentity,omitempty"`
	// AdditionalConfigurations are merged into the spec of the generated source.
	// What the fields above say wins.
	// +optional
	AdditionalConfigurations map[string]apiextensionsv1.JSON `json:"additionalConfigurations,omitempty"`
}

// ObjectLevelIdentity is a workload identity of Azure for one object.
type ObjectLevelIdentity struct {
	// ClientID of the identity.
	// +kubebuilder:validation:MinLength=1
	// +required
	ClientID string `json:"clientId"`
	// TenantID of the identity.
	// +optional
	TenantID string `json:"tenantId,omitempty"`
	// ServiceAccountName is the account that gets the identity; one with a name
	// made from the configuration's is made when it is empty.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// GitRepositoryDefinition is a Git repository.
// +kubebuilder:validation:XValidation:rule="has(self.ref) && [has(self.ref.branch), has(self.ref.tag), has(self.ref.semver), has(self.ref.commit)].exists(x, x)",message="give one of ref.branch, ref.tag, ref.semver and ref.commit"
type GitRepositoryDefinition struct {
	// URL of the repository.
	// +kubebuilder:validation:Pattern="^(https?://|ssh://|git@)"
	// +kubebuilder:validation:MaxLength=2048
	// +required
	URL    string `json:"url"`
	Timing `json:",inline"`
	// Ref is what of the repository to use.
	// +optional
	Ref *GitRef `json:"ref,omitempty"`
	// SSHKnownHosts is in base64, lines as in a known_hosts file. The keys of
	// github.com, gitlab.com, bitbucket.org and Azure DevOps are built in.
	// +optional
	SSHKnownHosts string `json:"sshKnownHosts,omitempty"`
	// HTTPSUser is the name of the user.
	// +optional
	HTTPSUser string `json:"httpsUser,omitempty"`
	// HTTPSCACert is in base64, certificates in PEM of who signed the server's.
	// +optional
	HTTPSCACert string `json:"httpsCACert,omitempty"`
	// Provider of credentials: Generic (the default), Azure or GitHub.
	// +kubebuilder:validation:Enum=Azure;GitHub;Generic
	// +optional
	Provider string `json:"provider,omitempty"`
	// SparseCheckout lists the folders to use.
	// +optional
	SparseCheckout []string `json:"sparseCheckout,omitempty"`
	Access         `json:",inline"`
}

// GitRef is one of branch, tag, semver and commit, or a commit on a branch.
// +kubebuilder:validation:XValidation:rule="[has(self.branch), has(self.tag), has(self.semver), has(self.commit)].filter(x, x).size() < 2 || (has(self.commit) && has(self.branch) && !has(self.tag) && !has(self.semver))",message="give only one of branch, tag, semver and commit, or a commit with its branch"
type GitRef struct {
	// +optional
	Branch string `json:"branch,omitempty"`
	// +optional
	Tag string `json:"tag,omitempty"`
	// +optional
	SemVer string `json:"semver,omitempty"`
	// +optional
	Commit string `json:"commit,omitempty"`
}

// BucketDefinition is a bucket that speaks S3.
type BucketDefinition struct {
	// URL of the server.
	// +kubebuilder:validation:Pattern="^https?://"
	// +kubebuilder:validation:MaxLength=2048
	// +required
	URL string `json:"url"`
	// BucketName names the bucket.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +required
	BucketName string `json:"bucketName"`
	// Insecure allows a server without TLS.
	// +optional
	Insecure bool `json:"insecure,omitempty"`
	Timing   `json:",inline"`
	// AccessKey is the public half of the key pair.
	// +optional
	AccessKey string `json:"accessKey,omitempty"`
	Access    `json:",inline"`
}

// AzureBlobDefinition is a container of Azure Blob Storage. The secret halves
// (accountKey, sasToken, those of the service principal) are in the Secret with
// the protected parameters.
// +kubebuilder:validation:XValidation:rule="[has(self.localAuthRef), has(self.managedIdentity), has(self.servicePrincipal), has(self.objectLevelIdentity)].filter(x, x).size() < 2",message="give only one of localAuthRef, managedIdentity, servicePrincipal and objectLevelIdentity"
type AzureBlobDefinition struct {
	// URL of the storage account.
	// +kubebuilder:validation:Pattern="^https?://"
	// +kubebuilder:validation:MaxLength=2048
	// +required
	URL string `json:"url"`
	// ContainerName names the container.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +required
	ContainerName string `json:"containerName"`
	Timing        `json:",inline"`
	// ManagedIdentity of the node.
	// +optional
	ManagedIdentity *ManagedIdentity `json:"managedIdentity,omitempty"`
	// ServicePrincipal with a secret or a certificate.
	// +optional
	ServicePrincipal *ServicePrincipal `json:"servicePrincipal,omitempty"`
	Access           `json:",inline"`
}

// ManagedIdentity is an identity that the machine has.
type ManagedIdentity struct {
	// ClientID of the identity.
	// +kubebuilder:validation:MinLength=1
	// +required
	ClientID string `json:"clientId"`
}

// ServicePrincipal is an application's identity.
type ServicePrincipal struct {
	// ClientID of the application.
	// +kubebuilder:validation:MinLength=1
	// +required
	ClientID string `json:"clientId"`
	// TenantID of the application.
	// +kubebuilder:validation:MinLength=1
	// +required
	TenantID string `json:"tenantId"`
	// ClientCertificateSendChain sends the chain with the certificate.
	// +optional
	ClientCertificateSendChain bool `json:"clientCertificateSendChain,omitempty"`
}

// OCIRepositoryDefinition is an artifact in a registry. The certificates and the
// key of TLS are in the Secret with the protected parameters.
type OCIRepositoryDefinition struct {
	// URL of the repository.
	// +kubebuilder:validation:Pattern="^oci://"
	// +kubebuilder:validation:MaxLength=2048
	// +required
	URL    string `json:"url"`
	Timing `json:",inline"`
	// Ref is what of the repository to use: the tag latest when it is not set.
	// +optional
	Ref *OCIRef `json:"ref,omitempty"`
	// LayerSelector tells which layer to use: the first when it is not set.
	// +optional
	LayerSelector *OCILayerSelector `json:"layerSelector,omitempty"`
	// Verify the signature.
	// +optional
	Verify *OCIVerify `json:"verify,omitempty"`
	// Insecure allows a registry without TLS.
	// +optional
	Insecure bool `json:"insecure,omitempty"`
	// UseWorkloadIdentity asks with the workload identity.
	// +optional
	UseWorkloadIdentity bool `json:"useWorkloadIdentity,omitempty"`
	// ServiceAccountName is the account whose pull secrets or identity are used.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	Access             `json:",inline"`
}

// OCIRef is one of several: digest before semver before tag.
type OCIRef struct {
	// +optional
	Tag string `json:"tag,omitempty"`
	// +optional
	SemVer string `json:"semver,omitempty"`
	// +kubebuilder:validation:Pattern="^sha256:[0-9a-f]{64}$"
	// +optional
	Digest string `json:"digest,omitempty"`
}

// OCILayerSelector selects a layer.
type OCILayerSelector struct {
	// MediaType of the layer.
	// +optional
	MediaType string `json:"mediaType,omitempty"`
	// Operation on the layer.
	// +kubebuilder:validation:Enum=extract;copy
	// +optional
	Operation string `json:"operation,omitempty"`
}

// OCIVerify tells how to verify a signature.
type OCIVerify struct {
	// Provider of the verification.
	// +kubebuilder:validation:Enum=cosign;notation
	// +kubebuilder:default=cosign
	// +optional
	Provider string `json:"provider,omitempty"`
	// VerificationConfig are trusted public keys, or what else the provider wants,
	// by file name, in base64.
	// +optional
	VerificationConfig map[string]string `json:"verificationConfig,omitempty"`
	// MatchOIDCIdentity lists who may have signed.
	// +optional
	MatchOIDCIdentity []OIDCIdentity `json:"matchOidcIdentity,omitempty"`
}

// OIDCIdentity is a signer, by two regular expressions.
type OIDCIdentity struct {
	// +required
	Issuer string `json:"issuer"`
	// +required
	Subject string `json:"subject"`
}
