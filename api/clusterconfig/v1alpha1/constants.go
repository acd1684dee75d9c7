package v1alpha1

// FluxConfigKind is the kind's name.
const FluxConfigKind = "FluxConfig"

// Finalizer keeps a FluxConfig until what it stands for is taken down.
const Finalizer = "fluxconfig.clusterconfig.azure.com"

// FieldManager is the name under which what a FluxConfig stands for is applied.
const FieldManager = "fluxconfig-controller"

// Labels of what a FluxConfig stands for.
const (
	ManagedLabel     = "clusterconfig.azure.com/is-managed" // "true"
	NameLabel        = "clusterconfig.azure.com/name"
	NamespaceLabel   = "clusterconfig.azure.com/namespace"
	OperationIDLabel = "clusterconfig.azure.com/operation-id" // spec.operationId, where there is one
)

// ManagedSourceAnnotation on a HelmRelease, with the value "true", asks for the
// GitRepository of the configuration in place of the chart's source.
const ManagedSourceAnnotation = "clusterconfig.azure.com/use-managed-source"

// ForceDeleteAnnotation on a FluxConfig, with the value "true", leaves what its
// kustomizations applied where it is when the FluxConfig is deleted.
const ForceDeleteAnnotation = "plumb-gitops.github.io/force-delete"

// MixedScopesAnnotation on a FluxConfig, with the value "true", puts it into effect
// beside one of another scope in its namespace: both then have the rights of both.
const MixedScopesAnnotation = "plumb-gitops.github.io/allow-mixed-scopes"

// GenerationAnnotation on what a FluxConfig stands for names the generation of
// the FluxConfig that it was last made from.
const GenerationAnnotation = "plumb-gitops.github.io/configuration-generation"

// DigestAnnotation on what a FluxConfig stands for is the digest of the spec that
// was written: what left it since would otherwise not be seen to be too much.
const DigestAnnotation = "plumb-gitops.github.io/configuration-digest"

// Values of spec.scope.
const (
	ScopeCluster   = "cluster"
	ScopeNamespace = "namespace"
)

// Values of spec.sourceKind.
const (
	GitRepositorySource = "GitRepository"
	BucketSource        = "Bucket"
	AzureBlobSource     = "AzureBlob"
	OCIRepositorySource = "OCIRepository"
)

// Compliance is whether the cluster is as a configuration says.
// +kubebuilder:validation:Enum=Compliant;Non-Compliant;Pending;Suspended;Unknown
type Compliance string

// Values of a compliance state.
const (
	Compliant    Compliance = "Compliant"     // as desired
	NonCompliant Compliance = "Non-Compliant" // not as desired
	Pending      Compliance = "Pending"       // what is desired now is not reconciled yet
	Suspended    Compliance = "Suspended"     // left alone on request
	Unknown      Compliance = "Unknown"       // nothing was reported yet
)

// Values of status.provisioningState.
const (
	ProvisioningSucceeded = "Succeeded"
	ProvisioningFailed    = "Failed"
	ProvisioningCreating  = "Creating"
	ProvisioningUpdating  = "Updating"
	ProvisioningDeleting  = "Deleting"
)

// Keys of the Secret with the protected parameters. The values are the things
// themselves; that a Secret's data is in base64 is all the encoding there is.
const (
	SSHPrivateKey             = "sshPrivateKey"             // PEM
	HTTPSKey                  = "httpsKey"                  // password or token
	HTTPSUser                 = "httpsUser"                 // where gitRepository.httpsUser is not set
	BucketSecretKey           = "bucketSecretKey"           //
	AccountKey                = "accountKey"                // azureBlob
	SASToken                  = "sasToken"                  // azureBlob
	ClientSecret              = "clientSecret"              // azureBlob.servicePrincipal
	ClientCertificate         = "clientCertificate"         // azureBlob.servicePrincipal, PEM or PKCS12
	ClientCertificatePassword = "clientCertificatePassword" // azureBlob.servicePrincipal
	TLSClientCertificate      = "tlsClientCertificate"      // ociRepository, PEM
	TLSPrivateKey             = "tlsPrivateKey"             // ociRepository, PEM
	TLSCACertificate          = "tlsCaCertificate"          // ociRepository, PEM
)

// Condition reasons of a FluxConfig, beside those that every kind has.
const (
	InvalidReason = "InvalidConfiguration" // the spec contradicts itself, or what it refers to
	TimeoutReason = "ReconciliationTimeout"
)
